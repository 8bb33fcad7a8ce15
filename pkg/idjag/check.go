package idjag

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// Leeway is how far two clocks may be apart (rules X9, T5).
const Leeway = time.Minute

// CheckError says that an answer is not what was asked for; see endpoint.CheckError.
type CheckError = endpoint.CheckError

// checkClaims applies X5 to X10, X13 and X14 to claims that can be read.
func (r ExchangeRequest) checkClaims(g *Grant, now time.Time) error {
	c := g.Claims
	if c.Issuer != r.Issuer { // X5
		return &CheckError{Rule: "X5", What: "the issuer (iss) of the ID-JAG", Got: c.Issuer, Want: r.Issuer, Security: true}
	}
	want := r.ExpectAudience
	if want == "" {
		want = r.Audience
	}
	if len(c.Audience) != 1 { // X6: the draft, section 9.3: one authorization server
		return &CheckError{Rule: "X6", What: fmt.Sprintf("the ID-JAG is for %d audiences (aud), want one", len(c.Audience))}
	}
	if c.Audience[0] != want {
		return &CheckError{Rule: "X6", What: "the audience (aud) of the ID-JAG", Got: c.Audience[0], Want: want}
	}
	if r.ASClientID != "" && c.ClientID != r.ASClientID { // X7
		if c.ClientID != "" {
			return &CheckError{Rule: "X7", What: "the client the ID-JAG is for (client_id)", Got: c.ClientID, Want: r.ASClientID}
		}
		g.warn("the ID-JAG names no client (client_id); the authorization server will refuse it")
	}
	if err := r.checkResource(g); err != nil {
		return err
	}
	if err := r.checkBinding(g); err != nil {
		return err
	}
	if slices.Contains(c.Names, "authorization_details") { // X12: servers in the field refuse it
		g.warn("the ID-JAG holds authorization_details, which nobody asked for")
	}
	if c.Subject == "" { // X10
		g.warn("the ID-JAG names no subject (sub)")
	}
	if c.JTI == "" {
		g.warn("the ID-JAG has no identifier (jti)")
	}
	return checkTimes(g, now)
}

// checkBinding applies X13 and X14 (the draft, section 9.8): the claim is the only
// sign of what became of our proof, as the token type is N_A either way.
func (r ExchangeRequest) checkBinding(g *Grant) error {
	c := g.Claims
	switch {
	case r.Prover == nil && c.Bound: // X14: we sent no proof, so it is somebody else's key
		return &CheckError{Rule: "X14", What: "the ID-JAG is bound to a key (cnf) that is not ours", Security: true}
	case r.Prover == nil:
		return nil
	case c.Bound && c.KeyThumbprint != r.Prover.Key.Thumbprint():
		return &CheckError{Rule: "X13", What: "the ID-JAG is bound to a key (cnf) that is not ours", Security: true}
	case !c.Bound && r.RequireBound:
		return &CheckError{Rule: "X13", What: "the ID-JAG is not bound to our key (DPoP) although that is required", Security: true}
	case !c.Bound:
		g.warn("the ID-JAG is not bound to our key (DPoP), so that whoever has it can try to use it")
	}
	return nil
}

func (r ExchangeRequest) checkResource(g *Grant) error { // X8
	if r.Resource == "" {
		return nil
	}
	if len(g.Claims.Resource) == 0 {
		g.warn("the ID-JAG names no resource")
		return nil
	}
	found := false
	for _, got := range g.Claims.Resource {
		found = found || got == r.Resource
		if got != r.Resource && !sameOrigin(got, r.Resource) {
			return &CheckError{Rule: "X8", What: "the resource of the ID-JAG", Got: got, Want: r.Resource}
		}
	}
	if !found {
		return &CheckError{Rule: "X8", What: "the resource of the ID-JAG", Got: strings.Join(g.Claims.Resource, " "), Want: r.Resource}
	}
	return nil
}

func checkTimes(g *Grant, now time.Time) error { // X9
	c := g.Claims
	switch {
	case c.Expires.IsZero():
		return &CheckError{Rule: "X9", What: "the ID-JAG has no expiry (exp)"}
	case !c.Expires.Add(Leeway).After(now):
		return &CheckError{Rule: "X9", What: "the ID-JAG had already expired when it came; compare the clocks"}
	case c.NotBefore.After(now.Add(Leeway)), c.IssuedAt.After(now.Add(Leeway)):
		return &CheckError{Rule: "X9", What: "the ID-JAG is from the future; compare the clocks"}
	case c.Expires.Sub(now) > time.Hour:
		g.warn("the ID-JAG is good for more than an hour")
	}
	g.Expires = c.Expires
	return nil
}

func sameOrigin(a, b string) bool {
	ua, err1 := url.Parse(a)
	ub, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && ua.Host != "" && ua.Scheme == ub.Scheme && ua.Host == ub.Host
}
