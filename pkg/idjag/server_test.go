package idjag_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	idp      = "https://idp.example"
	as       = "https://as.example/"
	resource = "https://mcp.example/mcp"
	idToken  = "header.canary-idtoken.signature"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func atEpoch() time.Time { return epoch }

type object = map[string]any

func goodHeader() object {
	return object{"typ": "oauth-id-jag+jwt", "alg": "ES256", "kid": "k1"}
}

func goodClaims() object {
	return object{"iss": idp, "sub": "alice", "aud": as, "client_id": "cli-at-as", "jti": "j1", "resource": resource,
		"scope": "read write", "iat": epoch.Unix(), "exp": epoch.Add(5 * time.Minute).Unix()}
}

func goodExchange() idjag.ExchangeRequest {
	return idjag.ExchangeRequest{Issuer: idp, Client: clientauth.Client{ID: "cli-at-idp", Secret: secret.New("canary-secret")},
		SubjectToken: secret.New(idToken), Audience: as, Resource: resource, Scopes: []string{"read", "write"}, ASClientID: "cli-at-as", Now: atEpoch}
}

func exchangeForm() url.Values {
	return url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:id-jag"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:id_token"},
		"subject_token":        {idToken}, "audience": {as}, "resource": {resource}, "scope": {"read write"},
	}
}

func exchangeAnswer(assertion string) object {
	return object{"access_token": assertion, "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A", "expires_in": 300}
}

// serve starts a token endpoint that takes exactly this form, and Basic
// authentication, and gives this answer.
func serve(t testing.TB, want url.Values, body []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, r.Form); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
		if _, sec, _ := r.BasicAuth(); sec != "canary-secret" {
			t.Errorf("Authorization = %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// signingKey is an ES256 key that signs whatever it is given.
type signingKey struct{ *ecdsa.PrivateKey }

func newKey(t testing.TB) signingKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{k}
}

func (k signingKey) sign(t testing.TB, header, claims any) string {
	t.Helper()
	input := b64(encode(t, header)) + "." + b64(encode(t, claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// encode writes JSON; what is a string already is taken as it is.
func encode(t testing.TB, v any) []byte {
	t.Helper()
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// with returns o with one member changed, or left out when value is nil.
func with(o object, name string, value any) object {
	if o[name] = value; value == nil {
		delete(o, name)
	}
	return o
}

// canned is a transport that answers 200 without a network.
type canned struct{ body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	h := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}
