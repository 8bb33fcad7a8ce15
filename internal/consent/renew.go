package consent

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	// renewalTime bounds one renewal at the authorization server, and the storing of
	// what came of it.
	renewalTime = 15 * time.Second
	// leastTime is what a caller must have left to begin one. What ends in the
	// middle has used up a refresh token.
	leastTime = 2 * time.Second
)

// renewal is one that is about to begin.
type renewal struct {
	Target
	consent state.Consent
	client  clientauth.Client
	how     string
	refresh secret.Text
	need    []string
}

// Renew gets an access token by what a person agreed to before, one process at a
// time: authorization servers take a second use of a rotated refresh token for
// theft and end the whole consent (attack S30; OAuth 2.1 section 4.3.1). Whoever
// has waited meanwhile takes the token that came. need are the scopes without
// which the token is of no use.
//
// It is *Needed that a person agrees when there is nothing to renew with, when the
// authorization server does not renew any more, and when need was never granted.
func (k *Keeper) Renew(ctx context.Context, t Target, need []string) (endpoint.Token, error) {
	asked := k.now()
	if err := t.fit(false); err != nil {
		return endpoint.Token{}, err
	}
	unlock, err := k.State.Lock(ctx, lockName(t.url()))
	if err != nil {
		return endpoint.Token{}, err
	}
	if l, ok := k.latest(ctx, t); ok && l.Obtained.After(asked) && !lacks(l.Scopes, need) {
		unlock()
		return l.token(), nil
	}
	r, err := k.prepare(ctx, t, need)
	if err != nil {
		unlock()
		return endpoint.Token{}, err
	}
	return k.begin(ctx, r, unlock)
}

// prepare finds what to renew with. The lock is held.
func (k *Keeper) prepare(ctx context.Context, t Target, need []string) (renewal, error) {
	r := renewal{Target: t, need: need}
	record, err := k.known(t.url())
	if err != nil {
		return r, fmt.Errorf("read the consent: %w", err)
	}
	c := record.Consent
	if c == nil {
		return r, k.needed(t, need, "you have not agreed yet")
	}
	r.consent = *c
	if c.Issuer != t.AS.Issuer {
		return r, k.drop(ctx, t, r.consent, "it has another authorization server now than the one that you agreed at")
	}
	var none *NoClient
	switch r.client, r.how, err = k.Client(ctx, t); {
	case errors.As(err, &none):
		return r, k.needed(t, need, none.Why)
	case err != nil:
		return r, err
	case c.ClientID != r.client.ID:
		return r, k.drop(ctx, t, r.consent, "mcpauth is another client now than the one that you agreed to")
	case !c.Renewable:
		return r, k.needed(t, need, "your consent has run out, and cannot be renewed")
	case lacks(c.Scopes, need) && !lacks(c.Asked, need):
		return r, k.needed(t, need, "it was not granted all that was asked for")
	case lacks(c.Scopes, need):
		return r, k.needed(t, need, "more is needed than you have agreed to")
	}
	r.refresh, err = k.Vault.Get(ctx, refreshItem(t.url(), r.consent))
	switch {
	case errors.Is(err, vault.ErrNotFound):
		return r, k.needed(t, need, "what it is renewed with is not stored any more")
	case err != nil:
		return r, fmt.Errorf("read the consent: %w", err)
	}
	// A refresh token can be used once. It stays unused where the next one could not be
	// kept: a disk that is full must not cost the consent.
	if err := k.Vault.Set(ctx, refreshItem(t.url(), r.consent), r.refresh); err != nil {
		return r, fmt.Errorf("the consent is not renewed, because the next one could not be kept: %w", err)
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) < leastTime {
		return r, fmt.Errorf("renew the consent: too little time is left: %w", context.DeadlineExceeded)
	}
	return r, nil
}

// drop forgets a consent that was given at another issuer, or to another client:
// nothing of it may be used here (MCP, Authorization Server Binding).
func (k *Keeper) drop(ctx context.Context, t Target, c state.Consent, why string) error {
	if err := k.forgetConsent(ctx, t.url(), c); err != nil {
		return err
	}
	return k.needed(t, nil, why)
}

// begin starts a renewal, whose end gives the lock back, and waits for it while
// ctx lets it. The renewal itself goes on whatever happens to ctx: its answer may
// hold the only refresh token that is still good (attack S30).
func (k *Keeper) begin(ctx context.Context, r renewal, unlock func()) (endpoint.Token, error) {
	token, err := identity.Outlive(ctx, &k.renewals, func(ctx context.Context) (endpoint.Token, error) {
		defer unlock()
		return k.refresh(ctx, r)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("renew the consent: %w", err)
	}
	return token, err
}

// Settle waits for renewals whose callers have gone.
func (k *Keeper) Settle(ctx context.Context) { k.renewals.Settle(ctx) }

// refresh is one refresh grant (RFC 6749 section 6). It asks for no scopes: that
// yields what was granted.
func (k *Keeper) refresh(ctx context.Context, r renewal) (endpoint.Token, error) {
	asking, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	k.Net.Permit(wire.RefreshToken, r.refresh, wire.Endpoint(r.AS.TokenEndpoint))
	token, err := k.get(asking, r.Target, r.client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.refresh.Reveal()}})
	ctx, cancel = context.WithTimeout(ctx, renewalTime) // a late answer is stored as carefully as an early one
	defer cancel()
	var refused *endpoint.Error
	if errors.As(err, &refused) && refused.Code == "invalid_grant" {
		k.ended(ctx, r)
		return endpoint.Token{}, k.needed(r.Target, nil, "your consent has ended: the authorization server no longer renews it")
	}
	// First of all the rotated refresh token: without it the consent is lost.
	if !token.RefreshToken.IsZero() && !token.RefreshToken.Equal(r.refresh) {
		err := identity.WriteDown(ctx, k.Net, func() error {
			return k.Vault.Set(ctx, refreshItem(r.url(), r.consent), token.RefreshToken)
		})
		if err != nil {
			k.ended(ctx, r) // the one that is stored is spent, and to show it again looks like theft
			k.warn("the renewed consent could not be kept (%v); you will have to agree again", err)
		}
		k.Net.Forget(r.refresh)
	}
	switch {
	case unknown(r.how, err):
		return endpoint.Token{}, k.disown(ctx, r.Target, k.forget)
	case err != nil:
		return endpoint.Token{}, err
	}
	if token.Scopes == nil {
		token.Scopes = r.consent.Scopes
	}
	if !slices.Equal(token.Scopes, r.consent.Scopes) {
		r.consent.Scopes = token.Scopes
		err := k.update(ctx, r.url(), func(s *state.Server) {
			if s.Consent != nil {
				s.Consent.Scopes = token.Scopes
			}
		})
		if err != nil {
			k.warn("%v", err)
		}
	}
	k.setLatest(ctx, r.Target, r.consent, token)
	if lacks(token.Scopes, r.need) {
		return endpoint.Token{}, k.needed(r.Target, r.need, "it grants less now than you have agreed to")
	}
	return token, nil
}

// ended records that a consent is not renewed any more, and drops what it was
// renewed with.
func (k *Keeper) ended(ctx context.Context, r renewal) {
	err := k.update(ctx, r.url(), func(s *state.Server) {
		if s.Consent != nil {
			s.Consent.Renewable = false
		}
	})
	if err = errors.Join(err, k.Vault.Delete(ctx, refreshItem(r.url(), r.consent))); err != nil {
		k.warn("%v", err)
	}
}
