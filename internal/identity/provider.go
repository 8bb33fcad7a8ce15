// Package identity knows who is signed in: it verifies what the identity provider
// says about a person, keeps it, renews it and forgets it.
//
// It stands between signin, which brings a person's authorization code, and
// grant, which shows the identity to the identity provider in exchange for
// access. There is one sign-in per identity provider, for all servers and all
// MCP clients.
package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/clientkey"
	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// SignedOut says that nobody is signed in, or no longer. Why is for people.
type SignedOut struct{ IdP, Why string }

func (e *SignedOut) Error() string { return e.Why }

// Provider is one configured identity provider, and the person signed in at it.
// It is safe for concurrent use.
type Provider struct {
	IdP      config.IdP
	Net      *wire.Net
	Discover *discover.Client
	State    *state.Dir
	Vault    *vault.Vault
	Now      func() time.Time  // nil means time.Now
	Warn     func(text string) // nil drops warnings; called by any goroutine
	MaxAge   time.Duration     // how old a sign-in may be; zero means any age

	meta     remembered[discover.ServerMetadata]
	client   remembered[clientauth.Client]
	tokens   latest[secret.Text] // the ID token
	renewals Lasting
}

// Metadata returns what the identity provider publishes, asked for once.
func (p *Provider) Metadata(ctx context.Context) (discover.ServerMetadata, error) {
	meta, err := p.meta.get(ctx, func() (meta discover.ServerMetadata, err error) {
		d, done := pace.Share(ctx, p.State, p.Discover)
		defer done()
		err = p.Pace("").Note(func() error {
			meta, err = d.IdP(wire.OnBehalfOf(ctx, p.IdP.Issuer), p.IdP.Issuer)
			return err
		})
		return meta, err
	})
	if err != nil {
		return discover.ServerMetadata{}, p.at(stage.IdPMetadata, err)
	}
	if p.IdP.TokenEndpoint != "" {
		meta.TokenEndpoint = p.IdP.TokenEndpoint
	}
	return meta, nil
}

// Party is where and as whom to talk to the identity provider's token endpoint.
type Party struct {
	TokenEndpoint string
	Client        clientauth.Client
}

// Party returns the token endpoint and our client, ready to authenticate. With a
// token endpoint in the configuration no metadata is needed.
func (p *Provider) Party(ctx context.Context) (Party, error) {
	endpoint := p.IdP.TokenEndpoint
	var supported []string
	if endpoint == "" {
		meta, err := p.Metadata(ctx)
		if err != nil {
			return Party{}, err
		}
		endpoint = meta.TokenEndpoint
		if meta.TokenEndpointAuthMethodsStated {
			supported = meta.TokenEndpointAuthMethods
		}
	}
	client, err := p.client.get(ctx, func() (clientauth.Client, error) {
		c, err := ClientFrom(ctx, p.Vault, p.IdP.ClientAuth, p.IdP.IdPClientID, p.IdP.Issuer)
		if err != nil {
			return c, err
		}
		c.Now = p.Now
		if c.Method, err = c.Choose(supported); err != nil {
			return c, p.at(stage.IdPMetadata, err)
		}
		return c, nil
	})
	if err != nil {
		return Party{}, err
	}
	PermitClient(p.Net, client, endpoint)
	return Party{TokenEndpoint: endpoint, Client: client}, nil
}

// Pace is how the identity provider is asked about something, by all processes.
func (p *Provider) Pace(about string) pace.Party {
	return pace.Party{State: p.State, Name: p.IdP.Issuer, About: about, Now: p.Now}
}

// Binds reports whether the identity provider says that it binds ID-JAGs to a key
// that is shown to it (RFC 9449 section 5.1).
func (p *Provider) Binds(ctx context.Context) bool {
	meta, err := p.Metadata(ctx)
	return err == nil && slices.Contains(meta.DPoPSigningAlgs, "ES256")
}

// ClientFrom builds a client registration from its configuration: the secret
// comes from a file, a command or the vault, the key from a file or the vault.
func ClientFrom(ctx context.Context, v *vault.Vault, a config.Auth, id, issuer string) (clientauth.Client, error) {
	c := clientauth.Client{
		ID: id, Issuer: issuer, Method: clientauth.Method(a.Method),
		Audience: a.AssertionAudience, RawBasic: a.BasicEncoding == "raw",
	}
	var err error
	if a.HasSecret() {
		if c.Secret, err = a.Secret(ctx); err != nil {
			return c, err
		}
	}
	if a.KeyFile != "" {
		key, err := a.Key()
		if err != nil {
			return c, err
		}
		if c.Key, err = clientauth.ParseKey([]byte(key.Reveal()), a.KeyID); err != nil {
			return c, &config.Error{Where: a.KeyFile, Why: err.Error()} // which never shows the key
		}
	}
	if a.KeyName != "" && v != nil {
		if c.Key, err = clientkey.Current(ctx, v, a.KeyName, a.KeyID); err != nil {
			return c, err
		}
	}
	if c.Secret.IsZero() && c.Key == nil && c.Method != clientauth.None && v != nil {
		c.Secret, err = v.Get(ctx, ClientSecretItem(issuer, id))
		if errors.Is(err, vault.ErrNotFound) {
			err = nil
		}
	}
	if err == nil && c.Method != "" && v != nil { // without a vault the secret may still come
		if _, err := c.Choose(nil); err != nil {
			return c, &config.Error{Where: fmt.Sprintf("the client %q", id), Why: err.Error()}
		}
	}
	return c, err
}

// ClientSecretItem is the vault's name for the secret of a client at an issuer.
// It holds the issuer, so that no secret is ever used at another one.
func ClientSecretItem(issuer, clientID string) string {
	return "client secret of " + clientID + " at " + issuer
}

// PermitClient lets a client's proof go to an endpoint of its issuer.
func PermitClient(n *wire.Net, c clientauth.Client, endpoint string) {
	if !c.Secret.IsZero() {
		n.Permit(wire.ClientSecret, c.Secret, wire.Endpoint(endpoint))
	}
	if c.Key != nil {
		n.PermitAssertion(c.ID, wire.Endpoint(endpoint), c.Issuer, endpoint, c.Audience)
	}
}

// Parties names this identity provider in an error.
func (p *Provider) Parties() stage.Parties {
	return stage.Parties{IdP: p.IdP.Issuer, IdPClientID: p.IdP.IdPClientID}
}

func (p *Provider) at(s stage.Stage, err error) error { return stage.At(s, p.Parties(), err) }

func (p *Provider) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Provider) warn(format string, args ...any) {
	if p.Warn != nil {
		p.Warn(fmt.Sprintf(format, args...))
	}
}

// The items of one sign-in. Each secret is an item of its own. They are in one of two
// slots, so that a new sign-in is whole before the record speaks of it, and the one
// before is whole until then: a process may die at any moment.
func (p *Provider) idTokenItem(id state.Identity) string { return p.item("ID token", id) }
func (p *Provider) refreshItem(id state.Identity) string { return p.item("refresh token", id) }

// itemsOf are those of a sign-in on record, which may have been made when the
// configuration named another issuer or client, in both slots.
func (p *Provider) itemsOf(id state.Identity) (items []string) {
	for _, id.Slot = range []string{"", otherSlot} {
		items = append(items, p.idTokenItem(id), p.refreshItem(id))
	}
	return items
}

// configured is a sign-in of this configuration, to name its items by.
func (p *Provider) configured() state.Identity {
	return state.Identity{Issuer: p.IdP.Issuer, ClientID: p.IdP.IdPClientID}
}

const otherSlot = "2"

func (p *Provider) item(what string, id state.Identity) string {
	item := what + " for " + id.ClientID + " from " + id.Issuer
	if id.Slot != "" {
		item += " [" + id.Slot + "]"
	}
	if p.IdP.Name != config.DefaultIdP {
		item += " (" + p.IdP.Name + ")"
	}
	return item
}
