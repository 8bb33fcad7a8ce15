package idjag_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func verifier(keys ...crypto.PublicKey) *idjag.Verifier {
	return &idjag.Verifier{Issuer: as, IdPs: map[string]idjag.KeySet{idp: &oidc.StaticKeySet{PublicKeys: keys}},
		Resources: []string{resource}, Replay: &idjag.MemoryReplay{Now: atEpoch}, Now: atEpoch}
}

func TestVerify(t *testing.T) {
	key := newKey(t)
	token := secret.New(key.sign(t, goodHeader(), goodClaims()))
	v := verifier(key.Public())
	got, err := v.Verify(context.Background(), token, "cli-at-as")
	if err != nil || got.Subject != "alice" || got.KeyID != "k1" || got.Type != idjag.JWTType || !slices.Equal(got.Scopes, []string{"read", "write"}) {
		t.Fatalf("Verify = %+v, %v", got, err)
	}
	got, err = v.Verify(context.Background(), token, "cli-at-as")
	if refusal(err) != "invalid_grant" || !strings.Contains(err.Error(), "used before") || got.Issuer != "" {
		t.Errorf("the second use = %+v, %v", got, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	const grant, target = "invalid_grant", "invalid_target"
	key := newKey(t)
	tests := []struct {
		name  string
		claim string // or "header:" and a name
		value any
		code  string // empty: taken
		text  string
	}{
		{"typ JWT", "header:typ", "JWT", grant, "typ"},
		{"typ absent", "header:typ", nil, grant, "typ"},
		{"typ at+jwt", "header:typ", "at+jwt", grant, "typ"},
		{"typ as media type", "header:typ", "application/oauth-id-jag+jwt", "", ""},
		{"alg none", "header:alg", "none", grant, `"none"`},
		{"alg of another kind of key", "header:alg", "RS256", grant, "signature"},
		{"crit", "header:crit", []string{"exp"}, grant, "critical"},
		{"issuer unknown", "iss", "https://evil.example", grant, "not a trusted"},
		{"issuer with a slash", "iss", idp + "/", grant, "not a trusted"},
		{"issuer without keys", "iss", "https://nokeys.example", grant, "not a trusted"},
		{"issuer absent", "iss", nil, grant, "not a trusted"},
		{"audience another", "aud", "https://other.example", grant, "audience"},
		{"audience without slash", "aud", strings.TrimSuffix(as, "/"), grant, "audience"},
		{"audience ours and another", "aud", []string{as, "https://other.example"}, grant, "audience"},
		{"audience absent", "aud", nil, grant, "audience"},
		{"audience in a list", "aud", []string{as}, "", ""},
		{"client another", "client_id", "cli-at-idp", grant, "client_id"},
		{"client absent", "client_id", nil, grant, "client_id"},
		{"subject absent", "sub", nil, grant, "sub"},
		{"jti absent", "jti", nil, grant, "jti"},
		{"jti empty", "jti", "", grant, "jti"},
		{"bound", "cnf", object{"jkt": "x"}, grant, "cnf"},
		{"bound to an empty thumbprint", "cnf", object{"jkt": ""}, grant, "cnf"},
		{"bound by nothing", "cnf", object{}, grant, "cnf"},
		{"expired", "exp", at(-time.Minute), grant, "expired"},
		{"expired within the leeway", "exp", at(-59 * time.Second), "", ""},
		{"exp absent", "exp", nil, grant, "required"},
		{"exp too far", "exp", at(10*time.Minute + time.Second), grant, "at most 10m0s"},
		{"exp at the limit", "exp", at(10 * time.Minute), "", ""},
		{"exp never", "exp", 1e300, grant, "at most"},
		{"iat absent", "iat", nil, grant, "required"},
		{"iat in the future", "iat", at(61 * time.Second), grant, "future"},
		{"nbf in the future", "nbf", at(61 * time.Second), grant, "future"},
		{"nbf within the leeway", "nbf", at(time.Minute), "", ""},
		{"resource absent", "resource", nil, target, "no resource"},
		{"resource empty list", "resource", []string{}, target, "no resource"},
		{"resource another", "resource", "https://other.example/mcp", target, "not served"},
		{"resource ours and another", "resource", []string{resource, "https://other.example/mcp"}, target, "not served"},
		{"scope absent", "scope", nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header, claims := goodHeader(), goodClaims()
			if name, ok := strings.CutPrefix(tt.claim, "header:"); ok {
				with(header, name, tt.value)
			} else {
				with(claims, tt.claim, tt.value)
			}
			v := verifier(key.Public())
			v.IdPs["https://nokeys.example"] = nil
			used := &idjag.MemoryReplay{Now: atEpoch}
			v.Replay = used
			c, err := v.Verify(context.Background(), secret.New(key.sign(t, header, claims)), "cli-at-as")
			if refusal(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Verify = %v, want %q %q", err, tt.code, tt.text)
			}
			if (err == nil) != (c.Issuer == idp) {
				t.Errorf("%v with claims %+v", err, c)
			}
			// What is refused for another reason is not used up.
			if err := used.Use(context.Background(), idp, "j1", epoch); (tt.code == "") != errors.Is(err, idjag.ErrReplayed) {
				t.Errorf("afterwards, the use of the jti = %v", err)
			}
		})
	}
}

// S24: what makes careless verifiers take another's signature.
func TestVerifyForged(t *testing.T) {
	key, other := newKey(t), newKey(t)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	claims := b64(encode(t, goodClaims()))
	mac := func(secret []byte) string {
		input := b64(encode(t, with(goodHeader(), "alg", "HS256"))) + "." + claims
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(input))
		return input + "." + b64(m.Sum(nil))
	}
	good := key.sign(t, goodHeader(), goodClaims())
	parts := strings.Split(good, ".")
	own := jose.JSONWebKey{Key: other.Public(), KeyID: "k1", Algorithm: "ES256"}
	server := keyServer(t, jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "ES256"})
	for name, token := range map[string]string{
		"another key, the same kid":  other.sign(t, goodHeader(), goodClaims()),
		"unknown kid":                other.sign(t, with(goodHeader(), "kid", "k2"), goodClaims()),
		"no kid":                     other.sign(t, with(goodHeader(), "kid", nil), goodClaims()),
		"own key in the header":      other.sign(t, with(goodHeader(), "jwk", own), goodClaims()),
		"address of own keys":        other.sign(t, with(goodHeader(), "jku", "https://evil.example/jwks"), goodClaims()),
		"HS256 with the public key":  mac(public),
		"HS256 with the point":       mac(public[len(public)-65:]),
		"claims changed":             parts[0] + "." + b64(encode(t, with(goodClaims(), "sub", "bob"))) + "." + parts[2],
		"header changed":             b64(encode(t, with(goodHeader(), "kid", nil))) + "." + parts[1] + "." + parts[2],
		"none":                       b64(encode(t, with(goodHeader(), "alg", "none"))) + "." + parts[1] + ".",
		"signature cut":              good[:len(good)-4],
		"signature of zeros (psych)": parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"line end in the signature":  good + "\n",
		"encrypted":                  b64(encode(t, object{"typ": idjag.JWTType, "alg": "dir", "enc": "A128GCM"})) + "..YQ.YQ.YQ",
		"issuer twice":               key.sign(t, goodHeader(), `{"iss":"https://evil.example",`+string(encode(t, goodClaims()))[1:]),
		"empty":                      "",
	} {
		static, remote := verifier(key.Public()), verifier()
		remote.IdPs[idp] = oidc.NewRemoteKeySet(context.Background(), server)
		for _, v := range []*idjag.Verifier{static, remote} {
			if c, err := v.Verify(context.Background(), secret.New(token), "cli-at-as"); refusal(err) != "invalid_grant" || c.Issuer != "" {
				t.Errorf("%s, with a %T: %+v, %v", name, v.IdPs[idp], c, err)
			}
			if _, err := v.Verify(context.Background(), secret.New(good), "cli-at-as"); err != nil {
				t.Errorf("%s: the good one afterwards: %v", name, err)
			}
		}
	}
}

func TestVerifySettings(t *testing.T) {
	key := newKey(t)
	for _, tt := range []struct {
		name   string
		change func(*idjag.Verifier)
		claims object
		client string
		code   string // "error" for an error that is no refusal
	}{
		{"any resource", func(v *idjag.Verifier) { v.Resources = nil }, with(goodClaims(), "resource", "urn:x"), "cli-at-as", ""},
		{"no resource served", func(v *idjag.Verifier) { v.Resources = []string{} }, goodClaims(), "cli-at-as", "invalid_target"},
		{"no resource allowed", func(v *idjag.Verifier) { v.InsecureAllowNoResource = true }, with(goodClaims(), "resource", nil), "cli-at-as", ""},
		{"no resource allowed, a wrong one still not", func(v *idjag.Verifier) { v.InsecureAllowNoResource = true }, with(goodClaims(), "resource", "urn:x"), "cli-at-as", "invalid_target"},
		{"longer life", func(v *idjag.Verifier) { v.MaxLife = time.Hour }, with(goodClaims(), "exp", epoch.Add(time.Hour).Unix()), "cli-at-as", ""},
		{"shorter life", func(v *idjag.Verifier) { v.MaxLife = time.Minute }, goodClaims(), "cli-at-as", "invalid_grant"},
		{"more leeway", func(v *idjag.Verifier) { v.Leeway = time.Hour }, with(goodClaims(), "iat", epoch.Add(50*time.Minute).Unix()), "cli-at-as", ""},
		{"another client", func(*idjag.Verifier) {}, goodClaims(), "cli-at-idp", "invalid_grant"},
		{"no client", func(*idjag.Verifier) {}, with(goodClaims(), "client_id", ""), "", "error"},
		{"no issuer", func(v *idjag.Verifier) { v.Issuer = "" }, with(goodClaims(), "aud", ""), "cli-at-as", "error"},
		{"no replay store", func(v *idjag.Verifier) { v.Replay = nil }, goodClaims(), "cli-at-as", "error"},
		{"no IdP", func(v *idjag.Verifier) { v.IdPs = nil }, goodClaims(), "cli-at-as", "invalid_grant"},
		{"broken replay store", func(v *idjag.Verifier) { v.Replay = brokenReplay{} }, goodClaims(), "cli-at-as", "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verifier(key.Public())
			tt.change(v)
			c, err := v.Verify(context.Background(), secret.New(key.sign(t, goodHeader(), tt.claims)), tt.client)
			if got := refusal(err); got != tt.code || (err != nil) == (c.Issuer != "") {
				t.Errorf("Verify = %+v, %v; want %q", c, err, tt.code)
			}
		})
	}
}

// Keys that cannot be had decide nothing: the client may come again.
func TestVerifyWithoutKeys(t *testing.T) {
	key := newKey(t)
	token := secret.New(key.sign(t, goodHeader(), goodClaims()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there
	v := verifier()
	v.IdPs[idp] = oidc.NewRemoteKeySet(context.Background(), "http://"+l.Addr().String())
	var network net.Error
	if _, err := v.Verify(context.Background(), token, "cli-at-as"); refusal(err) != "error" || !errors.As(err, &network) {
		t.Errorf("keys out of reach: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Verify(ctx, token, "cli-at-as"); refusal(err) != "error" || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	v.IdPs[idp] = &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.Public()}}
	if _, err := v.Verify(context.Background(), token, "cli-at-as"); err != nil {
		t.Errorf("with keys again: %v", err)
	}
}

// Of 100 presentations at one time, one wins.
func TestVerifyConcurrently(t *testing.T) {
	key := newKey(t)
	v := verifier(key.Public())
	token := secret.New(key.sign(t, goodHeader(), goodClaims()))
	var wg sync.WaitGroup
	var won, replayed atomic.Int32
	start := make(chan struct{})
	for range 100 {
		wg.Go(func() {
			<-start
			switch _, err := v.Verify(context.Background(), token, "cli-at-as"); refusal(err) {
			case "":
				won.Add(1)
			case "invalid_grant":
				replayed.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if won.Load() != 1 || replayed.Load() != 99 {
		t.Errorf("%d won and %d were refused, want 1 and 99", won.Load(), replayed.Load())
	}
}

func TestGrantedScopes(t *testing.T) {
	c := idjag.Claims{Scopes: []string{"read", "write"}}
	for requested, want := range map[string][]string{
		"": {"read", "write"}, "  ": {"read", "write"}, "write": {"write"}, "admin": nil, " write admin  read": {"write", "read"}, "Read": nil,
	} {
		if got := c.GrantedScopes(requested); !slices.Equal(got, want) {
			t.Errorf("GrantedScopes(%q) = %q, want %q", requested, got, want)
		}
	}
}

// What counts is what the key set vouches for, and only for its own issuer.
func TestVerifyTakesThePayload(t *testing.T) {
	token := secret.New(newKey(t).sign(t, goodHeader(), goodClaims()))
	v := verifier()
	for payload, want := range map[string]string{
		string(encode(t, with(goodClaims(), "sub", "bob"))):                    "",
		string(encode(t, with(goodClaims(), "iss", "https://evil.example"))):   "invalid_grant",
		string(encode(t, with(goodClaims(), "aud", "https://other.example/"))): "invalid_grant",
		`[]`:        "invalid_grant",
		`{"iss":1}`: "invalid_grant",
	} {
		v.IdPs[idp] = vouching(payload)
		if c, err := v.Verify(context.Background(), token, "cli-at-as"); refusal(err) != want || err == nil && c.Subject != "bob" {
			t.Errorf("payload %s: %+v, %v; want %q", payload, c, err, want)
		}
	}
}

// vouching is a key set that has read this payload, whatever it is shown.
type vouching string

func (v vouching) VerifySignature(context.Context, string) ([]byte, error) { return []byte(v), nil }

type brokenReplay struct{}

func (brokenReplay) Use(context.Context, string, string, time.Time) error { return io.ErrClosedPipe }

func keyServer(t *testing.T, keys ...jose.JSONWebKey) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// refusal is the code of a refusal, "error" for another error and "" for none.
func refusal(err error) string {
	var refused *idjag.VerifyError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Code
	}
	return "error"
}
