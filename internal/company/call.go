package company

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// ErrUnauthorized means that an MCP server did not accept the token.
var ErrUnauthorized = errors.New("the server did not accept the access token")

// CallTool connects to a server with the official SDK's client, calls one tool
// and returns the text of its answer. The zero token sends none. An answer that
// the tool marks as an error is returned as an error.
func (c *Company) CallTool(ctx context.Context, serverName string, token secret.Text, tool string, args map[string]any) (string, error) {
	s, ok := c.Server(serverName)
	if !ok {
		return "", fmt.Errorf("call %s: there is no server %q", tool, serverName)
	}
	carrier := &bearer{token: token}
	client := mcp.NewClient(&mcp.Implementation{Name: "acme-practice", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: s.URL, HTTPClient: &http.Client{Transport: carrier},
		DisableStandaloneSSE: true, MaxRetries: -1}, nil)
	if err != nil {
		return "", fmt.Errorf("call %s at %s: %w", tool, serverName, carrier.explain(err))
	}
	defer func() { _ = session.Close() }()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", fmt.Errorf("call %s at %s: %w", tool, serverName, carrier.explain(err))
	}
	var text []string
	for _, content := range result.Content {
		if t, ok := content.(*mcp.TextContent); ok {
			text = append(text, t.Text)
		}
	}
	answer := strings.Join(text, "\n")
	if result.IsError {
		return "", fmt.Errorf("call %s at %s: %s", tool, serverName, answer)
	}
	return answer, nil
}

// bearer adds the token to each request and remembers a refusal, which the SDK
// reports only as text.
type bearer struct {
	token   secret.Text
	refused bool
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context()) // a RoundTripper must not change what it is given
	if !b.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+b.token.Reveal())
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		b.refused = true
	}
	return resp, err
}

func (b *bearer) explain(err error) error {
	if b.refused {
		return ErrUnauthorized
	}
	return err
}
