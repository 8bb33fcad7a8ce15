package bridge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// auth holds the bearer token. All calls share it, and of all that need a new one
// at a time one asks.
type auth struct {
	get      func(context.Context, token.Ask) (token.Token, error) // nil: the server wants none
	net      *wire.Net
	endpoint string
	now      func() time.Time
	warn     func(string)
	atMost   time.Duration               // of one attempt to get a token
	spawn    func(func(context.Context)) // runs what outlives the call that began it

	mu     sync.Mutex
	have   *carried    // never nil
	before secret.Text // still on its way with requests that began earlier
	until  time.Time   // have is not asked about before
	scopes []string    // to ask for instead of the configured ones, after a step-up
	flight *flight
	failed error     // of the last question, not to be repeated before …
	again  time.Time // … this time

	replaced []time.Time // when tokens were replaced because of a refusal, in the last minute
	giveUp   time.Time   // none is replaced before

	configured, most []string // scopes: of the configuration, and the cap on step-ups
	steps            map[string]stepping
	denied           map[string]denied
	vain             []time.Time // when asking for a scope brought none, in the last while
}

// pause is how long a failure answers further calls as well: an agent that tries
// again and again must not hammer the identity provider.
const pause = time.Second

// flight is one question to the source of tokens.
type flight struct {
	done chan struct{}
	got  *carried
	err  error
}

// want is what a call needs. good judges a token with mu held.
type want struct {
	ask  token.Ask
	good func(*carried) bool
	wide bool // a step-up: of no use unless good
}

// bearer returns a token that will do now.
func (a *auth) bearer(ctx context.Context) (*carried, error) {
	a.mu.Lock()
	have, will := a.have, a.get == nil || a.now().Before(a.until)
	a.mu.Unlock()
	if will {
		return have, nil
	}
	return a.obtain(ctx, want{good: func(*carried) bool { return a.now().Before(a.until) }})
}

// maxReplaced is how many tokens a server can have replaced within a minute: one
// that takes none must not have the identity provider asked for every request.
const maxReplaced = 5

// mayReplace counts a refusal. It is false for a minute after a new token was
// refused as well: the fault is not the token's.
func (a *auth) mayReplace(refused secret.Text) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if now.Before(a.giveUp) {
		return false
	}
	if !refused.Equal(a.have.AccessToken) {
		return true // there is a newer one already
	}
	a.replaced = slices.DeleteFunc(a.replaced, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if len(a.replaced) >= maxReplaced {
		return false
	}
	a.replaced = append(a.replaced, now)
	return true
}

// inVain records that a new token was refused as well.
func (a *auth) inVain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.giveUp = a.now().Add(time.Minute)
}

// renew returns another token than the one that the server refused.
func (a *auth) renew(ctx context.Context, refused secret.Text) (*carried, error) {
	if !a.mayReplace(refused) {
		return nil, errRefused()
	}
	other := func(t *carried) bool { return !t.AccessToken.Equal(refused) }
	t, err := a.obtain(ctx, want{ask: token.Ask{Refused: refused}, good: other})
	if err == nil && !other(t) {
		return nil, errRefused()
	}
	return t, err
}

// obtain returns the token there is, if it is good, and otherwise what comes of
// asking. A question that is under way already is waited for first.
func (a *auth) obtain(ctx context.Context, w want) (*carried, error) {
	for {
		a.mu.Lock()
		if !a.have.AccessToken.IsZero() && w.good(a.have) {
			defer a.mu.Unlock()
			return a.have, nil
		}
		if a.flight == nil && a.failed != nil && a.now().Before(a.again) && !w.wide {
			defer a.mu.Unlock()
			return nil, a.failed
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
			return nil, ctx.Err()
		}
	}
}

func (a *auth) fetch(ctx context.Context, f *flight, w want) {
	ctx, cancel := context.WithTimeout(ctx, a.atMost)
	defer cancel()
	t, err := a.get(ctx, w.ask)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(f.done)
	a.flight = nil
	if f.got, f.err = carry(t), err; err != nil {
		if !w.wide {
			a.failed, a.again = err, a.now().Add(pause)
		}
		return
	}
	a.failed = nil
	for _, text := range t.Warnings {
		a.warn(text)
	}
	a.keep(f.got, w)
}

// keep makes t the token of all calls. It may go to the server's own URL and below,
// and nowhere else (S6, S7); the one before the last may go nowhere any more.
func (a *auth) keep(t *carried, w want) {
	if w.wide {
		if !w.good(t) {
			return
		}
		a.scopes = w.ask.Scopes
	}
	if !t.AccessToken.Equal(a.have.AccessToken) {
		a.net.Permit(wire.AccessToken, t.AccessToken, wire.Prefix(a.endpoint))
		if !a.before.IsZero() && !a.before.Equal(t.AccessToken) {
			a.net.Forget(a.before)
		}
		a.before = a.have.AccessToken
	}
	a.have = t
	// The source says when a token is too old; it is asked when a tenth of what
	// is left, half a minute at most, remains.
	left := t.Expires.Sub(a.now())
	a.until = t.Expires.Add(-min(left/10, 30*time.Second))
}

// held is the token there is, without asking for one.
func (a *auth) held() *carried {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.have
}
