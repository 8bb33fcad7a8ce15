package idjagtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ResourceForm says how an MCP server publishes its protected-resource metadata.
type ResourceForm int

// Ways of publishing for the server https://h/mcp.
const (
	PathMetadata      ResourceForm = iota // at the path-inserted well-known, and named in the challenge
	RootMetadata                          // only at the root well-known, not named in the challenge
	ChallengeMetadata                     // only where the challenge says, at an odd place
	NoMetadata                            // nowhere, as servers of early revisions
)

// MCPServer is a protected resource: RFC 9728 metadata, a 401 with a challenge,
// and a very small JSON-RPC server behind the bearer check. Set AS, then Start.
type MCPServer struct {
	Party

	AS       *AS
	Path     string   // of the endpoint; "" means "/mcp"
	Resource string   // its identifier; set by Start when empty to its URL
	Scopes   []string // needed for every call, and put into the challenge
	Form     ResourceForm

	// OwnAS is an authorization server that this server has under its own origin
	// and serves along; do not start it. Its empty Issuer becomes the origin with
	// its Path. It is also AS, when that is nil. With NoMetadata, the shape of MCP
	// 2025-03-26, clients know of no resource, so it takes this one by default.
	OwnAS *AS

	// Published is what the metadata says "resource" is, when that is not
	// Resource: the origin or a parent path, as many servers have it.
	Published string
	// PublishedAS replaces the list of authorization servers.
	PublishedAS []string

	url    string
	demand []string // scopes of Demand, nil before
}

// Demand replaces the scopes that calls need from now on, and that challenges name;
// the metadata stays with Scopes. A token with fewer is answered insufficient_scope,
// so that a client has to step up.
func (m *MCPServer) Demand(scopes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.demand = slices.Clone(scopes)
}

func (m *MCPServer) needed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.demand != nil {
		return m.demand
	}
	return m.Scopes
}

// Start listens on loopback over plain HTTP.
func (m *MCPServer) Start() error { return m.start(nil) }

// StartTLS listens on loopback with a certificate from ca.
func (m *MCPServer) StartTLS(ca *CA) error { return m.start(ca) }

func (m *MCPServer) start(ca *CA) error {
	l, base, err := m.listen(ca)
	if err != nil {
		return err
	}
	m.url = base + m.path()
	if m.Resource == "" {
		m.Resource = m.url
	}
	m.adopt(base)
	m.serve(l, m)
	return nil
}

// adopt makes OwnAS part of this server.
func (m *MCPServer) adopt(origin string) {
	if m.OwnAS == nil {
		return
	}
	if m.AS == nil {
		m.AS = m.OwnAS
	}
	if m.OwnAS.Issuer == "" {
		m.OwnAS.Issuer = origin + m.OwnAS.Path
	}
	if m.Form == NoMetadata && m.OwnAS.DefaultResource == "" {
		m.OwnAS.DefaultResource = m.Resource
	}
}

// URL is where the server is called.
func (m *MCPServer) URL() string {
	if m.url == "" {
		return m.Resource
	}
	return m.url
}

func (m *MCPServer) path() string {
	if m.Path == "" {
		return "/mcp"
	}
	return m.Path
}

func (m *MCPServer) metadataPath() string {
	switch m.Form {
	case RootMetadata:
		return "/.well-known/oauth-protected-resource"
	case ChallengeMetadata:
		return "/about/this/resource"
	case NoMetadata:
		return ""
	}
	return "/.well-known/oauth-protected-resource" + strings.TrimSuffix(m.path(), "/")
}

// MetadataURL is where the metadata is, by Form; empty for NoMetadata.
func (m *MCPServer) MetadataURL() string {
	u, err := url.Parse(m.URL())
	if err != nil || m.metadataPath() == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + m.metadataPath()
}

// ServeHTTP implements http.Handler.
func (m *MCPServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case m.metadataPath():
		m.answer(w, r, is(Metadata), m.metadata)
	case m.path():
		m.answer(w, r, is(Call), m.call)
	default:
		if m.OwnAS != nil {
			if _, serve := m.OwnAS.endpoint(r.URL.Path); serve != nil {
				m.OwnAS.ServeHTTP(w, r)
				return
			}
		}
		m.answer(w, r, is(Unknown), noSuchPath)
	}
}

func (m *MCPServer) metadata(c *call) *refusal {
	resource, servers := m.Published, m.PublishedAS
	if resource == "" {
		resource = m.Resource
	}
	if servers == nil && m.AS != nil {
		servers = []string{m.AS.Issuer}
	}
	body := map[string]any{
		"resource":                 resource,
		"authorization_servers":    servers,
		"bearer_methods_supported": []string{"header"},
	}
	if len(m.Scopes) > 0 {
		body["scopes_supported"] = m.Scopes
	}
	m.DPoP.announce(body)
	if m.DPoP.Require {
		body["dpop_bound_access_tokens_required"] = true
	}
	return m.reply(c, body)
}

// call checks the bearer token at the authorization server (RFC 6750, RFC 9728
// section 5.1; with DPoP, RFC 9449 section 7) and answers.
func (m *MCPServer) call(c *call) *refusal {
	c.entry.Resource = m.Resource
	if c.r.URL.Query().Has("access_token") {
		return m.challenge(c, refuse("invalid_request", "the access token stands in the URL"))
	}
	headers := c.r.Header.Values("Authorization")
	if len(headers) == 0 {
		r := refuse("", "there is no access token").as(http.StatusUnauthorized)
		return m.challenge(c, r)
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	bound := m.DPoP.on() && strings.EqualFold(scheme, "DPoP")
	if len(headers) > 1 || !(bound || strings.EqualFold(scheme, "Bearer")) || value == "" {
		return m.challenge(c, refuse("invalid_request", "the Authorization header is not one Bearer token"))
	}
	t, live := m.AS.Lookup(value)
	switch {
	case t.Subject == "":
		return m.challenge(c, refuse("invalid_token", "the access token was not issued by this server's authorization server").as(401))
	case !live:
		return m.challenge(c, refuse("invalid_token", "the access token has expired or is revoked").as(401))
	case t.Resource != m.Resource:
		return m.challenge(c, refuse("invalid_token", "the access token is for %q, not for %q", t.Resource, m.Resource).as(401))
	}
	if err := m.possession(c, value, t, bound); err != nil {
		return m.challenge(c, err.as(http.StatusUnauthorized))
	}
	c.entry.Person, c.entry.Client = t.Subject, t.Client
	for _, scope := range m.needed() {
		if !slices.Contains(t.Scopes, scope) {
			return m.challenge(c, refuse("insufficient_scope", "the access token lacks scope %q", scope))
		}
	}
	if c.r.Method != http.MethodPost {
		return refuse("method_not_allowed", "the method is %s, want POST", c.r.Method).as(http.StatusMethodNotAllowed)
	}
	return m.rpc(c, t)
}

// possession holds a bound token to its key, and a bearer token to being one (RFC
// 9449 section 7). A server without DPoP takes every token that comes as Bearer.
func (m *MCPServer) possession(c *call, value string, t AccessToken, bound bool) *refusal {
	switch {
	case !m.DPoP.on():
		return m.proof(c, m.URL(), value, false)
	case !bound && t.Thumbprint != "":
		return refuse("invalid_token", "the access token is bound to a key, but came as Bearer")
	case !bound && m.DPoP.Require:
		return refuse("invalid_token", "the access token is not bound to a key")
	case !bound:
		return nil
	case t.Thumbprint == "":
		return refuse("invalid_token", "the access token is not bound to a key, but came as DPoP")
	}
	if err := m.proof(c, m.URL(), value, true); err != nil {
		return err
	}
	if t.Thumbprint != c.entry.Thumbprint {
		return refuse("invalid_token", "the access token is bound to another key than that of the proof")
	}
	return nil
}

// challenge adds WWW-Authenticate to a refusal: one for each scheme that would do.
func (m *MCPServer) challenge(c *call, r *refusal) *refusal {
	var parts []string
	if r.code != "" {
		parts = append(parts, `error="`+r.code+`"`, `error_description="`+r.description+`"`)
	}
	if m.Form == PathMetadata || m.Form == ChallengeMetadata {
		parts = append(parts, `resource_metadata="`+m.MetadataURL()+`"`)
	}
	if scopes := m.needed(); len(scopes) > 0 {
		parts = append(parts, `scope="`+strings.Join(scopes, " ")+`"`)
	}
	if !m.DPoP.Require {
		c.w.Header().Add("WWW-Authenticate", strings.TrimSpace("Bearer "+strings.Join(parts, ", ")))
	}
	if m.DPoP.on() {
		parts = append(parts, `algs="`+ES256+`"`)
		c.w.Header().Add("WWW-Authenticate", "DPoP "+strings.Join(parts, ", "))
	}
	return r
}

// rpc answers just enough MCP for a client that speaks JSON-RPC by hand: the
// tool "whoami" says whom the token stands for.
func (m *MCPServer) rpc(c *call, t AccessToken) *refusal {
	var request struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.Unmarshal(c.body, &request); err != nil || request.Method == "" {
		return refuse("invalid_request", "the body is not a JSON-RPC request")
	}
	if request.ID == nil {
		c.entry.Status = http.StatusAccepted
		c.w.WriteHeader(http.StatusAccepted)
		return nil
	}
	var result any
	switch request.Method {
	case "initialize":
		result = map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{"tools": map[string]any{}},
			"serverInfo": map[string]any{"name": "idjagtest", "version": "1"}}
	case "ping":
		result = map[string]any{}
	case "tools/list":
		result = map[string]any{"tools": []any{map[string]any{"name": "whoami", "description": "says whom the token stands for",
			"inputSchema": map[string]any{"type": "object"}}}}
	case "tools/call":
		result = map[string]any{"content": []any{map[string]any{"type": "text", "text": t.Subject}}}
	default:
		writeJSON(c.w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": request.ID,
			"error": map[string]any{"code": -32601, "message": "method not found"}})
		return nil
	}
	return m.reply(c, map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result})
}
