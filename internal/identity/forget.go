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
)

// Forgotten tells what signing out did.
type Forgotten struct {
	Was     state.Identity
	Revoked bool // the refresh token, at the identity provider

	// NotRevoked says why the identity provider was not, or could not be, told. It
	// is nil when there was nothing to revoke.
	NotRevoked error
}

const revocationTime = 10 * time.Second

// ErrNoRevocation says that the identity provider has no revocation endpoint.
var ErrNoRevocation = errors.New("the identity provider offers no revocation")

// Forget signs out: it revokes the refresh token where the identity provider
// offers that (RFC 7009), then deletes what is stored here, whatever the
// identity provider said. An error means that something is still stored.
func (p *Provider) Forget(ctx context.Context) (Forgotten, error) {
	unlock, err := p.State.Lock(ctx, "renewal at "+p.IdP.Name)
	if err != nil {
		return Forgotten{}, p.at(stage.Login, err)
	}
	defer unlock()
	f, _, err := p.State.ReadIdentities()
	if err != nil {
		return Forgotten{}, p.at(stage.Login, err)
	}
	was, known := f.Identities[p.IdP.Name]
	done := Forgotten{Was: was}
	items := p.itemsOf(p.configured())
	if known && (was.Issuer != p.IdP.Issuer || was.ClientID != p.IdP.IdPClientID) {
		items = append(items, p.itemsOf(was)...)
		if was.Renewable {
			done.NotRevoked = fmt.Errorf("it was made at %q, which is not configured any more", was.Issuer)
		}
	} else {
		if !known {
			was = p.configured()
		}
		done.Revoked, done.NotRevoked = p.revoke(ctx, was)
	}
	var errs []error
	for _, item := range items {
		errs = append(errs, p.Vault.Delete(ctx, item))
	}
	err = errors.Join(errs...)
	if err != nil {
		return done, err
	}
	return done, p.State.Update(ctx, func(f *state.File) error { delete(f.Identities, p.IdP.Name); return nil })
}

// revoke takes a part of the caller's time: an identity provider that hangs must
// not keep what is stored here from being deleted.
func (p *Provider) revoke(ctx context.Context, id state.Identity) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	refresh, err := p.Vault.Get(ctx, p.refreshItem(id))
	if errors.Is(err, vault.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	meta, err := p.Metadata(ctx)
	if err != nil {
		return false, err
	}
	if meta.RevocationEndpoint == "" {
		return false, ErrNoRevocation
	}
	party, err := p.Party(ctx)
	if err != nil {
		return false, err
	}
	PermitClient(p.Net, party.Client, meta.RevocationEndpoint)
	p.Net.Permit(wire.RefreshToken, refresh, wire.Endpoint(meta.RevocationEndpoint))
	err = endpoint.Revoke(wire.OnBehalfOf(ctx, p.IdP.Issuer), p.Net.Client(), endpoint.Request{
		URL: meta.RevocationEndpoint, Client: party.Client,
		Form: url.Values{"token": {refresh.Reveal()}, "token_type_hint": {"refresh_token"}},
	})
	return err == nil, err
}
