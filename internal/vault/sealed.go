package vault

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	sealedFolder = "sealed"
	magic        = "mcpauth sealed 1\n" // the format version, authenticated with the name
	maxSealed    = 1 << 20              // bytes of clear text

	keyName = "data-key"
	keySize = 32
)

// keyKeeper holds a copy of the data key outside of the store. It may lose it
// at any time, so that nothing here can fail.
type keyKeeper interface {
	get() secret.Text
	put(secret.Text)
	drop()
}

// Seal keeps a short-lived value in a file of its own. A power cut may cost it.
func (v *Vault) Seal(ctx context.Context, name string, plain []byte) error {
	err := func() error {
		if err := checkName(name); err != nil {
			return err
		}
		key := v.copyOfKey()
		if key.IsZero() {
			var err error
			if key, err = v.makeKey(ctx); err != nil {
				return err
			}
		}
		return v.seal(ctx, key, name, plain, v.dir.WriteSpare)
	}()
	if err != nil {
		return fmt.Errorf("seal %q: %w", name, err)
	}
	return nil
}

// Open returns what Seal kept under name. It asks the store for nothing while
// a copy of the data key opens the file. A file that is torn, foreign, changed
// or sealed under a lost key is ErrNotFound and one warning.
func (v *Vault) Open(ctx context.Context, name string) ([]byte, error) {
	plain, err := v.open(ctx, name, true)
	if err != nil {
		return nil, fmt.Errorf("open sealed %q: %w", name, err)
	}
	return plain, nil
}

// Discard removes what Seal kept under name. That it is absent is no error.
func (v *Vault) Discard(name string) error {
	if err := v.discard(name); err != nil {
		return fmt.Errorf("discard sealed %q: %w", name, err)
	}
	return nil
}

func (v *Vault) discard(name string) error { return v.dir.Remove(sealedFile(name)) }

func (v *Vault) seal(ctx context.Context, key secret.Text, name string, plain []byte, write func(name string, data []byte) error) error {
	if len(plain) > maxSealed {
		return fmt.Errorf("%d bytes are more than the %d that a sealed file holds", len(plain), maxSealed)
	}
	b, err := encrypt(key, name, plain)
	if err != nil {
		return err
	}
	// Writers need not wait for each other, and readers for nobody.
	unlock, err := v.dir.LockShared(ctx, sealedLock)
	if err != nil {
		return timedOut(err)
	}
	defer unlock()
	return write(sealedFile(name), b)
}

func (v *Vault) open(ctx context.Context, name string, shortLived bool) ([]byte, error) {
	b, err := v.dir.ReadFile(sealedFile(name), maxSealed+1024)
	unusable := new(state.Unusable)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case errors.As(err, &unusable):
		return nil, v.bad(name, b, unusable.Why, shortLived)
	case err != nil:
		return nil, err
	case !bytes.HasPrefix(b, []byte(magic)):
		return nil, v.bad(name, b, "it is not a sealed file", shortLived)
	}
	if key := v.copyOfKey(); !key.IsZero() {
		if plain, err := decrypt(key, name, b); err == nil {
			return plain, nil
		}
	}
	// Perhaps the copy is of an older key. It is replaced by what the store
	// has, and kept while the store does not answer: the file may be at fault.
	key, err := v.askKey(ctx)
	if errors.Is(err, ErrNotFound) {
		v.dropCopies()
		return nil, v.unopened(name, b, "the key it was sealed under is gone", shortLived)
	}
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(key, name, b)
	if err != nil {
		return nil, v.unopened(name, b, "it does not open with the data key", shortLived)
	}
	return plain, nil
}

// bad warns about a sealed file with the content b and removes it, so that it
// is reported once. A long-lived value stays, for the day on which the store
// finds its key again.
func (v *Vault) bad(name string, b []byte, why string, remove bool) error {
	d := &damaged{filepath.Join(v.dir.Path(), sealedFile(name)), why}
	v.warn(d.Error())
	if remove {
		v.discardSame(name, b)
	}
	return ErrNotFound
}

// unopened is bad for what a lost data key takes with it. Of short-lived values
// that is told once.
func (v *Vault) unopened(name string, b []byte, why string, shortLived bool) error {
	if v.tellLost() || !shortLived {
		return v.bad(name, b, why, shortLived)
	}
	v.discardSame(name, b)
	return ErrNotFound
}

// tellLost reports whether the person has not been told yet that the data key was
// lost, and takes it that this happens now.
func (v *Vault) tellLost() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	told := v.keyLost
	v.keyLost = true
	return !told
}

// discardSame removes the sealed file unless another process has put a better
// one there meanwhile: of many processes that find it damaged, the slow ones
// must not remove what the fast one got.
func (v *Vault) discardSame(name string, b []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	unlock, err := v.lock(ctx, sealedLock)
	if err != nil {
		return // the writer replaces the file, or the next reader comes here again
	}
	defer unlock()
	now, err := v.dir.ReadFile(sealedFile(name), maxSealed+1024)
	if u := new(state.Unusable); errors.As(err, &u) || err == nil && bytes.Equal(now, b) {
		_ = v.discard(name)
	}
}

// sealedLock is held together by who writes sealed files, and alone by who removes a
// damaged one.
const sealedLock = "sealed files"

// copyOfKey returns the data key when it is at hand without asking the store.
func (v *Vault) copyOfKey() secret.Text {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key.IsZero() && v.quick != nil {
		v.key = v.quick.get()
	}
	return v.key
}

func (v *Vault) keepCopies(key secret.Text) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.key = key
	if v.quick != nil {
		v.quick.put(key)
	}
}

func (v *Vault) dropCopies() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.key = secret.Text{}
	if v.quick != nil {
		v.quick.drop()
	}
}

// askKey reads the data key from the store. One of a wrong shape is no key.
func (v *Vault) askKey(ctx context.Context) (secret.Text, error) {
	value, err := v.ask(ctx, keyName)
	if d := new(damaged); errors.As(err, &d) {
		v.tellLost() // ask has just done so
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("read the data key: %w", err)
	}
	b, err := base64.RawStdEncoding.DecodeString(value)
	if err != nil || len(b) != keySize {
		if v.tellLost() {
			v.warn("the data key in the store is damaged")
		}
		return secret.Text{}, fmt.Errorf("read the data key: %w", ErrNotFound)
	}
	key := secret.New(string(b))
	v.keepCopies(key)
	return key, nil
}

// makeKey reads the data key from the store, or makes one. Under a lock, so
// that processes that start at once agree on one key.
func (v *Vault) makeKey(ctx context.Context) (secret.Text, error) {
	if key, err := v.askKey(ctx); !errors.Is(err, ErrNotFound) {
		return key, err
	}
	unlock, err := v.lock(ctx, "data key")
	if err != nil {
		return secret.Text{}, err
	}
	defer unlock()
	if key, err := v.askKey(ctx); !errors.Is(err, ErrNotFound) {
		return key, err
	}
	b := make([]byte, keySize)
	rand.Read(b) // never fails since Go 1.24
	if err := v.store.set(ctx, keyName, base64.RawStdEncoding.EncodeToString(b)); err != nil {
		return secret.Text{}, fmt.Errorf("write the data key: %w", err)
	}
	key := secret.New(string(b))
	v.keepCopies(key)
	return key, nil
}

// encrypt binds the format version and the name, so that a file that was moved
// to another name does not open.
func encrypt(key secret.Text, name string, plain []byte) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	rand.Read(nonce)
	b := append([]byte(magic), nonce...)
	return gcm.Seal(b, nonce, plain, []byte(magic+name)), nil
}

func decrypt(key secret.Text, name string, b []byte) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < gcm.NonceSize() {
		return nil, errors.New("it is not a sealed file")
	}
	nonce, sealed := rest[:gcm.NonceSize()], rest[gcm.NonceSize():]
	return gcm.Open(nil, nonce, sealed, []byte(magic+name))
}

func newGCM(key secret.Text) (cipher.AEAD, error) {
	block, err := aes.NewCipher([]byte(key.Reveal()))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func sealedFile(name string) string { return path.Join(sealedFolder, state.Hash(name)) }

// itemFile is the sealed name of an item too big for the store. The line break
// keeps it apart from every name that a caller can give.
func itemFile(name string) string { return "item\n" + name }
