package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// bound makes the tokens of wiki ones that are bound to a key.
func bound(t *testing.T) func(*setup) {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &dpop.Prover{Key: key}
	return func(s *setup) {
		give := s.Servers[0].Token
		s.Servers[0].Token = func(ctx context.Context, a token.Ask) (token.Token, error) {
			tok, err := give(ctx, a)
			tok.Type, tok.Prover = "DPoP", p
			return tok, err
		}
	}
}

// proof checks the proof of a request, which is for this one and for its token, and
// returns its nonce and its own name.
func proof(t *testing.T, r *http.Request) (nonce, id string) {
	t.Helper()
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	if !ok || len(r.Header.Values("Authorization")) != 1 || len(r.Header.Values("Dpop")) != 1 {
		t.Fatalf("headers %v", r.Header)
	}
	signed, err := jose.ParseSignedCompact(r.Header.Get("Dpop"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(signed.Signatures[0].Header.JSONWebKey)
	var c struct{ Jti, Htm, Htu, Ath, Nonce string }
	if err != nil || json.Unmarshal(payload, &c) != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	hash := sha256.Sum256([]byte(access))
	if c.Htm != r.Method || c.Htu != "http://"+r.Host+r.URL.Path || c.Ath != base64.RawURLEncoding.EncodeToString(hash[:]) {
		t.Errorf("%s %s with %s", r.Method, r.URL, payload)
	}
	return c.Nonce, c.Jti
}

// RFC 9449: each request has its own proof, which the client neither makes nor sees;
// the want of a nonce costs no token.
func TestProofs(t *testing.T) {
	s := serve(t, bound(t))
	nonce := "first"
	s.up.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", nonce)
		if given, _ := proof(t, r); given != nonce {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "good")
	}
	for i, method := range []string{"POST", "GET", "DELETE", "POST"} {
		if i == 3 {
			nonce = "second"
		}
		resp := s.do(t, method, "/wiki/x?y", `{"id":1}`, "DPoP: of the client")
		if got := text(t, resp); got != "good" || resp.Header.Get("DPoP-Nonce") != "" {
			t.Errorf("%s: %q %v", method, got, resp.Header)
		}
	}
	used := map[string]bool{}
	for _, r := range s.up.requests() {
		_, id := proof(t, r)
		used[id] = true
	}
	if len(used) != 6 || len(s.up.requests()) != 6 || s.tokens.n != 0 {
		t.Errorf("%d proofs, %d requests, %d new tokens", len(used), len(s.up.requests()), s.tokens.n)
	}
	for _, body := range s.up.bodies {
		if body != "" && body != `{"id":1}` {
			t.Errorf("body %q", body)
		}
	}
}

// A server that takes no proof is asked twice at most, and no new token is got; one
// that refuses the token gets another one.
func TestProofRefused(t *testing.T) {
	for _, test := range []struct {
		challenge string
		requests  int
		tokens    int // new ones
		logged    string
	}{
		{`DPoP error="use_dpop_nonce"`, 2, 0, "proof"},
		{`DPoP error="invalid_dpop_proof"`, 1, 0, "proof"},
		{`DPoP error="invalid_token"`, 2, 1, "access token"},
	} {
		t.Run(test.challenge, func(t *testing.T) {
			s := serve(t, bound(t))
			s.up.answer = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("DPoP-Nonce", fmt.Sprint(len(s.up.requests())))
				w.Header().Set("WWW-Authenticate", test.challenge)
				w.WriteHeader(http.StatusUnauthorized)
			}
			resp := s.do(t, "POST", "/wiki", "{}")
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || strings.Contains(got, "DPoP") {
				t.Errorf("got %d %q", resp.StatusCode, got)
			}
			if len(s.up.requests()) != test.requests || s.tokens.n != test.tokens || !strings.Contains(s.lines(), test.logged) {
				t.Errorf("%d requests, %d new tokens, logged %q", len(s.up.requests()), s.tokens.n, s.lines())
			}
		})
	}
}

// Of a token that is no longer bound no proof of the one before is left.
func TestNoLongerBound(t *testing.T) {
	s := serve(t, bound(t), func(s *setup) {
		give := s.Servers[0].Token
		s.Servers[0].Token = func(ctx context.Context, a token.Ask) (token.Token, error) {
			tok, err := give(ctx, a)
			if !a.Refused.IsZero() {
				tok.Prover = nil
			}
			return tok, err
		}
	})
	s.up.answer = only("token-1-of-wiki")
	if got := text(t, s.do(t, "POST", "/wiki", "{}")); got != "good" {
		t.Errorf("got %q", got)
	}
	if h := s.up.requests()[1].Header; h.Get("DPoP") != "" {
		t.Errorf("headers %v", h)
	}
}

// A person may have to agree before there is a token.
func TestTokenTime(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Minute: 5 * time.Minute} {
		left := time.Duration(0)
		s := serve(t, func(s *setup) {
			s.TokenTime = given
			s.Servers[0].Token = func(ctx context.Context, _ token.Ask) (token.Token, error) {
				end, _ := ctx.Deadline()
				left = time.Until(end)
				return token.Token{AccessToken: secret.New("the-token-of-wiki")}, nil
			}
		})
		text(t, s.do(t, "POST", "/wiki", "{}"))
		if left > want || left < want-10*time.Second {
			t.Errorf("TokenTime %v gives %v", given, left)
		}
	}
}
