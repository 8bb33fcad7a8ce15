// Package consent gets tokens that a person agrees to, server by server, where no
// company stands behind the access: the authorization-code flow of OAuth 2.1 with
// PKCE, and the refresh token that comes of it (MCP 2026-07-28, Authorization).
//
// It stands beside grant, between identity and token. Only Ask opens a browser.
// Which authorization server belongs to a server, and whether a person may be asked
// at all, is decided in package token.
package consent

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
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

	renewals sync.WaitGroup // that may outlive their callers
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

// How mcpauth came to be a client of an authorization server.
const (
	Configured = "configured"
	CIMD       = "cimd"
	Registered = "registered"
)

// lockName is that of the lock under which a server's consent is renewed, replaced
// and forgotten. It is never held while a person is asked.
func lockName(serverURL string) string { return "consent to " + serverURL }

// windowName is that of the lock of the one window in which a person is asked.
func windowName(serverURL string) string { return "window of the consent to " + serverURL }

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

func (k *Keeper) record(t Target) state.Server {
	f, _ := k.State.Read()
	return f.Servers[t.Server.URL]
}

func joined(scopes []string) string { return strings.Join(scopes, " ") }
