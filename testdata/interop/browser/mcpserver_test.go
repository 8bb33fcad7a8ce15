package browser_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// mcpServer is a go-sdk server with one tool, open to tokens of one
// authorization server only. It learns which one after it has started, because
// that server has to know the resource first.
type mcpServer struct {
	Resource string

	mux *http.ServeMux
	url string
}

const readScope = "wiki.read"

func startMCPServer(t *testing.T) *mcpServer {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &mcpServer{Resource: server.URL + "/mcp", mux: mux, url: server.URL}
}

// protect opens the server for access tokens that issuer has signed.
func (s *mcpServer) protect(issuer, jwks string) {
	keys := oidc.NewRemoteKeySet(context.Background(), jwks)
	s.open(oauthex.ProtectedResourceMetadata{AuthorizationServers: []string{issuer}},
		func(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
			return verify(ctx, keys, token, issuer, s.Resource)
		})
}

// open publishes the metadata and serves whoever has a token that verifier knows.
func (s *mcpServer) open(about oauthex.ProtectedResourceMetadata, verifier auth.TokenVerifier, more ...func(http.Handler) http.Handler) {
	const metadata = "/.well-known/oauth-protected-resource/mcp"
	about.Resource, about.ScopesSupported = s.Resource, []string{readScope}
	s.mux.Handle(metadata, auth.ProtectedResourceMetadataHandler(&about))
	server := mcp.NewServer(&mcp.Implementation{Name: "wiki", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Says whom the access token names."},
		func(_ context.Context, request *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			who := request.Extra.TokenInfo.UserID
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "you are " + who}}}, nil, nil
		})
	var handler http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	handler = auth.RequireBearerToken(verifier, &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: s.url + metadata, Scopes: []string{readScope},
	})(handler)
	for _, wrap := range more {
		handler = wrap(handler)
	}
	s.mux.Handle("/mcp", handler)
}

// verify accepts an at+jwt access token of issuer for this resource and no
// other (RFC 9068 section 4). Expiry is go-sdk's to check.
func verify(ctx context.Context, keys oidc.KeySet, token, issuer, resource string) (*auth.TokenInfo, error) {
	payload, err := keys.VerifySignature(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("%w: signature", auth.ErrInvalidToken)
	}
	var header struct{ Typ string }
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(raw, &header) != nil || header.Typ != "at+jwt" {
		return nil, fmt.Errorf("%w: typ", auth.ErrInvalidToken)
	}
	var claims struct {
		Iss, Aud, Sub, Scope string
		Exp                  int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("%w: claims", auth.ErrInvalidToken)
	}
	if claims.Iss != issuer || claims.Aud != resource {
		return nil, fmt.Errorf("%w: of %q for %q", auth.ErrInvalidToken, claims.Iss, claims.Aud)
	}
	return &auth.TokenInfo{UserID: claims.Sub, Scopes: strings.Fields(claims.Scope), Expiration: time.Unix(claims.Exp, 0)}, nil
}

// callWhoami opens a session with the token and calls the tool.
func callWhoami(ctx context.Context, resource, token string) (string, error) {
	return whoami(ctx, &mcp.StreamableClientTransport{
		Endpoint: resource, HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true,
	}, 1)
}

// whoami opens a session, calls the tool so many times, and closes it.
func whoami(ctx context.Context, transport mcp.Transport, calls int) (answer string, err error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1"}, nil)
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer session.Close()
	for range calls {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
		if err != nil {
			return "", fmt.Errorf("call tool: %w", err)
		}
		if len(result.Content) != 1 {
			return "", fmt.Errorf("call tool: %d pieces of content, want 1", len(result.Content))
		}
		text, ok := result.Content[0].(*mcp.TextContent)
		if !ok {
			return "", fmt.Errorf("call tool: content is %T, want text", result.Content[0])
		}
		answer = text.Text
	}
	return answer, nil
}

// bearer adds an access token to every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
