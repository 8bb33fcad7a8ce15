package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// standard is oidc-provider as the authorization server of the standard flow.
type standard struct {
	*program
	resource string

	Issuer, Guard string
	Introspection struct{ Endpoint, ClientID, ClientSecret string }
}

// startStandard starts one that registers clients, or, with a document, one that
// reads that and registers nobody.
func startStandard(t *testing.T, server *mcpServer, d *document) authority {
	t.Helper()
	return startOIDCProvider(t, server, d)
}

func startOIDCProvider(t *testing.T, server *mcpServer, d *document) *standard {
	t.Helper()
	args, env := []string{server.Resource}, []string(nil)
	if d != nil {
		root := filepath.Join(t.TempDir(), "root.pem")
		if err := os.WriteFile(root, d.root(), 0o600); err != nil {
			t.Fatal(err)
		}
		args, env = append(args, d.URL), []string{"NODE_EXTRA_CA_CERTS=" + root}
	}
	p := standard{resource: server.Resource}
	p.program = startProgram(t, &p, env, "standard.mjs", args...)
	return &p
}

func (p *standard) happened(t *testing.T) (did tally) {
	t.Helper()
	for _, e := range p.program.happened(t) {
		if e.Granted != "" && e.Resource != p.resource { // it would do without
			t.Errorf("a request for a token names the resource %q", e.Resource)
		}
		switch {
		case e.Registered != "":
			did.Registered++
		case e.Fetched != "":
			did.Documents = true
		case e.Granted == "authorization_code":
			did.Codes++
		case e.Granted == "refresh_token":
			did.Renewals++
		case e.Refused != "" && e.Refused != "use_dpop_nonce":
			t.Logf("oidc-provider refused: %s: %s", e.Refused, e.Why)
			did.Refused++
		}
	}
	return did
}

// protect has the MCP server ask about every token (RFC 7662), as go-sdk's example
// of a protected server does, so that a revoked one is dead at once.
func (p *standard) protect(server *mcpServer) {
	server.open(oauthex.ProtectedResourceMetadata{AuthorizationServers: []string{p.Issuer}},
		func(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
			return p.introspect(ctx, token)
		})
}

func (p *standard) introspect(ctx context.Context, token string) (*auth.TokenInfo, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Introspection.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.Introspection.ClientID, p.Introspection.ClientSecret)
	var known struct {
		Active               bool
		Iss, Aud, Sub, Scope string
		Exp                  int64
	}
	if err := ask(r, &known); err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	if !known.Active || known.Aud != p.resource || known.Iss != p.Issuer {
		return nil, fmt.Errorf("%w: of %q for %q", auth.ErrInvalidToken, known.Iss, known.Aud)
	}
	return &auth.TokenInfo{UserID: known.Sub, Scopes: strings.Fields(known.Scope), Expiration: time.Unix(known.Exp, 0)}, nil
}

// ask sends a request and reads the JSON that answers it.
func ask(r *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
