package vault

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Containers often forbid keyctl. There the copy is never found; everywhere
// else it must be.
func TestKernelKeyring(t *testing.T) {
	k, other := kernelCopy(t.TempDir()).(kernelKeyring), kernelCopy(t.TempDir()).(kernelKeyring)
	defer k.drop()
	_, err := unix.KeyctlGetKeyringID(userKeyring, false)
	works := err == nil
	want := func(k kernelKeyring, key string) {
		t.Helper()
		if !works {
			key = ""
		}
		if k.get().Reveal() != key {
			t.Errorf("the kernel has a key of %d bytes, want %d", len(k.get().Reveal()), len(key))
		}
	}
	one, two := strings.Repeat("1", keySize), strings.Repeat("2", keySize)
	want(k, "")
	k.put(secret.New(one))
	want(k, one)
	want(other, "")
	k.put(secret.New(two))
	want(k, two)
	for _, size := range []int{keySize - 1, keySize + 1, 4096} {
		k.put(secret.New(strings.Repeat("x", size)))
		want(k, "")
	}
	k.put(secret.New(one))
	if works {
		id, err := unix.KeyctlSearch(userKeyring, "user", k.description, 0)
		if err != nil {
			t.Fatal(err)
		}
		about, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
		if err != nil || !strings.Contains(about, ";3f0b0000;") {
			t.Errorf("the key is %q, %v; want permissions 3f0b0000", about, err)
		}
	}
	k.drop()
	want(k, "")
	k.drop() // twice is harmless
}

// A session whose keyring does not link the user's, as a systemd service has,
// reads the copy, and writes one that others read.
func TestKernelKeyringFromABareSession(t *testing.T) {
	k := kernelCopy(t.TempDir()).(kernelKeyring)
	defer k.drop()
	_, err := unix.KeyctlGetKeyringID(userKeyring, false)
	works := err == nil
	one, two := strings.Repeat("1", keySize), strings.Repeat("2", keySize)
	k.put(secret.New(one))
	got := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, and its session, end here
		if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); works && err != nil {
			t.Errorf("join a session of its own: %v", err)
		}
		got <- k.get().Reveal()
		k.put(secret.New(two))
		got <- ""
	}()
	if g := <-got; works && g != one {
		t.Errorf("read %d bytes, want the copy", len(g))
	}
	<-got
	if g := k.get().Reveal(); works && g != two {
		t.Errorf("read %d bytes, want the second copy", len(g))
	}
}
