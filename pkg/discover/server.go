package discover

import (
	"context"
	"fmt"
	"net/url"
)

// ServerMetadata is what an authorization server or an identity provider says
// about itself (RFC 8414 section 2, OpenID Connect Discovery section 3). A nil
// list, "" and false mean that it did not say. Issuer and TokenEndpoint are
// always there; whatever else is needed, the caller asks for.
type ServerMetadata struct {
	Issuer                      string // identical to the one asked for
	AuthorizationEndpoint       string
	TokenEndpoint               string
	JWKSURI                     string
	RevocationEndpoint          string
	EndSessionEndpoint          string
	DeviceAuthorizationEndpoint string
	RegistrationEndpoint        string

	GrantTypes    []string
	GrantProfiles []string // authorization_grant_profiles_supported; absence proves nothing
	// TokenEndpointAuthMethods is client_secret_basic when the server did not
	// say (RFC 8414 section 2); then TokenEndpointAuthMethodsStated is false.
	TokenEndpointAuthMethods       []string
	TokenEndpointAuthMethodsStated bool
	TokenEndpointAuthSigningAlgs   []string
	ScopesSupported                []string
	CodeChallengeMethods           []string
	CodeChallengeMethodsStated     bool
	IDTokenSigningAlgs             []string
	IdentityChainingTokenTypes     []string // identity_chaining_requested_token_types_supported
	DPoPSigningAlgs                []string // dpop_signing_alg_values_supported (RFC 9449 section 5.1)

	IssParameterSupported    bool // RFC 9207
	ClientIDMetadataDocument bool

	// Assumed: there is no document, and all of this is what MCP 2025-03-26 has
	// clients assume; see Client.Legacy.
	Assumed bool

	// TokenEndpointForeign: the token endpoint's host does not look like the
	// issuer's site, which is worth a warning (attack S1). Sites are compared by
	// a rule of thumb: the last two labels, three below endings like co.uk.
	TokenEndpointForeign bool
	// AuthorizationEndpointForeign: people are asked neither on the issuer's site
	// nor on the token endpoint's, so that the code could be another server's
	// (attack S4). The rule is the same, but on this computer each port is a site.
	AuthorizationEndpointForeign bool
	// Unusable names the optional endpoints that were published but are not
	// https URLs without userinfo and fragment. Their fields are empty.
	Unusable []string
	// Source is the URL of the document, without query. For a document out of
	// the Cache it is the place that is asked first. "" when there is none.
	Source string
}

// AuthorizationServer finds the metadata of an MCP server's authorization
// server at the places and in the order of MCP 2026-07-28: RFC 8414 first, then
// the two forms of OpenID Connect. A place that has none (4xx, save 407, 408, 425
// and 429) or has a web page hands over to the next; a server error, or a document
// with something wrong in it or with another issuer, ends the search.
//
// It does not check that the server supports any grant or method.
// Errors: *NotFound, *IssuerMismatch, *Malformed, *StatusError, or a wrapped
// network error.
func (c *Client) AuthorizationServer(ctx context.Context, issuer string) (ServerMetadata, error) {
	u, err := parseIssuer(issuer, true)
	if err != nil {
		return ServerMetadata{}, fmt.Errorf("read issuer of the authorization server: %w", err)
	}
	places := []string{wellKnown(u, "oauth-authorization-server"), wellKnown(u, "openid-configuration")}
	if trimmedPath(u) != "" {
		places = append(places, appended(u))
	}
	return c.server(ctx, issuer, places)
}

// IdP finds the metadata of the identity provider, OpenID Connect Discovery
// first. The issuer must come from configuration, never from an MCP server.
// Errors are those of AuthorizationServer.
func (c *Client) IdP(ctx context.Context, issuer string) (ServerMetadata, error) {
	u, err := parseIssuer(issuer, true)
	if err != nil {
		return ServerMetadata{}, fmt.Errorf("read issuer of the identity provider: %w", err)
	}
	places := []string{appended(u), wellKnown(u, "oauth-authorization-server")}
	if trimmedPath(u) != "" {
		places = append(places, wellKnown(u, "openid-configuration"))
	}
	return c.server(ctx, issuer, places)
}

// appended is the form of OpenID Connect Discovery section 4: after the path.
func appended(u *url.URL) string {
	return origin(u) + trimmedPath(u) + "/.well-known/openid-configuration"
}

// server asks one place after the other: side by side would be no faster in the
// usual case, where the first one answers.
func (c *Client) server(ctx context.Context, issuer string, places []string) (ServerMetadata, error) {
	parse := func(from string, body []byte) (ServerMetadata, error) { return parseServer(issuer, from, body) }
	if m, ok := recall(c, places[0], parse); ok {
		return m, nil
	}
	var s search
	for _, place := range places {
		if m, found, err := ask(ctx, c, &s, places[0], place, parse); found || err != nil {
			return m, err
		}
	}
	return ServerMetadata{}, s.result()
}

// parseServer reads the document found at from, which must belong to issuer.
func parseServer(issuer, from string, body []byte) (ServerMetadata, error) {
	d, err := parseDocument(from, body)
	if err != nil {
		return ServerMetadata{}, err
	}
	m := ServerMetadata{
		Issuer:                       d.text("issuer"),
		TokenEndpoint:                d.text("token_endpoint"),
		GrantTypes:                   d.texts("grant_types_supported"),
		GrantProfiles:                d.texts("authorization_grant_profiles_supported"),
		TokenEndpointAuthMethods:     d.texts("token_endpoint_auth_methods_supported"),
		TokenEndpointAuthSigningAlgs: d.texts("token_endpoint_auth_signing_alg_values_supported"),
		ScopesSupported:              d.texts("scopes_supported"),
		CodeChallengeMethods:         d.texts("code_challenge_methods_supported"),
		IDTokenSigningAlgs:           d.texts("id_token_signing_alg_values_supported"),
		IdentityChainingTokenTypes:   d.texts("identity_chaining_requested_token_types_supported"),
		DPoPSigningAlgs:              d.texts("dpop_signing_alg_values_supported"),
		IssParameterSupported:        d.flag("authorization_response_iss_parameter_supported"),
		ClientIDMetadataDocument:     d.flag("client_id_metadata_document_supported"),
		Source:                       withoutQuery(from),
	}
	at, err := parseIssuer(issuer, true)
	if err != nil {
		return ServerMetadata{}, d.malformed("the issuer asked for is %v", err)
	}
	m.optionalEndpoints(d, isLoopback(at))
	switch {
	case d.err != nil:
		return ServerMetadata{}, d.err
	case m.Issuer == "":
		return ServerMetadata{}, d.malformed(`no "issuer"`)
	case m.Issuer != issuer: // bytes, never normalised (rule 5.3)
		return ServerMetadata{}, &IssuerMismatch{Want: issuer, Got: m.Issuer}
	case m.TokenEndpoint == "":
		return ServerMetadata{}, d.malformed(`no "token_endpoint"`)
	}
	endpoint, err := parseURL(m.TokenEndpoint, isLoopback(at))
	if err != nil {
		return ServerMetadata{}, d.malformed(`"token_endpoint" is %v`, err)
	}
	m.TokenEndpointForeign = !sameSite(at, endpoint)
	if asks, err := url.Parse(m.AuthorizationEndpoint); err == nil && m.AuthorizationEndpoint != "" {
		m.AuthorizationEndpointForeign = !sameParty(at, asks) && !sameParty(endpoint, asks)
	}
	m.CodeChallengeMethodsStated = m.CodeChallengeMethods != nil
	m.TokenEndpointAuthMethodsStated = m.TokenEndpointAuthMethods != nil
	if !m.TokenEndpointAuthMethodsStated {
		m.TokenEndpointAuthMethods = []string{"client_secret_basic"}
	}
	return m, nil
}

// optionalEndpoints leaves out what may not be used rather than refuse the whole
// document: a bad registration endpoint does not matter to who never registers.
func (m *ServerMetadata) optionalEndpoints(d *document, mayBePlain bool) {
	for _, e := range []struct {
		name  string
		field *string
	}{
		{"authorization_endpoint", &m.AuthorizationEndpoint},
		{"jwks_uri", &m.JWKSURI},
		{"revocation_endpoint", &m.RevocationEndpoint},
		{"end_session_endpoint", &m.EndSessionEndpoint},
		{"device_authorization_endpoint", &m.DeviceAuthorizationEndpoint},
		{"registration_endpoint", &m.RegistrationEndpoint},
	} {
		text := d.text(e.name)
		if text == "" {
			continue
		}
		if _, err := parseURL(text, mayBePlain); err != nil {
			m.Unusable = append(m.Unusable, e.name)
			continue
		}
		*e.field = text
	}
}
