package token

import (
	"context"
	"net/url"
	"slices"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Servers outside enterprise-managed authorization. Nobody is asked for consent
// here, but for Consent: what cannot be had without is a *consent.Needed.

// consented gets a token by what a person agreed to before.
func (s *Source) consented(ctx context.Context, a Ask) (Chain, error) {
	c, t, err := s.consentTarget(ctx, a, false)
	if err != nil {
		return c, err
	}
	var got endpoint.Token
	err = s.pace(c.Target.AS).Ask(ctx, func() (err error) {
		got, err = s.Consents.Renew(ctx, t, a.Scopes)
		return err
	})
	return s.finish(c, got, s.betterReason(ctx, c, stage.At(stage.Redeem, c.Target.Parties, err)))
}

// Consent has a person agree, in the browser, that this client may use the server
// in the person's name, and keeps what came of it. It is an error for a server
// whose tokens the company decides about, whatever it says about itself.
func (s *Source) Consent(ctx context.Context, scopes []string, open func(ctx context.Context, address string) error) (Token, error) {
	record, err := s.onRecord()
	if err != nil {
		return Token{}, err
	}
	mode, why, err := s.decide(ctx, record)
	if err == nil && mode != config.ModeOAuth {
		err = &NoConsent{Server: s.Server.Name, Mode: mode}
	}
	if err != nil {
		return Token{}, err
	}
	a := Ask{Scopes: scopes, Proves: true}
	c, t, err := s.consentTarget(ctx, a, true)
	if err != nil {
		return Token{}, err
	}
	c.Mode, c.ModeWhy = mode, why
	got, err := s.Consents.Ask(ctx, t, open)
	if err == nil {
		s.pace(c.Target.AS).Works()
	}
	c, err = s.finish(c, got, s.betterReason(ctx, c, stage.At(stage.Consent, c.Target.Parties, err)))
	if err != nil {
		return Token{}, err
	}
	unlock, err := s.State.Lock(ctx, lockName(s.Server.URL))
	if err != nil {
		return Token{}, err
	}
	defer unlock()
	if record, err = s.onRecord(); err != nil {
		s.unwritten(notKept, err)
		return c.Token, nil
	}
	if h, err := s.holder(mode, record); err == nil {
		s.store(ctx, s.key(record, h, mode, a).at(c), c)
	}
	return c.Token, nil
}

// NoConsent says that no person is asked about this server.
type NoConsent struct{ Server, Mode string }

func (e *NoConsent) Error() string {
	if e.Mode == config.ModeEMA {
		return "your company decides about " + e.Server + ": there is nothing to agree to"
	}
	return "the server " + e.Server + " needs no person: its mode is " + e.Mode
}

// consentTarget finds everything that a consent or its renewal needs to know.
// With asking the server's challenge is asked for, whose scopes count first.
func (s *Source) consentTarget(ctx context.Context, a Ask, asking bool) (Chain, consent.Target, error) {
	c, bound, err := s.outside(ctx, a, asking)
	if err != nil {
		return c, consent.Target{}, err
	}
	t := consent.Target{
		Parties: c.Target.Parties, Server: s.Server, Company: s.Company, AS: c.AS,
		Scopes: slices.Clone(c.Target.Scopes), Prover: bound, RequireBound: bound != nil,
	}
	return c, t, nil
}

// alone gets a token for the client itself, or for the platform that it runs on.
func (s *Source) alone(ctx context.Context, mode string, a Ask) (Chain, error) {
	c, prover, err := s.outside(ctx, a, false)
	if err != nil {
		return c, err
	}
	client, err := s.client(ctx, c.Target, c.AS)
	if err != nil {
		return c, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if mode == config.ModeWorkload {
		jwt, err := s.Server.OAuth.Workload.Token(ctx)
		if err != nil {
			return c, err
		}
		form = url.Values{"grant_type": {idjag.GrantTypeJWTBearer}, "assertion": {jwt.Reveal()}}
		s.Net.Permit(wire.WorkloadToken, jwt, wire.Endpoint(c.AS.TokenEndpoint))
		defer s.Net.Forget(jwt)
	}
	r := endpoint.TokenRequest{
		Request:  endpoint.Request{URL: c.AS.TokenEndpoint, Form: form, Client: client, Prover: prover},
		Resource: c.Target.Resource, Scopes: c.Target.Scopes, RequireBound: prover != nil, Now: s.Now,
	}
	if !s.Server.OAuth.SendsResource() {
		r.Resource = ""
	}
	var got endpoint.Token
	err = s.pace(c.Target.AS).Ask(ctx, func() (err error) {
		got, err = endpoint.GetToken(wire.OnBehalfOf(ctx, s.Server.URL), s.Net.Client(), r)
		return err
	})
	return s.finish(c, got, s.betterReason(ctx, c, stage.At(stage.Redeem, c.Target.Parties, err)))
}

// outside finds and pins the server's place and reads its authorization server's
// metadata, one after the other: without an identity provider there is nothing to
// do meanwhile.
func (s *Source) outside(ctx context.Context, a Ask, asking bool) (c Chain, p *dpop.Prover, err error) {
	find := s.locate
	if asking {
		find = s.challenged
	}
	if c.Place, err = find(ctx, a.Fresh); err != nil {
		return c, nil, err
	}
	c.Target = s.target(c.Place, a)
	c.Target.Outside = true
	if !asking {
		if err = s.free(ctx, c.Target); err != nil {
			return c, nil, err
		}
	}
	if p, err = s.prover(ctx, c.Place, a); err != nil {
		return c, nil, err
	}
	c.AS = s.configured(c.Target)
	if c.AS.TokenEndpoint == "" {
		if c.AS, err = s.Metadata(ctx, c.Target.AS); err != nil {
			return c, nil, err
		}
	}
	return c, p, s.pin(ctx, c.Place)
}

// finish makes a chain of what a token endpoint answered.
func (s *Source) finish(c Chain, t endpoint.Token, err error) (Chain, error) {
	if err != nil {
		return c, err
	}
	c.Token = s.tokenOf(c, t)
	return c, s.enough(c)
}

// Revoke has the authorization server forget what a person agreed to: the one where
// that was, whichever the server names by now.
func (s *Source) Revoke(ctx context.Context) error {
	r, err := s.known()
	if err != nil || r.Consent == nil {
		return err
	}
	p := s.parties()
	p.AS, p.Outside = r.Consent.Issuer, true
	as, err := s.Metadata(ctx, p.AS)
	if err != nil {
		return err
	}
	return s.Consents.Revoke(ctx, consent.Target{Parties: p, Server: s.Server, Company: s.Company, AS: as})
}
