package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	// margin is how long an ID token must still be good to be shown to anybody.
	margin = time.Minute
	// renewalTime bounds one renewal at the identity provider.
	renewalTime = 15 * time.Second
)

// Subject is what proves to the identity provider who is asking.
type Subject struct {
	Token    secret.Text
	Type     string // idjag.TokenTypeIDToken or idjag.TokenTypeRefreshToken
	Identity state.Identity
	Renewed  bool // just now
}

// Subject returns a subject token that is good for at least a minute, renewing
// the sign-in if it must. With force the ID token at hand is not good enough,
// because the identity provider has just refused it: spent is that token.
func (p *Provider) Subject(ctx context.Context, spent secret.Text) (Subject, error) {
	id, err := p.Current()
	if err != nil {
		return Subject{}, err
	}
	if p.IdP.SubjectTokenOrDefault() == "refresh_token" {
		return p.refreshSubject(ctx, id)
	}
	if id.Expires.After(p.now().Add(margin)) || !id.Renewable {
		token, err := p.Vault.Get(ctx, p.idTokenItem())
		switch {
		case err == nil && !token.Equal(spent):
			return Subject{Token: token, Type: idjag.TokenTypeIDToken, Identity: id}, p.recheck(token)
		case err != nil && !errors.Is(err, vault.ErrNotFound):
			return Subject{}, fmt.Errorf("read the sign-in: %w", err)
		case !id.Renewable:
			return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "your sign-in is no longer accepted"}
		}
	}
	return p.renew(ctx, spent)
}

// recheck looks at a stored ID token again before it is used: a keychain is not
// only ours to write.
func (p *Provider) recheck(token secret.Text) error {
	_, claims, err := open(token)
	if err == nil {
		_, err = p.read(claims, expected{})
	} else {
		err = &Untrusted{Rule: "T1", What: err.Error()}
	}
	return p.at(stage.Login, err)
}

func (p *Provider) refreshSubject(ctx context.Context, id state.Identity) (Subject, error) {
	if !id.Renewable {
		return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "the identity provider gave no refresh token, which this configuration wants to present"}
	}
	token, err := p.Vault.Get(ctx, p.refreshItem())
	if err != nil {
		return Subject{}, fmt.Errorf("read the sign-in: %w", err)
	}
	return Subject{Token: token, Type: idjag.TokenTypeRefreshToken, Identity: id}, nil
}

// renew gets a new ID token with the refresh token, one process at a time (attack
// S30): identity providers take a second use of a rotated refresh token for
// theft and end the whole sign-in.
func (p *Provider) renew(ctx context.Context, spent secret.Text) (Subject, error) {
	unlock, err := p.State.Lock(ctx, "renewal at "+p.IdP.Name)
	if err != nil {
		return Subject{}, p.at(stage.Renewal, err)
	}
	defer unlock()
	id, err := p.Current() // again: somebody else may have renewed or signed out
	if err != nil {
		return Subject{}, err
	}
	if id.Expires.After(p.now().Add(margin)) {
		if token, err := p.Vault.Get(ctx, p.idTokenItem()); err == nil && !token.Equal(spent) {
			return Subject{Token: token, Type: idjag.TokenTypeIDToken, Identity: id, Renewed: true}, p.recheck(token)
		}
	}
	party, err := p.Party(ctx)
	if err != nil {
		return Subject{}, err
	}
	refresh, err := p.Vault.Get(ctx, p.refreshItem())
	if err != nil {
		return Subject{}, fmt.Errorf("read the sign-in: %w", err)
	}
	// From here on a caller who loses patience must not lose the sign-in: the
	// answer may hold the only valid refresh token.
	deadline := p.now().Add(renewalTime)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	steady, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Sub(p.now()))
	defer cancel()
	s, err := p.refresh(steady, party, id, refresh)
	return s, p.at(stage.Renewal, err)
}

func (p *Provider) refresh(ctx context.Context, party Party, id state.Identity, refresh secret.Text) (Subject, error) {
	p.Net.Permit(wire.RefreshToken, refresh, wire.Endpoint(party.TokenEndpoint))
	t, err := p.ask(ctx, party, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}})
	var refused *endpoint.Error
	if errors.As(err, &refused) && refused.Code == "invalid_grant" {
		return Subject{}, p.ended(ctx, id)
	}
	if err != nil {
		return Subject{}, err
	}
	// First of all the rotated refresh token: without it the sign-in is lost.
	if !t.refresh.IsZero() && !t.refresh.Equal(refresh) {
		if err := p.Vault.Set(ctx, p.refreshItem(), t.refresh); err != nil {
			p.warn("the renewed sign-in could not be kept (%v); you may have to sign in again soon", err)
		}
		refresh = t.refresh
	}
	if t.id.IsZero() { // allowed by OpenID Connect Core section 12.2
		if p.IdP.SubjectTokenOrDefault() == "id_token" {
			return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "the identity provider does not renew the ID token"}
		}
		return Subject{Token: refresh, Type: idjag.TokenTypeRefreshToken, Identity: id, Renewed: true}, nil
	}
	fresh, err := p.verify(ctx, t.id, expected{nonce: id.Nonce, nonceIfPresent: true, accessToken: t.access, before: &id})
	if err != nil {
		return Subject{}, err
	}
	id.Expires, id.Unverified = fresh.Expires, false
	if err := p.Vault.Set(ctx, p.idTokenItem(), t.id); err != nil {
		p.warn("the renewed sign-in could not be kept: %v", err)
	} else if err := p.State.Update(ctx, func(f *state.File) error { f.Identities[p.IdP.Name] = id; return nil }); err != nil {
		p.warn("the renewed sign-in could not be kept: %v", err)
	}
	return Subject{Token: t.id, Type: idjag.TokenTypeIDToken, Identity: id, Renewed: true}, nil
}

// ended records that the identity provider no longer renews this sign-in, so that
// the next caller is told at once. Nothing is deleted: logout does that.
func (p *Provider) ended(ctx context.Context, id state.Identity) error {
	id.Renewable = false
	if err := p.State.Update(ctx, func(f *state.File) error { f.Identities[p.IdP.Name] = id; return nil }); err != nil {
		p.warn("%v", err)
	}
	return &SignedOut{IdP: p.IdP.Name, Why: "your sign-in has ended: the identity provider no longer renews it"}
}
