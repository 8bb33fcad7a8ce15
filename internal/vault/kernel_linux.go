package vault

import (
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// kernelKeyring keeps a copy of the data key in the keyring that the kernel has
// for this user (@u), so that a process that reads an access token asks no bus.
// Every trouble (no keyctl in a container, quota, a key that expired) means
// that there is no copy.
type kernelKeyring struct{ description string }

func kernelCopy(folder string) keyKeeper {
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs
	}
	return kernelKeyring{"mcpauth:" + state.Hash(folder)}
}

const (
	userKeyring   = unix.KEY_SPEC_USER_KEYRING
	threadKeyring = unix.KEY_SPEC_THREAD_KEYRING

	// Everything for who possesses the key; view, read and search for the user.
	// Without the latter a session whose keyring does not link @u, as in a
	// systemd service, gets "permission denied".
	keyPerm    = 0x3f0b0000
	keySeconds = 24 * 60 * 60
)

func (k kernelKeyring) get() secret.Text {
	id, err := unix.KeyctlSearch(userKeyring, "user", k.description, 0)
	if err != nil {
		return secret.Text{}
	}
	var b [keySize + 1]byte
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, b[:], 0)
	if err != nil || n != keySize {
		return secret.Text{}
	}
	return secret.New(string(b[:n]))
}

// put makes the key in the thread's own keyring, where this process possesses
// it and may set its permissions, and then links it into @u in place of an
// older copy.
func (k kernelKeyring) put(key secret.Text) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := unix.AddKey("user", k.description, []byte(key.Reveal()), threadKeyring)
	if err != nil {
		return
	}
	defer unix.KeyctlInt(unix.KEYCTL_UNLINK, id, threadKeyring, 0, 0)
	if unix.KeyctlSetperm(id, keyPerm) != nil {
		return
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, keySeconds, 0, 0); err != nil {
		return
	}
	unix.KeyctlInt(unix.KEYCTL_LINK, id, userKeyring, 0, 0)
}

func (k kernelKeyring) drop() {
	if id, err := unix.KeyctlSearch(userKeyring, "user", k.description, 0); err == nil {
		unix.KeyctlInt(unix.KEYCTL_UNLINK, id, userKeyring, 0, 0)
	}
}
