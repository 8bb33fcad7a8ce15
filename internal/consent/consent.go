// Package consent gets tokens that a person agrees to, server by server, where no
// company stands behind the access: the authorization-code flow of OAuth 2.1 with
// PKCE, and the refresh token that comes of it (MCP 2026-07-28, Authorization).
//
// It stands beside grant, between identity and token. Only Ask opens a browser.
// Which authorization server belongs to a server, and whether a person may be asked
// at all, is decided in package token.
package consent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
)

// Keeper asks for consents, keeps them, renews them and forgets them. It is safe
// for concurrent use, and must not be copied.
type Keeper struct {
	Net   *wire.Net
	State *state.Dir
	Vault *vault.Vault
	Now   func() time.Time  // nil means time.Now
	Warn  func(text string) // nil drops warnings; called by any goroutine

	renewals identity.Lasting
}

// Target is the server that a consent is for.
type Target struct {
	stage.Parties // Server, Resource and AS are used

	Server  config.Server
	Company config.Client           // the company's client metadata document; may be zero
	AS      discover.ServerMetadata // validated, and of the issuer Parties.AS
	Scopes  []string                // to ask for

	Prover       *dpop.Prover // nil: tokens are not bound to a key
	RequireBound bool
}

// Needed says that a person has to agree, or to agree again.
type Needed struct {
	Server string
	Scopes []string // to agree to
	Why    string   // for people
}

func (e *Needed) Error() string { return fmt.Sprintf("%q needs your consent: %s", e.Server, e.Why) }

// NoClient says that the authorization server does not know mcpauth, and that
// mcpauth cannot, or may not, make itself known there.
type NoClient struct{ Server, AS, Why string }

func (e *NoClient) Error() string {
	return fmt.Sprintf("no client for %q at its authorization server: %s", e.Server, e.Why)
}

// Unfit says that an authorization server cannot be used for a consent, because of
// what its metadata says or lacks. Security is true when going on would not be safe.
type Unfit struct {
	AS, Why  string
	Security bool
}

func (e *Unfit) Error() string { return fmt.Sprintf("the authorization server %q %s", e.AS, e.Why) }

// The ways in which mcpauth comes to be a client of an authorization server, best
// first (MCP 2026-07-28, Client Registration Approaches).
const (
	Configured = "configured" // registered beforehand
	CIMD       = "cimd"       // by a Client ID Metadata Document
	Registered = "registered" // by mcpauth itself (RFC 7591)
)

// fit refuses an authorization server that cannot be used, before anything is sent
// and before any browser is opened.
func (t Target) fit(asking bool) error {
	why, security := "", false
	switch {
	case t.AS.Issuer == "" || t.AS.Issuer != t.Parties.AS: // attacks S1, S4
		why, security = "is not the one that the server's tokens come from", true
	case t.AS.TokenEndpoint == "":
		why = "names no token endpoint"
	case asking && t.AS.AuthorizationEndpoint == "":
		why = "names no authorization endpoint, where people are asked"
	case asking && !slices.Contains(t.AS.CodeChallengeMethods, "S256"): // MCP: MUST refuse
		why, security = "does not say that it takes PKCE with S256, without which others could use an intercepted answer", true
	default:
		return nil
	}
	return &Unfit{AS: t.Parties.AS, Why: why, Security: security}
}

// resource is the parameter of both requests (RFC 8707).
func (t Target) resource() string {
	if !t.Server.OAuth.SendsResource() {
		return ""
	}
	return t.Resource
}

func (t Target) url() string { return t.Server.URL }

// lockName is that of the lock under which a server's consent is renewed, replaced
// and forgotten. It is never held while a person is asked.
func lockName(serverURL string) string { return "consent to " + serverURL }

// windowName is that of the lock of the one window in which a person is asked.
func windowName(serverURL string) string { return "window of the consent to " + serverURL }

// refreshItem and secretItem name secrets in the vault. The names hold issuer and
// client, so that no secret is ever used at another issuer or as another client,
// whatever becomes of the record (MCP, Authorization Server Binding).
func refreshItem(serverURL string, c state.Consent) string {
	return item("refresh token", serverURL, c.Issuer, c.ClientID)
}

func secretItem(serverURL string, r state.Registration) string {
	return item("registered client secret", serverURL, r.Issuer, r.ClientID)
}

func item(what, serverURL, issuer, clientID string) string { // a client ID can be longer than a keychain likes
	return what + " for " + serverURL + " from " + issuer + " (" + state.Hash(clientID) + ")"
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

func (k *Keeper) warn(format string, args ...any) {
	if k.Warn != nil {
		k.Warn(fmt.Sprintf(format, args...))
	}
}

func (k *Keeper) known(serverURL string) (state.Server, error) {
	f, _, err := k.State.ReadServer(serverURL)
	return f.Servers[serverURL], err
}

// update changes a server's record.
func (k *Keeper) update(ctx context.Context, serverURL string, change func(*state.Server)) error {
	return k.State.Update(ctx, func(f *state.File) error {
		r := f.Servers[serverURL]
		r.URL = serverURL
		change(&r)
		f.Servers[serverURL] = r
		return nil
	})
}

// lacks reports whether something of want is not in have.
func lacks(have, want []string) bool {
	return slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(have, s) })
}

// union is a and what of b is not in it.
func union(a, b []string) []string {
	list := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
