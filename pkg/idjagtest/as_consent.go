package idjagtest

import (
	"slices"
	"strings"
	"time"
)

// consent is what one person agreed to for one client and one resource. All its
// tokens fall with it.
type consent struct {
	person   Person
	client   string
	resource string
	scopes   []string // as agreed to, with offline_access
	refresh  bool     // whether refresh tokens belong to it
	jkt      string   // key that the refresh tokens of a public client are bound to
	tokens   []*AccessToken
	over     string // why, empty while it lives
}

// end revokes all tokens of a consent; the caller holds the lock.
func (s *consent) end(why string) {
	if s.over == "" {
		s.over = why
	}
	for _, t := range s.tokens {
		t.Revoked = true
	}
}

// grantCode is an authorization code: good once, for a minute, with the verifier
// and the redirect URI of its request.
type grantCode struct {
	consent   *consent
	redirect  string
	challenge string
	jkt       string // the dpop_jkt of its request (RFC 9449 section 10), may be empty
	expires   time.Time
	used      bool
}

type grantRefresh struct {
	consent *consent
	used    bool
}

// tokenByCode is RFC 6749 section 4.1.3 with PKCE (RFC 7636 section 4.6) and the
// resource of the authorization request (RFC 8707 section 2.2).
func (a *AS) tokenByCode(c *call, client Client) *refusal {
	value, err := c.need("code")
	if err != nil {
		return err
	}
	challenge, err := challengeOf(c)
	if err != nil {
		return err
	}
	resource, err := a.wantedResource(c)
	if err != nil {
		return err
	}
	s, err := a.spendCode(c, value, client, challenge, resource)
	if err != nil {
		return err
	}
	return a.tokensOf(c, s, s.scopes)
}

func (a *AS) spendCode(c *call, value string, client Client, challenge, resource string) (*consent, *refusal) {
	redirect := c.form.Get("redirect_uri")
	a.state.Lock()
	defer a.state.Unlock()
	held := a.codes[value]
	switch {
	case held == nil:
		return nil, refuse("invalid_grant", "the code was never issued")
	case held.consent.client != client.ID:
		return nil, refuse("invalid_grant", "the code is another client's")
	case held.used:
		held.consent.end("its code was used twice") // RFC 6749 section 4.1.2
		return nil, refuse("invalid_grant", "the code was used before; its tokens are revoked")
	case !held.expires.After(a.Clock()):
		return nil, refuse("invalid_grant", "the code has expired")
	case held.redirect != redirect:
		return nil, refuse("invalid_grant", "redirect_uri is %q, want that of the authorization request, %q", redirect, held.redirect)
	case held.consent.resource != resource:
		return nil, refuse("invalid_target", "resource is %q, want that of the authorization request, %q", resource, held.consent.resource)
	case held.jkt != "" && held.jkt != c.entry.Thumbprint:
		return nil, refuse("invalid_grant", "the code is bound to a key, of which there is no proof")
	case challenge != held.challenge:
		held.used = true // a wrong verifier means somebody else holds the code
		return nil, refuse("invalid_grant", "code_verifier does not match the code_challenge")
	}
	held.used = true
	if client.method() == AuthNone {
		held.consent.jkt = c.entry.Thumbprint // RFC 9449 section 5
	}
	return held.consent, nil
}

// tokenByRefresh is RFC 6749 section 6 with rotation and without grace: the second
// use of a token ends its consent (RFC 9700 section 4.14.2). scope may narrow the
// access token, and the next refresh may ask for everything again.
func (a *AS) tokenByRefresh(c *call, client Client) *refusal {
	value, err := c.need("refresh_token")
	if err != nil {
		return err
	}
	resource, err := a.wantedResource(c)
	if err != nil {
		return err
	}
	asked := strings.Fields(c.form.Get("scope"))
	s, err := a.spendRefresh(c, value, client, resource, asked)
	if err != nil {
		return err
	}
	if len(asked) == 0 {
		asked = s.scopes
	}
	return a.tokensOf(c, s, asked)
}

func (a *AS) spendRefresh(c *call, value string, client Client, resource string, asked []string) (*consent, *refusal) {
	a.state.Lock()
	defer a.state.Unlock()
	held := a.refreshes[value]
	switch {
	case held == nil:
		return nil, refuse("invalid_grant", "the refresh token was never issued")
	case held.consent.client != client.ID:
		return nil, refuse("invalid_grant", "the refresh token is another client's")
	case held.consent.over != "":
		return nil, refuse("invalid_grant", "the consent is over: %s", held.consent.over)
	case held.used:
		held.consent.end("a refresh token was used twice")
		return nil, refuse("invalid_grant", "the refresh token was used before; its family is revoked")
	case held.consent.jkt != "" && held.consent.jkt != c.entry.Thumbprint:
		return nil, refuse("invalid_grant", "the refresh token is bound to a key, of which there is no proof")
	case held.consent.resource != resource:
		return nil, refuse("invalid_target", "resource is %q, the consent is for %q", resource, held.consent.resource)
	}
	for _, scope := range asked {
		if !slices.Contains(held.consent.scopes, scope) {
			return nil, refuse("invalid_scope", "scope %q was not agreed to", scope)
		}
	}
	held.used = !a.NoRotation
	return held.consent, nil
}

// tokensOf answers a code or refresh grant. The scope in the answer is what was
// granted; offline_access is not for the access token.
func (a *AS) tokensOf(c *call, s *consent, granted []string) *refusal {
	c.entry.Person = s.person.Subject
	more := map[string]any{"scope": strings.Join(granted, " ")}
	if s.refresh && (c.entry.What == Code || !a.NoRotation) {
		value := random()
		a.state.Lock()
		if a.refreshes == nil {
			a.refreshes = map[string]*grantRefresh{}
		}
		a.refreshes[value] = &grantRefresh{consent: s}
		a.state.Unlock()
		more["refresh_token"] = value
	}
	scopes := slices.DeleteFunc(slices.Clone(granted), func(scope string) bool { return scope == "offline_access" })
	return a.issue(c, AccessToken{Subject: s.person.Subject, Client: s.client, Resource: s.resource, Scopes: scopes}, s, more)
}
