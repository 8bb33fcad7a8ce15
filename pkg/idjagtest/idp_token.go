package idjagtest

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// token is the token endpoint of the IdP.
func (p *IdP) token(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	client, err := p.authenticate(c, p.registered, p.Issuer, p.TokenEndpoint(), p.Clock())
	if err != nil {
		return err
	}
	grant, err := c.need("grant_type")
	if err != nil {
		return err
	}
	if !client.mayUse(grant) {
		return refuse("unauthorized_client", "client %q may not use grant type %q", client.ID, grant)
	}
	if err := p.proof(c, p.TokenEndpoint(), "", p.DPoP.Require && c.entry.What == Exchange); err != nil {
		return err
	}
	switch c.entry.What {
	case Code:
		return p.tokenByCode(c, client)
	case Refresh:
		return p.tokenByRefresh(c, client)
	case Exchange:
		return p.exchange(c, client)
	}
	return refuse("unsupported_grant_type", "grant type %q is not one of this IdP", grant)
}

// tokenByCode is RFC 6749 section 4.1.3 with PKCE (RFC 7636 section 4.6).
func (p *IdP) tokenByCode(c *call, client Client) *refusal {
	value, err := c.need("code")
	if err != nil {
		return err
	}
	challenge, err := challengeOf(c)
	if err != nil {
		return err
	}
	p.state.Lock()
	defer p.state.Unlock()
	held := p.codes[value]
	switch {
	case held == nil:
		return refuse("invalid_grant", "the code was never issued")
	case held.session.client != client.ID:
		return refuse("invalid_grant", "the code is another client's")
	case held.used:
		held.session.revoked = "its code was used twice" // RFC 6749 section 4.1.2
		return refuse("invalid_grant", "the code was used before; its session is revoked")
	case !held.expires.After(p.Clock()):
		return refuse("invalid_grant", "the code has expired")
	case held.redirect != c.form.Get("redirect_uri"):
		return refuse("invalid_grant", "redirect_uri is %q, want that of the authorization request, %q", c.form.Get("redirect_uri"), held.redirect)
	case challenge != held.challenge:
		held.used = true // a wrong verifier means somebody else holds the code
		return refuse("invalid_grant", "code_verifier does not match the code_challenge")
	}
	held.used = true
	if client.method() == AuthNone {
		held.session.jkt = c.entry.Thumbprint // RFC 9449 section 5
	}
	return p.tokens(c, held.session, "")
}

// tokenByRefresh is RFC 6749 section 6 with rotation: the second use of a token
// revokes the whole family (RFC 9700 section 4.14.2).
func (p *IdP) tokenByRefresh(c *call, client Client) *refusal {
	value, err := c.need("refresh_token")
	if err != nil {
		return err
	}
	p.state.Lock()
	defer p.state.Unlock()
	held, err := p.liveRefresh(c, value, client)
	if err != nil {
		return err
	}
	for _, scope := range strings.Fields(c.form.Get("scope")) {
		if !slices.Contains(held.session.scopes, scope) {
			return refuse("invalid_scope", "scope %q was not granted at sign-in", scope)
		}
	}
	if p.NoRotation {
		return p.tokens(c, held.session, value)
	}
	held.used = true
	return p.tokens(c, held.session, "")
}

// liveRefresh looks a refresh token up; the caller holds the lock.
func (p *IdP) liveRefresh(c *call, value string, client Client) (*refresh, *refusal) {
	held := p.refreshes[value]
	switch {
	case held == nil:
		return nil, refuse("invalid_grant", "the refresh token was never issued")
	case held.session.client != client.ID:
		return nil, refuse("invalid_grant", "the refresh token is another client's")
	case held.session.revoked != "":
		return nil, refuse("invalid_grant", "the session is over: %s", held.session.revoked)
	case held.used:
		held.session.revoked = "a refresh token was used twice"
		return nil, refuse("invalid_grant", "the refresh token was used before; its family is revoked")
	case held.session.jkt != "" && held.session.jkt != c.entry.Thumbprint:
		return nil, refuse("invalid_grant", "the refresh token is bound to a key, of which there is no proof")
	}
	return held, nil
}

// tokens answers a code or refresh grant; the caller holds the lock. keep is the
// refresh token to hand back unchanged, empty for a new one.
func (p *IdP) tokens(c *call, s *session, keep string) *refusal {
	if s.revoked != "" {
		return refuse("invalid_grant", "the session is over: %s", s.revoked)
	}
	c.entry.Person = s.person.Subject
	accessToken := random()
	body := map[string]any{
		"access_token": accessToken,
		"token_type":   c.tokenType(),
		"expires_in":   3600,
		"scope":        strings.Join(s.scopes, " "),
	}
	if c.entry.What == Code || !p.NoRefreshIDToken {
		header := map[string]any{"typ": "JWT"}
		claims := p.idTokenClaims(s)
		claims["at_hash"] = leftHalf(accessToken)
		p.bend(c.entry.What, header, claims)
		signed, err := p.keys[0].Sign(header, claims)
		if err != nil {
			return refuse("server_error", "%v", err)
		}
		body["id_token"] = signed
	}
	if slices.Contains(s.scopes, "offline_access") {
		if keep == "" {
			keep = random()
			p.addRefresh(keep, s)
		}
		body["refresh_token"] = keep
	}
	return p.reply(c, body)
}

func (p *IdP) addRefresh(value string, s *session) {
	if p.refreshes == nil {
		p.refreshes = map[string]*refresh{}
	}
	p.refreshes[value] = &refresh{session: s}
}

// idTokenClaims are those of OpenID Connect Core section 2, with sid, by which the
// exchange finds the session, and jti, by which it knows what ExpireIDTokens hit;
// the caller holds the lock.
func (p *IdP) idTokenClaims(s *session) map[string]any {
	life := p.idTokenLife
	if life == 0 {
		life = time.Hour
	}
	if p.idTokens == nil {
		p.idTokens = map[string]bool{}
	}
	jti := random()
	p.idTokens[jti] = true
	now := p.Clock()
	claims := map[string]any{
		"iss":       p.Issuer,
		"jti":       jti,
		"sub":       s.person.Subject,
		"aud":       s.client,
		"iat":       now.Unix(),
		"exp":       now.Add(life).Unix(),
		"auth_time": s.authTime.Unix(),
		"sid":       s.id,
	}
	put := func(name, value string, when bool) {
		if value != "" && when {
			claims[name] = value
		}
	}
	put("nonce", s.nonce, true)
	put("acr", s.acr, true)
	put("email", s.person.Email, slices.Contains(s.scopes, "email"))
	put("name", s.person.Name, slices.Contains(s.scopes, "profile"))
	return claims
}

// MintIDToken signs an ID token for a person at a client, with a live session
// behind it, as if the person had just signed in. mutate, when not nil, changes
// header and claims before the signature, for tests of a verifier.
func (p *IdP) MintIDToken(subject, clientID string, mutate func(header, claims map[string]any)) (string, error) {
	who, ok := p.find(subject)
	if !ok {
		return "", errors.New("mint ID token: there is no such person")
	}
	key, err := p.signingKey()
	if err != nil {
		return "", err
	}
	s := &session{id: random(), person: who, client: clientID, scopes: []string{"openid", "email", "profile"}, authTime: p.Clock()}
	p.state.Lock()
	p.remember(s)
	header, claims := map[string]any{"typ": "JWT"}, p.idTokenClaims(s)
	p.state.Unlock()
	if mutate != nil {
		mutate(header, claims)
	}
	return key.Sign(header, claims)
}
