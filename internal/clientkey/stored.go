package clientkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Algorithms lists what Generate takes, the default first.
func Algorithms() []string { return []string{"ES256", "EdDSA", "RS256"} }

// rsaBits is the size of RSA keys. More would not fit into an item of every keychain.
const rsaBits = 2048

// generate makes a private key whose ID is its thumbprint (RFC 7638).
func generate(alg string) (jose.JSONWebKey, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case "", "ES256":
		alg = "ES256"
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return jose.JSONWebKey{}, fmt.Errorf("cannot be made for %.40q: the algorithms are %s", alg, strings.Join(Algorithms(), ", "))
	}
	if err != nil {
		return jose.JSONWebKey{}, errors.New("could not be made")
	}
	jwk := jose.JSONWebKey{Key: private, Algorithm: alg, Use: "sig"}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, errors.New("has no thumbprint")
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return jwk, nil
}

// version is that of a stored key, which may outlive the program that wrote it.
const version = "1"

func format(jwk jose.JSONWebKey, made time.Time) (secret.Text, error) {
	key, err := jwk.MarshalJSON()
	if err != nil {
		return secret.Text{}, errors.New("write a client key: it has no JSON form")
	}
	text, err := json.Marshal(struct {
		Version json.RawMessage `json:"version"`
		Made    time.Time       `json:"made"`
		Key     json.RawMessage `json:"key"`
	}{json.RawMessage(version), made.UTC().Truncate(time.Second), key})
	if err != nil {
		return secret.Text{}, errors.New("write a client key: it has no JSON form")
	}
	return secret.New(string(text)), nil
}

// parse reads what format wrote. Its errors show nothing of it.
func parse(name string, text secret.Text, keyID string) (*Key, error) {
	o, err := strictjson.Parse([]byte(text.Reveal()))
	if err != nil {
		return nil, &Unusable{Name: name, Why: "is stored in a form that is not a key", Stored: true}
	}
	if v := string(o["version"]); v != version {
		return nil, &Unusable{Name: name, Why: "was stored by a newer mcpauth", Stored: true}
	}
	made, err := o.Text("made")
	when, timeErr := time.Parse(time.RFC3339, made)
	if err != nil || timeErr != nil {
		return nil, &Unusable{Name: name, Why: "is stored in a form that is not a key", Stored: true}
	}
	key, err := clientauth.ParseKey(o["key"], keyID)
	if err != nil {
		return nil, &Unusable{Name: name, Why: "cannot be used: " + err.Error(), Stored: true} // which never shows the key
	}
	return &Key{key, when}, nil
}

// namesItem lists the names, since a keychain cannot be asked what is in it.
const namesItem = "names of client keys"

// List reads all keys, by name. Those that cannot be read are left out and their
// errors joined.
func (k *Keeper) List(ctx context.Context) ([]Pair, error) {
	names, err := k.names(ctx)
	if err != nil {
		return nil, err
	}
	var list []Pair
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p, err := Load(ctx, k.Vault, name)
		var missing *Missing
		switch {
		case err == nil:
			list = append(list, p)
		case !errors.As(err, &missing):
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

func (k *Keeper) names(ctx context.Context) (map[string]bool, error) {
	text, err := k.Vault.Get(ctx, namesItem)
	if errors.Is(err, vault.ErrNotFound) {
		return map[string]bool{}, nil
	}
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range strings.FieldsSeq(text.Reveal()) {
		names[name] = true
	}
	return names, nil
}

// changeNames is called under the lock.
func (k *Keeper) changeNames(ctx context.Context, change func(map[string]bool)) error {
	names, err := k.names(ctx)
	if err != nil {
		return err
	}
	change(names)
	if len(names) == 0 {
		return k.Vault.Delete(ctx, namesItem)
	}
	return k.Vault.Set(ctx, namesItem, secret.New(strings.Join(slices.Sorted(maps.Keys(names)), " ")))
}
