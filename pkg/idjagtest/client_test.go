package idjagtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// The hand-rolled client of these tests: it knows the right way to do each
// request, and takes a function that breaks one thing.

const (
	verifier = "a-verifier-of-the-right-length-0123456789-abcdef"
	redirect = "http://127.0.0.1:53211/callback"
)

type answer struct {
	status int
	body   map[string]any
	raw    string
	header http.Header
}

func (a answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// send does one request without following redirects.
func send(t *testing.T, req *http.Request) answer {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, raw: string(raw), header: resp.Header}
	json.Unmarshal(raw, &a.body) // not every answer is JSON
	return a
}

func get(t *testing.T, target string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, req)
}

// post sends a form as a client with a secret does: in the Basic header,
// form-encoded (RFC 6749 section 2.3.1).
func post(t *testing.T, endpoint string, client idjagtest.Client, form url.Values) answer {
	t.Helper()
	return send(t, formRequest(t, endpoint, client, form))
}

func formRequest(t *testing.T, endpoint string, client idjagtest.Client, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(client.ID), url.QueryEscape(client.Secret))
	}
	return req
}

func authorizeForm(c *idjagtest.Company) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"response_type":         {"code"},
		"client_id":             {c.IdPClient.ID},
		"redirect_uri":          {redirect},
		"scope":                 {"openid email offline_access"},
		"state":                 {"state-0123456789abcdef"},
		"nonce":                 {"nonce-0123456789abcdef"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"},
	}
}

// callback signs in and returns what the IdP sent to the redirect URI.
func callback(t *testing.T, c *idjagtest.Company) url.Values {
	t.Helper()
	at, err := c.Browser().Approve(context.Background(), c.IdP.AuthorizationEndpoint()+"?"+authorizeForm(c).Encode())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirect}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func exchangeForm(c *idjagtest.Company, subject string) url.Values {
	return url.Values{
		"grant_type":           {idjagtest.GrantExchange},
		"requested_token_type": {idjagtest.TypeIDJAG},
		"audience":             {c.AS.Issuer},
		"resource":             {c.MCP.Resource},
		"scope":                {"read"},
		"subject_token":        {subject},
		"subject_token_type":   {idjagtest.TypeIDToken},
	}
}

func redeemForm(c *idjagtest.Company, assertion string) url.Values {
	return url.Values{"grant_type": {idjagtest.GrantJWTBearer}, "assertion": {assertion},
		"resource": {c.MCP.Resource}, "scope": {"read"}}
}

func clientAssertion(t *testing.T, client idjagtest.Client, aud string, mutate func(map[string]any)) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{"iss": client.ID, "sub": client.ID, "aud": aud, "jti": "jti-" + now.String(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if mutate != nil {
		mutate(claims)
	}
	signed, err := client.Key.Sign(map[string]any{"typ": "JWT"}, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// callMCP calls the tool with the given Authorization header, none when empty.
func callMCP(t *testing.T, c *idjagtest.Company, authorization string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.MCP.URL(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return send(t, req)
}

// claims reads a JWT without checking it.
func claims(t *testing.T, compact string) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT of three parts: %d", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
