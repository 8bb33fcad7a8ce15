package discover

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The probe is a request that does nothing anywhere: a server of MCP 2026-07-28
// describes itself, an older one does not know the method. What is wanted is
// the 401 that stands before either (rule 5.14).
const (
	probeVersion = "2026-07-28"
	probeMethod  = "server/discover"
	probeBody    = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"mcpauth","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
)

// probe asks the server for something without a token and reads its challenge:
// the URL of its metadata, checked, and the scopes. Both are empty if there is
// no challenge that says so; an answer that is odd rather than empty is
// remembered in s, since the last place may still have the document.
func (c *Client) probe(ctx context.Context, serverURL string, s *search) (metadata string, scopes []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, serverURL, strings.NewReader(probeBody))
	if err != nil {
		return "", nil, &Malformed{URL: withoutQuery(serverURL), Why: "not a URL"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", probeVersion)
	req.Header.Set("Mcp-Method", probeMethod)
	resp, err := c.do(req)
	if err != nil {
		return "", nil, err
	}
	if resp.StatusCode < 300 {
		resp.Body.Close() // may be a stream without end
	} else {
		defer drain(resp.Body)
	}

	at := withoutQuery(serverURL)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400, !sameOrigin(req.URL, resp.Request.URL):
		s.remember(c.refusal(req.URL, resp))
		return "", nil, nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		s.tried = append(s.tried, c.status(at, resp))
	case resp.StatusCode >= 400 && !isAbsence(resp.StatusCode):
		s.remember(c.status(at, resp))
		return "", nil, nil
	default:
		s.tried = append(s.tried, c.status(at, resp))
		return "", nil, nil
	}
	list, err := Challenges(resp.Header)
	if err != nil {
		s.remember(&Malformed{URL: at, Why: err.Error()})
		return "", nil, nil
	}
	return c.follow(req.URL, list)
}

// follow takes the first challenge that names metadata; without one, the scopes
// of the first that has any.
func (c *Client) follow(server *url.URL, list []Challenge) (metadata string, scopes []string, err error) {
	for _, ch := range list {
		named := ch.ResourceMetadata()
		if named == "" {
			if scopes == nil {
				scopes = ch.Scopes()
			}
			continue
		}
		u, err := parseURL(named, isLoopback(server))
		if err != nil {
			return "", nil, &Malformed{URL: withoutQuery(server.String()), Why: fmt.Sprintf("resource_metadata is %v", err)}
		}
		if !c.ForeignMetadata && !sameOrigin(server, u) {
			return "", nil, &Malformed{URL: withoutQuery(server.String()), Why: fmt.Sprintf("resource_metadata is on another origin, %q", u.Host)}
		}
		return named, ch.Scopes(), nil
	}
	return "", scopes, nil
}
