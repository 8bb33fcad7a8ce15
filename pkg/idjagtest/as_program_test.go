package idjagtest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// ownGrant lets the company's client use client credentials, and nothing else.
func ownGrant(c *idjagtest.Company) { c.ASClient.Grants = []string{"client_credentials"} }

func ownForm(c *idjagtest.Company) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "resource": {c.MCP.Resource}, "scope": {"read"}}
}

func TestClientCredentials(t *testing.T) {
	for _, method := range []string{idjagtest.AuthBasic, idjagtest.AuthPrivateKeyJWT} {
		c := idjagtest.New(t, ownGrant, func(c *idjagtest.Company) { c.ASClient.Method = method })
		form, client := ownForm(c), c.ASClient
		if method == idjagtest.AuthPrivateKeyJWT {
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", clientAssertion(t, c.ASClient, c.AS.Issuer, nil))
			client.Secret = ""
		}
		got := post(t, c.AS.TokenEndpoint(), client, form)
		if got.status != 200 || got.text("refresh_token") != "" || got.text("scope") != "read" {
			t.Fatalf("%s: %d %s; %v", method, got.status, got.raw, c.Refusals())
		}
		if reply := callMCP(t, c, "Bearer "+got.text("access_token")); reply.status != 200 || !strings.Contains(reply.raw, c.ASClient.ID) {
			t.Errorf("call: %d %s", reply.status, reply.raw)
		}
		if c.AS.Granted(idjagtest.ClientCredentials) != 1 || c.AS.Count(idjagtest.Token) != 1 {
			t.Errorf("recorded %v", c.AS.Requests())
		}
		if metadata := get(t, c.AS.MetadataURL()); !strings.Contains(fmt.Sprint(metadata.body["grant_types_supported"]), "client_credentials") {
			t.Errorf("metadata is %s", metadata.raw)
		}
	}
}

func TestClientCredentialsRefuses(t *testing.T) {
	public := func(c *idjagtest.Company) { c.ASClient.Method, c.ASClient.Secret = idjagtest.AuthNone, "" }
	tests := []struct {
		name   string
		option func(*idjagtest.Company)
		form   func(url.Values)
		code   string
		why    string
	}{
		{"no client has the grant", func(c *idjagtest.Company) { c.ASClient.Grants = nil }, drop("x"), "unsupported_grant_type", "nor another"},
		{"a public client", public, set("client_id", "mcpauth-at-as"), "unauthorized_client", "is public"},
		{"no resource", ownGrant, drop("resource"), "invalid_target", "missing"},
		{"other resource", ownGrant, set("resource", "https://x.example"), "invalid_target", "not one of"},
		{"other scope", ownGrant, set("scope", "admin"), "invalid_scope", "has no scope"},
		{"offline_access", idjagtest.Standard, set("scope", "read offline_access"), "invalid_scope", "has no scope"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := idjagtest.New(t, ownGrant, test.option)
			form := ownForm(c)
			test.form(form)
			refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, form), 400, test.code, test.why, c.AS.Refusals())
		})
	}
	c := idjagtest.New(t)
	c.AS.AddClient(idjagtest.Client{ID: "robot", Secret: "s", Grants: []string{"client_credentials"}})
	refused(t, post(t, c.AS.TokenEndpoint(), c.ASClient, ownForm(c)), 400, "unauthorized_client", "may not use", c.AS.Refusals())
}

func workloadForm(c *idjagtest.Company, jwt string) url.Values {
	return url.Values{"grant_type": {idjagtest.GrantJWTBearer}, "assertion": {jwt}, "resource": {c.MCP.Resource}, "scope": {"read"}}
}

func TestWorkload(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	platform := c.Platform("https://builds.example")
	jwt, err := platform.Mint("repo:acme/site", c.AS.Issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []idjagtest.Client{{}, c.ASClient} { // client authentication is optional, and so is a second use
		got := post(t, c.AS.TokenEndpoint(), client, workloadForm(c, jwt))
		if got.status != 200 || got.text("refresh_token") != "" {
			t.Fatalf("answered %d %s; %v", got.status, got.raw, c.Refusals())
		}
		if held, live := c.AS.Lookup(got.text("access_token")); !live || held.Subject != "repo:acme/site" || held.Client != client.ID {
			t.Errorf("the token is %+v", held)
		}
	}
	if c.AS.Granted(idjagtest.Workload) != 2 || c.AS.Count(idjagtest.Redeem) != 0 {
		t.Errorf("recorded %v", c.AS.Requests())
	}
	if metadata := get(t, c.AS.MetadataURL()); !strings.Contains(fmt.Sprint(metadata.body["grant_types_supported"]), idjagtest.GrantJWTBearer) ||
		metadata.body["authorization_grant_profiles_supported"] != nil {
		t.Errorf("metadata is %s", metadata.raw)
	}
}

func TestWorkloadRefuses(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	platform := c.Platform("https://builds.example")
	claim := func(name string, value any) func(h, c map[string]any) {
		return func(_, c map[string]any) { c[name] = value }
	}
	typ := func(value string) func(h, c map[string]any) { return func(h, _ map[string]any) { h["typ"] = value } }
	tests := []struct {
		name   string
		mutate func(h, c map[string]any)
		form   func(url.Values)
		code   string
		why    string
	}{
		{"untrusted", claim("iss", "https://evil.example"), nil, "invalid_grant", "no platform"},
		{"an ID-JAG", typ("oauth-id-jag+jwt"), nil, "invalid_grant", "no platform"},
		{"an access token", typ("at+jwt"), nil, "invalid_grant", "its typ"},
		{"for another server", claim("aud", "https://as.example"), nil, "invalid_grant", "its aud"},
		{"for two servers", claim("aud", []string{c.AS.Issuer, "x"}), nil, "invalid_grant", "2 members"},
		{"expired", claim("exp", time.Now().Add(-time.Second).Unix()), nil, "invalid_grant", "expired"},
		{"no exp", claim("exp", nil), nil, "invalid_grant", "expired"},
		{"not yet valid", claim("nbf", time.Now().Add(time.Hour).Unix()), nil, "invalid_grant", "future"},
		{"no sub", claim("sub", nil), nil, "invalid_grant", "lacks sub"},
		{"no resource", nil, drop("resource"), "invalid_target", "missing"},
		{"other scope", nil, set("scope", "admin"), "invalid_scope", "has no scope"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			jwt, err := platform.Mint("repo:acme/site", c.AS.Issuer, test.mutate)
			if err != nil {
				t.Fatal(err)
			}
			form := workloadForm(c, jwt)
			if test.form != nil {
				test.form(form)
			}
			client := idjagtest.Client{}
			if test.why == "no platform" {
				client = c.ASClient // only what is known to be a workload may come alone
			}
			refused(t, post(t, c.AS.TokenEndpoint(), client, form), 400, test.code, test.why, c.AS.Refusals())
		})
	}
	impostor, err := idjagtest.NewPlatform("https://builds.example")
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := impostor.Mint("repo:acme/site", c.AS.Issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{}, workloadForm(c, jwt)), 400, "invalid_grant", "no published key", c.AS.Refusals())
	refused(t, post(t, c.AS.TokenEndpoint(), idjagtest.Client{ID: "x", Secret: "x"}, workloadForm(c, jwt)), 401, "invalid_client", "not registered", c.AS.Refusals())
}
