// Package token gives the access token for one MCP server: from the cache, or by
// finding the server's authorization server, having the identity provider issue
// an ID-JAG for it, and redeeming that. For servers outside enterprise-managed
// authorization it renews what a person agreed to, or shows the client's own
// credentials; never in place of a way that was refused.
//
// Of all processes that ask for one token at a time one works and the others take
// what it got. What becomes of a token is the business of package deliver.
package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Token is an access token and what is known about it.
type Token struct {
	AccessToken secret.Text
	Type        string // "Bearer" or "DPoP"
	Expires     time.Time
	Scopes      []string
	Server      string // configured name
	Resource    string
	AS          string // issuer

	Prover *dpop.Prover // shows the key that a DPoP token is bound to; nil for Bearer

	Cached   bool
	Warnings []string
}

// Source gives tokens for one server. It is safe for concurrent use.
type Source struct {
	Server   config.Server
	Company  config.Client      // who we are where nobody knows us
	Provider *identity.Provider // nil: there is none
	Consents *consent.Keeper
	Net      *wire.Net
	Discover *discover.Client
	State    *state.Dir
	Vault    *vault.Vault
	Now      func() time.Time  // nil means time.Now
	Warn     func(text string) // nil drops warnings

	// Prepare, when set, is called before anybody is asked anything, and fills in Net,
	// Discover, Consents and Provider: a token from the cache needs nothing of them
	// but Provider's configuration. Seen, when set, is the state as it was read just
	// before the one and only Get.
	Prepare func() error
	Seen    *state.File

	// AllowFallback is whether a server with mode auto may be used with the person's
	// own consent.
	AllowFallback bool

	causes sync.Map // of what could not be written down, which a person has heard of

	proving sync.Mutex
	proves  *dpop.Prover
}

// Ask says which token is good enough.
type Ask struct {
	Scopes []string      // in place of the configured ones
	MinTTL time.Duration // that the token must still be good for
	Fresh  bool          // not from the cache

	// Proves is set by who can show a key with each request. Without it a token that
	// is bound to one is a *Bound error.
	Proves bool

	// Refused is a token that the server did not accept. Any other one will do:
	// another process may have brought it already.
	Refused secret.Text
}

// Get returns a token. While the identity provider or the authorization server
// is out of order, a cached token is good until it really expires.
func (s *Source) Get(ctx context.Context, a Ask) (Token, error) {
	t, err := s.get(ctx, a)
	if err != nil {
		return Token{}, err
	}
	return s.proven(ctx, t, a)
}

func (s *Source) get(ctx context.Context, a Ask) (Token, error) {
	asked := s.now()
	record, err := s.seen()
	if err != nil {
		return Token{}, err
	}
	_, _, cached, ok, err := s.look(ctx, record, a)
	if err != nil {
		return Token{}, err
	}
	if ok && !a.Fresh && s.good(cached, a) {
		return cached.Token, nil
	}
	if s.Prepare != nil {
		if err := s.Prepare(); err != nil {
			return s.orElse(cached, ok, a, err)
		}
	}
	unlock, err := s.State.Lock(ctx, lockName(s.Server.URL))
	var busy *state.Busy
	if err != nil && ctx.Err() == nil && !errors.As(err, &busy) {
		// A disk that is full or read-only must not cost the token.
		s.unwritten("processes cannot take turns, and what comes may not be kept", err)
		unlock, err = func() {}, nil
	}
	if err != nil {
		if c, came := s.meanwhile(ctx, a, asked); came {
			return c.Token, nil
		}
		return s.orElse(cached, ok, a, stage.At(stage.Exchange, s.parties(), err))
	}
	defer unlock()
	// Again: the one who held the lock may have brought it, and somebody else may
	// have signed in (attack S31).
	if record, err = s.onRecord(); err != nil {
		return s.orElse(cached, ok, a, err)
	}
	h, key, cached, ok, err := s.look(ctx, record, a)
	if err != nil {
		return Token{}, err
	}
	if ok && s.brought(cached, asked, a) || ok && !a.Fresh && s.good(cached, a) {
		return cached.Token, nil
	}
	if err := s.denied(record, h, key, a); err != nil {
		return s.orElse(cached, ok, a, err)
	}
	chain, err := s.Acquire(ctx, a)
	if err != nil {
		var held *pace.Held
		if !errors.As(err, &held) { // which knows no more than the failure before it
			if key.Mode != "" { // as whoever asks the same next will name it: the server may be pinned by now
				if again, bad := s.onRecord(); bad == nil {
					key = s.key(again, h, key.Mode, a)
				}
			}
			s.recordFailure(ctx, key, chain.Mode, err)
		}
		return s.orElse(cached, ok, a, err)
	}
	// Not after a sign-out, which has to find everything there is, nor under the
	// name of a person who was signed in before.
	before := record
	if record, err = s.onRecord(); err != nil {
		s.unwritten(notKept, err)
		return chain.Token, nil
	}
	now, err := s.holder(chain.Mode, record)
	if key.Mode != chain.Mode { // not decided, or otherwise, when this began
		h, _ = s.holder(chain.Mode, before)
		key = s.key(record, now, chain.Mode, a)
	}
	if err == nil && now.equal(h) {
		s.store(ctx, key.at(chain), chain)
	}
	return chain.Token, nil
}

// meanwhile looks once more for a token when the time to wait for it has passed:
// whoever is getting it may have stored it and not let go of the lock yet, and a long
// queue may stand before us.
func (s *Source) meanwhile(ctx context.Context, a Ask, asked time.Time) (entry, bool) {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return entry{}, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	record, err := s.onRecord()
	if err != nil {
		return entry{}, false
	}
	_, _, c, ok, err := s.look(ctx, record, a)
	return c, err == nil && ok && (s.brought(c, asked, a) || !a.Fresh && s.good(c, a))
}

// seen is the state for the first look.
func (s *Source) seen() (state.File, error) {
	if s.Seen != nil {
		return *s.Seen, nil
	}
	return s.onRecord()
}

// onRecord is the state, without what concerns other servers.
func (s *Source) onRecord() (state.File, error) {
	f, _, err := s.State.ReadServer(s.Server.URL)
	return f, err
}

// look finds whose token is asked for, and the one in the cache.
func (s *Source) look(ctx context.Context, record state.File, a Ask) (h holder, k key, e entry, ok bool, err error) {
	mode, err := s.mode(record)
	if err == nil {
		h, err = s.holder(mode, record)
	}
	if err != nil || mode == "" {
		return h, k, e, false, err
	}
	k = s.key(record, h, mode, a)
	e, ok = s.lookup(ctx, k)
	if mode == config.ModeOAuth && e.obtained.Before(h.since) { // perhaps another person has agreed since (attack S31)
		return h, k, entry{}, false, nil
	}
	if missing := lacking(e.Scopes, a.Scopes); ok && mode == config.ModeOAuth && missing != nil {
		return h, k, e, false, &consent.Needed{Server: s.Server.Name, Scopes: a.Scopes, Why: "you have not agreed to the scope " + joined(missing) + " yet"}
	}
	return h, k, e, ok, nil
}

// lockName is that of the lock under which a server's tokens are had and dropped.
func lockName(serverURL string) string { return "token for " + serverURL }

// brought reports whether a token came while its caller waited. A newer one cannot
// be had: if it does not last as long as was asked for, none does. One that was had
// in the future was had before the clock was set back.
func (s *Source) brought(c entry, asked time.Time, a Ask) bool {
	now := s.now()
	return c.obtained.After(asked) && !c.obtained.After(now) && c.Expires.After(now) && !s.refused(c, a)
}

// refused reports whether a token is the one that the server did not accept.
func (s *Source) refused(c entry, a Ask) bool {
	return !a.Refused.IsZero() && c.AccessToken.Equal(a.Refused)
}

// timely reports whether the times of a token can be believed. One that was obtained
// in the time to come is from before the clock was set back: it is older than it
// seems, and would be kept for that much longer than it is good.
func (s *Source) timely(c entry) bool { return !c.obtained.After(s.now().Add(clockStep)) }

// clockStep is how far a clock is set back now and then without harm: less than what
// tokens are renewed ahead of their end.
const clockStep = 10 * time.Second

// orElse serves a token that has not expired yet when a new one cannot be had for
// any other reason than that somebody says no, or that going on is not safe.
func (s *Source) orElse(c entry, ok bool, a Ask, err error) (Token, error) {
	late := !s.timely(c) && clockWrong(err)
	if ok && !a.Fresh && !s.refused(c, a) && (inconclusive(err) || late) && c.Expires.After(s.now()) {
		c.Warnings = append(c.Warnings, "using a token that expires at "+c.Expires.Local().Format(time.TimeOnly)+", because a new one cannot be had: "+err.Error())
		return c.Token, nil
	}
	return Token{}, err
}

// good reports whether a token lasts long enough: it is not time to renew it, and
// it is good for what was asked for.
func (s *Source) good(c entry, a Ask) bool {
	return !s.refused(c, a) && s.timely(c) && s.now().Before(pace.RenewAt(c.name, c.obtained, c.Expires)) && c.Expires.Sub(s.now()) > a.MinTTL
}

// scopes are those asked for, or nil when the server's metadata decides.
func (s *Source) scopes(a Ask) []string {
	list := a.Scopes
	if list == nil {
		list = s.Server.OAuth.Scopes
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// clientID is who we are at the authorization server: whom it knows us as, or the
// URL of our metadata document (EMA section 5).
func (s *Source) clientID() string { return or(s.Server.OAuth.ASClientID, s.Company.MetadataURL) }

func (s *Source) parties() stage.Parties {
	var p stage.Parties
	if s.Provider != nil {
		p = s.Provider.Parties()
	}
	p.Server, p.ASClientID = s.Server.Name, s.clientID()
	p.AccessRequestURL = s.Server.OAuth.AccessRequestURL
	p.Resource, p.AS = s.Server.OAuth.Resource, s.Server.OAuth.Issuer
	return p
}

func (s *Source) warn(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(fmt.Sprintf(format, args...))
	}
}

func (s *Source) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func joined(scopes []string) string { return strings.Join(scopes, " ") }
