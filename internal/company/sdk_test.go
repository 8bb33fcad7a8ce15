package company_test

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// The official SDK's own client of this flow gets through the strict fakes: they
// are not strict in ways that only our client meets. It can put secrets into the
// body only, wants PKCE metadata of an AS that has no use for it, and sends an
// empty "code", which is noted.
func TestTheSDKsClientGetsThrough(t *testing.T) {
	c := idjagtest.New(t, func(c *idjagtest.Company) {
		c.IdPClient.Method, c.ASClient.Method = idjagtest.AuthPost, idjagtest.AuthPost
	})
	c.AS.SetQuirks(idjagtest.Member(idjagtest.Metadata, "code_challenge_methods_supported", []string{"S256"}))
	secretOf := func(client idjagtest.Client) *oauthex.ClientCredentials {
		return &oauthex.ClientCredentials{ClientID: client.ID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: client.Secret}}
	}
	handler, err := extauth.NewEnterpriseHandler(&extauth.EnterpriseHandlerConfig{
		IdPIssuerURL: c.IdP.Issuer, IdPCredentials: secretOf(c.IdPClient),
		MCPAuthServerURL: c.AS.Issuer, MCPResourceURI: c.MCP.Resource, MCPCredentials: secretOf(c.ASClient), MCPScopes: []string{"read"},
		IDTokenFetcher: func(context.Context) (*oauth2.Token, error) {
			return new(oauth2.Token).WithExtra(map[string]any{"id_token": c.MintIDToken(nil)}), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "sdk", Version: "1.0.0"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: c.MCP.URL(), OAuthHandler: handler,
		DisableStandaloneSSE: true, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatalf("%v; %v", err, c.Refusals())
	}
	defer session.Close()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatalf("%v; %v", err, c.Refusals())
	}
	if text, ok := result.Content[0].(*mcp.TextContent); !ok || text.Text != c.Person.Subject {
		t.Errorf("the tool answered %v", result.Content[0])
	}
	if c.IdP.Granted(idjagtest.Exchange) != 1 || c.AS.Granted(idjagtest.Redeem) != 1 {
		t.Errorf("%d exchanges and %d redemptions, want 1 and 1", c.IdP.Granted(idjagtest.Exchange), c.AS.Granted(idjagtest.Redeem))
	}
}
