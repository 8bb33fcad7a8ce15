package idjagtest

import (
	"slices"
	"strings"
	"time"
)

// exchange is the first leg: a subject token for an ID-JAG (RFC 8693 section 2,
// JAG section 4.3).
func (p *IdP) exchange(c *call, client Client) *refusal {
	if v := c.form.Get("requested_token_type"); v != TypeIDJAG {
		return refuse("invalid_request", "requested_token_type is %q, want %q", v, TypeIDJAG)
	}
	if c.form.Get("actor_token") != "" {
		return refuse("invalid_request", "actor tokens are not accepted here") // JAG leaves them undefined
	}
	audience, err := c.need("audience")
	if err != nil {
		return err
	}
	c.entry.Audience, c.entry.Resource = audience, c.form.Get("resource")
	p.state.Lock()
	defer p.state.Unlock()
	s, err := p.subject(c, client)
	if err != nil {
		return err
	}
	c.entry.Person = s.person.Subject
	connection, err := p.connection(audience, c.form.Get("resource"))
	if err != nil {
		return err
	}
	scopes, err := connection.allow(c, s)
	if err != nil {
		return err
	}
	return p.grant(c, s, connection, scopes)
}

// subject finds the session behind the subject token; the caller holds the lock.
func (p *IdP) subject(c *call, client Client) (*session, *refusal) {
	value, err := c.need("subject_token")
	if err != nil {
		return nil, err
	}
	switch kind := c.form.Get("subject_token_type"); {
	case kind == TypeIDToken:
		return p.subjectByIDToken(value, client)
	case kind == TypeRefreshToken && !p.NoRefreshSubject:
		held, err := p.liveRefresh(c, value, client) // as in the refresh grant, JAG section 4.3.3
		if err != nil {
			return nil, err
		}
		return held.session, nil
	default:
		return nil, refuse("invalid_request", "subject_token_type %q is not accepted here", kind)
	}
}

func (p *IdP) subjectByIDToken(value string, client Client) (*session, *refusal) {
	t, err := verify(value, publicHalves(p.keys))
	if err != nil {
		return nil, refuse("invalid_grant", "subject token: %v", err)
	}
	aud, err := t.audience()
	now := p.Clock()
	switch {
	case t.typ != "" && !t.hasType("jwt"):
		return nil, refuse("invalid_grant", "subject token: its typ is %q, so it is no ID token", t.typ)
	case t.text("iss") != p.Issuer:
		return nil, refuse("invalid_grant", "subject token: its iss is %q, want %q", t.text("iss"), p.Issuer)
	case err != nil:
		return nil, refuse("invalid_grant", "subject token: %v", err)
	case aud != client.ID:
		return nil, refuse("invalid_grant", "subject token: its aud is %q, but client %q presents it", aud, client.ID)
	case !time.Unix(t.seconds("exp"), 0).After(now) || !p.idTokens[t.text("jti")]:
		code := p.ExpiredSubject
		if code == "" {
			code = "invalid_grant"
		}
		return nil, refuse(code, "subject token: it has expired")
	case time.Unix(t.seconds("iat"), 0).After(now.Add(time.Minute)):
		return nil, refuse("invalid_grant", "subject token: its iat is in the future")
	}
	s := p.sessions[t.text("sid")]
	switch {
	case s == nil || s.person.Subject != t.text("sub"):
		return nil, refuse("invalid_grant", "subject token: no session belongs to it")
	case s.revoked != "":
		return nil, refuse("invalid_grant", "the session is over: %s", s.revoked)
	}
	return s, nil
}

// connection finds the policy for an audience and a resource; the caller holds
// the lock. Strings are compared byte for byte (EMA section 4.1).
func (p *IdP) connection(audience, resource string) (Connection, *refusal) {
	var known []Connection
	for _, c := range p.connections {
		if c.Audience == audience {
			known = append(known, c)
		}
	}
	switch {
	case len(known) == 0:
		return Connection{}, refuse("invalid_target", "audience %q has no connection", audience)
	case resource == "" && !p.ResourceOptional:
		return Connection{}, refuse("invalid_request", "parameter resource is missing")
	case resource == "" && len(known) > 1:
		return Connection{}, refuse("invalid_target", "audience %q has %d resources; say which", audience, len(known))
	case resource == "":
		return known[0], nil
	}
	for _, c := range known {
		if c.Resource == resource {
			return c, nil
		}
	}
	return Connection{}, refuse("invalid_target", "audience %q has no connection for resource %q", audience, resource)
}

// allow decides whether the person may have the connection, and with which scopes.
func (n Connection) allow(c *call, s *session) ([]string, *refusal) {
	member := func(group string) bool { return slices.Contains(s.person.Groups, group) }
	if len(n.Groups) > 0 && !slices.ContainsFunc(n.Groups, member) {
		code := n.Refusal
		if code == "" {
			code = "access_denied"
		}
		return nil, refuse(code, "%s is in none of the groups that may use %q", s.person.Subject, n.Resource)
	}
	if n.ACR != "" && n.ACR != s.acr {
		r := refuse("insufficient_user_authentication", "the sign-in has acr %q, want %q", s.acr, n.ACR)
		r.extra = map[string]any{"acr_values": n.ACR}
		return nil, r
	}
	asked := strings.Fields(c.form.Get("scope"))
	if len(asked) == 0 {
		return n.Scopes, nil
	}
	var granted []string
	for _, scope := range asked {
		switch {
		case scope == "openid" || scope == "offline_access":
			c.entry.Notes = append(c.entry.Notes, "scope "+scope+" is the IdP's own and does not belong in an exchange")
		case slices.Contains(n.Scopes, scope):
			granted = append(granted, scope)
		case n.StrictScopes:
			return nil, refuse("invalid_scope", "scope %q is not allowed for %q", scope, n.Resource)
		}
	}
	if len(granted) == 0 {
		return nil, refuse("invalid_scope", "none of the scopes %q is allowed for %q", c.form.Get("scope"), n.Resource)
	}
	return granted, nil
}

// grant signs the ID-JAG and answers (JAG sections 3.1 and 4.3.4); the caller
// holds the lock.
func (p *IdP) grant(c *call, s *session, n Connection, scopes []string) *refusal {
	life := p.grantLife()
	header := map[string]any{"typ": jwtTypeIDJAG}
	claims := p.grantClaims(s, n, scopes)
	if c.form.Get("resource") == "" {
		delete(claims, "resource") // nobody asked for one
	}
	if c.entry.Thumbprint != "" {
		claims["cnf"] = map[string]any{"jkt": c.entry.Thumbprint} // JAG section 9.8
	}
	p.bend(Exchange, header, claims)
	signed, err := p.keys[0].Sign(header, claims)
	if err != nil {
		return refuse("server_error", "%v", err)
	}
	return p.reply(c, map[string]any{
		"issued_token_type": TypeIDJAG,
		"access_token":      signed,
		"token_type":        "N_A", // RFC 8693 section 2.2.1: it is not usable as an access token
		"expires_in":        int(life.Seconds()),
		"scope":             strings.Join(scopes, " "),
	})
}

func (p *IdP) grantLife() time.Duration {
	if p.GrantLifetime == 0 {
		return 5 * time.Minute
	}
	return p.GrantLifetime
}

func (p *IdP) grantClaims(s *session, n Connection, scopes []string) map[string]any {
	now := p.Clock()
	claims := map[string]any{
		"iss":       p.Issuer,
		"sub":       s.person.Subject,
		"aud":       n.Audience,
		"client_id": n.ClientID,
		"jti":       random(),
		"iat":       now.Unix(),
		"exp":       now.Add(p.grantLife()).Unix(),
		"resource":  n.Resource,
		"scope":     strings.Join(scopes, " "),
	}
	if s.person.Email != "" {
		claims["email"] = s.person.Email
	}
	return claims
}

// MintIDJAG signs an ID-JAG for a connection without any check, for tests of an
// authorization server or a verifier. mutate, when not nil, changes header and
// claims before the signature.
func (p *IdP) MintIDJAG(who Person, n Connection, mutate func(header, claims map[string]any)) (string, error) {
	key, err := p.signingKey()
	if err != nil {
		return "", err
	}
	header := map[string]any{"typ": jwtTypeIDJAG}
	claims := p.grantClaims(&session{person: who}, n, n.Scopes)
	if mutate != nil {
		mutate(header, claims)
	}
	return key.Sign(header, claims)
}
