package company_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func open(t *testing.T, o company.Options) *company.Company {
	t.Helper()
	c, err := company.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// post sends a form with the registration's client authentication.
func post(t *testing.T, endpoint string, r company.Registration, form url.Values) map[string]any {
	t.Helper()
	if r.Method == idjagtest.AuthPrivateKeyJWT {
		form.Set("client_id", r.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion(t, r, endpoint))
	}
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.Method == idjagtest.AuthBasic {
		req.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.Secret.Reveal()))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return body
}

func assertion(t *testing.T, r company.Registration, audience string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(r.KeyPEM.Reveal()))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: r.KeyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": r.ClientID, "sub": r.ClientID, "aud": audience, "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

const verifier = "a-verifier-of-the-right-length-0123456789-abcdef"

// authorizeURL asks to be sent back to the program at redirect.
func authorizeURL(c *company.Company, redirect string) string {
	sum := sha256.Sum256([]byte(verifier))
	return c.IdP.AuthorizationEndpoint() + "?" + url.Values{
		"response_type": {"code"}, "client_id": {c.Client().ClientID}, "redirect_uri": {redirect}, "scope": {"openid offline_access"},
		"state": {"state-0123456789abcdef"}, "nonce": {"nonce-0123456789abcdef"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode()
}

// signIn signs the person in through the page and returns the ID token.
func signIn(t *testing.T, c *company.Company, person string) string {
	t.Helper()
	program := httptest.NewServer(http.NotFoundHandler())
	defer program.Close()
	redirect := program.URL + "/callback"
	at, err := c.SignIn(t.Context(), person, authorizeURL(c, redirect))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	tokens := post(t, c.IdP.TokenEndpoint(), c.Client(), url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"code_verifier": {verifier}, "redirect_uri": {redirect}})
	idToken, ok := tokens["id_token"].(string)
	if !ok {
		t.Fatalf("no ID token: %v", tokens["error_description"])
	}
	return idToken
}

// accessToken does both legs. The error is the OAuth code of a refusal.
func accessToken(t *testing.T, c *company.Company, idToken, name string, scopes ...string) (secret.Text, error) {
	t.Helper()
	s, ok := c.Server(name)
	if !ok {
		t.Fatalf("there is no server %q", name)
	}
	form := url.Values{
		"grant_type": {idjagtest.GrantExchange}, "requested_token_type": {idjagtest.TypeIDJAG}, "audience": {s.Issuer}, "resource": {s.URL},
		"subject_token": {idToken}, "subject_token_type": {idjagtest.TypeIDToken}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	grant := post(t, c.IdP.TokenEndpoint(), c.Client(), form)
	if code, refused := grant["error"].(string); refused {
		return secret.Text{}, errors.New(code)
	}
	access := post(t, s.Issuer+"/token", s.Client, url.Values{"grant_type": {idjagtest.GrantJWTBearer},
		"assertion": {grant["access_token"].(string)}, "resource": {s.URL}})
	if code, refused := access["error"].(string); refused {
		t.Fatalf("redeem at %s: %s: %v", name, code, access["error_description"])
	}
	return secret.New(access["access_token"].(string)), nil
}

func TestPolicyByGroup(t *testing.T) {
	c := open(t, company.Options{})
	tests := []struct{ person, server, tool, want string }{
		{"alice", "wiki", "search_pages", "Onboarding"},
		{"alice", "tickets", "list_tickets", "Printer"},
		{"alice", "payroll", "", "access_denied"},
		{"bob", "wiki", "search_pages", "Onboarding"},
		{"bob", "tickets", "", "access_denied"},
		{"bob", "payroll", "read_salaries", "Alice"},
	}
	for _, test := range tests {
		t.Run(test.person+" "+test.server, func(t *testing.T) {
			token, err := accessToken(t, c, signIn(t, c, test.person), test.server)
			if test.tool == "" {
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			args := map[string]any{}
			if test.tool == "search_pages" {
				args["query"] = ""
			}
			answer, err := c.CallTool(t.Context(), test.server, token, test.tool, args)
			if err != nil || !strings.Contains(answer, test.want) {
				t.Errorf("answered %q, %v, want %q in it", answer, err, test.want)
			}
		})
	}
}

func TestToolsNeedTheRightToken(t *testing.T) {
	c := open(t, company.Options{})
	idToken := signIn(t, c, "alice")
	tickets, err := accessToken(t, c, idToken, "tickets")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, server, tool string
		token              secret.Text
		saw                string // what the server noted, empty for nothing
	}{
		{"none", "tickets", "list_tickets", secret.Text{}, ""},
		{"garbage", "tickets", "list_tickets", secret.New("x"), "never issued"},
		{"the ID token", "tickets", "list_tickets", secret.New(idToken), "never issued"},
		{"of the neighbor behind the same AS", "payroll", "read_salaries", tickets, "for another server by alice"},
		{"of another AS", "wiki", "search_pages", tickets, "never issued"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer, err := c.CallTool(t.Context(), test.server, test.token, test.tool, map[string]any{})
			if !errors.Is(err, company.ErrUnauthorized) {
				t.Errorf("answered %q, %v", answer, err)
			}
			log := c.Log()
			if last := log[len(log)-1]; test.saw != "" && (last.Party != test.server || last.Allowed || !strings.Contains(last.What, test.saw)) {
				t.Errorf("the log ends with %q, want %q", last, test.saw)
			}
		})
	}
	answer, err := c.CallTool(t.Context(), "tickets", tickets, "create_ticket", map[string]any{"title": "The plant is thirsty"})
	if err != nil || !strings.Contains(answer, `"reporter":"alice"`) {
		t.Errorf("create_ticket: %q, %v", answer, err)
	}
	readOnly, err := accessToken(t, c, idToken, "tickets", "tickets:read")
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := c.CallTool(t.Context(), "tickets", readOnly, "create_ticket", map[string]any{"title": "x"}); err == nil || !strings.Contains(err.Error(), "tickets:write") {
		t.Errorf("create_ticket without the scope: %q, %v", answer, err)
	}
	if _, err := c.CallTool(t.Context(), "tickets", tickets, "read_salaries", nil); err == nil || errors.Is(err, company.ErrUnauthorized) {
		t.Errorf("an unknown tool: %v", err)
	}
	if _, err := c.CallTool(t.Context(), "intranet", tickets, "x", nil); err == nil {
		t.Error("an unknown server answered")
	}
}

func TestSignInPage(t *testing.T) {
	c := open(t, company.Options{})
	resp, err := http.Get(authorizeURL(c, "http://127.0.0.1:1/callback"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{"Alice Arden", "Bob Byrne", "practice company", "prefers-color-scheme: dark", "mcpauth", `lang="en"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "<link", "src=", "@import", "url(", "https://"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
	if _, err := c.SignIn(t.Context(), "mallory", authorizeURL(c, "http://127.0.0.1:1/callback")); err == nil {
		t.Error("a stranger signed in")
	}
}

func TestRevokedPerson(t *testing.T) {
	c := open(t, company.Options{})
	idToken := signIn(t, c, "alice")
	c.RevokePerson("alice")
	if _, err := accessToken(t, c, idToken, "wiki"); err == nil || err.Error() != "invalid_grant" {
		t.Errorf("got %v, want invalid_grant", err)
	}
	if _, err := c.SignIn(t.Context(), "alice", authorizeURL(c, "http://127.0.0.1:1/callback")); err == nil {
		t.Error("she signed in again")
	}
}

func TestLogTellsTheStory(t *testing.T) {
	c := open(t, company.Options{})
	idToken := signIn(t, c, "alice")
	token, err := accessToken(t, c, idToken, "wiki")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CallTool(t.Context(), "wiki", token, "read_page", map[string]any{"title": "Onboarding"}); err != nil {
		t.Fatal(err)
	}
	if _, err := accessToken(t, c, idToken, "payroll"); err == nil {
		t.Fatal("alice reached payroll")
	}
	if _, err := c.CallTool(t.Context(), "payroll", token, "read_salaries", nil); err == nil {
		t.Fatal("payroll took the wiki's token")
	}
	payroll, _ := c.Server("payroll")
	want := []string{
		"identity provider saw: request to sign in, allowed",
		"identity provider saw: sign-in of alice, allowed",
		"identity provider saw: code for tokens of alice, allowed",
		"identity provider saw: exchange for alice -> wiki, allowed",
		"docs AS saw: ID-JAG of alice -> access token for wiki, allowed",
		"wiki saw: call of read_page by alice, allowed",
		fmt.Sprintf("identity provider saw: exchange for alice -> payroll, refused: alice is in none of the groups that may use %q", payroll.URL),
		"payroll saw: a token its authorization server never issued, refused",
	}
	var got []string
	for _, e := range c.Log() {
		got = append(got, e.String())
	}
	// The SDK's client may try more than once with the wrong token.
	if len(got) < len(want) || strings.Join(got[:len(want)], "\n") != strings.Join(want, "\n") {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "eyJ") || strings.Contains(all, token.Reveal()) {
		t.Error("the log has a token")
	}
}

func TestMetadata(t *testing.T) {
	c := open(t, company.Options{})
	for _, s := range c.Servers() {
		resp, err := http.Get(strings.Replace(s.URL, "/mcp", "/.well-known/oauth-protected-resource/mcp", 1))
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		err = json.NewDecoder(resp.Body).Decode(&body)
		resp.Body.Close()
		if err != nil || body.Resource != s.URL || len(body.Servers) != 1 || body.Servers[0] != s.Issuer {
			t.Errorf("%s publishes %+v, %v", s.Name, body, err)
		}
		resp, err = http.Post(s.URL, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || !strings.Contains(challenge, "resource_metadata=") {
			t.Errorf("%s answers %s with challenge %q", s.Name, resp.Status, challenge)
		}
	}
}

func TestClosesWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := company.Start(ctx, company.Options{AutoApprove: true})
	if err != nil {
		t.Fatal(err)
	}
	idToken := signIn(t, c, "alice") // no page: approved at once
	if idToken == "" || c.IdP.Count(idjagtest.SignInForm) != 0 {
		t.Error("AutoApprove showed a page")
	}
	gone := make(chan struct{})
	c.IdP.SetFault(idjagtest.JWKS, idjagtest.Fault{Hang: true, OnHit: cancel})
	go func() {
		defer close(gone)
		if resp, err := http.Get(c.IdP.Issuer + "/jwks"); err == nil {
			resp.Body.Close()
			t.Error("a closed company answered")
		}
	}()
	<-gone
	c.Close() // again, which is fine
}

func TestTakenPort(t *testing.T) {
	first := open(t, company.Options{})
	u, err := url.Parse(first.IdP.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil {
		t.Fatal(err)
	}
	if c, err := company.Start(t.Context(), company.Options{BasePort: port}); err == nil {
		c.Close()
		t.Error("started on a port that is taken")
	}
}
