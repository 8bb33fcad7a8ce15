package endpoint_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

func newProver(t testing.TB) *dpop.Prover {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &dpop.Prover{Key: key}
}

// claimsOf reads a JWT that came in a request; its signature is package dpop's affair.
func claimsOf(t testing.TB, jwt string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Errorf("no JWT: %q", jwt)
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Errorf("no claims: %q", jwt)
	}
	return claims
}

// step is one answer of a server, with the nonce it gives.
type step struct {
	status int
	nonce  []string
	body   string
}

// played answers with one step after the other, the last one again and again, and
// notes the proofs that it was shown.
type played struct {
	*httptest.Server
	steps  []step
	proofs []map[string]any
	forms  []url.Values
}

func play(t *testing.T, steps ...step) *played {
	p := &played{steps: steps}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values := r.Header.Values("DPoP"); len(values) == 1 {
			p.proofs = append(p.proofs, claimsOf(t, values[0]))
		} else if len(values) > 1 {
			t.Errorf("%d proofs", len(values))
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.forms = append(p.forms, r.PostForm)
		s := p.steps[min(len(p.forms), len(p.steps))-1]
		w.Header()["Dpop-Nonce"] = s.nonce
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.status)
		io.WriteString(w, s.body)
	}))
	t.Cleanup(p.Close)
	return p
}

const (
	wantsNonce = `{"error":"use_dpop_nonce","error_description":"Authorization server requires nonce in DPoP proof"}`
	tokenJSON  = `{"access_token":"at","token_type":"DPoP","expires_in":60}`
)

// RFC 9449 section 8: one more try, with the nonce, and no more than one.
func TestPostNonce(t *testing.T) {
	asks := func(status int, nonce ...string) step { return step{status, nonce, wantsNonce} }
	done := step{200, nil, tokenJSON}
	for _, tt := range []struct {
		name   string
		steps  []step
		nonces []any // of the proofs shown
		status int   // of the refusal; 0 when there is none
	}{
		{"none wanted", []step{done}, []any{nil}, 0},
		{"400", []step{asks(400, "n1"), done}, []any{nil, "n1"}, 0},
		{"401", []step{asks(401, "n1"), done}, []any{nil, "n1"}, 0},
		{"again and again", []step{asks(400, "n1"), asks(400, "n2"), done}, []any{nil, "n1"}, 400},
		{"the same again and again", []step{asks(400, "n1")}, []any{nil, "n1"}, 400},
		{"403", []step{asks(403, "n1"), done}, []any{nil}, 403},
		{"500", []step{asks(500, "n1"), done}, []any{nil}, 500},
		{"200", []step{asks(200, "n1"), done}, []any{nil}, 200},
		{"no nonce", []step{asks(400), done}, []any{nil}, 400},
		{"empty nonce", []step{asks(400, ""), done}, []any{nil}, 400},
		{"two nonces", []step{asks(400, "a", "b"), done}, []any{nil}, 400},
		{"no NQCHAR", []step{asks(400, `a"b`), done}, []any{nil}, 400},
		{"huge nonce (S25)", []step{asks(400, strings.Repeat("n", 2000)), done}, []any{nil}, 400},
		{"another error", []step{{400, []string{"n1"}, `{"error":"invalid_dpop_proof"}`}, done}, []any{nil}, 400},
		{"no JSON", []step{{400, []string{"n1"}, `use_dpop_nonce`}, done}, []any{nil}, 400},
		{"refused for good", []step{asks(400, "n1"), {400, nil, `{"error":"invalid_grant"}`}}, []any{nil, "n1"}, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := play(t, tt.steps...)
			r := request(srv.URL + "/token?tenant=1")
			r.Prover = newProver(t)
			a, err := endpoint.Post(context.Background(), nil, r)
			var refused *endpoint.Error
			if errors.As(err, &refused); tt.status == 0 && (err != nil || !a.Has("access_token")) ||
				tt.status != 0 && (refused == nil || refused.Status != tt.status || a.Has("access_token")) {
				t.Errorf("Post = %v, want status %d", err, tt.status)
			}
			var nonces []any
			ids := map[any]bool{}
			for _, c := range srv.proofs {
				nonces = append(nonces, c["nonce"])
				ids[c["jti"]] = true
				if c["htm"] != "POST" || c["htu"] != srv.URL+"/token" || c["ath"] != nil { // section 5: no token yet
					t.Errorf("claims %v", c)
				}
			}
			if diff := cmp.Diff(tt.nonces, nonces); diff != "" || len(ids) != len(nonces) || len(srv.forms) != len(nonces) {
				t.Errorf("%d requests, %d jti; nonces (-want +got):\n%s", len(srv.forms), len(ids), diff)
			}
			for _, form := range srv.forms {
				if diff := cmp.Diff(srv.forms[0], form); diff != "" || form.Get("subject_token") != canary {
					t.Errorf("the form changed (-first +later):\n%s", diff)
				}
			}
		})
	}
}

// The nonce of any answer is for the next proof (RFC 9449 section 8.2).
func TestPostLearns(t *testing.T) {
	srv := play(t, step{200, []string{"n1"}, tokenJSON}, step{503, []string{"n2"}, "<html>"}, step{302, []string{"n3"}, ""}, step{200, nil, tokenJSON}, step{200, nil, tokenJSON})
	r := request(srv.URL)
	r.Prover = newProver(t)
	for range 4 {
		endpoint.Post(context.Background(), nil, r)
	}
	if err := endpoint.Revoke(context.Background(), nil, r); err != nil {
		t.Fatal(err)
	}
	var nonces []any
	for _, c := range srv.proofs {
		nonces = append(nonces, c["nonce"])
	}
	if want := []any{nil, "n1", "n2", "n3", "n3"}; !slices.Equal(nonces, want) {
		t.Errorf("nonces %v, want %v", nonces, want)
	}
}

func TestRevokeNonce(t *testing.T) {
	srv := play(t, step{401, []string{"n1"}, wantsNonce}, step{200, nil, ""})
	r := request(srv.URL)
	r.Prover = newProver(t)
	if err := endpoint.Revoke(context.Background(), nil, r); err != nil || len(srv.proofs) != 2 || srv.proofs[1]["nonce"] != "n1" {
		t.Errorf("Revoke = %v, proofs %v", err, srv.proofs)
	}
}

// Who has no key shows none, whatever the server wants.
func TestPostWithoutProver(t *testing.T) {
	srv := play(t, step{400, []string{"n1"}, wantsNonce}, step{200, nil, tokenJSON})
	var refused *endpoint.Error
	if _, err := endpoint.Post(context.Background(), nil, request(srv.URL)); !errors.As(err, &refused) || refused.Code != "use_dpop_nonce" ||
		len(srv.forms) != 1 || len(srv.proofs) != 0 {
		t.Errorf("Post = %v after %d requests and %d proofs", err, len(srv.forms), len(srv.proofs))
	}
	r := request(srv.URL)
	r.Prover = &dpop.Prover{}
	if _, err := endpoint.Post(context.Background(), nil, r); err == nil || len(srv.forms) != 1 {
		t.Errorf("a prover without a key: %v, sent %d", err, len(srv.forms))
	}
}

// A client assertion is good once as well (RFC 7523 section 3): the second try has
// its own.
func TestPostNonceNewAssertion(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := clientauth.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "k")
	if err != nil {
		t.Fatal(err)
	}
	srv := play(t, step{400, []string{"n1"}, wantsNonce}, step{200, nil, tokenJSON})
	r := request(srv.URL)
	r.Client, r.Prover = clientauth.Client{ID: "cli", Key: key, Method: clientauth.PrivateKeyJWT, Issuer: "https://as.example"}, newProver(t)
	if _, err := endpoint.Post(context.Background(), nil, r); err != nil || len(srv.forms) != 2 {
		t.Fatalf("Post = %v after %d requests", err, len(srv.forms))
	}
	first, second := claimsOf(t, srv.forms[0].Get("client_assertion")), claimsOf(t, srv.forms[1].Get("client_assertion"))
	if first["jti"] == nil || first["jti"] == second["jti"] {
		t.Errorf("jti %v, then %v", first["jti"], second["jti"])
	}
}

// The second try obeys the context, too.
func TestPostNonceCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv := play(t, step{400, []string{"n1"}, wantsNonce})
	client := &http.Client{Transport: after{http.DefaultTransport, cancel}}
	r := request(srv.URL)
	r.Prover = newProver(t)
	if _, err := endpoint.Post(ctx, client, r); !errors.Is(err, context.Canceled) || len(srv.forms) != 1 {
		t.Errorf("Post = %v after %d requests", err, len(srv.forms))
	}
}

// after calls done once the answer's body was read to its end.
type after struct {
	next http.RoundTripper
	done func()
}

func (a after) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err == nil {
		body, readErr := io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
		a.done()
		return resp, readErr
	}
	return resp, err
}
