package idjagtest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// redeem spends an ID-JAG (RFC 7523 section 2.1, JAG section 4.4.1).
func (a *AS) redeem(c *call, client Client) *refusal {
	assertion, err := c.need("assertion")
	if err != nil {
		return err
	}
	if len(assertion) > 16<<10 {
		return refuse("invalid_grant", "the assertion is over 16 KiB")
	}
	t, problem := a.checkGrant(c, assertion, client)
	if problem != nil {
		return refuse("invalid_grant", "assertion: %v", problem)
	}
	c.entry.Person = t.text("sub")
	resource, err := a.resource(c, t)
	if err != nil {
		return err
	}
	c.entry.Resource = resource
	scopes, err := a.scopes(c, t, resource)
	if err != nil {
		return err
	}
	a.state.Lock()
	used := t.text("iss") + " " + t.text("jti")
	again := a.replayed[used]
	if a.replayed == nil {
		a.replayed = map[string]bool{}
	}
	a.replayed[used] = true
	a.state.Unlock()
	if again {
		return refuse("invalid_grant", "assertion: its jti was redeemed before")
	}
	more := map[string]any{}
	if a.RefreshTokens {
		more["refresh_token"] = random()
	}
	return a.issue(c, AccessToken{Subject: t.text("sub"), Client: client.ID, Resource: resource, Scopes: scopes}, nil, more)
}

// checkGrant is everything that makes an ID-JAG acceptable apart from what it is
// good for.
func (a *AS) checkGrant(c *call, assertion string, client Client) (token, error) {
	issuer := unverifiedIssuer(assertion) // only to choose the keys; checked by the signature
	a.state.Lock()
	source := a.trusted[issuer]
	a.state.Unlock()
	if source == nil {
		return token{}, fmt.Errorf("its iss %q is not trusted here", issuer)
	}
	t, err := verifyFrom(c.r.Context(), source, issuer, assertion)
	if err != nil {
		return token{}, err
	}
	aud, err := t.audience()
	now := a.Clock()
	iat, exp := time.Unix(t.seconds("iat"), 0), time.Unix(t.seconds("exp"), 0)
	switch {
	case !t.hasType(jwtTypeIDJAG):
		return token{}, fmt.Errorf("its typ is %q, want %q", t.typ, jwtTypeIDJAG)
	case err != nil:
		return token{}, err
	case aud != a.Issuer:
		return token{}, fmt.Errorf("its aud is %q, want %q", aud, a.Issuer)
	case t.text("client_id") != client.ID:
		return token{}, fmt.Errorf("its client_id is %q, but client %q presents it", t.text("client_id"), client.ID)
	case !exp.After(now):
		return token{}, fmt.Errorf("it has no exp or has expired")
	case t.seconds("iat") == 0 || iat.After(now.Add(time.Minute)):
		return token{}, fmt.Errorf("it has no iat or one in the future")
	case exp.Sub(iat) > time.Hour:
		return token{}, fmt.Errorf("it is valid for over an hour")
	case time.Unix(t.seconds("nbf"), 0).After(now):
		return token{}, fmt.Errorf("its nbf is in the future")
	case t.text("sub") == "" || t.text("jti") == "":
		return token{}, fmt.Errorf("it lacks sub or jti")
	}
	return t, a.checkBinding(c, t)
}

// checkBinding wants the proof to be of the key that an ID-JAG is bound to (JAG
// section 9.8).
func (a *AS) checkBinding(c *call, t token) error {
	if t.claims["cnf"] == nil {
		return nil
	}
	cnf, _ := t.claims["cnf"].(map[string]any)
	jkt, _ := cnf["jkt"].(string)
	switch {
	case !a.DPoP.on():
		return fmt.Errorf("it is bound to a key and no proof is accepted here")
	case len(cnf) != 1 || jkt == "":
		return fmt.Errorf("it is bound to something else than a jkt")
	case c.entry.Thumbprint == "":
		return fmt.Errorf("it is bound to a key and the request has no proof")
	case c.entry.Thumbprint != jkt:
		return fmt.Errorf("it is bound to another key than that of the proof")
	}
	return nil
}

// resource decides what the token will be for. The claim rules; a parameter must
// agree with it (JAG section 4.4.1, RFC 8707 section 2).
func (a *AS) resource(c *call, t token) (string, *refusal) {
	asked := c.form.Get("resource")
	var allowed []string
	switch claim := t.claims["resource"].(type) {
	case nil:
	case string:
		allowed = []string{claim}
	case []any:
		for _, member := range claim {
			s, _ := member.(string)
			allowed = append(allowed, s)
		}
	default:
		return "", refuse("invalid_grant", "assertion: its resource is no string")
	}
	switch {
	case len(allowed) == 0 && a.DefaultResource == "":
		return "", refuse("invalid_target", "the assertion names no resource and there is no default")
	case len(allowed) == 0:
		allowed = []string{a.DefaultResource}
	case len(allowed) > 1 && asked == "":
		return "", refuse("invalid_target", "the assertion names %d resources; say which", len(allowed))
	}
	if asked == "" {
		asked = allowed[0]
	}
	if !slices.Contains(allowed, asked) {
		return "", refuse("invalid_target", "resource is %q, the assertion is for %q", asked, allowed)
	}
	a.state.Lock()
	defer a.state.Unlock()
	if _, known := a.resources[asked]; !known {
		return "", refuse("invalid_target", "resource %q is not one of this server", asked)
	}
	return asked, nil
}

// scopes lets a request narrow what the assertion grants, never widen it.
func (a *AS) scopes(c *call, t token, resource string) ([]string, *refusal) {
	granted := strings.Fields(t.text("scope"))
	a.state.Lock()
	offered := a.resources[resource]
	a.state.Unlock()
	for _, scope := range strings.Fields(c.form.Get("scope")) {
		if !slices.Contains(granted, scope) {
			return nil, refuse("invalid_scope", "scope %q is not in the assertion's %q", scope, t.text("scope"))
		}
	}
	if asked := strings.Fields(c.form.Get("scope")); len(asked) > 0 {
		granted = asked
	}
	var kept []string
	for _, scope := range granted {
		if slices.Contains(offered, scope) {
			kept = append(kept, scope)
		}
	}
	if len(granted) > 0 && len(kept) == 0 {
		return nil, refuse("invalid_scope", "resource %q has none of the scopes %q", resource, granted)
	}
	return kept, nil
}
