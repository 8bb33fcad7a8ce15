// Package token gives the access token for one MCP server: from the cache, or by
// finding the server's authorization server, having the identity provider issue
// an ID-JAG for it, and redeeming that.
//
// Of all processes that ask for one token at a time one works and the others take
// what it got. What becomes of a token is the business of package deliver.
package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Token is an access token and what is known about it.
type Token struct {
	AccessToken secret.Text
	Type        string // "Bearer"
	Expires     time.Time
	Scopes      []string
	Server      string // configured name
	Resource    string
	AS          string // issuer

	Cached   bool
	Warnings []string
}

// Source gives tokens for one server. It is safe for concurrent use.
type Source struct {
	Server   config.Server
	Provider *identity.Provider
	Net      *wire.Net
	Discover *discover.Client
	State    *state.Dir
	Vault    *vault.Vault
	Now      func() time.Time  // nil means time.Now
	Warn     func(text string) // nil drops warnings
}

// Ask says which token is good enough.
type Ask struct {
	Scopes []string      // in place of the configured ones
	MinTTL time.Duration // that the token must still be good for
	Fresh  bool          // not from the cache

	// Refused is a token that the server did not accept. Any other one will do:
	// another process may have brought it already.
	Refused secret.Text
}

// Get returns a token. While the identity provider or the authorization server
// is out of order, a cached token is good until it really expires.
func (s *Source) Get(ctx context.Context, a Ask) (Token, error) {
	id, err := s.Provider.Known()
	if err != nil {
		return Token{}, err
	}
	asked := s.now()
	key, cached, ok := s.lookup(ctx, id, a)
	if ok && !a.Fresh && s.good(cached, a) {
		return cached.Token, nil
	}
	unlock, err := s.State.Lock(ctx, "token for "+s.Server.URL)
	if err != nil {
		return s.orElse(cached, ok, a, stage.At(stage.Exchange, s.parties(), err))
	}
	defer unlock()
	// Again: the one who held the lock may have brought it.
	key, cached, ok = s.lookup(ctx, id, a)
	if ok && s.good(cached, a) && (!a.Fresh || cached.obtained.After(asked)) {
		return cached.Token, nil
	}
	chain, err := s.Acquire(ctx, a)
	if err != nil {
		s.recordFailure(ctx, err)
		return s.orElse(cached, ok, a, err)
	}
	s.store(ctx, key.at(chain), chain.Token)
	return chain.Token, nil
}

// orElse serves a token that has not expired yet when only the weather is bad.
func (s *Source) orElse(c entry, ok bool, a Ask, err error) (Token, error) {
	if ok && !a.Fresh && !c.AccessToken.Equal(a.Refused) && temporary(err) && c.Expires.After(s.now()) {
		c.Warnings = append(c.Warnings, "using a token that expires at "+c.Expires.Local().Format(time.TimeOnly)+", because a new one cannot be had: "+err.Error())
		return c.Token, nil
	}
	return Token{}, err
}

// good reports whether a token lasts long enough: a tenth of its life or a
// minute, whichever is less, so that it does not expire on its way; and what was
// asked for.
func (s *Source) good(c entry, a Ask) bool {
	if !a.Refused.IsZero() && c.AccessToken.Equal(a.Refused) {
		return false
	}
	margin := min(c.Expires.Sub(c.obtained)/10, time.Minute)
	return c.Expires.Sub(s.now()) > max(margin, a.MinTTL)
}

func temporary(err error) bool {
	var e *endpoint.Error
	var st *discover.StatusError
	var busy *state.Busy
	switch {
	case errors.As(err, &e):
		return e.Temporary()
	case errors.As(err, &st):
		return st.Status >= 500 || st.Status == 429
	case errors.As(err, &busy), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	switch wire.Classify(err) {
	case wire.Timeout, wire.DNS, wire.Refused, wire.Unreachable, wire.Reset, wire.Proxy:
		return true
	}
	return false
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

func (s *Source) parties() stage.Parties {
	p := s.Provider.Parties()
	p.Server, p.ASClientID = s.Server.Name, s.Server.OAuth.ASClientID
	p.AccessRequestURL = s.Server.OAuth.AccessRequestURL
	p.Resource, p.AS = s.Server.OAuth.Resource, s.Server.OAuth.Issuer
	return p
}

// recordFailure keeps the last failure for status. Callers of helpers often
// throw stderr away.
func (s *Source) recordFailure(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	failure := &state.Failure{When: s.now(), Message: wire.Clean(err.Error())}
	var at *stage.Error
	if errors.As(err, &at) {
		failure.Stage = string(at.Stage)
	}
	var e *endpoint.Error
	if errors.As(err, &e) {
		failure.Code = wire.Clean(e.Code)
	}
	s.update(ctx, func(r *state.Server) { r.LastError = failure })
}

// update changes the server's record. That it fails is no reason to withhold a
// token, and a deadline that has passed is no reason not to try.
func (s *Source) update(ctx context.Context, change func(*state.Server)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := s.State.Update(ctx, func(f *state.File) error {
		r := f.Servers[s.Server.URL]
		r.URL = s.Server.URL
		change(&r)
		f.Servers[s.Server.URL] = r
		return nil
	})
	if err != nil && s.Warn != nil {
		s.Warn(err.Error())
	}
}

func (s *Source) record() state.Server {
	f, _ := s.State.Read()
	return f.Servers[s.Server.URL]
}

func (s *Source) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func joined(scopes []string) string { return strings.Join(scopes, " ") }
