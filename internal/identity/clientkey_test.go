package identity

import (
	"errors"
	"testing"

	"github.com/mcpauth/mcpauth/internal/clientkey"
	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// A key of the configuration that is a name comes from the vault, and it is the
// one that signs.
func TestClientFromNamedKey(t *testing.T) {
	l := newLaptop(t)
	ctx, v := t.Context(), l.p.Vault
	keys := &clientkey.Keeper{Vault: v, State: l.p.State}
	auth := config.Auth{Method: "private_key_jwt", KeyName: "acme"}
	const id, issuer = "https://acme.example/mcpauth.json", "https://as.example"

	var missing *clientkey.Missing
	if _, err := ClientFrom(ctx, v, auth, id, issuer); !errors.As(err, &missing) {
		t.Errorf("without a key: %v", err)
	}
	// Without a vault nothing is known about it, which is no error yet.
	if c, err := ClientFrom(ctx, nil, auth, id, issuer); err != nil || c.Key != nil {
		t.Errorf("without a vault: %v, %v", c.Key, err)
	}
	made, err := keys.Generate(ctx, "acme", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Rotate(ctx, "acme", ""); err != nil {
		t.Fatal(err)
	}
	// A secret that lies about for this client is not asked for beside a key.
	if err := v.Set(ctx, ClientSecretItem(issuer, id), secret.New("unused")); err != nil {
		t.Fatal(err)
	}
	c, err := ClientFrom(ctx, v, auth, id, issuer)
	if err != nil || c.Key.ID() != made.Current.ID() || !c.Secret.IsZero() {
		t.Errorf("got %v and the secret %v, %v", c.Key, c.Secret.IsZero(), err)
	}
	if m, err := c.Choose([]string{"private_key_jwt"}); m != clientauth.PrivateKeyJWT || err != nil {
		t.Errorf("method %q, %v", m, err)
	}
	auth.KeyID = "ours"
	if c, err := ClientFrom(ctx, v, auth, id, issuer); err != nil || c.Key.ID() != "ours" {
		t.Errorf("got %v, %v", c.Key, err)
	}
}
