package idjagtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func consentForm(c *idjagtest.Company) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"response_type":         {"code"},
		"client_id":             {c.ASClient.ID},
		"redirect_uri":          {redirect},
		"scope":                 {"read offline_access"},
		"state":                 {"state-0123456789abcdef"},
		"resource":              {c.MCP.Resource},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"},
	}
}

// consented brings the person through sign-in and consent and returns what the AS
// sent to the redirect URI.
func consented(t *testing.T, c *idjagtest.Company, form url.Values) url.Values {
	t.Helper()
	return visited(t, c, c.Browser(), form)
}

func visited(t *testing.T, c *idjagtest.Company, b idjagtest.Browser, form url.Values) url.Values {
	t.Helper()
	at, err := b.Approve(context.Background(), c.AS.AuthorizationEndpoint()+"?"+form.Encode())
	if err != nil {
		t.Fatalf("%v; %v", err, c.Refusals())
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func asCodeForm(c *idjagtest.Company, code string) url.Values {
	form := codeForm(code)
	form.Set("resource", c.MCP.Resource)
	return form
}

func asRefreshForm(c *idjagtest.Company, token string) url.Values {
	form := refreshForm(token)
	form.Set("resource", c.MCP.Resource)
	return form
}

// The whole standard flow, and what the metadata says of it.
func TestConsentFlow(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	metadata := get(t, c.AS.MetadataURL())
	for name, want := range map[string]string{
		"authorization_endpoint":                         c.AS.AuthorizationEndpoint(),
		"code_challenge_methods_supported":               "[S256]",
		"response_types_supported":                       "[code]",
		"grant_types_supported":                          "[authorization_code refresh_token]",
		"scopes_supported":                               "[offline_access read write]",
		"authorization_response_iss_parameter_supported": "true",
		"authorization_grant_profiles_supported":         "<nil>",
	} {
		if got := fmt.Sprint(metadata.body[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	back := consented(t, c, consentForm(c))
	if back.Get("iss") != c.AS.Issuer || back.Get("state") != "state-0123456789abcdef" {
		t.Fatalf("callback has %v", back)
	}
	tokens := post(t, c.AS.TokenEndpoint(), c.ASClient, asCodeForm(c, back.Get("code")))
	if tokens.status != 200 || tokens.text("token_type") != "Bearer" || tokens.text("refresh_token") == "" || tokens.text("scope") != "read offline_access" {
		t.Fatalf("code grant: %d %s; %v", tokens.status, tokens.raw, c.Refusals())
	}
	held, live := c.AS.Lookup(tokens.text("access_token"))
	if !live || held.Subject != c.Person.Subject || held.Client != c.ASClient.ID || held.Resource != c.MCP.Resource || fmt.Sprint(held.Scopes) != "[read]" {
		t.Errorf("the token is %+v", held)
	}
	if reply := callMCP(t, c, "Bearer "+tokens.text("access_token")); reply.status != 200 || !strings.Contains(reply.raw, c.Person.Subject) {
		t.Errorf("call: %d %s", reply.status, reply.raw)
	}
	for _, what := range []string{idjagtest.Authorize, idjagtest.SignInForm, idjagtest.ConsentForm, idjagtest.Code} {
		if n := c.AS.Granted(what); n != 1 {
			t.Errorf("%s: granted %d, want 1", what, n)
		}
	}
	if r := c.Refusals(); len(r) != 0 {
		t.Errorf("refusals: %v", r)
	}
}

func TestConsentIsOffByDefault(t *testing.T) {
	c := idjagtest.New(t)
	if got := get(t, c.AS.AuthorizationEndpoint()+"?"+consentForm(c).Encode()); got.status != 404 {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	if metadata := get(t, c.AS.MetadataURL()); metadata.body["authorization_endpoint"] != nil {
		t.Errorf("metadata is %s", metadata.raw)
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, "x")), 400, "unsupported_grant_type", "nor another one", c.AS.Refusals())
}

// Standard servers redeem nothing; one that does both says so.
func TestStandardServerAndIDJAG(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))), 400, "unsupported_grant_type", "not the JWT bearer", c.AS.Refusals())
	both := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.AS.NoIDJAG = false })
	if got := post(t, both.AS.TokenEndpoint(), both.ASClient, redeemForm(both, both.MintIDJAG(nil))); got.status != 200 {
		t.Errorf("redeem: %d %s", got.status, got.raw)
	}
	if metadata := get(t, both.AS.MetadataURL()); metadata.body["authorization_grant_profiles_supported"] == nil {
		t.Errorf("metadata is %s", metadata.raw)
	}
}

func TestASAuthorizeRefusesWithoutRedirect(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	for name, bend := range map[string]func(url.Values){
		"redirect_uri \"\"": drop("redirect_uri"),
		"127.0.0.1:5/other": set("redirect_uri", "http://127.0.0.1:5/other"),
		"localhost":         set("redirect_uri", "http://localhost:5/callback"),
		"resource comes 2":  func(f url.Values) { f.Add("resource", "https://x.example") },
	} {
		form := consentForm(c)
		bend(form)
		got := get(t, c.AS.AuthorizationEndpoint()+"?"+form.Encode())
		refused(t, got, 400, "invalid_request", name, c.AS.Refusals())
		if got.header.Get("Location") != "" {
			t.Error("the browser was sent somewhere")
		}
	}
	form := consentForm(c)
	form.Set("client_id", "x")
	refused(t, get(t, c.AS.AuthorizationEndpoint()+"?"+form.Encode()), 400, "invalid_client", "not registered here", c.AS.Refusals())
}

func TestASAuthorizeRefusesByRedirect(t *testing.T) {
	tests := []struct {
		name   string
		form   func(url.Values)
		option func(*idjagtest.Company)
		code   string
	}{
		{name: "implicit", form: set("response_type", "token"), code: "unsupported_response_type"},
		{name: "no PKCE", form: drop("code_challenge"), code: "invalid_request"},
		{name: "plain PKCE", form: set("code_challenge_method", "plain"), code: "invalid_request"},
		{name: "no PKCE method", form: drop("code_challenge_method"), code: "invalid_request"},
		{name: "challenge is no sum", form: set("code_challenge", verifier), code: "invalid_request"},
		{name: "no state", form: drop("state"), code: "invalid_request"},
		{name: "no resource", form: drop("resource"), code: "invalid_target"},
		{name: "other resource", form: set("resource", "https://x.example"), code: "invalid_target"},
		{name: "other scope", form: set("scope", "read admin"), code: "invalid_scope"},
		{name: "openid", form: set("scope", "openid read"), code: "invalid_scope"},
		{name: "offline_access not listed", option: func(c *idjagtest.Company) { c.AS.OfflineAccess = false }, code: "invalid_scope"},
		{name: "no session", form: set("prompt", "none"), code: "login_required"},
		{name: "grant not registered", option: func(c *idjagtest.Company) { c.ASClient.Grants = []string{idjagtest.GrantJWTBearer} }, code: "unauthorized_client"},
		{name: "nobody of that name", option: func(c *idjagtest.Company) { c.AS.AutoApprove = true }, form: set("login_hint", "mallory"), code: "access_denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) {
				if test.option != nil {
					test.option(c)
				}
			})
			form := consentForm(c)
			if test.form != nil {
				test.form(form)
			}
			got := get(t, c.AS.AuthorizationEndpoint()+"?"+form.Encode())
			back, err := url.Parse(got.header.Get("Location"))
			if err != nil || got.status != http.StatusSeeOther {
				t.Fatalf("answered %d, %v", got.status, err)
			}
			if q := back.Query(); q.Get("error") != test.code || q.Get("iss") != c.AS.Issuer || q.Get("state") != form.Get("state") || q.Has("code") {
				t.Errorf("sent back %s, want %s", back.RawQuery, test.code)
			}
		})
	}
}

func TestConsentPages(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.ASClient.Name = "<b>mcpauth" })
	form := consentForm(c)
	start := c.AS.AuthorizationEndpoint() + "?" + form.Encode()

	wrong := c.Browser()
	wrong.Password += "x"
	if at, err := wrong.Approve(context.Background(), start); err == nil {
		t.Errorf("a wrong password led to %s", at)
	}
	nobody := c.Browser()
	nobody.Name = ""
	if at, err := nobody.Approve(context.Background(), start); err == nil {
		t.Errorf("an empty name led to %s", at)
	}
	for _, press := range []func(*idjagtest.Browser){func(b *idjagtest.Browser) { b.Deny = true }, func(b *idjagtest.Browser) { b.Decline = true }} {
		b := c.Browser()
		press(&b)
		if back := visited(t, c, b, form); back.Get("error") != "access_denied" || back.Get("iss") != c.AS.Issuer || back.Has("code") {
			t.Errorf("sent back %v", back)
		}
	}
	if n := c.AS.Granted(idjagtest.ConsentForm); n != 1 {
		t.Errorf("%d answers to the consent page, want that of Decline alone", n)
	}
	page := get(t, start)
	_, id, _ := strings.Cut(page.raw, `name="request" value="`)
	id, _, _ = strings.Cut(id, `"`)
	skip := url.Values{"request": {id}, "agree": {"1"}}
	refused(t, post(t, c.AS.Issuer+"/consent", idjagtest.Client{}, skip), 400, "invalid_request", "no open request", c.AS.Refusals())
	signedIn := post(t, c.AS.Issuer+"/sign-in", idjagtest.Client{}, url.Values{"request": {id}, "person": {c.Person.Email}, "password": {c.Person.Password}})
	if signedIn.status != 200 || !strings.Contains(signedIn.raw, "&lt;b&gt;mcpauth") || !strings.Contains(signedIn.raw, c.MCP.Resource) || strings.Contains(signedIn.raw, id) {
		t.Errorf("the consent page is %d %s", signedIn.status, signedIn.raw)
	}
	_, id, _ = strings.Cut(signedIn.raw, `name="request" value="`)
	id, _, _ = strings.Cut(id, `"`)
	refused(t, post(t, c.AS.Issuer+"/consent", idjagtest.Client{}, url.Values{"request": {id}}), 400, "invalid_request", "neither", c.AS.Refusals())
	agreed := url.Values{"request": {id}, "agree": {"1"}}
	if got := post(t, c.AS.Issuer+"/consent", idjagtest.Client{}, agreed); got.status != http.StatusSeeOther {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	refused(t, post(t, c.AS.Issuer+"/consent", idjagtest.Client{}, agreed), 400, "invalid_request", "no open request", c.AS.Refusals())
}

func TestCompanySignsInAtTheAS(t *testing.T) {
	visits := make(chan string, 1)
	program := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visits <- r.URL.Query().Get("code") }))
	defer program.Close()
	for _, how := range []string{"password", "choose", "auto"} {
		c := idjagtest.New(t, idjagtest.Standard, func(c *idjagtest.Company) { c.AS.ChoosePerson, c.AS.AutoApprove = how == "choose", how == "auto" })
		form := consentForm(c)
		form.Set("redirect_uri", program.URL+"/callback")
		at, err := c.SignIn(c.AS.AuthorizationEndpoint() + "?" + form.Encode())
		if err != nil {
			t.Fatalf("%s: %v; %v", how, err, c.Refusals())
		}
		if code := <-visits; code == "" || !strings.Contains(at, code) {
			t.Errorf("%s: the program saw code %q, the browser returned %s", how, code, at)
		}
	}
}

func TestASCodeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		form  func(url.Values)
		setup func(*idjagtest.Company)
		code  string
		why   string
	}{
		{name: "unknown code", form: set("code", "x"), code: "invalid_grant", why: "never issued"},
		{name: "no code", form: drop("code"), code: "invalid_request", why: "code is missing"},
		{name: "no verifier", form: drop("code_verifier"), code: "invalid_request", why: "code_verifier is missing"},
		{name: "other verifier", form: set("code_verifier", verifier+"x"), code: "invalid_grant", why: "does not match"},
		{name: "no redirect", form: drop("redirect_uri"), code: "invalid_grant", why: "redirect_uri"},
		{name: "other port", form: set("redirect_uri", "http://127.0.0.1:5/callback"), code: "invalid_grant", why: "redirect_uri"},
		{name: "no resource", form: drop("resource"), code: "invalid_target", why: "resource is missing"},
		{name: "unknown resource", form: set("resource", "https://x.example"), code: "invalid_target", why: "not one of"},
		{name: "other resource", form: set("resource", "https://other.example"), setup: func(c *idjagtest.Company) { c.AS.AddResource("https://other.example") },
			code: "invalid_target", why: "that of the authorization request"},
		{name: "too late", setup: func(c *idjagtest.Company) { c.Advance(time.Minute) }, code: "invalid_grant", why: "expired"},
		{name: "consent taken back", setup: func(c *idjagtest.Company) { c.AS.RevokeConsents(c.Person.Subject) }, code: "invalid_grant", why: "taken back"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, idjagtest.Standard)
			form := asCodeForm(c, consented(t, c, consentForm(c)).Get("code"))
			if test.form != nil {
				test.form(form)
			}
			if test.setup != nil {
				test.setup(c)
			}
			refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, form), 400, test.code, test.why, c.AS.Refusals())
		})
	}
}

func TestASCodeWorksOnce(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	form := asCodeForm(c, consented(t, c, consentForm(c)).Get("code"))
	thief := idjagtest.Client{ID: "other", Secret: "s"}
	c.AS.AddClient(thief)
	refused(t, post(t, c.AS.TokenEndpoint(), thief, form), 400, "invalid_grant", "another client's", c.AS.Refusals())
	tokens := post(t, c.AS.TokenEndpoint(), c.ASClient, form)
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, form), 400, "invalid_grant", "used before", c.AS.Refusals())
	if _, live := c.AS.Lookup(tokens.text("access_token")); live || tokens.status != 200 {
		t.Errorf("%d: the access token outlived the second use of its code", tokens.status)
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, asRefreshForm(c, tokens.text("refresh_token"))), 400, "invalid_grant", "used twice", c.AS.Refusals())
}
