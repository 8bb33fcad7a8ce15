package discover

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// How a published resource identifier relates to the server's URL.
const (
	MatchExact  = "exact"  // the same bytes
	MatchPrefix = "prefix" // same origin, and a parent of the server's path
)

const resourceSuffix = "oauth-protected-resource"

// Resource is what an MCP server says about itself (RFC 9728 section 2).
type Resource struct {
	// Identifier is the resource identifier, as published: send these bytes.
	Identifier string
	// Match is MatchExact or MatchPrefix. With MatchPrefix a token is good for
	// more than the server that was asked about; show it to the person.
	Match string
	// AuthorizationServers are issuers, at least one. Several mean a choice for
	// the caller (RFC 9728 section 7.6); credentials of one are nothing to another.
	AuthorizationServers []string
	ScopesSupported      []string // nil: not stated
	BearerMethods        []string // nil: not stated
	Name                 string   // for people; a stranger's text
	DPoPRequired         bool
	MTLSRequired         bool // tls_client_certificate_bound_access_tokens
	// ChallengeScopes are the scopes of the server's challenge. They go before
	// ScopesSupported, and are known only if the server had to be probed.
	ChallengeScopes []string
	// Source is the URL of the document, without query.
	Source string
}

// AcceptsHeader reports whether tokens may go into the Authorization header,
// the only way MCP has (RFC 9728 section 2, bearer_methods_supported).
func (r Resource) AcceptsHeader() bool {
	return r.BearerMethods == nil || slices.Contains(r.BearerMethods, "header")
}

// Resource finds the metadata of the MCP server at serverURL.
//
// The order is: the well-known URL for the server's path; an unauthenticated
// request to the server, whose 401 may name the metadata; the well-known URL of
// the origin. MCP asks for the challenge first, if there is one, but that costs a
// round trip that nearly always leads to the same document. Turning the order
// round is safe: the well-known URL is on the server's own origin, so who
// answers there could have written the challenge as well, and the document passes
// the same checks either way. What is lost is the challenge's scopes.
//
// A place that has none (any 4xx) hands over to the next, and so does a web page
// or a challenge that cannot be read, which is reported if nothing is found
// after it. A server error, or a document with something wrong in it, ends the search.
//
// Not checked: whether the authorization servers are trusted, exist, or know
// this resource. Errors: *NotFound, *ResourceMismatch, *Malformed, *StatusError,
// or a wrapped network error.
func (c *Client) Resource(ctx context.Context, serverURL string) (Resource, error) {
	server, err := parseURL(serverURL, true)
	if err != nil {
		return Resource{}, fmt.Errorf("read URL of the MCP server: %w", err)
	}
	parse := func(body []byte) (Resource, error) { return parseResource(serverURL, body, c.Strict) }
	places := []string{wellKnown(server, resourceSuffix)}
	if root := origin(server) + "/.well-known/" + resourceSuffix; root != places[0] {
		places = append(places, root)
	}
	if r, from, ok := recall(c, places, parse); ok {
		r.Source = withoutQuery(from)
		return r, nil
	}

	var s search
	r, err := load(ctx, c, places[0], parse)
	if err == nil || !s.goOn(err) {
		r.Source = withoutQuery(places[0])
		return orNothing(r, err)
	}
	named, scopes, err := c.probe(ctx, serverURL, &s)
	if err != nil {
		return Resource{}, err
	}
	if len(scopes) > 0 {
		// Without the challenge the document is not the whole answer, and the
		// cache would give another one than the network.
		uncached := *c
		uncached.Cache = nil
		c = &uncached
	}
	if named != "" && named != places[0] {
		places = slices.Insert(places, 1, named)
	}
	for _, place := range slices.Compact(places)[1:] {
		r, err := load(ctx, c, place, parse)
		if err == nil || !s.goOn(err) {
			r.Source, r.ChallengeScopes = withoutQuery(place), scopes
			return orNothing(r, err)
		}
	}
	return Resource{}, s.result()
}

// orNothing makes sure that an error comes with a zero Resource.
func orNothing(r Resource, err error) (Resource, error) {
	if err != nil {
		return Resource{}, err
	}
	return r, nil
}

// parseResource reads a document that must describe server.
func parseResource(server string, body []byte, strict bool) (Resource, error) {
	doc, err := parseDocument(body)
	if err != nil {
		return Resource{}, err
	}
	d := document{Object: doc}
	r := Resource{
		Identifier:           d.text("resource"),
		AuthorizationServers: d.texts("authorization_servers"),
		ScopesSupported:      d.texts("scopes_supported"),
		BearerMethods:        d.texts("bearer_methods_supported"),
		Name:                 d.text("resource_name"),
		DPoPRequired:         d.flag("dpop_bound_access_tokens_required"),
		MTLSRequired:         d.flag("tls_client_certificate_bound_access_tokens"),
	}
	switch {
	case d.err != nil:
		return Resource{}, &Malformed{Why: d.err.Error()}
	case r.Identifier == "":
		return Resource{}, &Malformed{Why: `no "resource"`}
	}
	r.Match = matchResource(server, r.Identifier)
	if r.Match == "" || strict && r.Match != MatchExact {
		return Resource{}, &ResourceMismatch{Server: server, Published: r.Identifier}
	}
	if len(r.AuthorizationServers) == 0 {
		return Resource{}, &Malformed{Why: `"authorization_servers" is empty`}
	}
	at, err := url.Parse(server)
	if err != nil {
		return Resource{}, &ResourceMismatch{Server: server, Published: r.Identifier}
	}
	for _, issuer := range r.AuthorizationServers {
		if _, err := parseIssuer(issuer, isLoopback(at)); err != nil {
			return Resource{}, &Malformed{Why: fmt.Sprintf("authorization server %q is %v", withoutQuery(issuer), err)}
		}
	}
	return r, nil
}

// matchResource returns MatchExact, MatchPrefix or "". RFC 9728 section 3.3
// wants identical strings; in the field many servers publish their origin or a
// parent path, and all MCP clients accept that. So a difference is tolerated in
// exactly these points, all of which stay on the server's own origin:
//
//   - the published path is a parent of the server's, by whole segments;
//   - a slash at the end;
//   - the spelling of the origin: upper case, the port that is the default.
//
// Escapes in the path are not decoded, and a published query must be the
// server's own, byte for byte.
func matchResource(server, published string) string {
	s, err := parseURL(server, true)
	if err != nil {
		return ""
	}
	p, err := parseURL(published, true)
	if err != nil || !sameOrigin(s, p) {
		return ""
	}
	if server == published {
		return MatchExact
	}
	parent, path := trimmedPath(p), trimmedPath(s)
	if p.RawQuery != "" || p.ForceQuery || path != parent && !strings.HasPrefix(path, parent+"/") {
		return ""
	}
	return MatchPrefix
}
