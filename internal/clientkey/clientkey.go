// Package clientkey keeps the private keys with which mcpauth proves to an
// authorization server that it is who its client ID says (private_key_jwt, RFC
// 7523 section 2.2). Each has a name, under which the configuration knows it; what
// is published of it goes into a Client ID Metadata Document or a JWKS.
//
// A name has one key that signs, and while it is being replaced a next one that
// is published already and does not sign yet: authorization servers read the keys
// of a client now and then only, and must know one before they see it.
//
// It stands beside the vault, and before every stage that talks to a token
// endpoint.
package clientkey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Key is one key of a name. It prints as its key ID.
type Key struct {
	*clientauth.Key
	Made time.Time
}

// Pair is all that there is under a name.
type Pair struct {
	Name    string
	Current Key
	Next    *Key // published, and not signing yet; nil when there is none
}

// Keys lists what is to be published, the one that signs first.
func (p Pair) Keys() []Key {
	if p.Next == nil {
		return []Key{p.Current}
	}
	return []Key{p.Current, *p.Next}
}

// Public lists the public halves of Keys. The one that signs goes by keyID, if
// that is not empty, as in the assertions of a client with such a setting.
func (p Pair) Public(keyID string) []jose.JSONWebKey {
	var list []jose.JSONWebKey
	for _, k := range p.Keys() {
		list = append(list, k.Public())
	}
	if keyID != "" {
		list[0].KeyID = keyID
	}
	return list
}

// Keeper makes and replaces keys. Programs that do so at once take turns.
type Keeper struct {
	Vault *vault.Vault
	State *state.Dir
	Now   func() time.Time // nil means time.Now
}

// Missing says that there is no key under a name.
type Missing struct{ Name string }

func (e *Missing) Error() string { return fmt.Sprintf("there is no key %q in the store", e.Name) }

// Exists says that a key would have been overwritten.
type Exists struct{ Name string }

func (e *Exists) Error() string { return fmt.Sprintf("there is a key %q already", e.Name) }

// Pending says that a key has a successor already, or with None that it has none.
type Pending struct {
	Name string
	None bool
}

func (e *Pending) Error() string {
	if e.None {
		return fmt.Sprintf("the key %q has no next key", e.Name)
	}
	return fmt.Sprintf("the key %q has a next key already, which does not sign yet", e.Name)
}

// Unusable says that a name or an algorithm cannot be used, or what is Stored.
type Unusable struct {
	Name, Why string
	Stored    bool
}

func (e *Unusable) Error() string { return fmt.Sprintf("the key %.80q %s", e.Name, e.Why) }

// Generate makes the first key of a name. It overwrites none: what a server
// knows a client by would be lost.
func (k *Keeper) Generate(ctx context.Context, name, alg string) (Pair, error) {
	unlock, err := k.lock(ctx, name)
	if err != nil {
		return Pair{}, err
	}
	defer unlock()
	switch _, err := k.Vault.Get(ctx, item(name)); {
	case err == nil:
		return Pair{}, &Exists{name}
	case !errors.Is(err, vault.ErrNotFound):
		return Pair{}, err
	}
	text, err := newKey(name, alg, k.now())
	if err != nil {
		return Pair{}, err
	}
	// The list first: a name in it without a key is passed over, a key that no
	// list names would never be found again.
	if err := k.changeNames(ctx, func(names map[string]bool) { names[name] = true }); err != nil {
		return Pair{}, err
	}
	// A next key of a former life of this name must not come back.
	if err := k.Vault.Delete(ctx, nextItem(name)); err != nil {
		return Pair{}, err
	}
	if err := k.Vault.Set(ctx, item(name), text); err != nil {
		return Pair{}, err
	}
	return Load(ctx, k.Vault, name)
}

// Rotate makes the next key of a name. The current one goes on signing.
func (k *Keeper) Rotate(ctx context.Context, name, alg string) (Pair, error) {
	unlock, err := k.lock(ctx, name)
	if err != nil {
		return Pair{}, err
	}
	defer unlock()
	p, err := Load(ctx, k.Vault, name)
	if err != nil {
		return Pair{}, err
	}
	if p.Next != nil {
		return Pair{}, &Pending{Name: name}
	}
	if alg == "" {
		alg = p.Current.Algorithm()
	}
	text, err := newKey(name, alg, k.now())
	if err != nil {
		return Pair{}, err
	}
	if err := k.Vault.Set(ctx, nextItem(name), text); err != nil {
		return Pair{}, err
	}
	return Load(ctx, k.Vault, name)
}

// Finish lets the next key sign, and drops the one before it.
func (k *Keeper) Finish(ctx context.Context, name string) (Pair, error) {
	unlock, err := k.lock(ctx, name)
	if err != nil {
		return Pair{}, err
	}
	defer unlock()
	p, err := Load(ctx, k.Vault, name)
	if err != nil {
		return Pair{}, err
	}
	if p.Next == nil {
		return Pair{}, &Pending{Name: name, None: true}
	}
	text, err := k.Vault.Get(ctx, nextItem(name))
	if err != nil {
		return Pair{}, err
	}
	// This is the step that counts. When the next one fails, the same key stands
	// under both items, which Load knows.
	if err := k.Vault.Set(ctx, item(name), text); err != nil {
		return Pair{}, err
	}
	if err := k.Vault.Delete(ctx, nextItem(name)); err != nil {
		return Pair{}, err
	}
	return Load(ctx, k.Vault, name)
}

// Remove forgets the keys of a name, also those that cannot be read.
func (k *Keeper) Remove(ctx context.Context, name string) error {
	unlock, err := k.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	names, err := k.names(ctx)
	if err != nil {
		return err
	}
	_, err = k.Vault.Get(ctx, item(name))
	if errors.Is(err, vault.ErrNotFound) && !names[name] {
		return &Missing{name}
	}
	if err != nil && !errors.Is(err, vault.ErrNotFound) {
		return err
	}
	for _, it := range []string{nextItem(name), item(name)} {
		if err := k.Vault.Delete(ctx, it); err != nil {
			return err
		}
	}
	return k.changeNames(ctx, func(names map[string]bool) { delete(names, name) })
}

// Load reads the keys of a name: *Missing when there are none.
func Load(ctx context.Context, v *vault.Vault, name string) (Pair, error) {
	current, err := read(ctx, v, name, item(name), "")
	if err != nil {
		return Pair{}, err
	}
	p := Pair{Name: name, Current: *current}
	p.Next, err = read(ctx, v, name, nextItem(name), "")
	if missing := (*Missing)(nil); errors.As(err, &missing) || err == nil && p.Next.ID() == current.ID() {
		p.Next, err = nil, nil // the second is what an interrupted Finish leaves
	}
	return p, err
}

// Current reads the key that signs. keyID is what assertions call it; empty
// means its thumbprint (RFC 7638), as in what is published.
func Current(ctx context.Context, v *vault.Vault, name, keyID string) (*clientauth.Key, error) {
	k, err := read(ctx, v, name, item(name), keyID)
	if err != nil {
		return nil, err
	}
	return k.Key, nil
}

func read(ctx context.Context, v *vault.Vault, name, item, keyID string) (*Key, error) {
	if why := badName(name); why != "" {
		return nil, &Unusable{Name: name, Why: why}
	}
	text, err := v.Get(ctx, item)
	if errors.Is(err, vault.ErrNotFound) {
		return nil, &Missing{name}
	}
	if err != nil {
		return nil, err
	}
	return parse(name, text, keyID)
}

// item is the vault's name for the key that signs; one item a key, since two RSA
// keys together are more than an item of some keychains can hold.
func item(name string) string { return "client key " + name }

func nextItem(name string) string { return "next client key " + name }

func (k *Keeper) lock(ctx context.Context, name string) (unlock func(), err error) {
	if why := badName(name); why != "" {
		return nil, &Unusable{Name: name, Why: why}
	}
	return k.State.Lock(ctx, "client keys")
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

// badName keeps names to what can be typed and every keychain takes.
func badName(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > 64 || strings.Trim(name, letters+"._-") != "" || !strings.ContainsAny(name[:1], letters) {
		return "has no usable name: up to 64 letters, digits, dots, dashes and underscores, with a letter or a digit first"
	}
	return ""
}

// newKey makes a key and the text that is stored of it.
func newKey(name, alg string, now time.Time) (secret.Text, error) {
	jwk, err := generate(alg)
	if err != nil {
		return secret.Text{}, &Unusable{Name: name, Why: err.Error()}
	}
	return format(jwk, now)
}
