package clientauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	tokenURL = "https://as.example/oauth/token?v=1"
	issuer   = "https://as.example/"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestChoose(t *testing.T) {
	key, sec := parse(t, ecPEM(t)), secret.New("s3cret")
	tests := []struct {
		name      string
		client    clientauth.Client
		supported []string
		want      clientauth.Method
		wantErr   string
	}{
		{"nothing held, nothing said", clientauth.Client{}, nil, clientauth.None, ""},
		{"nothing held, server lists secrets only", clientauth.Client{}, []string{"client_secret_basic"}, clientauth.None, ""},
		{"secret, nothing said", clientauth.Client{Secret: sec}, nil, clientauth.SecretBasic, ""},
		{"secret, both", clientauth.Client{Secret: sec}, []string{"client_secret_post", "client_secret_basic"}, clientauth.SecretBasic, ""},
		{"secret, post only", clientauth.Client{Secret: sec}, []string{"none", "client_secret_post"}, clientauth.SecretPost, ""},
		{"secret never falls back to none", clientauth.Client{Secret: sec}, []string{"none"}, "", `the server takes "none", the client "" holds a secret`},
		{"secret, server takes nothing", clientauth.Client{Secret: sec}, []string{}, "", "the server takes nothing"},
		{"key, nothing said", clientauth.Client{Key: key}, nil, clientauth.PrivateKeyJWT, ""},
		{"key only, secrets wanted", clientauth.Client{Key: key}, []string{"client_secret_basic"}, "", "holds a key"},
		{"key and secret", clientauth.Client{Key: key, Secret: sec}, nil, clientauth.PrivateKeyJWT, ""},
		{"key and secret, basic only", clientauth.Client{Key: key, Secret: sec}, []string{"client_secret_basic"}, clientauth.SecretBasic, ""},
		{"key and secret, neither", clientauth.Client{Key: key, Secret: sec}, []string{"tls_client_auth"}, "", "holds a key and a secret"},
		{"set method wins over metadata", clientauth.Client{Secret: sec, Method: clientauth.SecretPost}, []string{"client_secret_basic"}, clientauth.SecretPost, ""},
		{"set method without its secret", clientauth.Client{Method: clientauth.SecretPost}, nil, clientauth.SecretPost, "needs a client secret"},
		{"set method without its key", clientauth.Client{Method: clientauth.PrivateKeyJWT, Secret: sec}, nil, clientauth.PrivateKeyJWT, "needs a key"},
		{"none on purpose", clientauth.Client{Method: clientauth.None, Secret: sec}, nil, clientauth.None, ""},
		{"unknown method", clientauth.Client{Method: "tls_client_auth"}, nil, "tls_client_auth", "is not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.client.Choose(tt.supported)
			if got != tt.want || !says(err, tt.wantErr) {
				t.Errorf("Choose = %q, %v; want %q, %q", got, err, tt.want, tt.wantErr)
			}
			if got == "" && !errors.Is(err, clientauth.ErrNoMethod) {
				t.Errorf("error %v is not ErrNoMethod", err)
			}
		})
	}
}

func TestApply(t *testing.T) {
	odd := secret.New("p:s /%+é~")
	tests := []struct {
		name      string
		client    clientauth.Client
		wantBasic string // before base64
		wantForm  url.Values
	}{
		{"none", clientauth.Client{ID: "cli", Method: clientauth.None}, "", url.Values{"client_id": {"cli"}}},
		{"empty method, nothing held", clientauth.Client{ID: "cli"}, "", url.Values{"client_id": {"cli"}}},
		{"empty method, a secret held", clientauth.Client{ID: "cli", Secret: odd}, "cli:p%3As+%2F%25%2B%C3%A9~", url.Values{}},
		{"none although a secret is held", clientauth.Client{ID: "cli", Secret: odd, Method: clientauth.None}, "", url.Values{"client_id": {"cli"}}},
		{"RFC 6749 2.3.1: both are form-encoded", clientauth.Client{ID: "https://c.example/a b", Secret: odd, Method: clientauth.SecretBasic},
			"https%3A%2F%2Fc.example%2Fa+b:p%3As+%2F%25%2B%C3%A9~", url.Values{}},
		{"raw basic", clientauth.Client{ID: "c/li", Secret: odd, Method: clientauth.SecretBasic, RawBasic: true}, "c/li:p:s /%+é~", url.Values{}},
		{"post", clientauth.Client{ID: "cli", Secret: odd, Method: clientauth.SecretPost}, "", url.Values{"client_id": {"cli"}, "client_secret": {"p:s /%+é~"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, form := request(t), url.Values{}
			if err := tt.client.Apply(req, form); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.wantForm, form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			want := ""
			if tt.wantBasic != "" {
				want = "Basic " + base64.StdEncoding.EncodeToString([]byte(tt.wantBasic))
			}
			if got := req.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization = %q, want %q", got, want)
			}
		})
	}
}

// RFC 6749 section 2.3: one method per request, also when request and form are
// used again with another one.
func TestApplyLeavesOneProof(t *testing.T) {
	c := clientauth.Client{ID: "cli", Secret: secret.New("s"), Key: parse(t, ecPEM(t)), Issuer: issuer}
	methods := []clientauth.Method{clientauth.None, clientauth.SecretBasic, clientauth.SecretPost, clientauth.PrivateKeyJWT}
	for _, first := range methods {
		for _, second := range methods {
			req, form := request(t), url.Values{"grant_type": {"x"}}
			for _, c.Method = range []clientauth.Method{first, second} {
				if err := c.Apply(req, form); err != nil {
					t.Fatal(err)
				}
			}
			got := map[clientauth.Method]bool{
				clientauth.SecretBasic:   req.Header.Get("Authorization") != "",
				clientauth.SecretPost:    form.Has("client_secret"),
				clientauth.PrivateKeyJWT: form.Has("client_assertion") || form.Has("client_assertion_type"),
			}
			for m, there := range got {
				if there != (m == second) {
					t.Errorf("%s and then %s: proof by %s: %v", first, second, m, there)
				}
			}
			if form.Get("grant_type") != "x" || form.Has("client_id") == (second == clientauth.SecretBasic) {
				t.Errorf("%s and then %s: form has %v", first, second, form)
			}
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	sec := secret.New("s3cret")
	tests := []struct {
		name   string
		client clientauth.Client
		form   url.Values
		want   string
	}{
		{"no id", clientauth.Client{Secret: sec}, url.Values{}, "no client id"},
		{"no form", clientauth.Client{ID: "c"}, nil, "no form"},
		{"basic without secret", clientauth.Client{ID: "c", Method: clientauth.SecretBasic}, url.Values{}, `client "c": client_secret_basic needs a client secret`},
		{"key method without key", clientauth.Client{ID: "c", Secret: sec, Method: clientauth.PrivateKeyJWT}, url.Values{}, "needs a key"},
		{"key without issuer", clientauth.Client{ID: "c", Key: parse(t, ecPEM(t))}, url.Values{}, "needs the authorization server's issuer"},
		{"unknown", clientauth.Client{ID: "c", Method: "magic\x1b"}, url.Values{}, `"magic\x1b" is not supported`},
		{"raw id with a colon", clientauth.Client{ID: "https://c.example/", Secret: sec, RawBasic: true}, url.Values{}, "colon"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t)
			err := tt.client.Apply(req, tt.form)
			if err == nil || !says(err, tt.want) {
				t.Errorf("Apply = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the error shows the secret")
			}
			if len(req.Header) != 0 || len(tt.form) != 0 {
				t.Errorf("a refused Apply left %v %v", req.Header, tt.form)
			}
		})
	}
}

// RFC 7523 section 3, checked with the public half of each kind of key.
func TestAssertion(t *testing.T) {
	for name, data := range keyFiles(t) {
		t.Run(name, func(t *testing.T) {
			c := clientauth.Client{ID: "https://c.example/id.json", Key: parse(t, data), Issuer: issuer, Now: func() time.Time { return epoch }}
			header, claims := assertion(t, c)
			kid := ""
			if strings.HasSuffix(name, "JWK") { // the JWKs here have a kid, and PEM has none
				kid = c.Key.ID()
			}
			if header.KeyID != kid || header.Algorithm != c.Key.Algorithm() || header.JSONWebKey != nil {
				t.Errorf("header is %+v", header)
			}
			if typ := header.ExtraHeaders["typ"]; typ != "JWT" {
				t.Errorf("typ = %v", typ)
			}
			if jti, _ := claims["jti"].(string); len(jti) < 22 {
				t.Errorf("jti %q has fewer than 128 bits", jti)
			}
			delete(claims, "jti")
			want := map[string]any{"iss": c.ID, "sub": c.ID, "aud": issuer,
				"iat": float64(epoch.Unix()), "exp": float64(epoch.Unix() + 60)}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAssertionAudience(t *testing.T) {
	for _, tt := range []struct{ mode, issuer, want string }{
		{"", issuer, issuer},
		{clientauth.AudienceIssuer, issuer, issuer},
		{clientauth.AudienceTokenEndpoint, issuer, tokenURL},
		{clientauth.AudienceTokenEndpoint, "", tokenURL},
		{"urn:other", issuer, "urn:other"},
	} {
		_, claims := assertion(t, clientauth.Client{ID: "c", Key: parse(t, ecPEM(t)), Issuer: tt.issuer, Audience: tt.mode})
		if claims["aud"] != tt.want { // a string and not a list: one audience
			t.Errorf("audience mode %q, issuer %q: aud = %v, want %q", tt.mode, tt.issuer, claims["aud"], tt.want)
		}
	}
}

func TestAssertionOnce(t *testing.T) {
	c := clientauth.Client{ID: "c", Key: parse(t, ecPEM(t)), Issuer: issuer, Now: func() time.Time { return epoch }}
	seen := map[any]bool{}
	for range 100 {
		_, claims := assertion(t, c)
		if seen[claims["jti"]] {
			t.Fatalf("jti %v stands in two assertions", claims["jti"])
		}
		seen[claims["jti"]] = true
	}
}

// assertion applies c and verifies what it sent.
func assertion(t *testing.T, c clientauth.Client) (jose.Header, map[string]any) {
	t.Helper()
	req, form := request(t), url.Values{}
	if err := c.Apply(req, form); err != nil {
		t.Fatal(err)
	}
	raw := form.Get("client_assertion")
	form.Del("client_assertion")
	want := url.Values{"client_id": {c.ID}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	if diff := cmp.Diff(want, form); diff != "" || len(req.Header) != 0 {
		t.Errorf("header %v, form (-want +got):\n%s", req.Header, diff)
	}
	tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := tok.Claims(c.Key.Public(), &claims); err != nil {
		t.Fatalf("the assertion does not verify with the public key: %v", err)
	}
	return tok.Headers[0], claims
}

func request(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, tokenURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// says reports whether err contains want, or is nil when want is empty.
func says(err error, want string) bool {
	if want == "" || err == nil {
		return want == "" && err == nil
	}
	return strings.Contains(err.Error(), want)
}
