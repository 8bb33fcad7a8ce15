package identity

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// SignIn has a person sign in through the browser and keeps what came of it.
// Sign-ins that are started while one is under way wait for it and share it.
func (p *Provider) SignIn(ctx context.Context, open func(ctx context.Context, address string) error) (state.Identity, error) {
	asked := p.now()
	unlock, err := p.State.Lock(ctx, "sign-in at "+p.IdP.Name)
	if err != nil {
		return state.Identity{}, p.at(stage.Login, err)
	}
	defer unlock()
	if id, ok, err := p.current(); err != nil {
		return state.Identity{}, err
	} else if ok && id.SignedIn.After(asked) && !id.Imported && !p.demanding() {
		return id, nil
	}
	meta, err := p.Metadata(ctx)
	if err != nil {
		return state.Identity{}, err
	}
	party, err := p.Party(ctx)
	if err != nil {
		return state.Identity{}, err
	}
	request := signin.Request{
		Issuer: p.IdP.Issuer, AuthorizationEndpoint: meta.AuthorizationEndpoint, IssParameterSupported: meta.IssParameterSupported,
		ClientID: p.IdP.IdPClientID, Scopes: p.scopes(meta.ScopesSupported),
		Prompt: p.IdP.Prompt, LoginHint: p.IdP.LoginHint, ACRValues: p.IdP.ACRValues, MaxAge: p.MaxAge,
		RedirectHost: p.IdP.RedirectHostOrDefault(), RedirectPort: p.IdP.RedirectPort,
	}
	var id state.Identity
	err = signin.Browser(ctx, request, open, func(ctx context.Context, code signin.Code) error {
		id, err = p.spend(ctx, party, code)
		if err == nil {
			p.Pace("").Works() // so that nobody else waits either
		}
		return err
	})
	return id, p.at(stage.Login, err)
}

// demanding reports whether this sign-in is to be of a certain kind, so that one
// that somebody else has just made need not do (rule T7).
func (p *Provider) demanding() bool {
	return p.MaxAge > 0 || p.IdP.Prompt != "" || len(p.IdP.ACRValues) > 0
}

// scopes are those of the configuration, or else what gives the person a name, if
// the identity provider lists it. offline_access is asked for when it is listed or
// configured: it is what yields a refresh token.
func (p *Provider) scopes(listed []string) []string {
	scopes := append([]string{"openid"}, p.IdP.Scopes...)
	if p.IdP.Scopes == nil { // a name to show beats a subject
		for _, s := range []string{"email", "profile"} {
			if slices.Contains(listed, s) {
				scopes = append(scopes, s)
			}
		}
	}
	if p.IdP.WantsOfflineAccess(slices.Contains(listed, "offline_access")) {
		scopes = append(scopes, "offline_access")
	}
	slices.Sort(scopes[1:])
	return slices.Compact(scopes)
}

// spend trades the authorization code for tokens (OpenID Connect Core section
// 3.1.3) and keeps them if the ID token holds up.
func (p *Provider) spend(ctx context.Context, party Party, code signin.Code) (state.Identity, error) {
	p.Net.Permit(wire.Code, code.Code, wire.Endpoint(party.TokenEndpoint))
	p.Net.Permit(wire.Code, code.Verifier, wire.Endpoint(party.TokenEndpoint))
	tokens, err := p.ask(ctx, party, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Code.Reveal()},
		"code_verifier": {code.Verifier.Reveal()},
		"redirect_uri":  {code.RedirectURI},
	})
	if err != nil {
		return state.Identity{}, err
	}
	if tokens.id.IsZero() {
		return state.Identity{}, &Untrusted{Rule: "T1", What: "the identity provider sent none"}
	}
	id, err := p.verify(ctx, tokens.id, expected{nonce: code.Nonce, accessToken: tokens.access, acrValues: p.IdP.ACRValues, maxAge: p.MaxAge})
	if err != nil {
		return state.Identity{}, p.withClock(err, tokens.date)
	}
	id.Scopes = tokens.scopes
	return p.keep(ctx, id, tokens)
}

// Import keeps an ID token that was brought from elsewhere (rule T10). With skip
// nothing but its shape, issuer, audience and times is checked.
func (p *Provider) Import(ctx context.Context, raw secret.Text, skip bool) (state.Identity, error) {
	id, err := p.verify(ctx, raw, expected{skipSignature: skip})
	if err == nil {
		id.Imported = true
		id, err = p.keep(ctx, id, tokens{id: raw})
	}
	return id, p.at(stage.Login, err)
}

// keep stores a new sign-in: the secrets first, so that a state that speaks of
// them is never without them. It takes its turn with renewals, which would
// otherwise write what they learnt of the sign-in before over this one.
func (p *Provider) keep(ctx context.Context, id state.Identity, t tokens) (state.Identity, error) {
	unlock, err := p.State.Lock(ctx, "renewal at "+p.IdP.Name)
	if err != nil {
		return state.Identity{}, fmt.Errorf("keep the sign-in: %w", err)
	}
	defer unlock()
	f, _, err := p.State.ReadIdentities()
	if err != nil { // nor is it known which slot is free
		return state.Identity{}, fmt.Errorf("keep the sign-in: %w", err)
	}
	before, had := f.Identities[p.IdP.Name]
	id.SignedIn, id.Renewable = p.now(), !t.refresh.IsZero()
	if had && before.Slot == "" {
		id.Slot = otherSlot
	}
	kept := []string{p.idTokenItem(id)}
	err = p.Vault.Set(ctx, p.idTokenItem(id), t.id)
	if err == nil && id.Renewable {
		kept = append(kept, p.refreshItem(id))
		err = p.Vault.Set(ctx, p.refreshItem(id), t.refresh)
	}
	if err == nil {
		err = p.State.Update(ctx, func(f *state.File) error { f.Identities[p.IdP.Name] = id; return nil })
	}
	if err != nil {
		return state.Identity{}, fmt.Errorf("keep the sign-in: %w", err)
	}
	// No record speaks of the others any more: nobody else would delete them.
	others := p.itemsOf(id)
	if had && (before.Issuer != id.Issuer || before.ClientID != id.ClientID) {
		others = append(others, p.itemsOf(before)...)
	}
	for _, item := range others {
		if slices.Contains(kept, item) {
			continue
		}
		if err := p.Vault.Delete(ctx, item); err != nil {
			p.warn("the sign-in before this one is still stored: %v", err)
		}
	}
	return id, nil
}

// tokens is a token endpoint's answer to the code and to the refresh token.
type tokens struct {
	id, access, refresh secret.Text
	scopes              []string
	date                time.Time // by the identity provider's clock; may be zero
}

// ask returns what could be read of the answer with an error about the rest: a
// rotated refresh token must not be lost to a bad neighbour.
func (p *Provider) ask(ctx context.Context, party Party, form url.Values) (t tokens, err error) {
	answer, err := endpoint.Post(wire.OnBehalfOf(ctx, p.IdP.Issuer), p.Net.Client(), endpoint.Request{URL: party.TokenEndpoint, Form: form, Client: party.Client})
	if err != nil {
		return tokens{}, err
	}
	text := func(name string) string {
		s, bad := answer.Text(name)
		if bad != nil && err == nil {
			err = fmt.Errorf("read the identity provider's answer: %w", bad)
		}
		return s
	}
	t.refresh = secret.New(text("refresh_token"))
	t.id = secret.New(text("id_token"))
	t.access = secret.New(text("access_token"))
	t.scopes = strings.Fields(text("scope"))
	t.date = answer.Date
	return t, err
}

// current is the sign-in on record, if it is one of this configuration's.
func (p *Provider) current() (state.Identity, bool, error) {
	f, _, err := p.State.ReadIdentities()
	id, ok := p.currentIn(f)
	return id, ok, err
}

func (p *Provider) currentIn(f state.File) (state.Identity, bool) {
	id, ok := f.Identities[p.IdP.Name]
	return id, ok && id.Issuer == p.IdP.Issuer && id.ClientID == p.IdP.IdPClientID
}

// Known returns who is signed in by the record, whether or not the sign-in can
// still be used: a token that was had with it may still be good.
func (p *Provider) Known() (state.Identity, error) {
	f, _, err := p.State.ReadIdentities()
	if err != nil {
		return state.Identity{}, err
	}
	return p.KnownIn(f)
}

// KnownIn is Known for a record that was read already.
func (p *Provider) KnownIn(f state.File) (state.Identity, error) {
	id, ok := p.currentIn(f)
	if !ok {
		return id, &SignedOut{IdP: p.IdP.Name, Why: "you are not signed in"}
	}
	return id, nil
}

// Current returns who is signed in, if the sign-in can still be used or renewed.
func (p *Provider) Current() (state.Identity, error) {
	id, ok, err := p.current()
	switch {
	case err != nil:
		return id, err
	case !ok:
		return id, &SignedOut{IdP: p.IdP.Name, Why: "you are not signed in"}
	case !id.Renewable && !id.Expires.After(p.now()):
		return id, &SignedOut{IdP: p.IdP.Name, Why: "your sign-in expired at " + id.Expires.Local().Format(time.DateTime)}
	}
	return id, nil
}
