package consent

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const revocationTime = 10 * time.Second

// ErrNoRevocation says that the authorization server has no revocation endpoint.
var ErrNoRevocation = errors.New("the authorization server offers no revocation")

// Revoke tells the authorization server that the tokens of a consent are not to be
// used any more (RFC 7009): the refresh token first, which ends the consent, then
// the last access token. It changes nothing here; Forget does. It is nil when there
// is nothing to revoke.
func (k *Keeper) Revoke(ctx context.Context, t Target) error {
	unlock, err := k.State.Lock(ctx, lockName(t.url()))
	if err != nil {
		return err
	}
	defer unlock()
	record, err := k.known(t.url())
	c := record.Consent
	if err != nil || c == nil {
		return err
	}
	if err := t.fit(false); err != nil {
		return err
	}
	if c.Issuer != t.AS.Issuer {
		return fmt.Errorf("revoke the consent: it was given at %q, which is not the server's authorization server any more", c.Issuer)
	}
	refresh, err := k.Vault.Get(ctx, refreshItem(t.url(), *c))
	if err != nil && !errors.Is(err, vault.ErrNotFound) {
		return fmt.Errorf("revoke the consent: %w", err)
	}
	var access secret.Text
	if l, ok := k.latestOf(ctx, t.url(), *c); ok && l.Expires.After(k.now()) {
		access = secret.New(l.AccessToken)
	}
	if refresh.IsZero() && access.IsZero() {
		return nil
	}
	return k.revoke(ctx, t, *c, refresh, access)
}

// revoke takes a part of the caller's time: a server that hangs must not keep what
// is stored here from being deleted.
func (k *Keeper) revoke(ctx context.Context, t Target, c state.Consent, refresh, access secret.Text) error {
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	to := t.AS.RevocationEndpoint
	if to == "" {
		return ErrNoRevocation
	}
	client, _, err := k.Client(ctx, t)
	switch {
	case err != nil:
		return fmt.Errorf("revoke the consent: %w", err)
	case client.ID != c.ClientID:
		return errors.New("revoke the consent: it was given to another client than mcpauth is now")
	}
	identity.PermitClient(k.Net, client, to)
	var errs []error
	for _, token := range []struct {
		kind  wire.Kind
		value secret.Text
		hint  string
	}{{wire.RefreshToken, refresh, "refresh_token"}, {wire.AccessToken, access, "access_token"}} {
		if token.value.IsZero() {
			continue
		}
		k.Net.Permit(token.kind, token.value, wire.Endpoint(to))
		err := endpoint.Revoke(wire.OnBehalfOf(ctx, t.url()), k.Net.Client(), endpoint.Request{
			URL: to, Client: client, Prover: t.Prover,
			Form: url.Values{"token": {token.value.Reveal()}, "token_type_hint": {token.hint}},
		})
		var refused *endpoint.Error
		if len(errs) == 1 && errs[0] == nil && errors.As(err, &refused) && refused.Code == "unsupported_token_type" {
			err = nil // the consent is revoked; an access token that stands for itself ends by itself (RFC 7009 section 2.2.1)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Forget drops everything that is stored of a consent and of a registration for
// one server. It waits for a renewal that is under way: after it nothing is
// stored any more. An error means that something still is.
func (k *Keeper) Forget(ctx context.Context, serverURL string) error {
	unlock, err := k.State.Lock(ctx, lockName(serverURL))
	if err != nil {
		return err
	}
	defer unlock()
	return k.forget(ctx, serverURL)
}

// forget keeps the record until the secrets are gone, since nobody else knows
// their names. The lock is held.
func (k *Keeper) forget(ctx context.Context, serverURL string) error {
	r, err := k.known(serverURL)
	if err != nil {
		return fmt.Errorf("forget the consent: %w", err)
	}
	errs := []error{k.Vault.Discard(latestName(serverURL))}
	if r.Consent != nil {
		errs = append(errs, k.Vault.Delete(ctx, refreshItem(serverURL, *r.Consent)))
	}
	if r.Registration != nil {
		errs = append(errs, k.Vault.Delete(ctx, secretItem(serverURL, *r.Registration)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("forget the consent: %w", err)
	}
	return k.erase(ctx, serverURL, func(s *state.Server) { s.Consent, s.Registration = nil, nil })
}

// forgetConsent leaves the registration alone. The lock is held.
func (k *Keeper) forgetConsent(ctx context.Context, serverURL string, c state.Consent) error {
	err := errors.Join(k.Vault.Discard(latestName(serverURL)), k.Vault.Delete(ctx, refreshItem(serverURL, c)))
	if err != nil {
		return fmt.Errorf("forget the consent: %w", err)
	}
	return k.erase(ctx, serverURL, func(s *state.Server) { s.Consent = nil })
}

// erase changes the record of a server, if there is one.
func (k *Keeper) erase(ctx context.Context, serverURL string, change func(*state.Server)) error {
	return k.State.Update(ctx, func(f *state.File) error {
		if r, ok := f.Servers[serverURL]; ok {
			change(&r)
			f.Servers[serverURL] = r
		}
		return nil
	})
}
