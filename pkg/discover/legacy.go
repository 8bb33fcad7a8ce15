package discover

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Legacy finds the authorization server of an MCP server of the protocol version
// 2025-03-26, which has no resource metadata: it is at the server's own origin,
// whatever the server's path. Its metadata is at the RFC 8414 place of the origin,
// and its issuer must be the origin (scheme, host in lower case, and port unless
// it is the default one). Where that place has none (4xx, save 407, 408, 425 and
// 429) the endpoints are /authorize, /token and /register, and PKCE with S256 is
// taken for granted; Assumed says so.
//
// Neither endpoint is checked to exist. Errors: *IssuerMismatch, *Malformed,
// *StatusError, or a wrapped network error.
func (c *Client) Legacy(ctx context.Context, serverURL string) (ServerMetadata, error) {
	u, err := parseURL(serverURL, true)
	if err != nil {
		return ServerMetadata{}, fmt.Errorf("read URL of the MCP server: %w", err)
	}
	base := &url.URL{Scheme: u.Scheme, Host: canonicalHost(u)}
	m, err := c.server(ctx, origin(base), []string{wellKnown(base, "oauth-authorization-server")})
	var none *NotFound // and no web page, which is somebody's
	if errors.As(err, &none) {
		return assumed(origin(base)), nil
	}
	return m, err
}

// assumed is the default of MCP 2025-03-26, Fallbacks for Servers without Metadata
// Discovery.
func assumed(origin string) ServerMetadata {
	return ServerMetadata{
		Issuer:                     origin,
		AuthorizationEndpoint:      origin + "/authorize",
		TokenEndpoint:              origin + "/token",
		RegistrationEndpoint:       origin + "/register",
		TokenEndpointAuthMethods:   []string{"client_secret_basic"}, // RFC 8414 section 2
		CodeChallengeMethods:       []string{"S256"},
		CodeChallengeMethodsStated: true,
		Assumed:                    true,
	}
}

// canonicalHost is the host as an origin is written (RFC 6454 section 6.2).
func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme + ":" + u.Port() {
	case "http:80", "https:443":
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return strings.TrimSuffix(host, ":")
}
