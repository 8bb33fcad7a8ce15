package idjagtest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// grantKind names a token request.
func (a *AS) grantKind(form url.Values) string {
	kind := grantKind(form)
	if kind == Redeem && a.isWorkload(form.Get("assertion")) {
		return Workload
	}
	return kind
}

// token is the token endpoint of the authorization server.
func (a *AS) token(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	client, err := a.caller(c)
	if err != nil {
		return err
	}
	grant, err := c.need("grant_type")
	if err != nil {
		return err
	}
	if !slices.Contains(a.grants(), grant) {
		return refuse("unsupported_grant_type", "grant type %q is not the JWT bearer grant, nor another one of this server", grant)
	}
	if client.ID != "" && !client.mayUse(grant) {
		return refuse("unauthorized_client", "client %q may not use grant type %q", client.ID, grant)
	}
	if err := a.proof(c, a.TokenEndpoint(), "", a.DPoP.Require); err != nil {
		return err
	}
	switch c.entry.What {
	case Code:
		return a.tokenByCode(c, client)
	case Refresh:
		return a.tokenByRefresh(c, client)
	case ClientCredentials:
		return a.tokenByClient(c, client)
	case Workload:
		return a.tokenByWorkload(c, client)
	}
	if a.NoIDJAG {
		return refuse("invalid_grant", "assertion: its iss %q is no platform that is trusted here", unverifiedIssuer(c.form.Get("assertion")))
	}
	return a.redeem(c, client)
}

// caller authenticates the client. A workload need not be one.
func (a *AS) caller(c *call) (Client, *refusal) {
	named := c.r.Header.Get("Authorization") != "" || c.form.Has("client_id") || c.form.Has("client_secret") ||
		c.form.Has("client_assertion") || c.form.Has("client_assertion_type")
	if c.entry.What == Workload && !named {
		return Client{}, nil
	}
	return a.authenticate(c, a.findClient, a.Issuer, a.TokenEndpoint(), a.Clock())
}

// wantedResource is the resource that a request names (RFC 8707 section 2), which
// MCP makes every client send.
func (a *AS) wantedResource(c *call) (string, *refusal) {
	asked := c.form.Get("resource")
	if asked == "" {
		asked = a.DefaultResource
	}
	if asked == "" {
		return "", refuse("invalid_target", "parameter resource is missing and there is no default")
	}
	a.state.Lock()
	defer a.state.Unlock()
	if _, known := a.resources[asked]; !known {
		return "", refuse("invalid_target", "resource %q is not one of this server", asked)
	}
	c.entry.Resource = asked
	return asked, nil
}

// wantedScopes are the scopes that a request names, each of which the resource
// has to have; a request that names none gets all of them (RFC 6749 section 3.3).
// also are further ones that may be asked for.
func (a *AS) wantedScopes(c *call, resource string, also ...string) ([]string, *refusal) {
	a.state.Lock()
	offered := slices.Clone(a.resources[resource])
	a.state.Unlock()
	asked := strings.Fields(c.form.Get("scope"))
	if len(asked) == 0 {
		return offered, nil
	}
	for _, scope := range asked {
		if !slices.Contains(offered, scope) && !slices.Contains(also, scope) {
			return nil, refuse("invalid_scope", "resource %q has no scope %q", resource, scope)
		}
	}
	return asked, nil
}

// issue makes an access token and answers with it and with more. from is the
// consent behind it, nil for grants without one. t lacks only what is the same for
// all grants: Expires and Thumbprint.
func (a *AS) issue(c *call, t AccessToken, from *consent, more map[string]any) *refusal {
	life := a.TokenLifetime
	if life == 0 {
		life = 15 * time.Minute
	}
	now := a.Clock()
	t.Expires, t.Thumbprint = now.Add(life), c.entry.Thumbprint
	value := random() + random()
	if a.JWT {
		claims := map[string]any{
			"iss": a.Issuer, "sub": t.Subject, "aud": t.Resource, "client_id": t.Client, "jti": random(),
			"iat": now.Unix(), "exp": t.Expires.Unix(), "scope": strings.Join(t.Scopes, " "),
		}
		if t.Thumbprint != "" {
			claims["cnf"] = map[string]any{"jkt": t.Thumbprint}
		}
		signed, err := a.key.Sign(map[string]any{"typ": "at+jwt"}, claims)
		if err != nil {
			return refuse("server_error", "%v", err)
		}
		value = signed
	}
	body := map[string]any{
		"access_token": value,
		"token_type":   c.tokenType(),
		"expires_in":   int(life.Seconds()),
		"scope":        strings.Join(t.Scopes, " "),
	}
	for name, v := range more {
		body[name] = v
	}
	a.bendBody(c, body)
	if body["token_type"] == "Bearer" {
		t.Thumbprint = "" // BearerDespiteProof means it
	}
	if err := a.keep(value, &t, from); err != nil {
		return err
	}
	c.send(body)
	return nil
}

// keep remembers an access token, unless its consent ended meanwhile.
func (a *AS) keep(value string, t *AccessToken, from *consent) *refusal {
	a.state.Lock()
	defer a.state.Unlock()
	if from != nil {
		if from.over != "" {
			return refuse("invalid_grant", "the consent is over: %s", from.over)
		}
		from.tokens = append(from.tokens, t)
	}
	if a.tokens == nil {
		a.tokens = map[string]*AccessToken{}
	}
	a.tokens[value] = t
	return nil
}

// revoke is RFC 7009. A refresh token takes its whole consent along.
func (a *AS) revoke(c *call) *refusal {
	if err := c.mustBeForm(); err != nil {
		return err
	}
	client, err := a.authenticate(c, a.findClient, a.Issuer, a.TokenEndpoint(), a.Clock())
	if err != nil {
		return err
	}
	value, err := c.need("token")
	if err != nil {
		return err
	}
	a.state.Lock()
	defer a.state.Unlock()
	if t := a.tokens[value]; t != nil {
		if t.Client != client.ID {
			return refuse("invalid_grant", "the token is another client's")
		}
		t.Revoked = true
	}
	if r := a.refreshes[value]; r != nil {
		if r.consent.client != client.ID {
			return refuse("invalid_grant", "the token is another client's")
		}
		c.entry.Person = r.consent.person.Subject
		r.consent.end("the client revoked its refresh token")
	}
	c.w.WriteHeader(200)
	return nil
}
