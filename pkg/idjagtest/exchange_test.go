package idjagtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// refused checks an OAuth error answer and that the record says why.
func refused(t *testing.T, got answer, status int, code, why string, record []idjagtest.Request) {
	t.Helper()
	if got.status != status || got.text("error") != code {
		t.Errorf("answered %d %s, want %d %s", got.status, got.raw, status, code)
	}
	if len(record) == 0 {
		t.Fatal("no refusal was recorded")
	}
	if last := record[len(record)-1]; !strings.Contains(last.Reason, why) || last.Error != code || last.Status != status {
		t.Errorf("recorded %v, want a reason with %q", last, why)
	}
}

func set(name, value string) func(url.Values) {
	return func(form url.Values) { form.Set(name, value) }
}

func drop(name string) func(url.Values) {
	return func(form url.Values) { form.Del(name) }
}

func TestExchangeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		form   func(url.Values)
		setup  func(*idjagtest.Company)
		status int
		code   string
		why    string
	}{
		{name: "no requested_token_type", form: drop("requested_token_type"), status: 400, code: "invalid_request", why: "requested_token_type"},
		{name: "other requested_token_type", form: set("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"), status: 400, code: "invalid_request", why: "requested_token_type"},
		{name: "no audience", form: drop("audience"), status: 400, code: "invalid_request", why: "audience is missing"},
		{name: "unknown audience", form: set("audience", "https://other.example"), status: 400, code: "invalid_target", why: "no connection"},
		{name: "audience with a slash", form: func(f url.Values) { f.Set("audience", f.Get("audience")+"/") }, status: 400, code: "invalid_target", why: "no connection"},
		{name: "the resource as audience", form: func(f url.Values) { f.Set("audience", f.Get("resource")) }, status: 400, code: "invalid_target", why: "no connection"},
		{name: "two audiences", form: func(f url.Values) { f.Add("audience", "https://other.example") }, status: 400, code: "invalid_request", why: "audience comes 2 times"},
		{name: "no resource", form: drop("resource"), status: 400, code: "invalid_request", why: "resource is missing"},
		{name: "other resource", form: set("resource", "https://other.example/mcp"), status: 400, code: "invalid_target", why: "for resource"},
		{name: "two resources", form: func(f url.Values) { f.Add("resource", "https://other.example") }, status: 400, code: "invalid_request", why: "resource comes 2 times"},
		{name: "no subject token", form: drop("subject_token"), status: 400, code: "invalid_request", why: "subject_token is missing"},
		{name: "garbage subject token", form: set("subject_token", "a.b.c"), status: 400, code: "invalid_grant", why: "compact JWS"},
		{name: "no subject token type", form: drop("subject_token_type"), status: 400, code: "invalid_request", why: "subject_token_type"},
		{name: "ID token called refresh token", form: set("subject_token_type", idjagtest.TypeRefreshToken), status: 400, code: "invalid_grant", why: "never issued"},
		{name: "actor token", form: set("actor_token", "x"), status: 400, code: "invalid_request", why: "actor"},
		{name: "other scope", form: set("scope", "admin"), status: 400, code: "invalid_scope", why: "none of the scopes"},
		{name: "unknown grant", form: set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchang"), status: 400, code: "unsupported_grant_type", why: "not one of this IdP"},
		{name: "person left", setup: func(c *idjagtest.Company) { c.IdP.RevokePerson(c.Person.Subject) }, status: 400, code: "invalid_grant", why: "the person was revoked"},
		{name: "session revoked", setup: func(c *idjagtest.Company) { c.IdP.RevokeSessions(c.Person.Subject) }, status: 400, code: "invalid_grant", why: "the session was revoked"},
		{name: "connection revoked", setup: func(c *idjagtest.Company) { c.IdP.RevokeConnection(c.MCP.Resource) }, status: 400, code: "invalid_target", why: "no connection"},
		{name: "ID token expired", setup: func(c *idjagtest.Company) { c.Advance(time.Hour) }, status: 400, code: "invalid_grant", why: "has expired"},
		{name: "ID token expired early", setup: func(c *idjagtest.Company) { c.IdP.ExpireIDTokens() }, status: 400, code: "invalid_grant", why: "has expired"},
		{name: "keys replaced", setup: func(c *idjagtest.Company) { c.IdP.RotateKeys(false) }, status: 400, code: "invalid_grant", why: "no published key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			form := exchangeForm(c, c.MintIDToken(nil))
			if test.form != nil {
				test.form(form)
			}
			if test.setup != nil {
				test.setup(c)
			}
			got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form)
			refused(t, got, test.status, test.code, test.why, c.IdP.Refusals())
		})
	}
}

func TestExchangeRefusesSubjectToken(t *testing.T) {
	c := idjagtest.New(t)
	foreign, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(header, claims map[string]any) {
		return func(_, claims map[string]any) { claims[name] = value }
	}
	tests := []struct {
		name  string
		token string
		why   string
	}{
		{"other issuer", c.MintIDToken(claim("iss", c.IdP.Issuer+"/")), "its iss is"},
		{"another app's", c.MintIDToken(claim("aud", "another-app")), "its aud is"},
		{"two audiences", c.MintIDToken(claim("aud", []string{c.IdPClient.ID, "another-app"})), "2 members"},
		{"no audience", c.MintIDToken(claim("aud", nil)), "no aud"},
		{"expired", c.MintIDToken(claim("exp", time.Now().Unix())), "expired"},
		{"no exp", c.MintIDToken(claim("exp", nil)), "expired"},
		{"from the future", c.MintIDToken(claim("iat", time.Now().Add(time.Hour).Unix())), "future"},
		{"other subject", c.MintIDToken(claim("sub", "mallory")), "no session"},
		{"no session", c.MintIDToken(claim("sid", "x")), "no session"},
		{"an ID-JAG", c.MintIDJAG(nil), "typ"},
		{"an access token's typ", c.MintIDToken(func(header, _ map[string]any) { header["typ"] = "at+jwt" }), "typ"},
		{"foreign key", signWith(t, foreign, claims(t, c.MintIDToken(nil))), "no published key"},
		{"no signature", strings.TrimRight(c.MintIDToken(nil), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"), "signature"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, test.token))
			refused(t, got, 400, "invalid_grant", test.why, c.IdP.Refusals())
		})
	}
}

func signWith(t *testing.T, key *idjagtest.Key, claims map[string]any) string {
	t.Helper()
	signed, err := key.Sign(map[string]any{"typ": "JWT"}, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestPolicy(t *testing.T) {
	tests := []struct {
		name    string
		connect idjagtest.Connection
		scope   string
		status  int
		code    string
		granted string
	}{
		{name: "wrong group", connect: idjagtest.Connection{Groups: []string{"finance"}}, scope: "read", status: 403, code: "access_denied"},
		{name: "wrong group, other code", connect: idjagtest.Connection{Groups: []string{"finance"}, Refusal: "unauthorized_client"}, scope: "read", status: 400, code: "unauthorized_client"},
		{name: "one of two groups", connect: idjagtest.Connection{Groups: []string{"finance", "engineering"}}, scope: "read", status: 200, granted: "read"},
		{name: "narrowed", scope: "read admin", status: 200, granted: "read"},
		{name: "not narrowed", connect: idjagtest.Connection{StrictScopes: true}, scope: "read admin", status: 400, code: "invalid_scope"},
		{name: "no scope asked", status: 200, granted: "read write"},
		{name: "stronger sign-in", connect: idjagtest.Connection{ACR: "phr"}, scope: "read", status: 400, code: "insufficient_user_authentication"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) { c.Connection = test.connect })
			form := exchangeForm(c, c.MintIDToken(nil))
			form.Set("scope", test.scope)
			got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form)
			if got.status != test.status || got.text("error") != test.code || got.text("scope") != test.granted {
				t.Errorf("answered %d %s; %v", got.status, got.raw, c.Refusals())
			}
			if test.granted != "" && claims(t, got.text("access_token"))["scope"] != test.granted {
				t.Errorf("ID-JAG has scope %v, want %q", claims(t, got.text("access_token"))["scope"], test.granted)
			}
			if test.connect.ACR != "" && got.text("acr_values") != "phr" {
				t.Errorf("acr_values is %q", got.text("acr_values"))
			}
		})
	}
}

func TestExchangeWithRefreshToken(t *testing.T) {
	c := idjagtest.New(t)
	tokens := post(t, c.IdP.TokenEndpoint(), c.IdPClient, codeForm(callback(t, c).Get("code")))
	form := exchangeForm(c, tokens.text("refresh_token"))
	form.Set("subject_token_type", idjagtest.TypeRefreshToken)
	for range 2 { // it is a subject here, not spent
		if got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form); got.status != 200 {
			t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
		}
	}
}

func TestExchangeWithoutResource(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.IdP.ResourceOptional = true })
	form := exchangeForm(c, c.MintIDToken(nil))
	form.Del("resource")
	got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form)
	if got.status != 200 {
		t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
	}
	if resource, ok := claims(t, got.text("access_token"))["resource"]; ok {
		t.Errorf("ID-JAG has resource %v, which nobody asked for", resource)
	}
	form = redeemForm(c, got.text("access_token"))
	form.Del("resource")
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, form), 400, "invalid_target", "no default", c.AS.Refusals())
}

func TestExpiredSubjectCode(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.IdP.ExpiredSubject = "invalid_request" })
	c.IdP.SetIDTokenLifetime(-time.Second)
	got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil)))
	refused(t, got, 400, "invalid_request", "expired", c.IdP.Refusals())
}

func TestTokenRequestShape(t *testing.T) {
	c := idjagtest.New(t)
	good := exchangeForm(c, c.MintIDToken(nil))
	tests := []struct {
		name string
		bend func(*http.Request)
		want int
	}{
		{"parameters in the URL", func(r *http.Request) { r.URL.RawQuery = "x=y" }, 400},
		{"JSON content type", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405},
		{"charset is fine", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := formRequest(t, c.IdP.TokenEndpoint(), c.IdPClient, good)
			test.bend(req)
			if got := send(t, req); got.status != test.want {
				t.Errorf("answered %d %s, want %d", got.status, got.raw, test.want)
			}
		})
	}
}

func TestBadHabitsAreNoted(t *testing.T) {
	c := idjagtest.New(t)
	form := exchangeForm(c, c.MintIDToken(nil))
	form.Set("code", "")
	form.Set("scope", "openid read")
	if got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, form); got.status != 200 || got.text("scope") != "read" {
		t.Fatalf("answered %d %s", got.status, got.raw)
	}
	if notes := c.IdP.Requests()[0].Notes; len(notes) != 2 {
		t.Errorf("notes are %q, want one on the empty parameter and one on openid", notes)
	}
}
