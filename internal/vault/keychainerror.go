package vault

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// classify turns what a platform's keychain says into one of the four errors.
// What is not known is ErrUnavailable, never ErrNotFound: who takes trouble for
// absence signs in again and again.
func classify(goos string, err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // it was not asked
		return fmt.Errorf("%w: ask the keychain: %w", ErrUnavailable, err)
	}
	kind := ErrUnavailable
	switch goos {
	case "darwin":
		kind = darwinKind(err.Error())
	case "windows":
		var code syscall.Errno
		if errors.As(err, &code) {
			switch code {
			case 1168: // ERROR_NOT_FOUND
				kind = ErrNotFound
			case 5, 1223: // ERROR_ACCESS_DENIED, ERROR_CANCELLED
				kind = ErrRefused
			}
		}
	default:
		kind = secretServiceKind(err.Error())
	}
	return fmt.Errorf("%w: the keychain said %q", kind, err.Error())
}

// darwinKind reads the exit code of /usr/bin/security, which is the lowest byte
// of an OSStatus.
func darwinKind(text string) error {
	switch text {
	case "exit status 44": // -25300 errSecItemNotFound
		return ErrNotFound
	case "exit status 36", "exit status 29": // -25308 errSecInteractionNotAllowed, -25315 errSecInteractionRequired
		return ErrLocked
	case "exit status 51", "exit status 128": // -25293 errSecAuthFailed, -128 userCanceledErr
		return ErrRefused
	}
	return ErrUnavailable
}

// secretServiceKind reads what gnome-keyring, KWallet and KeePassXC say. The
// library drops the names of D-Bus errors wherever there is a text.
func secretServiceKind(text string) error {
	text = strings.ToLower(text)
	for _, k := range []struct {
		kind  error
		texts []string
	}{
		{ErrLocked, []string{"failed to unlock correct collection", "islocked", "is locked", "locked collection", "locked object"}},
		{ErrRefused, []string{"accessdenied", "access denied", "permission denied", "not authorized", "apparmor", "selinux", "dismissed", "cancelled", "canceled"}},
	} {
		for _, t := range k.texts {
			if strings.Contains(text, t) {
				return k.kind
			}
		}
	}
	return ErrUnavailable
}
