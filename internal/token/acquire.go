package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/grant"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Chain is everything between a server's URL and its token.
type Chain struct {
	Mode    string // config.ModeEMA and so on
	ModeWhy string // for people

	Place  Place
	Target grant.Target
	AS     discover.ServerMetadata
	Grant  idjag.Grant
	Token  Token
}

// Acquire gets a new token and does not touch the cache of tokens. There is one way
// for each mode, and none is tried in place of another.
func (s *Source) Acquire(ctx context.Context, a Ask) (Chain, error) {
	if a.Fresh { // a person wants to know how it is now
		ctx = pace.Insist(ctx)
	}
	record, err := s.onRecord()
	if err != nil {
		return Chain{}, err
	}
	mode, why, err := s.decide(ctx, record)
	if err != nil {
		return Chain{}, err
	}
	if _, err := s.holder(mode, record); err != nil {
		return Chain{Mode: mode, ModeWhy: why}, err
	}
	var c Chain
	switch mode {
	case config.ModeOAuth:
		c, err = s.consented(ctx, a)
	case config.ModeClientCredentials, config.ModeWorkload:
		c, err = s.alone(ctx, mode, a)
	default:
		c, err = s.managed(ctx, a)
	}
	c.Mode, c.ModeWhy = mode, why
	return c, err
}

// managed gets a token by an ID-JAG.
//
// What does not depend on one another is asked for at the same time. The
// authorization server's metadata is read beside the exchange: the issuer that
// the resource names is the audience either way, and nothing is redeemed before
// that issuer's own metadata confirms it (attack S1).
func (s *Source) managed(ctx context.Context, a Ask) (Chain, error) {
	c, client, err := s.grant(ctx, a, s.prover)
	if err != nil {
		return c, s.betterReason(ctx, c, err)
	}
	// On disk while the authorization server thinks. Its own metadata has confirmed it by
	// now, and no token of one that turns out not to be the first is given away.
	pinned := make(chan error, 1)
	go func() { pinned <- s.pin(ctx, c.Place) }()
	s.Net.Permit(wire.IDJAG, c.Grant.Assertion, wire.Endpoint(c.AS.TokenEndpoint))
	r := idjag.RedeemRequest{
		Endpoint: c.AS.TokenEndpoint, Client: client, Grant: c.Grant,
		Resource: c.Target.Resource, Scopes: c.Grant.Scopes, Now: s.Now,
		Prover: c.Target.Prover, RequireBound: c.Target.Prover != nil,
	}
	if !s.Server.OAuth.SendsResource() {
		r.Resource = ""
	}
	if !s.Server.OAuth.SendsScope() {
		r.Scopes = nil
	}
	var t endpoint.Token
	err = s.pace(c.Target.AS).Ask(ctx, func() (err error) {
		t, err = idjag.Redeem(wire.OnBehalfOf(ctx, s.Server.URL), s.Net.Client(), r)
		return err
	})
	s.Net.Forget(c.Grant.Assertion) // spent, and a program that runs for days would collect them
	if err := <-pinned; err != nil {
		return c, err
	}
	if err != nil {
		return c, s.betterReason(ctx, c, stage.At(stage.Redeem, c.Target.Parties, err))
	}
	c.Token = s.tokenOf(c, t)
	c.Token.Warnings = slices.Concat(c.Grant.Warnings, reduced("the identity provider", c.Grant.Reduced), c.Token.Warnings)
	if len(t.Scopes) == 0 {
		c.Token.Scopes = c.Grant.Scopes
	}
	if err := s.enough(c); err != nil {
		return c, err
	}
	if c.AS.TokenEndpointForeign { // attack S1: exact metadata, and yet worth a word
		c.Token.Warnings = append(c.Token.Warnings, fmt.Sprintf("the authorization server %s has its token endpoint elsewhere: %s",
			wire.Clean(c.Target.AS), wire.Clean(c.AS.TokenEndpoint)))
	}
	return c, nil
}

// tokenOf is the token that a token endpoint answered with.
func (s *Source) tokenOf(c Chain, t endpoint.Token) Token {
	return Token{
		AccessToken: t.AccessToken, Type: t.Type, Expires: t.Expires, Scopes: t.Scopes,
		Server: s.Server.Name, Resource: c.Target.Resource, AS: c.Target.AS,
		Warnings: slices.Concat(t.Warnings, reduced("the authorization server", t.Reduced)),
	}
}

// enough refuses a token without the scopes that the configuration requires.
func (s *Source) enough(c Chain) error {
	if required := s.Server.OAuth.RequireScopes; lacks(c.Token.Scopes, required) {
		err := &idjag.CheckError{Rule: "A5", What: "the scopes granted", Got: joined(c.Token.Scopes), Want: joined(required)}
		return stage.At(stage.Redeem, c.Target.Parties, err)
	}
	return nil
}

// Grant gets an ID-JAG for programs that redeem it themselves. It is not bound to
// a key: theirs is not known here.
func (s *Source) Grant(ctx context.Context, a Ask) (Chain, error) {
	record, err := s.onRecord()
	if err != nil {
		return Chain{}, err
	}
	mode, _, err := s.decide(ctx, record)
	if err == nil && mode != config.ModeEMA {
		err = &NoIDJAG{s.Server.Name, mode}
	}
	if err == nil {
		_, err = s.holder(mode, record)
	}
	if err != nil {
		return Chain{}, err
	}
	c, _, err := s.grant(ctx, a, func(context.Context, Place, Ask) (*dpop.Prover, error) { return nil, nil })
	if err == nil {
		err = s.pin(ctx, c.Place)
	}
	return c, err
}

// NoIDJAG says that ID-JAGs have no part in how this server's tokens are had.
type NoIDJAG struct{ Server, Mode string }

func (e *NoIDJAG) Error() string {
	return fmt.Sprintf("the server %q is not enterprise-managed: its mode is %s", e.Server, e.Mode)
}

func (s *Source) grant(ctx context.Context, a Ask, prover func(context.Context, Place, Ask) (*dpop.Prover, error)) (Chain, clientauth.Client, error) {
	var c Chain
	var client clientauth.Client
	if err := s.Provider.Pace(s.Server.Name).Held(ctx); err != nil {
		return c, client, stage.At(stage.Exchange, s.parties(), err)
	}
	// One goes to the server and on to its authorization server, the other to the
	// identity provider, where it needs to know for whom the ID-JAG will be.
	both, bctx := errgroup.WithContext(ctx)
	located := make(chan struct{})
	both.Go(func() (err error) {
		var target grant.Target
		if c.Place, err = s.locate(bctx, a.Fresh); err == nil {
			target = s.target(c.Place, a)
			target.Prover, err = prover(bctx, c.Place, a)
			target.RequireBound = target.Prover != nil && s.Server.OAuth.DPoPOrDefault() == "required"
		}
		if err == nil { // an ID-JAG that cannot be spent is not asked for
			err = s.free(bctx, target)
		}
		if err == nil {
			c.Target = target
		}
		close(located)
		if err != nil {
			return err
		}
		if c.AS, client, err = s.server(bctx, c.Target); err != nil {
			return err
		}
		// Its metadata was known, and nobody was asked yet: it is next.
		s.Net.Preconnect(wire.OnBehalfOf(ctx, s.Server.URL), c.AS.TokenEndpoint)
		return nil
	})
	both.Go(func() (err error) {
		if _, err := s.Provider.Party(bctx); err != nil {
			return err
		}
		if <-located; c.Target.AS == "" {
			return nil // the other one says why
		}
		c.Grant, err = grant.Get(bctx, s.Provider, c.Target)
		return err
	})
	err := both.Wait()
	return c, client, err
}

// pace is how an authorization server is asked for this server's tokens, by all
// processes.
func (s *Source) pace(issuer string) pace.Party {
	return pace.Party{State: s.State, Name: issuer, About: s.Server.Name, Now: s.Now}
}

// free returns an error while the authorization server must not be asked.
func (s *Source) free(ctx context.Context, t grant.Target) error {
	return stage.At(stage.Redeem, t.Parties, s.pace(t.AS).Held(ctx))
}

func (s *Source) target(p Place, a Ask) grant.Target {
	o := s.Server.OAuth
	t := grant.Target{
		Parties: s.parties(), Audience: o.Audience, ExpectAudience: o.ExpectAudience,
		OmitResource: !o.SendsResource(), RequireScopes: o.RequireScopes,
	}
	t.Resource, t.AS, t.Scopes = p.Resource, p.AS, s.scopes(a)
	if t.Scopes == nil {
		t.Scopes = p.Scopes
	}
	if !o.SendsScope() {
		t.Scopes = nil
	}
	return t
}

// server finds the authorization server's token endpoint and gets our client
// ready for it.
func (s *Source) server(ctx context.Context, t grant.Target) (discover.ServerMetadata, clientauth.Client, error) {
	as := s.configured(t)
	if as.TokenEndpoint == "" {
		var err error
		if as, err = s.Metadata(ctx, t.AS); err != nil {
			return as, clientauth.Client{}, err
		}
	}
	client, err := s.client(ctx, t, as)
	return as, client, err
}

// configured is what is known of an authorization server from the configuration.
func (s *Source) configured(t grant.Target) discover.ServerMetadata {
	return discover.ServerMetadata{Issuer: t.AS, TokenEndpoint: s.Server.OAuth.TokenEndpoint}
}

// client gets our registration ready for the authorization server. Its secret may
// then go to the token endpoint, and only there.
func (s *Source) client(ctx context.Context, t grant.Target, as discover.ServerMetadata) (clientauth.Client, error) {
	auth := s.Server.OAuth.ClientAuth
	if s.Server.OAuth.ASClientID == "" {
		auth = s.Company.ClientAuth
	}
	client, err := identity.ClientFrom(ctx, s.Vault, auth, s.clientID(), t.AS)
	if err != nil {
		return client, err
	}
	var supported []string
	if as.TokenEndpointAuthMethodsStated {
		supported = as.TokenEndpointAuthMethods
	}
	client.Now = s.Now
	if client.Method, err = client.Choose(supported); err != nil {
		return client, stage.At(stage.ServerMetadata, t.Parties, err)
	}
	identity.PermitClient(s.Net, client, as.TokenEndpoint)
	return client, nil
}

// betterReason looks again at the server's own word when a refusal could come
// from it having moved to another authorization server: what was learnt some
// time ago may no longer hold (protocol rule 1.1.6).
func (s *Source) betterReason(ctx context.Context, c Chain, err error) error {
	var e *endpoint.Error
	if !c.Place.Remembered || !errors.As(err, &e) || !slices.Contains([]string{"invalid_client", "invalid_target", "invalid_grant"}, e.Code) {
		return err
	}
	var changed *Changed
	if _, again := s.locate(ctx, true); errors.As(again, &changed) {
		return again
	}
	return err
}

func reduced(by string, scopes []string) []string {
	if len(scopes) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s did not grant the scope %s", by, wire.Clean(joined(scopes)))}
}
