package idjagtest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// connect registers, asks for consent and redeems the code at the usual places of
// an origin, and returns an access token.
func connect(t *testing.T, c *idjagtest.Company, origin string, resource bool) string {
	t.Helper()
	client := postJSON(t, origin+"/register", native(idjagtest.AuthNone))
	form := consentForm(c)
	form.Set("client_id", client.text("client_id"))
	form.Set("redirect_uri", "http://127.0.0.1:5000/callback/abc")
	if !resource {
		form.Del("resource")
	}
	back, err := c.Browser().Approve(t.Context(), origin+"/authorize?"+form.Encode())
	if err != nil {
		t.Fatalf("%v; %v", err, c.Refusals())
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	code := codeForm(u.Query().Get("code"))
	code.Set("redirect_uri", form.Get("redirect_uri"))
	code.Set("client_id", client.text("client_id"))
	if resource {
		code.Set("resource", c.MCP.Resource)
	}
	got := post(t, origin+"/token", idjagtest.Client{}, code)
	if got.status != 200 {
		t.Fatalf("code grant: %d %s; %v", got.status, got.raw, c.Refusals())
	}
	return got.text("access_token")
}

// Servers of MCP 2025-03-26: no resource metadata, the AS at the server's origin,
// with or without metadata of its own.
func TestLegacyServer(t *testing.T) {
	for _, published := range []bool{true, false} {
		c := idjagtest.New(t, idjagtest.Legacy, func(c *idjagtest.Company) { c.AS.NoMetadata = !published })
		origin := strings.TrimSuffix(c.MCP.URL(), "/mcp")
		if c.AS.Issuer != origin {
			t.Errorf("the issuer is %s, want %s", c.AS.Issuer, origin)
		}
		metadata := get(t, origin+"/.well-known/oauth-authorization-server")
		if (metadata.status == 200) != published || (metadata.text("issuer") == origin) != published {
			t.Errorf("metadata: %d %s", metadata.status, metadata.raw)
		}
		if challenge := callMCP(t, c, "").header.Get("WWW-Authenticate"); strings.Contains(challenge, "resource_metadata") {
			t.Errorf("challenge is %q", challenge)
		}
		for _, resource := range []bool{true, false} {
			if reply := callMCP(t, c, "Bearer "+connect(t, c, origin, resource)); reply.status != 200 {
				t.Errorf("call: %d %s", reply.status, reply.raw)
			}
		}
		if c.AS.Count(idjagtest.Metadata) != 1 || c.AS.Granted(idjagtest.Code) != 2 || c.MCP.Count(idjagtest.Code) != 0 {
			t.Errorf("recorded %v and %v", c.AS.Requests(), c.MCP.Requests())
		}
		if got := get(t, origin+"/.well-known/oauth-protected-resource"); got.status != 404 || c.MCP.Count(idjagtest.Unknown) != 1 {
			t.Errorf("resource metadata: %d", got.status)
		}
	}
}

// A newer server may have its AS at its own origin as well, and is as strict as any.
func TestOwnASOfANewServer(t *testing.T) {
	as := &idjagtest.AS{Consent: true, Path: "/oauth"}
	mcp := &idjagtest.MCPServer{OwnAS: as}
	if err := mcp.Start(); err != nil {
		t.Fatal(err)
	}
	defer mcp.Close()
	origin := strings.TrimSuffix(mcp.URL(), "/mcp")
	if got := get(t, mcp.MetadataURL()); got.status != 200 || !strings.Contains(got.raw, `"authorization_servers":["`+origin+`/oauth"]`) {
		t.Errorf("resource metadata: %d %s", got.status, got.raw)
	}
	if got := get(t, as.MetadataURL()); got.text("issuer") != origin+"/oauth" || got.text("authorization_endpoint") != origin+"/oauth/authorize" {
		t.Errorf("metadata: %d %s", got.status, got.raw)
	}
	if as.DefaultResource != "" {
		t.Error("it forgives a missing resource")
	}
}

func TestDemand(t *testing.T) {
	c := idjagtest.New(t, idjagtest.Standard)
	token := connected(t, c, consentForm(c)).text("access_token")
	c.MCP.Demand("read", "write")
	got := callMCP(t, c, "Bearer "+token)
	refused(t, got, 403, "insufficient_scope", `lacks scope "write"`, c.MCP.Refusals())
	if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `scope="read write"`) {
		t.Errorf("challenge is %q", challenge)
	}
	more := consentForm(c)
	more.Set("scope", "read write")
	if reply := callMCP(t, c, "Bearer "+connected(t, c, more).text("access_token")); reply.status != 200 {
		t.Errorf("call: %d %s", reply.status, reply.raw)
	}
}
