// Package idjag exchanges an identity assertion for an ID-JAG at the identity
// provider and redeems the ID-JAG for an access token at the authorization
// server of a protected resource: the Identity Assertion JWT Authorization Grant
// (draft-ietf-oauth-identity-assertion-authz-grant-04, "the draft" below), as
// MCP's Enterprise-Managed Authorization profiles it.
//
// The flow has two legs, and between them the client looks at what it was given:
//
//	grant, err := idjag.Exchange(ctx, client, idjag.ExchangeRequest{…}) // RFC 8693, at the identity provider
//	token, err := idjag.Redeem(ctx, client, idjag.RedeemRequest{…})     // RFC 7523, at the authorization server
//
// An ID-JAG is used once and never stored. A Verifier is the other side: what an
// authorization server does with an ID-JAG before it issues a token.
//
// Both legs show a key when there is one, so that what is issued is of no use to
// others (RFC 9449; the draft, section 9.8).
//
// The package finds no endpoints, keeps no tokens and does not retry, but for the
// nonce that a server wants in a proof. The HTTP client decides about deadlines and about which hosts may be reached.
package idjag

import "github.com/mcpauth/mcpauth/pkg/endpoint"

// Registered names of the two legs.
const (
	GrantTypeTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 section 2.1
	GrantTypeJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523 section 2.1

	TokenTypeIDJAG        = "urn:ietf:params:oauth:token-type:id-jag"        // the draft, section 4.3
	TokenTypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"      // RFC 8693 section 3
	TokenTypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token" // RFC 8693 section 3
	TokenTypeSAML2        = "urn:ietf:params:oauth:token-type:saml2"         // RFC 8693 section 3

	// GrantProfile is what an authorization server that redeems ID-JAGs lists in
	// authorization_grant_profiles_supported (the draft, section 7.2).
	GrantProfile = "urn:ietf:params:oauth:grant-profile:id-jag"

	// JWTType is the JOSE "typ" of an ID-JAG (the draft, section 3.1).
	JWTType = "oauth-id-jag+jwt"
)

// Error is an endpoint's refusal; see endpoint.Error.
type Error = endpoint.Error
