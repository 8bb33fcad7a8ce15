package consent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// By a metadata document mcpauth is a client where nobody has registered it, with
// nothing to prove or with a key, and registers nothing.
func TestMetadataDocument(t *testing.T) {
	for _, method := range []string{"none", "private_key_jwt"} {
		t.Run(method, func(t *testing.T) {
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			published := map[string]any{
				"client_id": document, "client_name": "mcpauth", "redirect_uris": []string{"http://127.0.0.1/callback"},
				"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": method,
			}
			if method != "none" {
				public := jose.JSONWebKey{Key: private.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}
				published["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}
			}
			l := newLaptop(t, func(c *idjagtest.Company) {
				c.AS.CIMD = &idjagtest.CIMDPolicy{Allow: []string{"acme.example"}, Fetch: func(context.Context, string) ([]byte, error) { return json.Marshal(published) }}
			})
			target := l.target(t)
			target.Company = config.Client{MetadataURL: document, ClientAuth: config.Auth{Method: method}}
			if method != "none" {
				der, err := x509.MarshalECPrivateKey(private)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(l.dir, "client.pem")
				if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
					t.Fatal(err)
				}
				target.Company.ClientAuth.KeyFile, target.Company.ClientAuth.KeyID = file, "one"
			}
			if got := l.consented(t, target); !l.works(got) {
				t.Errorf("got %+v", got)
			}
			if got, err := l.renewed(t, target); err != nil || !l.works(got) {
				t.Errorf("renew: %v; %v", err, l.Refusals())
			}
			r := l.requests(idjagtest.Refresh)[0]
			if r.Client != document || r.AuthMethod != method || l.AS.Count(idjagtest.Register) != 0 || l.k.record(target.url()).Registration != nil {
				t.Errorf("renewed as %v", r)
			}
			if back := l.requests(idjagtest.Authorize)[0].Form.Get("redirect_uri"); !strings.HasSuffix(back, "/callback") {
				t.Errorf("redirect_uri is %q", back)
			}
			if err := l.k.Revoke(t.Context(), target); err != nil {
				t.Errorf("revoke: %v; %v", err, l.Refusals())
			}

			// The authorization server does not trust the document any more: nothing of
			// ours is lost by that.
			l.AS.CIMD.Allow = nil
			if _, err := l.k.Ask(bounded(t), target, func(ctx context.Context, address string) error {
				_, err := l.Browser().SignIn(ctx, address)
				return err
			}); err == nil || isNeeded(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
