package discover

import (
	"context"
	"fmt"
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
	DPoPSigningAlgs      []string // dpop_signing_alg_values_supported; nil: not stated
	MTLSRequired         bool     // tls_client_certificate_bound_access_tokens
	// ChallengeScopes are the scopes of the server's challenge. They go before
	// ScopesSupported, and are known only if the server had to be probed.
	ChallengeScopes []string
	// DPoPChallenge: the server's 401 names the scheme DPoP and not Bearer (RFC 9449
	// section 7.1). Known only if the server had to be probed.
	DPoPChallenge bool
	// Source is the URL of the document, without query. For a document out of
	// the Cache it is the place that is asked first.
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
// the same checks either way. What is lost is the challenge's scopes; where those
// matter, ChallengeFirst has the server asked before both well-known URLs.
//
// A place that has none (4xx, save 407, 408, 425 and 429) hands over to the next.
// So does a web page, a failing probe or a challenge that cannot be read, which is
// then reported if nothing is found. A server error at a well-known URL, or a
// document with something wrong in it, ends the search.
//
// Not checked: whether the authorization servers are trusted, exist, or know
// this resource. Errors: *NotFound, *ResourceMismatch, *Malformed, *StatusError,
// or a wrapped network error.
func (c *Client) Resource(ctx context.Context, serverURL string) (Resource, error) {
	server, err := parseURL(serverURL, true)
	if err != nil {
		return Resource{}, fmt.Errorf("read URL of the MCP server: %w", err)
	}
	parse := func(from string, body []byte) (Resource, error) {
		return parseResource(serverURL, from, body, c.Strict)
	}
	places := []string{wellKnown(server, resourceSuffix)}
	if root := origin(server) + "/.well-known/" + resourceSuffix; root != places[0] {
		places = append(places, root)
	}
	var s search
	rest := places
	if !c.ChallengeFirst {
		if r, ok := recall(c, places[0], parse); ok {
			return r, nil
		}
		if r, found, err := ask(ctx, c, &s, places[0], places[0], parse); found || err != nil {
			return r, err
		}
		rest = places[1:]
	}
	hint, err := c.probe(ctx, server, &s)
	if err != nil {
		return Resource{}, err
	}
	if named := hint.metadata; named != "" && named != places[0] { // which was asked, or comes first anyway
		others := slices.DeleteFunc(slices.Clone(rest), func(p string) bool { return p == named })
		rest = append([]string{named}, others...)
	}
	if c.ChallengeFirst || hint.scopes != nil || hint.dpop {
		// The challenge is a part of this answer and cannot be kept, so neither
		// is the document: the cache must not answer otherwise than the network.
		uncached := *c
		uncached.Cache = nil
		c = &uncached
	}
	for _, place := range rest {
		r, found, err := ask(ctx, c, &s, places[0], place, parse)
		if found {
			r.ChallengeScopes, r.DPoPChallenge = hint.scopes, hint.dpop
		}
		if found || err != nil {
			return r, err
		}
	}
	return Resource{}, s.result()
}

// parseResource reads the document found at from, which must describe server.
func parseResource(server, from string, body []byte, strict bool) (Resource, error) {
	d, err := parseDocument(from, body)
	if err != nil {
		return Resource{}, err
	}
	r := Resource{
		Identifier:           d.text("resource"),
		AuthorizationServers: d.texts("authorization_servers"),
		ScopesSupported:      d.texts("scopes_supported"),
		BearerMethods:        d.texts("bearer_methods_supported"),
		Name:                 d.text("resource_name"),
		DPoPRequired:         d.flag("dpop_bound_access_tokens_required"),
		DPoPSigningAlgs:      d.texts("dpop_signing_alg_values_supported"),
		MTLSRequired:         d.flag("tls_client_certificate_bound_access_tokens"),
		Source:               withoutQuery(from),
	}
	at, err := parseURL(server, true)
	switch {
	case err != nil:
		return Resource{}, d.malformed("the server asked about is %v", err)
	case d.err != nil:
		return Resource{}, d.err
	case r.Identifier == "":
		return Resource{}, d.malformed(`no "resource"`)
	}
	r.Match = matchResource(server, r.Identifier)
	if r.Match == "" || strict && r.Match != MatchExact {
		return Resource{}, &ResourceMismatch{Server: server, Published: r.Identifier}
	}
	if len(r.AuthorizationServers) == 0 { // MCP wants at least one
		return Resource{}, d.malformed(`no "authorization_servers"`)
	}
	for _, issuer := range r.AuthorizationServers {
		if _, err := parseIssuer(issuer, isLoopback(at)); err != nil {
			return Resource{}, d.malformed("the authorization server %s is %v", quoted(issuer), err)
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
