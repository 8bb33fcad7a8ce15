package company

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// server is one MCP server of the company.
type server struct {
	name   string
	owner  string // of whom it is
	as     *idjagtest.AS
	client idjagtest.Client // mcpauth's registration at as
	scopes []string         // the first is needed for every call
	groups []string         // who may; empty means everybody
	tools  []string
	add    func(*mcp.Server)

	url  string
	http *http.Server
}

// managed reports whether Acme's identity provider decides who may.
func (s *server) managed() bool { return !s.as.NoIDJAG }

func (s *server) describe() Server {
	return Server{Name: s.name, URL: s.url, Issuer: s.as.Issuer, Client: registration(s.client),
		Scopes: slices.Clone(s.scopes), Tools: slices.Clone(s.tools), Managed: s.managed()}
}

// catalogue is what the company runs, before it is started.
func (c *Company) catalogue() []*server {
	return []*server{
		{name: "wiki", owner: "Acme", as: c.Docs, client: c.docsClient, scopes: []string{"pages:read"},
			tools: []string{"search_pages", "read_page"}, add: addWiki},
		{name: "tickets", owner: "Acme", as: c.Desk, client: c.deskClient, scopes: []string{"tickets:read", "tickets:write"}, groups: []string{"engineering"},
			tools: []string{"list_tickets", "create_ticket"}, add: addTickets},
		{name: "payroll", owner: "Acme", as: c.Desk, client: c.deskClient, scopes: []string{"salaries:read"}, groups: []string{"finance"},
			tools: []string{"read_salaries"}, add: addPayroll},
	}
}

// start serves metadata at the path-inserted well-known (RFC 9728 section 3.1)
// and MCP at /mcp.
func (s *server) start(c *Company, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	base := "http://" + l.Addr().String()
	s.url = base + "/mcp"
	const wellKnown = "/.well-known/oauth-protected-resource/mcp"
	tools := mcp.NewServer(&mcp.Implementation{Name: strings.ToLower(s.owner) + "-" + s.name, Version: "1.0.0"}, nil)
	s.add(tools)
	tools.AddReceivingMiddleware(c.record(s.name))
	guard := auth.RequireBearerToken(c.check(s), &auth.RequireBearerTokenOptions{ResourceMetadataURL: base + wellKnown, Scopes: s.scopes[:1]})
	mux := http.NewServeMux()
	mux.Handle(wellKnown, auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource:               s.url,
		AuthorizationServers:   []string{s.as.Issuer},
		ScopesSupported:        s.scopes,
		BearerMethodsSupported: []string{"header"},
		ResourceName:           s.owner + " " + s.name,
	}))
	mux.Handle("/mcp", guard(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools },
		&mcp.StreamableHTTPOptions{Stateless: true})))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l)
	return nil
}

// check asks the server's authorization server about a token. The resource is
// compared too: tickets and payroll share an authorization server, and a token
// for one must not open the other.
func (c *Company) check(s *server) auth.TokenVerifier {
	return func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		t, live := s.as.Lookup(token)
		switch {
		case t.Subject == "":
			c.saw(s.name, "", "a token its authorization server never issued", false)
			return nil, fmt.Errorf("%w: not issued by this server's authorization server", auth.ErrInvalidToken)
		case !live:
			c.saw(s.name, t.Subject, "a token that has expired or is revoked", false)
			return nil, fmt.Errorf("%w: expired or revoked", auth.ErrInvalidToken)
		case t.Resource != s.url:
			c.saw(s.name, t.Subject, "a token for another server", false)
			return nil, fmt.Errorf("%w: for another server", auth.ErrInvalidToken)
		}
		return &auth.TokenInfo{Scopes: t.Scopes, Expiration: t.Expires, UserID: t.Subject}, nil
	}
}

// record notes every tool call that passed the check.
func (c *Company) record(name string) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if call, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok {
				c.saw(name, person(req.GetExtra()), "call of "+call.Name, true)
			}
			return next(ctx, method, req)
		}
	}
}

// person is the subject behind a request that passed the check.
func person(extra *mcp.RequestExtra) string {
	if extra == nil || extra.TokenInfo == nil {
		return ""
	}
	return extra.TokenInfo.UserID
}

// newSecret is a client secret with characters that a client must form-encode
// (RFC 6749 section 2.3.1), so that one who does not is found out.
func newSecret() string { return "acme+/%:" + rand.Text() }
