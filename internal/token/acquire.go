package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/mcpauth/mcpauth/internal/grant"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Chain is everything between a server's URL and its token.
type Chain struct {
	Place  Place
	Target grant.Target
	AS     discover.ServerMetadata
	Grant  idjag.Grant
	Token  Token
}

// Acquire gets a new token and does not touch the cache of tokens.
//
// What does not depend on one another is asked for at the same time. The
// authorization server's metadata is read beside the exchange: the issuer that
// the resource names is the audience either way, and nothing is redeemed before
// that issuer's own metadata confirms it (attack S1).
func (s *Source) Acquire(ctx context.Context, a Ask) (Chain, error) {
	c, client, err := s.grant(ctx, a)
	if err != nil {
		return c, s.betterReason(ctx, c, err)
	}
	s.Net.Permit(wire.IDJAG, c.Grant.Assertion, wire.Endpoint(c.AS.TokenEndpoint))
	r := idjag.RedeemRequest{
		Endpoint: c.AS.TokenEndpoint, Client: client, Grant: c.Grant,
		Resource: c.Target.Resource, Scopes: c.Grant.Scopes, Now: s.Now,
	}
	if !s.Server.OAuth.SendsResource() {
		r.Resource = ""
	}
	if !s.Server.OAuth.SendsScope() {
		r.Scopes = nil
	}
	t, err := idjag.Redeem(wire.OnBehalfOf(ctx, s.Server.URL), s.Net.Client(), r)
	s.Net.Forget(c.Grant.Assertion) // spent, and a program that runs for days would collect them
	if err != nil {
		return c, s.betterReason(ctx, c, stage.At(stage.Redeem, c.Target.Parties, err))
	}
	c.Token = Token{
		AccessToken: t.AccessToken, Type: t.Type, Expires: t.Expires, Scopes: t.Scopes,
		Server: s.Server.Name, Resource: c.Target.Resource, AS: c.Target.AS,
		Warnings: slices.Concat(c.Grant.Warnings, t.Warnings, reduced("the identity provider", c.Grant.Reduced), reduced("the authorization server", t.Reduced)),
	}
	if len(t.Scopes) == 0 {
		c.Token.Scopes = c.Grant.Scopes
	}
	if required := s.Server.OAuth.RequireScopes; lacks(c.Token.Scopes, required) {
		err := &idjag.CheckError{Rule: "A5", What: "the scopes granted", Got: joined(c.Token.Scopes), Want: joined(required)}
		return c, stage.At(stage.Redeem, c.Target.Parties, err)
	}
	if c.AS.TokenEndpointForeign { // attack S1: exact metadata, and yet worth a word
		c.Token.Warnings = append(c.Token.Warnings, fmt.Sprintf("the authorization server %s has its token endpoint elsewhere: %s",
			wire.Clean(c.Target.AS), wire.Clean(c.AS.TokenEndpoint)))
	}
	return c, nil
}

// Grant gets an ID-JAG for programs that redeem it themselves.
func (s *Source) Grant(ctx context.Context, a Ask) (Chain, error) {
	c, _, err := s.grant(ctx, a)
	return c, err
}

func (s *Source) grant(ctx context.Context, a Ask) (Chain, clientauth.Client, error) {
	var c Chain
	var client clientauth.Client
	// One goes to the server and on to its authorization server, the other to the
	// identity provider, where it needs to know for whom the ID-JAG will be.
	both, bctx := errgroup.WithContext(ctx)
	located := make(chan struct{})
	both.Go(func() (err error) {
		if c.Place, err = s.locate(bctx, a.Fresh); err == nil {
			c.Target = s.target(c.Place, a)
		}
		close(located)
		if err != nil {
			return err
		}
		c.AS, client, err = s.server(bctx, c.Target)
		return err
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
	if err := both.Wait(); err != nil {
		return c, client, err
	}
	if err := s.pin(ctx, c.Place); err != nil {
		return c, client, err
	}
	return c, client, nil
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
// ready for it. Its secret may then go there, and only there.
func (s *Source) server(ctx context.Context, t grant.Target) (discover.ServerMetadata, clientauth.Client, error) {
	as := discover.ServerMetadata{Issuer: t.AS, TokenEndpoint: s.Server.OAuth.TokenEndpoint}
	if as.TokenEndpoint == "" {
		var err error
		if as, err = s.Discover.AuthorizationServer(wire.OnBehalfOf(ctx, s.Server.URL), t.AS); err != nil {
			return as, clientauth.Client{}, stage.At(stage.ServerMetadata, t.Parties, err)
		}
	}
	client, err := identity.ClientFrom(ctx, s.Vault, s.Server.OAuth.ClientAuth, s.Server.OAuth.ASClientID, t.AS)
	if err != nil {
		return as, client, err
	}
	var supported []string
	if as.TokenEndpointAuthMethodsStated {
		supported = as.TokenEndpointAuthMethods
	}
	client.Now = s.Now
	if client.Method, err = client.Choose(supported); err != nil {
		return as, client, stage.At(stage.ServerMetadata, t.Parties, err)
	}
	identity.PermitClient(s.Net, client, as.TokenEndpoint)
	return as, client, nil
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
