package vault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		goos string
		err  error
		want error
	}{
		{"linux", errors.New("failed to unlock correct collection '/org/freedesktop/secrets/aliases/default'"), ErrLocked},
		{"linux", errors.New("Cannot get secret of a locked object"), ErrLocked},
		{"linux", errors.New("Cannot create an item in a locked collection"), ErrLocked},
		{"linux", errors.New("org.freedesktop.Secret.Error.IsLocked"), ErrLocked},
		{"linux", errors.New("The prompt was dismissed"), ErrRefused},
		{"linux", errors.New("Operation was cancelled"), ErrRefused},
		{"linux", errors.New("org.freedesktop.DBus.Error.AccessDenied"), ErrRefused},
		{"linux", errors.New("An AppArmor policy prevents this sender from sending this message to this recipient"), ErrRefused},
		{"linux", errors.New("dial unix /run/user/1000/bus: connect: permission denied"), ErrRefused},
		{"linux", errors.New("The name org.freedesktop.secrets was not provided by any .service files"), ErrUnavailable},
		{"linux", errors.New("dial unix /run/user/1000/bus: connect: connection refused"), ErrUnavailable},
		{"linux", errors.New("dbus: couldn't determine address of session bus"), ErrUnavailable},
		{"linux", errors.New("dbus: connection closed by user"), ErrUnavailable},
		{"linux", errors.New("Message recipient disconnected from message bus without replying"), ErrUnavailable},
		{"linux", errors.New("something new"), ErrUnavailable},
		{"freebsd", errors.New("Cannot get secret of a locked object"), ErrLocked},
		{"darwin", errors.New("exit status 36"), ErrLocked},
		{"darwin", errors.New("exit status 29"), ErrLocked},
		{"darwin", errors.New("exit status 44"), ErrNotFound},
		{"darwin", errors.New("exit status 51"), ErrRefused},
		{"darwin", errors.New("exit status 128"), ErrRefused},
		{"darwin", errors.New("exit status 50"), ErrUnavailable},
		{"darwin", errors.New("exit status 1"), ErrUnavailable},
		{"darwin", errors.New("fork/exec /usr/bin/security: no such file or directory"), ErrUnavailable},
		{"windows", syscall.Errno(5), ErrRefused},
		{"windows", syscall.Errno(1223), ErrRefused},
		{"windows", fmt.Errorf("read: %w", syscall.Errno(1168)), ErrNotFound},
		{"windows", syscall.Errno(1312), ErrUnavailable},
		{"windows", errors.New("something new"), ErrUnavailable},
	} {
		got := classify(c.goos, c.err)
		for _, kind := range []error{ErrNotFound, ErrLocked, ErrUnavailable, ErrRefused, ErrTimeout} {
			if errors.Is(got, kind) != (kind == c.want) {
				t.Errorf("classify(%s, %q) = %v, want %v", c.goos, c.err, got, c.want)
			}
		}
	}
}

// That no connection to the keychain could be opened stays known: it passes.
func TestClassifyOpenFiles(t *testing.T) {
	err := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	if got := classify("linux", err); !errors.Is(got, ErrUnavailable) || !errors.Is(got, syscall.EMFILE) {
		t.Errorf("got %v", got)
	}
}

func testKeychain(t *testing.T, deadline time.Duration) *keychain {
	t.Setenv(busVariable, "unix:path=/nowhere/bus") // so that no test asks the keychain of whoever runs it
	return &keychain{service: "mcpauth-test", deadline: deadline, calls: NewCalls()}
}

// The library can wait for a dialog for ever; the vault does not.
func TestHangingKeychain(t *testing.T) {
	k := testKeychain(t, 10*time.Millisecond)
	stuck := make(chan struct{})
	defer close(stuck)
	hang := func() (string, error) { <-stuck; return "late", nil }
	value, err := k.call(context.Background(), hang)
	if value != "" || !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotFound) {
		t.Errorf("call = %q, %v; want ErrTimeout", value, err)
	}

	k.deadline = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	called := make(chan struct{})
	go func() { <-called; cancel() }()
	_, err = k.call(ctx, func() (string, error) { close(called); return hang() })
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("call = %v, want context.Canceled", err)
	}

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err = k.call(ctx, hang); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call = %v, want ErrTimeout", err)
	}
}

// A program that runs for days does not collect what nobody answers.
func TestHangingCallsHaveABound(t *testing.T) {
	k := testKeychain(t, time.Millisecond)
	stuck := make(chan struct{})
	var begun atomic.Int32
	for range 3 * cap(k.calls) {
		_, err := k.call(context.Background(), func() (string, error) { begun.Add(1); <-stuck; return "late", nil })
		if !errors.Is(err, ErrTimeout) {
			t.Errorf("call = %v, want ErrTimeout", err)
		}
	}
	close(stuck)
	k.deadline = time.Minute
	if value, err := k.call(context.Background(), func() (string, error) { return "x", nil }); value != "x" || err != nil {
		t.Errorf("when it is over: %q, %v", value, err)
	}
	if n := int(begun.Load()); n > cap(k.calls) {
		t.Errorf("%d calls were under way", n)
	}
}

func TestPanickingLibrary(t *testing.T) {
	k := testKeychain(t, time.Minute)
	_, err := k.call(context.Background(), func() (string, error) {
		var answer any = "of the wrong type"
		return fmt.Sprint(answer.(int)), nil
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("call = %v, want ErrUnavailable", err)
	}
}

// The items of a folder have the same names before it is there, and from inside; those
// of another folder have others.
func TestItemsOfAFolder(t *testing.T) {
	home := t.TempDir()
	item := func(folder string) string { return (&keychain{folder: folder}).item("a") }
	before := item(filepath.Join(home, "new", "state"))
	if err := os.MkdirAll(filepath.Join(home, "new", "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := item(filepath.Join(home, "new", "state")); got != before {
		t.Errorf("%q, before %q", got, before)
	}
	if item(filepath.Join(home, "other")) == before || !strings.HasPrefix(before, "a [") {
		t.Errorf("another folder's is %q too", before)
	}
	t.Chdir(filepath.Join(home, "new"))
	if got := item("state"); got != before {
		t.Errorf("from inside: %q", got)
	}
}

func TestPlatformMax(t *testing.T) {
	for goos, want := range map[string]int{"linux": -1, "windows": 2000, "darwin": 2000} {
		if got := platformMax(goos); got != want {
			t.Errorf("platformMax(%s) = %d, want %d", goos, got, want)
		}
	}
	v := Keychain(state.Open(t.TempDir()), KeychainOptions{MaxItem: 7})
	k := v.store.(*keychain)
	if v.maxItem != 7 || k.service != "mcpauth" || k.deadline != 3*time.Second {
		t.Errorf("maxItem = %d, service = %q, deadline = %v", v.maxItem, k.service, k.deadline)
	}
}
