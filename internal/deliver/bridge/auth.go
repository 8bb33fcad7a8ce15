package bridge

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// tokenTime bounds one attempt to get a token. It is not the time of any caller:
// what one of them began the others wait for.
const tokenTime = 30 * time.Second

// auth holds the bearer token. All calls share it, and of all that need a new one
// at a time one asks.
type auth struct {
	get      func(context.Context, token.Ask) (token.Token, error) // nil: the server wants none
	net      *wire.Net
	endpoint string
	now      func() time.Time
	warn     func(string)
	spawn    func(func(context.Context)) // runs what outlives the call that began it

	mu     sync.Mutex
	have   token.Token
	until  time.Time // have is not asked about before
	scopes []string  // to ask for instead of the configured ones, after a step-up
	flight *flight
}

// flight is one question to the source of tokens.
type flight struct {
	done chan struct{}
	got  token.Token
	err  error
}

// want is what a call needs. good judges a token with mu held.
type want struct {
	ask  token.Ask
	good func(token.Token) bool
	wide bool // a step-up: of no use unless good
}

// bearer returns a token that will do now.
func (a *auth) bearer(ctx context.Context) (token.Token, error) {
	if a.get == nil {
		return token.Token{}, nil
	}
	return a.obtain(ctx, want{good: func(token.Token) bool { return a.now().Before(a.until) }})
}

// renew returns another token than the one that the server refused.
func (a *auth) renew(ctx context.Context, refused secret.Text) (token.Token, error) {
	other := func(t token.Token) bool { return !t.AccessToken.Equal(refused) }
	t, err := a.obtain(ctx, want{ask: token.Ask{Refused: refused}, good: other})
	if err == nil && !other(t) {
		err = errRefused()
	}
	return t, err
}

// obtain returns the token there is, if it is good, and otherwise what comes of
// asking. A question that is under way already is waited for first.
func (a *auth) obtain(ctx context.Context, w want) (token.Token, error) {
	for {
		a.mu.Lock()
		if !a.have.AccessToken.IsZero() && w.good(a.have) {
			defer a.mu.Unlock()
			return a.have, nil
		}
		f, mine := a.flight, a.flight == nil
		if mine {
			f = &flight{done: make(chan struct{})}
			a.flight = f
			if w.ask.Scopes == nil {
				w.ask.Scopes = a.scopes
			}
			// A call that is cancelled must not cancel the others' token.
			a.spawn(func(ctx context.Context) { a.fetch(ctx, f, w) })
		}
		a.mu.Unlock()
		select {
		case <-f.done:
			if mine || f.err != nil {
				return f.got, f.err
			}
		case <-ctx.Done():
			return token.Token{}, ctx.Err()
		}
	}
}

func (a *auth) fetch(ctx context.Context, f *flight, w want) {
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	t, err := a.get(ctx, w.ask)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(f.done)
	a.flight = nil
	if f.got, f.err = t, err; err != nil {
		return
	}
	for _, text := range t.Warnings {
		a.warn(text)
	}
	a.keep(t, w)
}

// keep makes t the token of all calls. It may go to the server's own URL and below,
// and nowhere else (S6, S7); the one before may go nowhere any more.
func (a *auth) keep(t token.Token, w want) {
	if w.wide {
		if !w.good(t) {
			return
		}
		a.scopes = w.ask.Scopes
	}
	if !t.AccessToken.Equal(a.have.AccessToken) {
		a.net.Permit(wire.AccessToken, t.AccessToken, wire.Prefix(a.endpoint))
		if !a.have.AccessToken.IsZero() {
			a.net.Forget(a.have.AccessToken)
		}
	}
	a.have = t
	// The source says when a token is too old; it is asked when a tenth of what
	// is left, half a minute at most, remains.
	left := t.Expires.Sub(a.now())
	a.until = t.Expires.Add(-min(left/10, 30*time.Second))
}

// refused decides what to do about a 401 or 403: it returns another token to send
// the same message with, or why there is none. A request that was answered so was
// not acted upon.
func (a *auth) refused(ctx context.Context, resp *http.Response, with token.Token) (token.Token, error) {
	var bearer discover.Challenge
	if list, err := discover.Challenges(resp.Header); err == nil {
		for _, c := range list {
			if c.Scheme == "bearer" {
				bearer = c
			}
		}
	}
	code := bearer.ErrorCode()
	switch {
	case a.get == nil:
		return token.Token{}, &Error{Code: "no_auth", Message: "the server wants a token, and this bridge was started without one"}
	case code == "insufficient_user_authentication": // RFC 9470
		return token.Token{}, stronger(resp, bearer)
	case resp.StatusCode == http.StatusForbidden && code == "insufficient_scope":
		return a.stepUp(ctx, with, bearer.Scopes())
	case resp.StatusCode == http.StatusForbidden:
		return token.Token{}, &Error{Code: "forbidden", Message: "the server forbids this (HTTP 403)"}
	}
	return a.renew(ctx, with.AccessToken)
}

func errRefused() error {
	return &Error{Code: "token_refused", Message: "the server refuses the token that its own authorization server issued", Hint: "tell the owner of the server"}
}

// stronger puts the challenge into the words of the token endpoints, which the same
// requirement may come from: one explanation serves both.
func stronger(resp *http.Response, c discover.Challenge) error {
	e := &endpoint.Error{
		Endpoint: "the server", Status: resp.StatusCode, Code: c.ErrorCode(),
		ACRValues: strings.Join(c.ACRValues(), " "), MaxAge: -1,
	}
	if age, ok := c.MaxAge(); ok {
		e.MaxAge = age
	}
	return e
}

// stepUp asks for the scopes that the operation needs on top of those there are
// (MCP 2026-07-28, Step-Up Authorization). It stops when that brings none of them.
func (a *auth) stepUp(ctx context.Context, with token.Token, challenged []string) (token.Token, error) {
	missing := &Error{Code: "insufficient_scope", Message: "the server wants a scope that cannot be had: " + strings.Join(challenged, " "), Hint: "ask your administrator to allow it"}
	if len(challenged) == 0 || contains(with.Scopes, challenged) {
		return token.Token{}, missing // it has been tried
	}
	a.mu.Lock()
	asked := a.scopes
	if asked == nil {
		asked = with.Scopes
	}
	union := slices.Concat(asked, challenged)
	slices.Sort(union)
	union = slices.Compact(union)
	a.mu.Unlock()
	wide := func(t token.Token) bool { return contains(t.Scopes, challenged) }
	t, err := a.obtain(ctx, want{ask: token.Ask{Scopes: union}, good: wide, wide: true})
	if err == nil && !wide(t) {
		err = missing
	}
	return t, err
}

func contains(have, want []string) bool {
	for _, s := range want {
		if !slices.Contains(have, s) {
			return false
		}
	}
	return true
}

// held is the token there is, without asking for one.
func (a *auth) held() token.Token {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.have
}
