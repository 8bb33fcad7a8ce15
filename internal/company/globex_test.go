package company_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// client is a program that has a document at a URL, with a key of its own.
func client(t *testing.T, c *company.Company, at string) company.Registration {
	t.Helper()
	key, err := idjagtest.NewKey(idjagtest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(map[string]any{
		"client_id": at, "client_name": "Test agents", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types":                []string{"authorization_code", "refresh_token", idjagtest.GrantJWTBearer},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{key.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Publish(at, document)
	return company.Registration{ClientID: at, Method: idjagtest.AuthPrivateKeyJWT, KeyPEM: secret.New(string(key.PEM())), KeyID: key.ID}
}

func trackerURL(c *company.Company, clientID, redirect string) string {
	tracker, _ := c.Server("tracker")
	sum := sha256.Sum256([]byte(verifier))
	return c.Globex.AuthorizationEndpoint() + "?" + url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirect}, "resource": {tracker.URL},
		"scope": {"parcels:read offline_access"}, "state": {"state-0123456789abcdef"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode()
}

func TestTrackerAsksForConsent(t *testing.T) {
	c := open(t, company.Options{})
	tracker, ok := c.Server("tracker")
	if !ok || tracker.Managed || tracker.Client.ClientID != company.DocumentURL {
		t.Fatalf("the tracker is %+v", tracker)
	}
	for _, s := range c.Servers() {
		if !s.Managed || s.Name == "tracker" {
			t.Errorf("%s is among the managed servers", s.Name)
		}
	}
	us := client(t, c, company.DocumentURL)
	program := httptest.NewServer(http.NotFoundHandler())
	defer program.Close()
	at, err := c.SignIn(t.Context(), "alice", trackerURL(c, us.ClientID, program.URL+"/callback"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	tokens := post(t, c.Globex.TokenEndpoint(), us, url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"code_verifier": {verifier}, "redirect_uri": {program.URL + "/callback"}, "resource": {tracker.URL}})
	token, ok := tokens["access_token"].(string)
	if !ok || tokens["refresh_token"] == nil {
		t.Fatalf("no tokens: %v", tokens["error_description"])
	}
	answer, err := c.CallTool(t.Context(), "tracker", secret.New(token), "list_parcels", nil)
	if err != nil || !strings.Contains(answer, "parcels") {
		t.Errorf("list_parcels: %q, %v", answer, err)
	}
	if answer, err := c.CallTool(t.Context(), "wiki", secret.New(token), "search_pages", map[string]any{"query": ""}); err == nil {
		t.Errorf("the wiki took a token of Globex: %q", answer)
	}
	c.RevokePerson("alice") // at Acme, which does not reach Globex
	if answer, err := c.CallTool(t.Context(), "tracker", secret.New(token), "list_parcels", nil); err != nil {
		t.Errorf("list_parcels after Alice left Acme: %q, %v", answer, err)
	}
	var log []string
	for _, e := range c.Log() {
		log = append(log, e.String())
	}
	want := []string{
		"Globex AS saw: request to sign in, allowed",
		"Globex AS saw: sign-in of alice, allowed",
		"Globex AS saw: consent of alice to tracker, allowed",
		"Globex AS saw: code for tokens of alice, allowed",
		"tracker saw: call of list_parcels by alice, allowed",
	}
	if len(log) < len(want) || strings.Join(log[:len(want)], "\n") != strings.Join(want, "\n") {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
}

func TestTrustByDomain(t *testing.T) {
	c := open(t, company.Options{})
	tests := []struct{ name, client, want string }{
		{"ours", company.DocumentURL, ""},
		{"of another company below .example", "https://agents.initech.example/client.json", ""},
		{"elsewhere", "https://contractor.test/mcpauth.json", "not trusted"},
		{"of a name that ends like a trusted one", "https://tools-acme-example/mcpauth.json", "not trusted"},
		{"of a name that only begins so", "https://tools.acme.example.test/mcpauth.json", "not trusted"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client(t, c, test.client)
			answer(t, c, test.client, test.want)
		})
	}
	t.Run("nothing published", func(t *testing.T) {
		answer(t, c, "https://empty.example/mcpauth.json", "nothing is published")
	})
}

// answer opens the authorization URL and compares why Globex refuses; "" for not
// at all.
func answer(t *testing.T, c *company.Company, clientID, want string) {
	t.Helper()
	resp, err := http.Get(trackerURL(c, clientID, "http://127.0.0.1:1/callback"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	log := c.Log()
	last := log[len(log)-1]
	switch {
	case want == "" && (resp.StatusCode != http.StatusOK || !last.Allowed):
		t.Errorf("%s, and the log says %q", resp.Status, last)
	case want != "" && (resp.StatusCode != http.StatusBadRequest || last.Allowed || !strings.Contains(last.Why, want)):
		t.Errorf("%s, and the log says %q, want %q", resp.Status, last, want)
	}
}

// The same document is the client ID at servers that are managed (EMA section 5).
func TestManagedServersByDocument(t *testing.T) {
	c := open(t, company.Options{ByDocument: true})
	tickets, _ := c.Server("tickets")
	if tickets.Client.ClientID != company.DocumentURL || !tickets.Client.KeyPEM.IsZero() {
		t.Fatalf("the desk knows mcpauth as %q", tickets.Client.ClientID)
	}
	us := client(t, c, company.DocumentURL)
	idToken := signIn(t, c, "alice")
	redeem := func(as company.Registration) map[string]any {
		grant := post(t, c.IdP.TokenEndpoint(), c.Client(), url.Values{
			"grant_type": {idjagtest.GrantExchange}, "requested_token_type": {idjagtest.TypeIDJAG}, "audience": {tickets.Issuer},
			"resource": {tickets.URL}, "subject_token": {idToken}, "subject_token_type": {idjagtest.TypeIDToken}})
		return post(t, c.Desk.TokenEndpoint(), as, url.Values{"grant_type": {idjagtest.GrantJWTBearer},
			"assertion": {grant["access_token"].(string)}, "resource": {tickets.URL}})
	}
	token, ok := redeem(us)["access_token"].(string)
	if !ok {
		t.Fatal("no access token")
	}
	if _, err := c.CallTool(t.Context(), "tickets", secret.New(token), "list_tickets", nil); err != nil {
		t.Error(err)
	}
	other := client(t, c, "https://agents.initech.example/client.json") // trusted, but the grant is not for it
	if code := redeem(other)["error"]; code != "invalid_grant" {
		t.Errorf("another client redeemed the grant: %v", code)
	}
}

func TestConsentPage(t *testing.T) {
	c := open(t, company.Options{})
	client(t, c, company.DocumentURL)
	page := get(t, trackerURL(c, company.DocumentURL, "http://127.0.0.1:1/callback"))
	if !strings.Contains(page, "to continue to <strong>tools.acme.example</strong>") || strings.Contains(page, "finance") {
		t.Error("the sign-in page does not say where the client comes from, or tells groups")
	}
	form := func(name string) string {
		found := regexp.MustCompile(name + `="([^"]+)"`).FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("the page has no %s", name)
		}
		return found[1]
	}
	resp, err := http.PostForm(form("action"), url.Values{"request": {form(`name="request" value`)}, "person": {"alice"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Alice Arden", "Test agents", "of tools.acme.example", "See your parcels", "parcels:read", "127.0.0.1",
		"practice company", "prefers-color-scheme: dark", "<title>Allow access to Globex</title>"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "<link", "src=", "@import", "url(", "https://", "ZgotmplZ", "BRAND", "TITLE"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	program := httptest.NewServer(http.NotFoundHandler())
	defer program.Close()
	at, err := c.Decline(t.Context(), "alice", trackerURL(c, company.DocumentURL, program.URL+"/callback"))
	if err != nil || !strings.Contains(at, "error=access_denied") {
		t.Errorf("declined: %v", err)
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
