package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/state"
)

// KeychainOptions is for those who know better than the defaults.
type KeychainOptions struct {
	Service  string        // empty means "mcpauth"
	Deadline time.Duration // per call; 0 means 3 s. Give a person at a terminal time to type a password.
	Calls    Calls         // nil means some of its own
	MaxItem  int           // bytes that an item may have; 0 means what the platform takes, less than 0 means any number
}

// Calls bounds how many calls are under way, with those that nobody waits for any more:
// behind a window that nobody answers, a program that runs for days would collect them,
// each with a connection or a process of its own.
type Calls chan struct{}

// NewCalls returns room for more calls than any program has need of at once.
func NewCalls() Calls { return make(Calls, 16) }

// Keychain returns a vault on the keychain of this user and machine: Secret
// Service, macOS Keychain or Windows Credential Manager. It asks nothing yet.
func Keychain(d *state.Dir, o KeychainOptions) *Vault {
	if o.Calls == nil {
		o.Calls = NewCalls()
	}
	return &Vault{
		dir:     d,
		store:   &keychain{cmp.Or(o.Service, "mcpauth"), d.Path(), cmp.Or(o.Deadline, 3*time.Second), runtimeFolders(), o.Calls},
		maxItem: cmp.Or(o.MaxItem, platformMax(runtime.GOOS)),
		quick:   kernelCopy(d.Path()),
	}
}

// platformMax is below the 2,560 bytes of Windows and the 3,000 or so that fit
// in the command line of 4,096 that go-keyring gives macOS.
func platformMax(goos string) int {
	if goos == "windows" || goos == "darwin" {
		return 2000
	}
	return -1
}

// keychain is the only user of go-keyring, whose calls take no ctx, may wait
// for a dialog for ever, and return untyped errors.
type keychain struct {
	service    string
	folder     string // of the state
	deadline   time.Duration
	busFolders []string
	calls      Calls
}

// item is the name under which the keychain keeps an item. Two state folders on one
// keychain (another $HOME, a sandbox that has one of its own) have sign-ins of their
// own: with the same names, each would spend refresh tokens of the other's.
func (k *keychain) item(name string) string {
	return name + " [" + state.Hash(ownfile.Real(k.folder))[:8] + "]"
}

func (k *keychain) get(ctx context.Context, name string) (value string, err error) {
	return k.call(ctx, func() (string, error) { return keyring.Get(k.service, k.item(name)) })
}

func (k *keychain) set(ctx context.Context, name, value string) error {
	_, err := k.call(ctx, func() (string, error) { return "", keyring.Set(k.service, k.item(name), value) })
	if err != nil {
		return err
	}
	// Success says little: on macOS the library feeds an interactive tool, whose exit
	// code does not tell what became of each command, and on Linux it takes a
	// dismissed dialog for a yes. A lost refresh token costs the sign-in.
	stored, err := k.get(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && stored != value {
		return fmt.Errorf("%w: the keychain did not keep the item", ErrRefused)
	}
	return err
}

func (k *keychain) delete(ctx context.Context, name string) error {
	_, err := k.call(ctx, func() (string, error) { return "", keyring.Delete(k.service, k.item(name)) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// call runs one call of the library and stops waiting when ctx or the deadline
// says so. All that is left behind then is the goroutine.
func (k *keychain) call(ctx context.Context, f func() (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", ended(err)
	}
	if err := findBus(k.busFolders); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, k.deadline)
	defer cancel()
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1)
	select {
	case k.calls <- struct{}{}:
	case <-ctx.Done():
		return "", ended(ctx.Err())
	}
	go func() {
		defer func() { <-k.calls }()
		// The library believes the types in what the service answers.
		defer func() {
			if recover() != nil {
				done <- result{"", fmt.Errorf("%w: the keychain service gave an answer of a wrong form", ErrUnavailable)}
			}
		}()
		value, err := f()
		if errors.Is(err, keyring.ErrNotFound) {
			err = ErrNotFound
		} else if err != nil {
			err = classify(runtime.GOOS, err)
		}
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return "", ended(ctx.Err())
	}
}

// ended tells a person's Ctrl-C from a deadline.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}
