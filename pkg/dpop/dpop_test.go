package dpop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const server = "https://mcp.example/mcp"

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newProver(t testing.TB) *dpop.Prover {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &dpop.Prover{Key: key, Now: func() time.Time { return epoch }}
}

// open checks a proof as a server does (RFC 9449 section 4.3) with code that is
// not ours, and returns its header and claims.
func open(t testing.TB, p *dpop.Prover, proof string) (header, claims map[string]any) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	jwk := jws.Signatures[0].Protected.JSONWebKey
	if jwk == nil || !jwk.IsPublic() || !jwk.Valid() {
		t.Fatal("no public key in the header")
	}
	payload, err := jws.Verify(jwk)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := jwk.Thumbprint(5); err != nil || base64.RawURLEncoding.EncodeToString(sum) != p.Key.Thumbprint() {
		t.Fatalf("the key in the header is another one (%v)", err)
	}
	head, _ := base64.RawURLEncoding.DecodeString(proof[:strings.IndexByte(proof, '.')])
	if json.Unmarshal(head, &header) != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatal("header or claims are no JSON")
	}
	return header, claims
}

// RFC 9449 section 4.2: exactly these members, and no more.
func TestProof(t *testing.T) {
	p := newProver(t)
	token := secret.New("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
	proof, err := p.Proof("POST", server+"?a=b#c", token)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := open(t, p, proof)
	jwk, _ := header["jwk"].(map[string]any)
	if len(header) != 3 || header["typ"] != "dpop+jwt" || header["alg"] != "ES256" || len(jwk) != 4 ||
		jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
		t.Errorf("header %v", header)
	}
	id, _ := claims["jti"].(string)
	if len(id) < 16 { // section 4.2: 96 bits or a UUID
		t.Errorf("jti %q", id)
	}
	delete(claims, "jti")
	want := map[string]any{"htm": "POST", "htu": server, "iat": float64(epoch.Unix()),
		"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"} // the hash of section 7.1's own example
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestProofClaims(t *testing.T) {
	p := newProver(t)
	for _, tt := range []struct{ method, url, htm, htu string }{
		{"", server, "GET", server},
		{"DELETE", "https://mcp.example", "DELETE", "https://mcp.example/"}, // as net/http sends it
		{"GET", "https://mcp.example?x", "GET", "https://mcp.example/"},
		{"GET", "HTTPS://MCP.example:443/A%2fb/%20?x=/y", "GET", "https://MCP.example:443/A%2fb/%20"},
		{"GET", "https://user:canary@mcp.example/a&b<c>'\"", "GET", "https://mcp.example/a&b%3Cc%3E%27%22"},
		{"GET", "http://[::1]:8080/#frag", "GET", "http://[::1]:8080/"},
	} {
		proof, err := p.Proof(tt.method, tt.url, secret.Text{})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		_, claims := open(t, p, proof)
		delete(claims, "jti")
		want := map[string]any{"htm": tt.htm, "htu": tt.htu, "iat": float64(epoch.Unix())} // no ath without a token, no nonce
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.url, diff)
		}
	}
}

func TestProofRefuses(t *testing.T) {
	for _, raw := range []string{"", "/mcp", "mcp.example/mcp", "ftp://mcp.example/", "https:///mcp", "https:mcp.example", "http://[::1/canary", "https://a.example/%zzcanary"} {
		if proof, err := newProver(t).Proof("GET", raw, secret.Text{}); err == nil || proof != "" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %q, %v", raw, proof, err)
		}
	}
	if _, err := (&dpop.Prover{}).Proof("GET", server, secret.Text{}); err == nil {
		t.Error("a proof without a key")
	}
}

// A proof is good once (RFC 9449 section 11.1): no two are alike, whoever asks.
func TestProofsDiffer(t *testing.T) {
	p := newProver(t)
	var mu sync.Mutex
	seen := map[any]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				proof, err := p.Proof("GET", server, secret.Text{})
				if err != nil {
					t.Error(err)
					return
				}
				p.Learn(respond(fmt.Sprintf("https://h%d.example/", i), 401, http.Header{"Dpop-Nonce": {"n"}}))
				_, claims := open(t, p, proof)
				mu.Lock()
				if seen[claims["jti"]] {
					t.Error("two proofs with one jti")
				}
				seen[claims["jti"]] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestSign(t *testing.T) {
	p := newProver(t)
	token := secret.New("at-1")
	req, err := http.NewRequest("POST", server+"?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer x", "Bearer y"}, "Dpop": {"a", "b"}}
	if err := p.Sign(req, token); err != nil {
		t.Fatal(err)
	}
	if got := req.Header.Values("Authorization"); len(got) != 1 || got[0] != "DPoP at-1" {
		t.Errorf("Authorization %q", got)
	}
	if len(req.Header.Values("DPoP")) != 1 || len(req.Header) != 2 {
		t.Fatalf("header %v", req.Header)
	}
	sum := sha256.Sum256([]byte("at-1"))
	if _, claims := open(t, p, req.Header.Get("DPoP")); claims["htu"] != server || claims["htm"] != "POST" ||
		claims["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("claims %v", claims)
	}
	before := req.Header.Clone()
	if p.Sign(req, secret.Text{}) == nil || (&dpop.Prover{}).Sign(req, token) == nil || !cmp.Equal(before, req.Header) {
		t.Error("signed without a token or without a key")
	}
}

func respond(from string, status int, h http.Header) *http.Response {
	u, err := url.Parse(from)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: status, Header: h, Request: &http.Request{URL: u}}
}

func nonceIn(t testing.TB, p *dpop.Prover, rawURL string) any {
	t.Helper()
	proof, err := p.Proof("GET", rawURL, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	_, claims := open(t, p, proof)
	return claims["nonce"]
}

// Nonces are each origin's own, and the newest counts (RFC 9449 sections 8, 8.2, 9).
func TestLearn(t *testing.T) {
	p := newProver(t)
	for from, nonce := range map[string]string{
		"https://a.example/token?x": "a", "https://a.example:8443/": "a8443", "http://a.example/": "plain", "https://B.example:443/x": "b",
	} {
		p.Learn(respond(from, 200, http.Header{"Dpop-Nonce": {nonce}})) // of any status (section 8.2)
	}
	p.Learn(respond("https://a.example/", 500, http.Header{}))
	p.Learn(&http.Response{Header: http.Header{"Dpop-Nonce": {"nobody's"}}})
	for at, want := range map[string]any{
		"https://a.example/other": "a", "https://A.example:443": "a", "https://a.example:8443/": "a8443", "http://a.example:80/": "plain",
		"https://b.example/": "b", "https://c.example/": nil, "https://x.a.example/": nil, "https://a.example:80/": nil,
	} {
		if got := nonceIn(t, p, at); got != want {
			t.Errorf("%s: nonce %v, want %v", at, got, want)
		}
	}
	p.Learn(respond("https://a.example/", 401, http.Header{"Dpop-Nonce": {"a2"}}))
	if got := nonceIn(t, p, "https://a.example/"); got != "a2" {
		t.Errorf("nonce %v, want the newest", got)
	}
}

// A stranger writes the nonce (S25, S26): 1*NQCHAR (RFC 9449 section 8.1), once, of
// bounded length; what is not one changes nothing.
func TestNonceIsHostile(t *testing.T) {
	all := ""
	for c := '!'; c <= '~'; c++ {
		if c != '"' && c != '\\' {
			all += string(c)
		}
	}
	p := newProver(t)
	p.Learn(respond(server, 401, http.Header{"Dpop-Nonce": {all}}))
	if got := nonceIn(t, p, server); got != all {
		t.Fatalf("nonce %v, want all of NQCHAR", got)
	}
	for _, values := range [][]string{
		nil, {}, {""}, {"a b"}, {"a\tb"}, {" a"}, {"a\r\nX-Evil: 1"}, {"a\x00"}, {"a\x7f"}, {`a"b`}, {`a\b`}, {"é"}, {"a\xff"}, {"\u202e"},
		{"a", "a"}, {"a", ""}, {strings.Repeat("a", 1025)},
	} {
		resp := respond(server, 401, http.Header{"Dpop-Nonce": values, "Www-Authenticate": {`DPoP error="use_dpop_nonce"`}})
		p.Learn(resp)
		if got := nonceIn(t, p, server); got != all || dpop.Nonce(resp) != "" || dpop.WantsNonce(resp) {
			t.Errorf("%q was taken", values)
		}
	}
	p.Learn(respond(server, 401, http.Header{"Dpop-Nonce": {strings.Repeat("a", 1024)}}))
	if got, _ := nonceIn(t, p, server).(string); len(got) != 1024 {
		t.Errorf("nonce of %d bytes, want 1 KiB", len(got))
	}
}

// Of many origins those asked last are remembered (S25).
func TestLearnIsBounded(t *testing.T) {
	p := newProver(t)
	at := func(i int) string { return fmt.Sprintf("https://h%d.example/", i) }
	for i := range 64 {
		p.Learn(respond(at(i), 200, http.Header{"Dpop-Nonce": {"n"}}))
	}
	p.Learn(respond(at(0), 200, http.Header{"Dpop-Nonce": {"n"}})) // again: nobody is pushed out
	if nonceIn(t, p, at(1)) != "n" {
		t.Error("the second of 64 is forgotten")
	}
	p.Learn(respond(at(64), 200, http.Header{"Dpop-Nonce": {"n"}}))
	if nonceIn(t, p, at(1)) != nil || nonceIn(t, p, at(0)) != "n" || nonceIn(t, p, at(2)) != "n" || nonceIn(t, p, at(64)) != "n" {
		t.Error("not the one whose turn it was is forgotten")
	}
}

// RFC 9449 section 9.
func TestWantsNonce(t *testing.T) {
	for _, tt := range []struct {
		name       string
		status     int
		challenges []string
		nonce      string
		want       bool
	}{
		{"the RFC's example", 401, []string{`DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"`}, "eyJ7S", true},
		{"beside Bearer", 401, []string{`Bearer error="invalid_token", dpop algs="ES256", error=use_dpop_nonce`}, "n", true},
		{"in a second header", 401, []string{`Bearer`, `DPoP error="use_dpop_nonce"`}, "n", true},
		{"no nonce comes", 401, []string{`DPoP error="use_dpop_nonce"`}, "", false},
		{"400", 400, []string{`DPoP error="use_dpop_nonce"`}, "n", false},
		{"200", 200, []string{`DPoP error="use_dpop_nonce"`}, "n", false},
		{"another error", 401, []string{`DPoP error="invalid_token"`}, "n", false},
		{"no error", 401, []string{`DPoP algs="ES256"`}, "n", false},
		{"a Bearer error", 401, []string{`Bearer error="use_dpop_nonce"`}, "n", false},
		{"Bearer's error beside DPoP", 401, []string{`Bearer error="use_dpop_nonce", DPoP algs="ES256"`}, "n", false},
		{"other spelling of the error", 401, []string{`DPoP error="USE_DPOP_NONCE"`}, "n", false},
		{"malformed", 401, []string{`DPoP error="use_dpop_nonce`}, "n", false},
		{"no challenge", 401, nil, "n", false},
	} {
		h := http.Header{"Www-Authenticate": tt.challenges}
		if tt.nonce != "" {
			h.Set("DPoP-Nonce", tt.nonce)
		}
		if got := dpop.WantsNonce(respond(server, tt.status, h)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whatever a server writes, the next proof is one, with a nonce that the grammar
// allows or with none, and no longer than a header may be.
func FuzzNonceAndChallenge(f *testing.F) {
	f.Add("nonce", `DPoP error="use_dpop_nonce"`, 401)
	f.Add("a\r\nb", `Bearer, DPoP error=use_dpop_nonce`, 401)
	f.Add(strings.Repeat("x", 2000), `DPoP "`, 400)
	f.Add(`"\`, "", 200)
	p := newProver(f)
	f.Fuzz(func(t *testing.T, nonce, challenge string, status int) {
		resp := respond(server, status, http.Header{"Dpop-Nonce": {nonce}, "Www-Authenticate": {challenge}})
		p.Learn(respond(server, 200, http.Header{"Dpop-Nonce": {"before"}}))
		p.Learn(resp)
		proof, err := p.Proof("GET", server, secret.Text{})
		if err != nil {
			t.Fatal(err)
		}
		_, claims := open(t, p, proof)
		switch got, _ := claims["nonce"].(string); got {
		case "before":
			if dpop.WantsNonce(resp) && nonce != "before" {
				t.Fatal("one more try without a nonce")
			}
		case nonce:
			if nonce == "" || len(nonce) > 1024 || strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }) {
				t.Fatalf("taken: %q", nonce)
			}
		default:
			t.Fatalf("nonce %q, neither %q nor the one before", got, nonce)
		}
		if status != 401 && dpop.WantsNonce(resp) || len(proof) > 4096 {
			t.Fatalf("status %d, proof of %d bytes", status, len(proof))
		}
	})
}

func BenchmarkProof(b *testing.B) {
	p := newProver(b)
	p.Learn(respond(server, 200, http.Header{"Dpop-Nonce": {"eyJ7S_zG.eyJH0-Z.HX4w-7v"}}))
	token := secret.New(strings.Repeat("t", 1200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Proof("POST", server, token); err != nil {
			b.Fatal(err)
		}
	}
}
