package vault

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func listen(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func TestFindBus(t *testing.T) {
	empty, socket, plain := t.TempDir(), filepath.Join(t.TempDir(), "a b;c"), t.TempDir()
	if err := os.Mkdir(socket, 0o700); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(socket, "bus"))
	if err := os.WriteFile(filepath.Join(plain, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found := "unix:path=" + strings.NewReplacer(" ", "%20", ";", "%3b").Replace(socket) + "/bus"
	for _, c := range []struct {
		name, variable string
		folders        []string
		want           string // "" means ErrUnavailable
	}{
		{"the variable wins", "unix:path=/x", []string{socket}, "unix:path=/x"},
		{"standard socket", "", []string{"", empty, socket}, found},
		{"autolaunch is no address", "autolaunch:", []string{socket}, found},
		{"nothing", "", []string{"", empty}, ""},
		{"not a socket", "", []string{plain}, ""},
		{"relative folder", "", []string{"."}, ""},
	} {
		t.Setenv(busVariable, c.variable)
		err := findBus(c.folders)
		if c.want == "" && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", c.name, err)
		} else if c.want != "" && (err != nil || os.Getenv(busVariable) != c.want) {
			t.Errorf("%s: %q, %v; want %q", c.name, os.Getenv(busVariable), err, c.want)
		}
	}
}

// Without a bus nothing may start one.
func TestNeverLaunchesABus(t *testing.T) {
	bin := t.TempDir()
	trace := filepath.Join(bin, "launched")
	script := "#!/bin/sh\n: >" + trace + "\n"
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		out, err := process("get without bus", []string{"PATH=" + bin + ":/bin:/usr/bin", busVariable + "=" + address})
		if err == nil || out != "kind: "+ErrUnavailable.Error() {
			t.Errorf("with %q: %q, %v; want ErrUnavailable", address, out, err)
		}
		if _, err := os.Lstat(trace); !errors.Is(err, os.ErrNotExist) {
			t.Fatal("dbus-launch was run")
		}
	}
}

// A bus that is dead, or alive and silent.
func TestBadBus(t *testing.T) {
	silent := filepath.Join(t.TempDir(), "bus")
	listen(t, silent) // the kernel accepts, nobody answers
	for address, want := range map[string]error{
		"unix:path=/nowhere/bus": ErrUnavailable, "unix:path=" + silent: ErrTimeout, "disabled:": ErrUnavailable, "nonsense": ErrUnavailable,
	} {
		out, err := process("get", []string{busVariable + "=" + address}, t.TempDir(), "mcpauth-test", "x")
		if err == nil || out != "kind: "+want.Error() {
			t.Errorf("%s: %q, %v; want %v", address, out, err, want)
		}
	}
}

// What follows asks a real Secret Service, and is there when
// testdata/with-keyring.sh runs it.
func TestRealKeychain(t *testing.T) {
	if os.Getenv(keychainVariable) != "1" {
		return
	}
	ctx, folder := context.Background(), t.TempDir()
	o := KeychainOptions{Service: "mcpauth-test-" + state.Hash(folder)}
	v := Keychain(state.Open(folder), o)
	if err := v.Set(ctx, "a", secret.New("value")); err != nil {
		t.Fatal(err)
	}
	runtimeDir := "XDG_RUNTIME_DIR=" + os.Getenv("XDG_RUNTIME_DIR")

	// A caller with a bare environment finds the same store.
	if out, err := process("get", []string{runtimeDir}, folder, o.Service, "a"); err != nil || out != "value" {
		t.Errorf("without the bus variable: %q, %v", out, err)
	}

	// Another state folder has items of its own, by the same names.
	other := Keychain(state.Open(t.TempDir()), o)
	if err := other.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	if got, err := other.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another folder has %v, %v", got, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	if got, err := Keychain(state.Open(link), o).Get(ctx, "a"); err != nil || got.Reveal() != "value" {
		t.Errorf("by way of a link: %v", err)
	}

	// A locked keychain cannot be unlocked without a dialog: use up another one.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("testdata/with-keyring.sh", self, t.TempDir())
	c.Env = append(os.Environ(), roleVariable+"=lock, then get")
	if out, err := c.Output(); err == nil || strings.TrimSpace(string(out)) != "kind: "+ErrLocked.Error() {
		t.Errorf("locked: %q, %v; want ErrLocked", out, err)
	}
	if err := v.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
}
