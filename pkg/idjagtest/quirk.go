package idjagtest

import "slices"

// Quirk bends what a party says when it agrees: one answer of one kind. The
// functions below are the oddities of products and of older drafts that a client
// has to tolerate or to refuse; protocol texts call the rules X2 to X15, A1 to
// A7, S36 and the metadata checks of RFC 8414.
type Quirk struct {
	On     string                      // Metadata, Exchange, Redeem, Code, ..., Token for all grants, JWKS, Authorize
	Header func(header map[string]any) // JOSE header, before signing
	Claims func(claims map[string]any) // claims of the ID-JAG or ID token, before signing
	Body   func(body map[string]any)   // members of the JSON answer (Authorize: of the redirect)
}

// SetQuirks replaces the quirks of a party; with none it is a good citizen again.
func (p *Party) SetQuirks(quirks ...Quirk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quirks = slices.Clone(quirks)
}

func (p *Party) quirksOn(what string) []Quirk {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Quirk
	for _, q := range p.quirks {
		if sameKind(what, q.On) {
			list = append(list, q)
		}
	}
	return list
}

// bend applies the quirks to a JWT in the making.
func (p *Party) bend(what string, header, claims map[string]any) {
	for _, q := range p.quirksOn(what) {
		if q.Header != nil {
			q.Header(header)
		}
		if q.Claims != nil {
			q.Claims(claims)
		}
	}
}

// Member sets a member of the answers of a kind; a nil value removes it.
func Member(what, name string, value any) Quirk {
	return Quirk{On: what, Body: func(m map[string]any) { put(m, name, value) }}
}

// Claim sets a claim of the ID-JAGs that the IdP issues; a nil value removes it.
func Claim(name string, value any) Quirk {
	return Quirk{On: Exchange, Claims: func(m map[string]any) { put(m, name, value) }}
}

// IDTokenClaim sets a claim of the ID tokens of one grant (Code or Refresh); a
// nil value removes it.
func IDTokenClaim(grant, name string, value any) Quirk {
	return Quirk{On: grant, Claims: func(m map[string]any) { put(m, name, value) }}
}

func put(m map[string]any, name string, value any) {
	if value == nil {
		delete(m, name)
		return
	}
	m[name] = value
}

// Quirks of the exchange answer.

// NoIssuedTokenType leaves out what RFC 8693 section 2.2.1 requires (X2).
func NoIssuedTokenType() Quirk { return Member(Exchange, "issued_token_type", nil) }

// WrongIssuedTokenType calls the ID-JAG an access token (X2, S23).
func WrongIssuedTokenType() Quirk {
	return Member(Exchange, "issued_token_type", "urn:ietf:params:oauth:token-type:access_token")
}

// BearerGrant says token_type Bearer where N_A belongs (X3).
func BearerGrant() Quirk { return Member(Exchange, "token_type", "Bearer") }

// NoTokenType leaves token_type out of the answers of a kind (X3, A2).
func NoTokenType(what string) Quirk { return Member(what, "token_type", nil) }

// NoScope leaves scope out of the answers of a kind, as Okta often does (X11, A5).
func NoScope(what string) Quirk { return Member(what, "scope", nil) }

// NoExpiry leaves expires_in out of the answers of a kind (A4).
func NoExpiry(what string) Quirk { return Member(what, "expires_in", nil) }

// TextExpiry sends expires_in as a string (A4).
func TextExpiry(what, seconds string) Quirk { return Member(what, "expires_in", seconds) }

// ExtraRefreshToken returns a refresh token where none belongs (X15; JAG 4.4.3).
func ExtraRefreshToken(what string) Quirk {
	return Quirk{On: what, Body: func(m map[string]any) { m["refresh_token"] = "surplus-" + random() }}
}

// WiderScope says that more was granted than asked for (A5). The token has no more.
func WiderScope(what, extra string) Quirk {
	return Quirk{On: what, Body: func(m map[string]any) {
		have, _ := m["scope"].(string)
		m["scope"] = have + " " + extra
	}}
}

// RegisteredElsewhere sends a client that registered to a place of somebody else to
// manage its registration (S36).
func RegisteredElsewhere(uri string) Quirk { return Member(Register, "registration_client_uri", uri) }

// Encrypted wraps the ID-JAG in five opaque parts, as a JWE has (X4).
func Encrypted() Quirk {
	return Quirk{On: Exchange, Body: func(m map[string]any) {
		// {"alg":"ECDH-ES","enc":"A128GCM","typ":"oauth-id-jag+jwt"}
		m["access_token"] = "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTEyOEdDTSIsInR5cCI6Im9hdXRoLWlkLWphZytqd3QifQ.." +
			random() + "." + random() + "." + random()
	}}
}

// Quirks of the ID-JAG.

// WrongType signs the ID-JAG with another JOSE typ, "JWT" for instance (X4).
func WrongType(typ string) Quirk {
	return Quirk{On: Exchange, Header: func(h map[string]any) { put(h, "typ", typ) }}
}

// AudienceArray makes aud a list of one (X6).
func AudienceArray() Quirk {
	return Quirk{On: Exchange, Claims: func(c map[string]any) { c["aud"] = []any{c["aud"]} }}
}

// TwoAudiences adds a second reader (X6, JAG section 9.3).
func TwoAudiences(other string) Quirk {
	return Quirk{On: Exchange, Claims: func(c map[string]any) { c["aud"] = []any{c["aud"], other} }}
}

// SlashAudience appends a slash to aud, or takes it away (X6).
func SlashAudience() Quirk {
	return Quirk{On: Exchange, Claims: func(c map[string]any) {
		aud, _ := c["aud"].(string)
		if n := len(aud); n > 0 && aud[n-1] == '/' {
			c["aud"] = aud[:n-1]
		} else {
			c["aud"] = aud + "/"
		}
	}}
}

// ResourceArray makes resource a list, with others added (X8).
func ResourceArray(others ...any) Quirk {
	return Quirk{On: Exchange, Claims: func(c map[string]any) { c["resource"] = append([]any{c["resource"]}, others...) }}
}

// Bound adds a cnf claim for a key nobody has (X14).
func Bound() Quirk { return Claim("cnf", map[string]any{"jkt": random()}) }

// Unbound takes the proof and says nothing of it in the ID-JAG (X13).
func Unbound() Quirk { return Claim("cnf", nil) }

// BoundElsewhere takes the proof and binds the ID-JAG to another key (X13).
func BoundElsewhere() Quirk { return Claim("cnf", map[string]any{"jkt": athOf(random())}) }

// BearerDespiteProof answers every proof with a bearer token, which works as one
// (A3). An AS without DPoP does the same, but does not announce DPoP either.
func BearerDespiteProof() Quirk {
	return Quirk{On: Token, Body: func(m map[string]any) {
		if m["token_type"] == "DPoP" {
			m["token_type"] = "Bearer"
		}
	}}
}

// DPoPWithoutProof calls a bearer token a bound one (A3).
func DPoPWithoutProof() Quirk { return Member(Token, "token_type", "DPoP") }

// Actor adds an act claim, as Okta does for agents (X17).
func Actor(sub string) Quirk { return Claim("act", map[string]any{"sub": sub}) }

// Quirks of metadata.

// WrongIssuer publishes metadata in another issuer's name (S1).
func WrongIssuer(issuer string) Quirk { return Member(Metadata, "issuer", issuer) }

// NoJWKS publishes no jwks_uri.
func NoJWKS() Quirk { return Member(Metadata, "jwks_uri", nil) }

// NoPKCEMetadata publishes no code_challenge_methods_supported.
func NoPKCEMetadata() Quirk { return Member(Metadata, "code_challenge_methods_supported", nil) }

// PlainPKCE publishes that only the plain method of PKCE is known.
func PlainPKCE() Quirk {
	return Member(Metadata, "code_challenge_methods_supported", []string{"plain"})
}

// NoProfile publishes no sign of the grant profile, as most products did not.
func NoProfile() Quirk { return Member(Metadata, "authorization_grant_profiles_supported", nil) }

// Quirks of the authorization response (RFC 9207).

// IssNotAnnounced sends iss without saying so in the metadata.
func IssNotAnnounced() Quirk {
	return Member(Metadata, "authorization_response_iss_parameter_supported", nil)
}

// IssNotSent leaves iss out although the metadata announces it.
func IssNotSent() Quirk { return Member(Authorize, "iss", nil) }

// IssWrong sends another party's issuer.
func IssWrong(issuer string) Quirk { return Member(Authorize, "iss", issuer) }

// StateWrong returns a state the client never sent.
func StateWrong() Quirk { return Member(Authorize, "state", "not-yours") }
