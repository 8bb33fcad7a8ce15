package idjagtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestRedeemRefuses(t *testing.T) {
	claim := func(name string, value any) func(header, claims map[string]any) {
		return func(_, claims map[string]any) { claims[name] = value }
	}
	typ := func(value string) func(header, claims map[string]any) {
		return func(header, _ map[string]any) { header["typ"] = value }
	}
	tests := []struct {
		name string
		jag  func(header, claims map[string]any)
		form func(url.Values)
		code string
		why  string
	}{
		{name: "no assertion", form: drop("assertion"), code: "invalid_request", why: "assertion is missing"},
		{name: "garbage", form: set("assertion", "a.b.c"), code: "invalid_grant", why: "not trusted"},
		{name: "too long", form: set("assertion", strings.Repeat("a", 17<<10)), code: "invalid_grant", why: "16 KiB"},
		{name: "other grant", form: set("grant_type", "authorization_code"), code: "unsupported_grant_type", why: "not the JWT bearer"},
		{name: "typ JWT", jag: typ("JWT"), code: "invalid_grant", why: "its typ"},
		{name: "untrusted issuer", jag: claim("iss", "https://evil.example"), code: "invalid_grant", why: "not trusted"},
		{name: "issuer with a slash", jag: func(_, c map[string]any) { c["iss"] = c["iss"].(string) + "/" }, code: "invalid_grant", why: "not trusted"},
		{name: "audience with a slash", jag: func(_, c map[string]any) { c["aud"] = c["aud"].(string) + "/" }, code: "invalid_grant", why: "its aud"},
		{name: "audience is the resource", jag: func(_, c map[string]any) { c["aud"] = c["resource"] }, code: "invalid_grant", why: "its aud"},
		{name: "two audiences", jag: func(_, c map[string]any) { c["aud"] = []any{c["aud"], "https://x.example"} }, code: "invalid_grant", why: "2 members"},
		{name: "no audience", jag: claim("aud", nil), code: "invalid_grant", why: "no aud"},
		{name: "the IdP's client id", jag: claim("client_id", "mcpauth-at-idp"), code: "invalid_grant", why: "its client_id"},
		{name: "no client id", jag: claim("client_id", nil), code: "invalid_grant", why: "its client_id"},
		{name: "expired", jag: claim("exp", time.Now().Unix()), code: "invalid_grant", why: "expired"},
		{name: "no exp", jag: claim("exp", nil), code: "invalid_grant", why: "expired"},
		{name: "no iat", jag: claim("iat", nil), code: "invalid_grant", why: "iat"},
		{name: "iat in the future", jag: claim("iat", time.Now().Add(2*time.Minute).Unix()), code: "invalid_grant", why: "iat"},
		{name: "valid for a day", jag: claim("exp", time.Now().Add(24*time.Hour).Unix()), code: "invalid_grant", why: "over an hour"},
		{name: "not yet valid", jag: claim("nbf", time.Now().Add(time.Minute).Unix()), code: "invalid_grant", why: "nbf"},
		{name: "no sub", jag: claim("sub", nil), code: "invalid_grant", why: "sub or jti"},
		{name: "no jti", jag: claim("jti", nil), code: "invalid_grant", why: "sub or jti"},
		{name: "bound to a key", jag: claim("cnf", map[string]any{"jkt": "x"}), code: "invalid_grant", why: "bound"},
		{name: "unknown resource in the claim", jag: claim("resource", "https://x.example"), form: drop("resource"), code: "invalid_target", why: "not one of"},
		{name: "other resource asked", form: set("resource", "https://x.example"), code: "invalid_target", why: "the assertion is for"},
		{name: "resource is a number", jag: claim("resource", 1), code: "invalid_grant", why: "no string"},
		{name: "two resources, none asked", jag: func(_, c map[string]any) { c["resource"] = []any{c["resource"], "https://x.example"} }, form: drop("resource"), code: "invalid_target", why: "say which"},
		{name: "wider scope", jag: claim("scope", "read"), form: set("scope", "read write"), code: "invalid_scope", why: "not in the assertion"},
		{name: "foreign scope", jag: claim("scope", "admin"), form: drop("scope"), code: "invalid_scope", why: "has none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			form := redeemForm(c, c.MintIDJAG(test.jag))
			if test.form != nil {
				test.form(form)
			}
			refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, form), 400, test.code, test.why, c.AS.Refusals())
		})
	}
}

func TestRedeemRefusesReplayAndForeignKeys(t *testing.T) {
	c := idjagtest.New(t)
	jag := c.MintIDJAG(nil)
	if got := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, jag)); got.status != 200 {
		t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, jag)), 400, "invalid_grant", "jti was redeemed", c.AS.Refusals())

	key, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := key.Sign(map[string]any{"typ": "oauth-id-jag+jwt"}, claims(t, c.MintIDJAG(nil)))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, forged)), 400, "invalid_grant", "no published key", c.AS.Refusals())

	other := idjagtest.Client{ID: "another", Secret: "s"}
	c.AS.AddClient(other)
	refused(t, post(t, c.AS.TokenEndpoint(), other, redeemForm(c, c.MintIDJAG(nil))), 400, "invalid_grant", "presents it", c.AS.Refusals())
}

func TestRedeemAccepts(t *testing.T) {
	tests := []struct {
		name  string
		jag   func(header, claims map[string]any)
		form  func(url.Values)
		scope string
	}{
		{name: "audience in an array", jag: func(_, c map[string]any) { c["aud"] = []any{c["aud"]} }, scope: "read"},
		{name: "typ in full", jag: func(h, _ map[string]any) { h["typ"] = "application/OAuth-ID-JAG+JWT" }, scope: "read"},
		{name: "nothing but the assertion", form: func(f url.Values) { f.Del("resource"); f.Del("scope") }, scope: "read write"},
		{name: "resource in an array", jag: func(_, c map[string]any) { c["resource"] = []any{c["resource"], "https://x.example"} }, scope: "read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			form := redeemForm(c, c.MintIDJAG(test.jag))
			if test.form != nil {
				test.form(form)
			}
			got := post(t, c.AS.TokenEndpoint(), c.ASClient, form)
			if got.status != 200 || got.text("scope") != test.scope {
				t.Errorf("answered %d %s, want scope %q; %v", got.status, got.raw, test.scope, c.Refusals())
			}
		})
	}
}

func TestMCPServerRefuses(t *testing.T) {
	c := idjagtest.New(t)
	redeem := func(scope string) string {
		form := redeemForm(c, c.MintIDJAG(nil))
		form.Set("scope", scope)
		return post(t, c.AS.TokenEndpoint(), c.ASClient, form).text("access_token")
	}
	revoked := redeem("read")
	c.AS.RevokeTokens(c.Person.Subject)
	c.AS.AddResource("https://other.example/mcp", "read")
	elsewhere := redeemForm(c, c.MintIDJAG(func(_, claims map[string]any) { claims["resource"] = "https://other.example/mcp" }))
	elsewhere.Del("resource")
	foreign := post(t, c.AS.TokenEndpoint(), c.ASClient, elsewhere).text("access_token")
	good := redeem("read")

	tests := []struct {
		name, authorization string
		status              int
		code, why           string
	}{
		{"no token", "", 401, "", "no access token"},
		{"garbage", "Bearer x", 401, "invalid_token", "was not issued"},
		{"the ID-JAG", "Bearer " + c.MintIDJAG(nil), 401, "invalid_token", "was not issued"},
		{"Basic", "Basic x", 400, "invalid_request", "not one Bearer"},
		{"another resource's", "Bearer " + foreign, 401, "invalid_token", "is for"},
		{"revoked", "Bearer " + revoked, 401, "invalid_token", "revoked"},
		{"too little scope", "Bearer " + redeem("write"), 403, "insufficient_scope", "lacks scope"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := callMCP(t, c, test.authorization)
			refused(t, got, test.status, test.code, test.why, c.MCP.Refusals())
			challenge := got.header.Get("WWW-Authenticate")
			if !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `resource_metadata="`+c.MCP.MetadataURL()+`"`) ||
				!strings.Contains(challenge, `scope="read"`) || (test.code != "" && !strings.Contains(challenge, `error="`+test.code+`"`)) {
				t.Errorf("challenge is %q", challenge)
			}
		})
	}
	if got := callMCP(t, c, "Bearer "+good); got.status != 200 {
		t.Errorf("a good token: %d %s", got.status, got.raw)
	}
	c.Advance(15 * time.Minute)
	refused(t, callMCP(t, c, "Bearer "+good), 401, "invalid_token", "expired", c.MCP.Refusals())
}

func TestJWTAccessToken(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.AS.JWT, c.AS.RefreshTokens = true, true })
	got := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil)))
	if got.status != 200 || got.text("refresh_token") == "" {
		t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
	}
	if aud := claims(t, got.text("access_token"))["aud"]; aud != c.MCP.Resource {
		t.Errorf("aud is %v, want %s", aud, c.MCP.Resource)
	}
	if reply := callMCP(t, c, "Bearer "+got.text("access_token")); reply.status != 200 {
		t.Errorf("call: %d %s", reply.status, reply.raw)
	}
}

func TestMCPServerRefusesOddBearers(t *testing.T) {
	c := idjagtest.New(t)
	token := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))).text("access_token")
	request := func(target string, headers ...string) answer {
		req, err := http.NewRequest(http.MethodPost, target, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = headers
		return send(t, req)
	}
	refused(t, request(c.MCP.URL()+"?access_token="+token, "Bearer "+token), 400, "invalid_request", "stands in the URL", c.MCP.Refusals())
	refused(t, request(c.MCP.URL(), "Bearer "+token, "Bearer "+token), 400, "invalid_request", "not one Bearer", c.MCP.Refusals())
	if got := request(c.MCP.URL(), "Bearer "+token); got.status != 200 {
		t.Errorf("a good request: %d %s", got.status, got.raw)
	}
}

func TestASRevocation(t *testing.T) {
	c := idjagtest.New(t)
	other := idjagtest.Client{ID: "other", Secret: "s"}
	c.AS.AddClient(other)
	token := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))).text("access_token")
	form := url.Values{"token": {token}}
	refused(t, post(t, c.AS.Issuer+"/revoke", other, form), 400, "invalid_grant", "another client's", c.AS.Refusals())
	if held, live := c.AS.Lookup(token); !live || held.Client != c.ASClient.ID {
		t.Errorf("the token is %+v, live %t, after another client's attempt", held, live)
	}
	if got := post(t, c.AS.Issuer+"/revoke", c.ASClient, form); got.status != 200 {
		t.Errorf("answered %d %s", got.status, got.raw)
	}
	if _, live := c.AS.Lookup(token); live {
		t.Error("the token lives on")
	}
}
