package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// TestBoundTokens has oidc-provider bind tokens to a key, with a nonce in every
// proof it sees, and mcpauth bridge show that key to the go-sdk server for every
// single request (RFC 9449).
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	server := startMCPServer(t)
	as := startOIDCProvider(t, server, nil)
	guarded := &bound{as: as, resource: server.Resource}
	guarded.protect(server)
	row := newRow(t)
	l := newConsenter(t, "")

	row.step("consent")
	as.set(t, settings{JWT: true})
	l.Want(t, 0, "server", "add", "wiki", server.Resource, "--mode", "oauth")
	agree(t, l, "")

	row.step("no bare token")
	for _, verb := range []string{"token", "headers"} {
		r := l.Run(t, verb, "wiki")
		if r.Code == 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "mcpauth bridge wiki") {
			t.Errorf("mcpauth %s: exit %d with %d bytes on stdout, and says %q", verb, r.Code, len(r.Stdout), r.Stderr)
		}
	}

	// The server does not take the first token: the bridge has to renew, with the
	// same key.
	row.step("calls and renewal through the bridge")
	as.happened(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	bridge := l.Command(ctx, "bridge", "wiki")
	bridge.Stderr = os.Stderr
	answer, err := whoami(ctx, &mcp.CommandTransport{Command: bridge}, 3)
	if err != nil || answer != "you are "+userName {
		t.Errorf("through the bridge the tool answers %q, %v", answer, err)
	}
	wantTally(t, as, tally{Renewals: 1})
	if proofs, refused := guarded.count(); proofs < 4 || refused != 1 {
		t.Errorf("the server saw %d good proofs, and refused %d requests; want one for each request, and one refusal", proofs, refused)
	}

	row.step("theft")
	guarded.wantUseless(t)

	// The grant is over. The JWT itself lives until it expires: oidc-provider
	// revokes no structured tokens.
	row.step("sign-out")
	as.happened(t)
	l.Want(t, 0, "logout", "wiki")
	if !slices.ContainsFunc(as.program.happened(t), func(e event) bool { return e.Revoked == "grant" }) {
		t.Error("the grant outlives the sign-out")
	}
	wantLogin(t, l, "headers", "wiki")
}

// bound lets requests through to the MCP server when oauth4webapi says that token
// and proof belong together. go-sdk itself knows the scheme Bearer alone.
type bound struct {
	as       *standard
	resource string

	mu              sync.Mutex
	proofs, refused int
	first           string // token, which is never taken
	token, proof    string // of the last request that was let through
}

func (b *bound) protect(server *mcpServer) {
	server.open(oauthex.ProtectedResourceMetadata{
		AuthorizationServers: []string{b.as.Issuer}, DPOPSigningAlgValuesSupported: []string{"ES256"}, DPOPBoundAccessTokensRequired: true,
	}, b.verify, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("WWW-Authenticate", `DPoP algs="ES256"`) // beside the challenge of go-sdk; of no meaning in other answers
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			r = r.Clone(context.WithValue(r.Context(), schemeKey{}, scheme))
			if strings.EqualFold(scheme, "DPoP") {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			next.ServeHTTP(w, r)
		})
	})
}

// schemeKey is of the scheme with which a token came.
type schemeKey struct{}

func (b *bound) verify(ctx context.Context, token string, r *http.Request) (*auth.TokenInfo, error) {
	scheme, _ := ctx.Value(schemeKey{}).(string)
	proof := strings.Join(r.Header.Values("DPoP"), ", ")
	body, err := json.Marshal(map[string]string{"method": r.Method, "url": b.resource, "authorization": scheme + " " + token, "proof": proof})
	if err != nil {
		return nil, err
	}
	question, err := http.NewRequestWithContext(ctx, http.MethodPost, b.as.Guard, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var claims struct {
		Sub, Scope string
		Exp        int64
	}
	err = ask(question, &claims)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == "" {
		b.first = token
	}
	if err == nil && token == b.first {
		err = errors.New("it was taken back")
	}
	if err != nil {
		b.refused++
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
	}
	b.proofs++
	b.token, b.proof = token, proof
	return &auth.TokenInfo{UserID: claims.Sub, Scopes: strings.Fields(claims.Scope), Expiration: time.Unix(claims.Exp, 0)}, nil
}

func (b *bound) count() (proofs, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proofs, b.refused
}

// wantUseless does with the last token what a thief could who has seen a request.
func (b *bound) wantUseless(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	token, proof := b.token, b.proof
	b.mu.Unlock()
	for name, header := range map[string]http.Header{
		"as Bearer":            {"Authorization": {"Bearer " + token}},
		"as Bearer, and proof": {"Authorization": {"Bearer " + token}, "Dpop": {proof}},
		"without a proof":      {"Authorization": {"DPoP " + token}},
		"with an old proof":    {"Authorization": {"DPoP " + token}, "Dpop": {proof}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.resource, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a stolen token %s is answered %s", name, resp.Status)
		}
	}
}
