// Command peer gets an access token with the go-sdk's EnterpriseHandler, which
// knows the authorization server and the resource from its configuration, and has
// the ID token at hand. It does what mcpauth does on a miss, and keeps nothing.
//
// With PROBE set it first sends the request whose 401 makes a client of the SDK
// call the handler.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	idToken, err := os.ReadFile(os.Getenv("ID_TOKEN_FILE"))
	if err != nil {
		return err
	}
	h, err := extauth.NewEnterpriseHandler(&extauth.EnterpriseHandlerConfig{
		IdPIssuerURL:     os.Getenv("IDP"),
		IdPCredentials:   credentials("IDP"),
		MCPAuthServerURL: os.Getenv("AS"),
		MCPResourceURI:   os.Getenv("RESOURCE"),
		MCPCredentials:   credentials("AS"),
		MCPScopes:        []string{"read"},
		IDTokenFetcher: func(context.Context) (*oauth2.Token, error) {
			return new(oauth2.Token).WithExtra(map[string]any{"id_token": string(idToken)}), nil
		},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("RESOURCE"), strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Body: io.NopCloser(strings.NewReader(""))}
	if os.Getenv("PROBE") != "" {
		if resp, err = http.DefaultClient.Do(req); err != nil {
			return err
		}
	}
	if err := h.Authorize(ctx, req, resp); err != nil {
		return err
	}
	source, err := h.TokenSource(ctx)
	if err != nil {
		return err
	}
	t, err := source.Token()
	if err != nil {
		return err
	}
	fmt.Println(t.AccessToken)
	return nil
}

func credentials(party string) *oauthex.ClientCredentials {
	return &oauthex.ClientCredentials{
		ClientID:         os.Getenv(party + "_CLIENT"),
		ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: os.Getenv(party + "_SECRET")},
	}
}
