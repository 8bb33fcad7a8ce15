package idjagtest_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

func TestExchangeQuirks(t *testing.T) {
	tests := []struct {
		name  string
		quirk idjagtest.Quirk
		check func(c *idjagtest.Company, a answer, jag map[string]any) bool
	}{
		{"no issued_token_type", idjagtest.NoIssuedTokenType(), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.body["issued_token_type"] == nil }},
		{"wrong issued_token_type", idjagtest.WrongIssuedTokenType(), func(_ *idjagtest.Company, a answer, _ map[string]any) bool {
			return strings.HasSuffix(a.text("issued_token_type"), ":access_token")
		}},
		{"Bearer", idjagtest.BearerGrant(), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.text("token_type") == "Bearer" }},
		{"no token_type", idjagtest.NoTokenType(idjagtest.Exchange), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.body["token_type"] == nil }},
		{"no scope", idjagtest.NoScope(idjagtest.Exchange), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.body["scope"] == nil }},
		{"no expires_in", idjagtest.NoExpiry(idjagtest.Exchange), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.body["expires_in"] == nil }},
		{"expires_in as text", idjagtest.TextExpiry(idjagtest.Exchange, "300"), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.text("expires_in") == "300" }},
		{"refresh token", idjagtest.ExtraRefreshToken(idjagtest.Exchange), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return a.text("refresh_token") != "" }},
		{"typ", idjagtest.WrongType("JWT"), func(_ *idjagtest.Company, a answer, _ map[string]any) bool { return true }},
		{"aud array", idjagtest.AudienceArray(), func(c *idjagtest.Company, _ answer, jag map[string]any) bool {
			return fmt.Sprint(jag["aud"]) == "["+c.AS.Issuer+"]"
		}},
		{"two audiences", idjagtest.TwoAudiences("x"), func(c *idjagtest.Company, _ answer, jag map[string]any) bool {
			return fmt.Sprint(jag["aud"]) == "["+c.AS.Issuer+" x]"
		}},
		{"slash", idjagtest.SlashAudience(), func(c *idjagtest.Company, _ answer, jag map[string]any) bool { return jag["aud"] == c.AS.Issuer+"/" }},
		{"wrong client_id", idjagtest.Claim("client_id", "x"), func(_ *idjagtest.Company, _ answer, jag map[string]any) bool { return jag["client_id"] == "x" }},
		{"no resource", idjagtest.Claim("resource", nil), func(_ *idjagtest.Company, _ answer, jag map[string]any) bool { return jag["resource"] == nil }},
		{"resource array", idjagtest.ResourceArray("x"), func(c *idjagtest.Company, _ answer, jag map[string]any) bool {
			return fmt.Sprint(jag["resource"]) == "["+c.MCP.Resource+" x]"
		}},
		{"cnf", idjagtest.Bound(), func(_ *idjagtest.Company, _ answer, jag map[string]any) bool { return jag["cnf"] != nil }},
		{"act", idjagtest.Actor("wlp1"), func(_ *idjagtest.Company, _ answer, jag map[string]any) bool {
			return fmt.Sprint(jag["act"]) == "map[sub:wlp1]"
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			c.IdP.SetQuirks(test.quirk)
			got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil)))
			if got.status != 200 || !test.check(c, got, claims(t, got.text("access_token"))) {
				t.Errorf("answered %d %s", got.status, got.raw)
			}
			c.IdP.SetQuirks()
			if got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil))); test.check(c, got, claims(t, got.text("access_token"))) && test.name != "typ" {
				t.Error("the quirk is still there after SetQuirks()")
			}
		})
	}
}

func TestOddGrantsAreRefusedAtTheAS(t *testing.T) {
	for why, quirk := range map[string]idjagtest.Quirk{
		"its typ":       idjagtest.WrongType("JWT"),
		"its aud":       idjagtest.SlashAudience(),
		"bound":         idjagtest.Bound(),
		"its client_id": idjagtest.Claim("client_id", nil),
		"not trusted":   idjagtest.Encrypted(),
	} {
		c := idjagtest.New(t)
		c.IdP.SetQuirks(quirk)
		grant := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, c.MintIDToken(nil)))
		got := post(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, grant.text("access_token")))
		refused(t, got, 400, "invalid_grant", why, c.AS.Refusals())
	}
}

func TestAuthorizationResponseQuirks(t *testing.T) {
	tests := []struct {
		name      string
		quirk     idjagtest.Quirk
		announced bool
		iss       string
	}{
		{name: "none", announced: true, iss: "the issuer"},
		{name: "not announced", quirk: idjagtest.IssNotAnnounced(), iss: "the issuer"},
		{name: "not sent", quirk: idjagtest.IssNotSent(), announced: true},
		{name: "wrong", quirk: idjagtest.IssWrong("https://evil.example"), announced: true, iss: "https://evil.example"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t)
			c.IdP.SetQuirks(test.quirk)
			want := strings.Replace(test.iss, "the issuer", c.IdP.Issuer, 1)
			if got := callback(t, c).Get("iss"); got != want {
				t.Errorf("iss is %q, want %q", got, want)
			}
			metadata := get(t, c.IdP.Issuer+"/.well-known/openid-configuration")
			if got := metadata.body["authorization_response_iss_parameter_supported"] == true; got != test.announced {
				t.Errorf("announced is %t, want %t", got, test.announced)
			}
		})
	}
}

func TestMetadataPlaces(t *testing.T) {
	tests := []struct {
		form idjagtest.MetadataForm
		path string
		at   string
	}{
		{idjagtest.OAuthMetadata, "", "/.well-known/oauth-authorization-server"},
		{idjagtest.OAuthMetadata, "/", "/.well-known/oauth-authorization-server"},
		{idjagtest.OAuthMetadata, "/t", "/.well-known/oauth-authorization-server/t"},
		{idjagtest.OIDCInserted, "/t", "/.well-known/openid-configuration/t"},
		{idjagtest.OIDCAppended, "/t", "/t/.well-known/openid-configuration"},
		{idjagtest.OIDCAppended, "", "/.well-known/openid-configuration"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.at, test.path), func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) { c.AS.Metadata, c.AS.Path = test.form, test.path })
			u, err := url.Parse(c.AS.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			got := get(t, "http://"+u.Host+test.at)
			if got.status != 200 || got.text("issuer") != c.AS.Issuer || !strings.HasSuffix(c.AS.Issuer, u.Host+test.path) {
				t.Errorf("answered %d %s", got.status, got.raw)
			}
			if n := c.AS.Count(idjagtest.Metadata); n != 1 {
				t.Errorf("counted %d metadata requests, want 1", n)
			}
			if redeemed := post(t, got.text("token_endpoint"), c.ASClient, redeemForm(c, c.MintIDJAG(nil))); redeemed.status != 200 {
				t.Errorf("redeem: %d %s", redeemed.status, redeemed.raw)
			}
		})
	}
}

func TestResourceMetadataPlaces(t *testing.T) {
	tests := []struct {
		form       idjagtest.ResourceForm
		path       string // where it is, "" for nowhere
		challenged bool
	}{
		{idjagtest.PathMetadata, "/.well-known/oauth-protected-resource/mcp", true},
		{idjagtest.RootMetadata, "/.well-known/oauth-protected-resource", false},
		{idjagtest.ChallengeMetadata, "/about/this/resource", true},
		{idjagtest.NoMetadata, "", false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.form), func(t *testing.T) {
			c := idjagtest.New(t, func(c *idjagtest.Company) { c.MCP.Form = test.form })
			base := strings.TrimSuffix(c.MCP.URL(), "/mcp")
			for _, place := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource", "/about/this/resource"} {
				got := get(t, base+place)
				if want := place == test.path; (got.status == 200) != want {
					t.Errorf("%s: %d", place, got.status)
				}
				if got.status == 200 && (got.text("resource") != c.MCP.Resource || fmt.Sprint(got.body["authorization_servers"]) != "["+c.AS.Issuer+"]") {
					t.Errorf("%s: %s", place, got.raw)
				}
			}
			challenge := callMCP(t, c, "").header.Get("WWW-Authenticate")
			if strings.Contains(challenge, "resource_metadata=") != test.challenged {
				t.Errorf("challenge is %q", challenge)
			}
		})
	}
}

func TestMetadataQuirks(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.MCP.Published = "https://parent.example" })
	c.IdP.SetQuirks(idjagtest.NoJWKS(), idjagtest.NoPKCEMetadata(), idjagtest.WrongIssuer("https://evil.example"))
	c.AS.SetQuirks(idjagtest.NoProfile())
	idp := get(t, c.IdP.Issuer+"/.well-known/openid-configuration")
	if idp.body["jwks_uri"] != nil || idp.body["code_challenge_methods_supported"] != nil || idp.text("issuer") != "https://evil.example" {
		t.Errorf("IdP metadata is %s", idp.raw)
	}
	if as := get(t, c.AS.MetadataURL()); as.body["authorization_grant_profiles_supported"] != nil {
		t.Errorf("AS metadata is %s", as.raw)
	}
	if mcp := get(t, c.MCP.MetadataURL()); mcp.text("resource") != "https://parent.example" {
		t.Errorf("resource metadata is %s", mcp.raw)
	}
}

func TestWrongState(t *testing.T) {
	c := idjagtest.New(t)
	c.IdP.SetQuirks(idjagtest.StateWrong())
	if got := callback(t, c).Get("state"); got == authorizeForm(c).Get("state") {
		t.Error("the state is the right one")
	}
}

func TestKeyRotation(t *testing.T) {
	c := idjagtest.New(t)
	old := c.MintIDToken(nil)
	if err := c.IdP.RotateKeys(true); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{old, c.MintIDToken(nil)} {
		if got := post(t, c.IdP.TokenEndpoint(), c.IdPClient, exchangeForm(c, token)); got.status != 200 {
			t.Errorf("answered %d %s; %v", got.status, got.raw, c.Refusals())
		}
	}
	if keys := get(t, c.IdP.Issuer+"/jwks").body["keys"].([]any); len(keys) != 2 {
		t.Errorf("%d keys are published, want 2", len(keys))
	}
}

func TestTLSAndFetchedKeys(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) { c.CA = newCA(t) })
	client := c.CA.Client()
	c.AS.Trust(c.IdP.Issuer, idjagtest.FetchKeys(client, c.IdP.Issuer+"/jwks"))
	at, err := c.Browser().Approve(context.Background(), c.IdP.AuthorizationEndpoint()+"?"+authorizeForm(c).Encode())
	if err != nil || !strings.Contains(at, "code=") {
		t.Fatalf("%s, %v", at, err)
	}
	resp, err := client.Do(formRequest(t, c.AS.TokenEndpoint(), c.ASClient, redeemForm(c, c.MintIDJAG(nil))))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || c.IdP.Count(idjagtest.JWKS) != 1 {
		t.Errorf("answered %s after %d key requests; %v", resp.Status, c.IdP.Count(idjagtest.JWKS), c.Refusals())
	}
}
