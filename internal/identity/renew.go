package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	// margin is how long an ID token must still be good, at least, to be shown to
	// anybody.
	margin = time.Minute
	// renewalTime bounds one renewal at the identity provider, and the storing of
	// what came of it.
	renewalTime = 15 * time.Second
	// leastTime is what a caller must have left to begin one. What ends in the
	// middle has used up a refresh token.
	leastTime = 2 * time.Second
)

// Subject is what proves to the identity provider who is asking.
type Subject struct {
	Token    secret.Text
	Type     string // idjag.TokenTypeIDToken or idjag.TokenTypeRefreshToken
	Identity state.Identity
	Renewed  bool // just now
}

// Subject returns a subject token that is good for at least a minute, renewing
// the sign-in if it must. spent, when it is not zero, is the one that the identity
// provider has just refused: it is not returned again.
func (p *Provider) Subject(ctx context.Context, spent secret.Text) (Subject, error) {
	id, err := p.Current()
	if err != nil {
		return Subject{}, err
	}
	if p.IdP.SubjectTokenOrDefault() == "refresh_token" {
		return p.refreshSubject(ctx, id, spent)
	}
	s, err := p.stored(ctx, id, spent)
	var out *SignedOut
	var untrusted *Untrusted
	if err != errStale && !errors.As(err, &out) && !(errors.As(err, &untrusted) && untrusted.Rule == "T9") {
		return s, err
	}
	// Perhaps somebody signs in just now, and record and token are not of the same
	// sign-in for a moment. Behind the lock they must be.
	s, err = p.renew(ctx, spent)
	if err == nil || errors.As(err, &out) || errors.As(err, &untrusted) || !p.now().Before(id.Expires.Add(-margin)) {
		return s, err
	}
	// It is renewed ahead of its end, and that can wait.
	if left, none := p.atHand(ctx, id, spent); none == nil {
		p.warn("%v; it is good until %s", err, id.Expires.Local().Format(time.TimeOnly))
		return left, nil
	}
	return s, err
}

// errStale says that only a renewal can help.
var errStale = errors.New("the ID token at hand is not good enough")

// stored returns the ID token at hand, if it will do.
func (p *Provider) stored(ctx context.Context, id state.Identity, spent secret.Text) (Subject, error) {
	if id.Renewable && !p.now().Before(renewAt(id)) {
		return Subject{}, errStale
	}
	return p.atHand(ctx, id, spent)
}

// atHand is stored for an ID token that is good for a while.
func (p *Provider) atHand(ctx context.Context, id state.Identity, spent secret.Text) (Subject, error) {
	token, err := p.idToken(ctx, id, spent)
	switch {
	case err == nil && !token.Equal(spent):
		if err := p.recheck(token, id); err != nil {
			p.tokens.forget()
			return Subject{}, p.at(stage.Login, err)
		}
		return Subject{Token: token, Type: idjag.TokenTypeIDToken, Identity: id}, nil
	case err != nil && !errors.Is(err, vault.ErrNotFound):
		return Subject{}, fmt.Errorf("read the sign-in: %w", err)
	case id.Renewable:
		return Subject{}, errStale
	}
	return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "your sign-in is no longer accepted"}
}

// idToken reads the ID token of a sign-in once for all of a process's servers: with
// fifty of them the keychain would be asked fifty times. One that the identity
// provider refused is read again, in case another process has put it right.
func (p *Provider) idToken(ctx context.Context, id state.Identity, spent secret.Text) (secret.Text, error) {
	item := p.idTokenItem(id)
	// A renewal changes the times on record, a sign-in changes those or the slot.
	record := fmt.Sprint(item, id.SignedIn.UnixNano(), id.Issued.UnixNano(), id.Expires.UnixNano())
	token, err := p.tokens.of(record, p.now()).get(ctx, func() (secret.Text, error) {
		return p.Vault.Get(ctx, item)
	})
	if err == nil && token.Equal(spent) {
		p.tokens.forget()
		return p.Vault.Get(ctx, item)
	}
	return token, err
}

// renewAt is when an ID token is renewed though it is still good. It is different
// for each person: identity providers that end all of a company's ID tokens at ten
// o'clock must not be asked for new ones by everybody at once.
func renewAt(id state.Identity) time.Time {
	at := id.Expires.Add(-margin)
	if early := pace.RenewAt(id.Subject, id.Issued, id.Expires); !id.Issued.IsZero() && early.Before(at) {
		return early
	}
	return at
}

// recheck looks at a stored ID token again before it is used: a keychain is not
// only ours to write. It must be about the person on record, by whose name the
// tokens that it yields are kept (attack S31).
func (p *Provider) recheck(token secret.Text, id state.Identity) error {
	_, claims, err := open(token)
	if err != nil {
		return &Untrusted{Rule: "T1", What: err.Error()}
	}
	_, err = p.read(claims, expected{before: &id})
	return err
}

func (p *Provider) refreshSubject(ctx context.Context, id state.Identity, spent secret.Text) (Subject, error) {
	if !id.Renewable {
		return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "the identity provider gave no refresh token, which this configuration wants to present"}
	}
	token, err := p.Vault.Get(ctx, p.refreshItem(id))
	if err != nil {
		return Subject{}, fmt.Errorf("read the sign-in: %w", err)
	}
	if token.Equal(spent) {
		return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "your sign-in is no longer accepted"}
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
	id, err := p.Current() // again: somebody else may have renewed or signed out
	if err == nil {
		var s Subject
		if s, err = p.stored(ctx, id, spent); err == nil {
			s.Renewed = true
			unlock()
			return s, nil
		}
	}
	if err != errStale {
		unlock()
		return Subject{}, err
	}
	return p.begin(ctx, id, unlock)
}

// begin starts a renewal, whose end gives the lock back, and waits for it while
// ctx lets it. The renewal itself goes on whatever happens to ctx: its answer may
// hold the only refresh token that is still good (attack S30).
func (p *Provider) begin(ctx context.Context, id state.Identity, unlock func()) (Subject, error) {
	party, err := p.Party(ctx)
	var refresh secret.Text
	if err == nil {
		if refresh, err = p.Vault.Get(ctx, p.refreshItem(id)); err != nil {
			err = fmt.Errorf("read the sign-in: %w", err)
		}
	}
	// A refresh token can be used once. It stays unused where the next one could not be
	// kept: a disk that is full must not cost the sign-in.
	if err == nil {
		if err = p.Vault.Set(ctx, p.refreshItem(id), refresh); err != nil {
			err = fmt.Errorf("the sign-in is not renewed, because the next one could not be kept: %w", err)
		}
	}
	if d, ok := ctx.Deadline(); err == nil && ok && time.Until(d) < leastTime {
		err = p.at(stage.Renewal, fmt.Errorf("too little time is left: %w", context.DeadlineExceeded))
	}
	if err != nil {
		unlock()
		return Subject{}, err
	}
	s, err := Outlive(ctx, &p.renewals, func(ctx context.Context) (Subject, error) {
		defer unlock()
		return p.refresh(ctx, party, id, refresh)
	})
	return s, p.at(stage.Renewal, err)
}

// Settle waits for renewals whose callers have gone: one that dies with the process
// can cost the sign-in.
func (p *Provider) Settle(ctx context.Context) { p.renewals.Settle(ctx) }

func (p *Provider) refresh(ctx context.Context, party Party, id state.Identity, refresh secret.Text) (Subject, error) {
	asking, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	p.Net.Permit(wire.RefreshToken, refresh, wire.Endpoint(party.TokenEndpoint))
	var t tokens
	err := p.Pace("renewal").Ask(ctx, func() (err error) {
		t, err = p.ask(asking, party, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}})
		return err
	})
	ctx, cancel = context.WithTimeout(ctx, renewalTime) // a late answer is stored as carefully as an early one
	defer cancel()
	var refused *endpoint.Error
	if errors.As(err, &refused) && refused.Code == "invalid_grant" {
		return Subject{}, p.ended(ctx, id)
	}
	// First of all the rotated refresh token: without it the sign-in is lost.
	if !t.refresh.IsZero() && !t.refresh.Equal(refresh) {
		err := WriteDown(ctx, p.Net, func() error { return p.Vault.Set(ctx, p.refreshItem(id), t.refresh) })
		if err != nil {
			p.warn("the renewed sign-in could not be kept (%v); you may have to sign in again soon", err)
		}
		refresh = t.refresh
	}
	if err != nil {
		return Subject{}, err
	}
	if t.id.IsZero() { // allowed by OpenID Connect Core section 12.2
		if p.IdP.SubjectTokenOrDefault() == "id_token" {
			return Subject{}, &SignedOut{IdP: p.IdP.Name, Why: "the identity provider does not renew the ID token"}
		}
		return Subject{Token: refresh, Type: idjag.TokenTypeRefreshToken, Identity: id, Renewed: true}, nil
	}
	fresh, err := p.verify(ctx, t.id, expected{nonce: id.Nonce, nonceIfPresent: true, accessToken: t.access, before: &id})
	if err != nil {
		return Subject{}, p.withClock(err, t.date)
	}
	id.Issued, id.Expires, id.Unverified = fresh.Issued, fresh.Expires, false
	if err := p.Vault.Set(ctx, p.idTokenItem(id), t.id); err != nil {
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
