// Package grant decides which ID-JAG is needed and asks the identity provider for
// it. It stands between identity, which knows who is asking, and token, which
// spends the ID-JAG.
//
// An ID-JAG is made for one use at one authorization server, and never stored.
package grant

import (
	"context"
	"errors"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Target is what the ID-JAG is for.
type Target struct {
	stage.Parties // Resource, AS and ASClientID are used; Scopes are asked for

	Audience       string // an alias of the AS that the identity provider knows; empty means the AS issuer
	ExpectAudience string // empty means the AS issuer
	OmitResource   bool
	RequireScopes  []string

	Prover *dpop.Prover // shows the key that the token will be bound to; nil: none
	// RequireBound takes no ID-JAG that is not bound to that key.
	RequireBound bool
}

// Limits of waiting for an identity provider that asks to come back later.
const (
	maxTries = 3
	maxWait  = 3 * time.Second
)

// Get asks for an ID-JAG. When the identity provider does not accept the identity
// that was shown, the sign-in is renewed and shown once more.
func Get(ctx context.Context, p *identity.Provider, t Target) (idjag.Grant, error) {
	t.IdP, t.IdPClientID = p.IdP.Issuer, p.IdP.IdPClientID
	subject, err := p.Subject(ctx, secret.Text{})
	if err != nil {
		return idjag.Grant{}, err
	}
	g, err := exchange(ctx, p, t, subject)
	if err == nil || subject.Renewed || !stale(err, subject, p.Now) {
		return g, err
	}
	refusal := err
	subject, err = p.Subject(ctx, subject.Token)
	var out *identity.SignedOut
	switch {
	case errors.As(err, &out) && code(refusal) != "invalid_grant":
		return idjag.Grant{}, refusal // there was nothing to renew with, and it was a guess
	case err != nil:
		return idjag.Grant{}, err
	}
	return exchange(ctx, p, t, subject)
}

func exchange(ctx context.Context, p *identity.Provider, t Target, s identity.Subject) (idjag.Grant, error) {
	party, err := p.Party(ctx)
	if err != nil {
		return idjag.Grant{}, err
	}
	p.Net.Permit(wire.SubjectToken, s.Token, wire.Endpoint(party.TokenEndpoint))
	r := idjag.ExchangeRequest{
		Endpoint: party.TokenEndpoint, Issuer: p.IdP.Issuer, Client: party.Client,
		SubjectToken: s.Token, SubjectTokenType: s.Type,
		Audience: t.AS, ExpectAudience: t.ExpectAudience, Resource: t.Resource,
		Scopes: t.Scopes, RequireScopes: t.RequireScopes, ASClientID: t.ASClientID,
	}
	if t.Audience != "" {
		r.Audience = t.Audience
		if r.ExpectAudience == "" {
			r.ExpectAudience = t.AS
		}
	}
	if t.OmitResource {
		r.Resource = ""
	}
	if t.Prover != nil && (t.RequireBound || p.Binds(ctx)) {
		r.Prover, r.RequireBound = t.Prover, t.RequireBound
	}
	clocks := newClocks(p.Now)
	r.Now = clocks.now
	client := clocks.on(p.Net.Client())
	var g idjag.Grant
	err = p.Pace(t.Server).Ask(ctx, func() error {
		for try := 1; ; try++ {
			g, err = idjag.Exchange(wire.OnBehalfOf(ctx, p.IdP.Issuer), client, r)
			if try == maxTries || !later(ctx, err) {
				return err
			}
		}
	})
	if apart := clocks.apart(); apart != "" && p.Warn != nil {
		p.Warn(apart)
	}
	if err = clocks.judge(g, err); err != nil {
		return idjag.Grant{}, stage.At(stage.Exchange, t.Parties, err)
	}
	return g, nil
}

// later waits if the identity provider said when to come back and that is soon.
func later(ctx context.Context, err error) bool {
	var e *endpoint.Error
	if !errors.As(err, &e) || !e.Temporary() || e.RetryAfter <= 0 || e.RetryAfter > maxWait {
		return false
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) < e.RetryAfter {
		return false
	}
	select {
	case <-time.After(e.RetryAfter):
		return true
	case <-ctx.Done():
		return false
	}
}

// stale reports whether a refusal may be about the age of the subject token.
// Some identity providers call that an invalid request (quirk table 3.1).
func stale(err error, s identity.Subject, now func() time.Time) bool {
	if now == nil {
		now = time.Now
	}
	switch code(err) {
	case "invalid_grant":
		return true
	case "invalid_request":
		return s.Type == idjag.TokenTypeIDToken && s.Identity.Expires.Before(now().Add(5*time.Minute))
	}
	return false
}

func code(err error) string {
	var e *endpoint.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
