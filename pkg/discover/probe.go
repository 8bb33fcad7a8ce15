package discover

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A probe is a request that changes nothing at the server. What is wanted is the
// 401 that stands before any answer (rule 5.14).
type probe struct{ version, method, params string }

// probes: servers of 2026-07-28 describe themselves; servers of 2025-11-25 and
// before may refuse that version with 400 ahead of asking for a token, and know
// how to initialize.
func probes() []probe {
	return []probe{
		{"2026-07-28", "server/discover", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
			`"io.modelcontextprotocol/clientInfo":{"name":"mcpauth","version":"1"},` +
			`"io.modelcontextprotocol/clientCapabilities":{}}}`},
		{"2025-11-25", "initialize", `{"protocolVersion":"2025-11-25",` +
			`"clientInfo":{"name":"mcpauth","version":"1"},"capabilities":{}}`},
	}
}

// hint is what a challenge says about the way to the metadata.
type hint struct {
	metadata string // a checked URL; "" if the challenge does not name one
	scopes   []string
	dpop     bool // the 401 names DPoP, and Bearer does not stand beside it
}

// probe asks the server for something without a token and reads its challenge.
// An answer that is odd rather than negative is remembered in s, since the place
// after this one may still have the document.
func (c *Client) probe(ctx context.Context, server *url.URL, s *search) (hint, error) {
	for _, p := range probes() {
		resp, err := c.send(ctx, server, p)
		if err != nil {
			return hint{}, err
		}
		switch status := resp.StatusCode; {
		case status >= 300 && status < 400, !sameOrigin(server, resp.Request.URL):
			s.remember(c.refusal(server, resp))
			return hint{}, nil // what follows would be another server's challenge
		case status >= 500 || status >= 400 && !isAbsence(status):
			s.remember(c.status(server, resp))
			return hint{}, nil
		}
		s.tried = append(s.tried, c.status(server, resp))
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			list, err := Challenges(resp.Header)
			if err != nil {
				s.remember(&Malformed{URL: withoutQuery(server.String()), Why: err.Error()})
			}
			h, err := c.hint(server, list)
			if resp.StatusCode == http.StatusUnauthorized && err == nil {
				h.dpop = names(list, "dpop") && !names(list, "bearer")
			}
			return h, err
		}
		if resp.StatusCode != http.StatusBadRequest {
			break
		}
	}
	return hint{}, nil
}

func names(list []Challenge, scheme string) bool {
	return slices.ContainsFunc(list, func(ch Challenge) bool { return ch.Scheme == scheme })
}

// send returns a response whose body is already closed: only the header matters.
func (c *Client) send(ctx context.Context, server *url.URL, p probe) (*http.Response, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, p.method, p.params)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.String(), strings.NewReader(body))
	if err != nil {
		return nil, &Malformed{URL: withoutQuery(server.String()), Why: "not a URL"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", p.version)
	req.Header.Set("Mcp-Method", p.method)
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		resp.Body.Close() // may be a stream without end
	} else {
		drain(resp.Body)
	}
	return resp, nil
}

// hint takes the first challenge that names metadata; if none does, the scopes
// of the first that has any.
func (c *Client) hint(server *url.URL, list []Challenge) (hint, error) {
	var h hint
	for _, ch := range list {
		named := ch.ResourceMetadata()
		if named == "" {
			if h.scopes == nil {
				h.scopes = ch.Scopes()
			}
			continue
		}
		at := withoutQuery(server.String())
		u, err := parseURL(named, isLoopback(server))
		if err != nil {
			return hint{}, &Malformed{URL: at, Why: fmt.Sprintf("the challenge's resource_metadata is %v", err)}
		}
		if !c.ForeignMetadata && !sameOrigin(server, u) {
			return hint{}, &Malformed{URL: at, Why: fmt.Sprintf("the challenge's resource_metadata is on another origin, %q", u.Host)}
		}
		return hint{metadata: named, scopes: ch.Scopes()}, nil
	}
	return h, nil
}
