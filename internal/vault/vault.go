// Package vault keeps secrets at rest: ID tokens, refresh tokens and client
// secrets as items of the OS keychain or of age files, and short-lived access
// tokens as sealed files under a data key that is itself such an item.
//
// Which of the two stores is used is the person's decision at login. The vault
// never switches from one to the other.
//
//	v := vault.Keychain(state.Open(dir), vault.KeychainOptions{})
//	err := v.Set(ctx, "acme/refresh_token", tok)
package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// The ways in which a store can say no. They need different answers from a
// person, and only ErrNotFound means that there is nothing.
var (
	ErrNotFound    = errors.New("not found")
	ErrLocked      = errors.New("the store is locked")
	ErrUnavailable = errors.New("the store is not available")
	ErrRefused     = errors.New("access was refused")
	ErrTimeout     = errors.New("no answer in time")
)

// store holds items. Implementations: keychain, fileStore.
type store interface {
	get(ctx context.Context, name string) (string, error)
	set(ctx context.Context, name, value string) error
	delete(ctx context.Context, name string) error // absent: nil
}

// Vault is safe for concurrent use.
type Vault struct {
	// Warn, when set, is told in one line that something stored was lost or
	// damaged. Set it before the first use.
	Warn func(string)

	dir     *state.Dir
	store   store
	maxItem int        // bytes; a bigger item goes into a sealed file; 0 means no limit
	quick   keyKeeper  // a copy of the data key that is cheap to ask
	mu      sync.Mutex // guards key and keyLost
	key     secret.Text
	keyLost bool // was told to the person
}

// inFile is the item that stands for one too big for the store: the value is in
// a sealed file. Writing or overwriting the item is the step that counts, so
// that a crash leaves the old value or the new one.
const inFile = "mcpauth:in-sealed-file:1"

// Get returns the item. Errors wrap the sentinels of this package, or
// context.Canceled.
func (v *Vault) Get(ctx context.Context, name string) (secret.Text, error) {
	value, err := v.get(ctx, name)
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %q from the store: %w", name, err)
	}
	return secret.New(value), nil
}

func (v *Vault) get(ctx context.Context, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	value, err := v.ask(ctx, name)
	if err != nil || value != inFile {
		return value, err
	}
	plain, err := v.open(ctx, itemFile(name), false)
	if !errors.Is(err, ErrNotFound) {
		return string(plain), err
	}
	// Perhaps a smaller value has replaced the item and removed the file since.
	if value, err := v.ask(ctx, name); err != nil || value != inFile {
		return value, err
	}
	return "", ErrNotFound
}

// ask reads one item of the store, and reports damage.
func (v *Vault) ask(ctx context.Context, name string) (string, error) {
	value, err := v.store.get(ctx, name)
	if d := new(damaged); errors.As(err, &d) {
		v.warn(d.Error())
	}
	if err == nil && value == "" {
		return "", ErrNotFound
	}
	return value, err
}

// Set stores the item in place of what is there. An empty secret is refused.
func (v *Vault) Set(ctx context.Context, name string, value secret.Text) error {
	if err := v.set(ctx, name, value); err != nil {
		return fmt.Errorf("write %q to the store: %w", name, err)
	}
	return nil
}

func (v *Vault) set(ctx context.Context, name string, value secret.Text) error {
	if err := checkName(name); err != nil {
		return err
	}
	if value.IsZero() {
		return errors.New("the secret is empty")
	}
	if v.maxItem <= 0 && value.Reveal() != inFile {
		err := v.store.set(ctx, name, value.Reveal())
		if !errors.Is(err, ErrUnavailable) || len(value.Reveal()) <= surelyFits {
			return err
		}
		// Perhaps it is only too big. No keychain has an error of its own for that.
		if v.setInFile(ctx, name, value) == nil {
			return nil
		}
		return err
	}
	// A small value deletes the file that a big one has just written, unless
	// they take turns.
	unlock, err := v.lock(ctx, "item "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if len(value.Reveal()) <= v.maxItem && value.Reveal() != inFile {
		if err := v.store.set(ctx, name, value.Reveal()); err != nil {
			return err
		}
		return v.discard(itemFile(name))
	}
	return v.setInFile(ctx, name, value)
}

// surelyFits is what every keychain takes, in bytes.
const surelyFits = 256

// setInFile keeps an item that is too big for the store in a sealed file.
func (v *Vault) setInFile(ctx context.Context, name string, value secret.Text) error {
	// Not under a copy of the data key: the copy may outlive a key that the
	// store has lost, and this value has to outlive the copy.
	key, err := v.makeKey(ctx)
	if err != nil {
		return err
	}
	if err := v.seal(ctx, key, itemFile(name), []byte(value.Reveal()), v.dir.WriteFile); err != nil {
		return err
	}
	return v.store.set(ctx, name, inFile)
}

// Delete removes the item and the file that held a big one. That it is absent
// already is no error.
func (v *Vault) Delete(ctx context.Context, name string) error {
	err := checkName(name)
	if err == nil {
		err = errors.Join(v.store.delete(ctx, name), v.discard(itemFile(name)))
	}
	if err != nil {
		return fmt.Errorf("delete %q from the store: %w", name, err)
	}
	return nil
}

// Forget removes the data key, its copy and every sealed file, also those of
// items too big for the store. It removes what it can and joins the errors.
// Other items are the caller's to Delete, before this.
func (v *Vault) Forget(ctx context.Context) error {
	err := errors.Join(v.dir.RemoveFolder(sealedFolder), v.store.delete(ctx, keyName))
	v.dropCopies()
	if err != nil {
		return fmt.Errorf("forget the data key and the sealed files: %w", err)
	}
	return nil
}

func (v *Vault) lock(ctx context.Context, what string) (func(), error) { return lock(ctx, v.dir, what) }

func lock(ctx context.Context, d *state.Dir, what string) (func(), error) {
	unlock, err := d.Lock(ctx, what)
	return unlock, timedOut(err)
}

func timedOut(err error) error {
	if b := new(state.Busy); errors.As(err, &b) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

func (v *Vault) warn(text string) {
	if v.Warn != nil {
		v.Warn(text)
	}
}

// checkName keeps names in the characters that every keychain takes; the macOS
// one is driven through lines of text.
func checkName(name string) error {
	if name == "" || name == keyName {
		return fmt.Errorf("%q is not a name for an item", name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%q is not a name for an item", name)
		}
	}
	return nil
}

// damaged is a stored value that nobody can use any more. To callers it is not
// found; the person gets one warning.
type damaged struct{ path, why string }

func (d *damaged) Error() string { return fmt.Sprintf("%s is damaged: %s", d.path, d.why) }
func (d *damaged) Unwrap() error { return ErrNotFound }
