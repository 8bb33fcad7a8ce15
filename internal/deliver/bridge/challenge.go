package bridge

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// tries counts what was done about the refusals of one message.
type tries struct {
	operation        string // what a step-up is about
	renewed, widened int
}

// Limits of one message, of one operation in a while, and of how long a scope that
// was not granted is not asked for again. After an error that is shorter: a person may
// have done by then what it asked for.
const (
	maxRenewed = 1
	maxWidened = 2
	maxSteps   = 5
	maxVain    = 20 // of all operations together, that brought nothing
	while      = 10 * time.Minute
	denial     = time.Minute
	afterError = 10 * time.Second
)

// stepping counts the step-ups of one operation.
type stepping struct {
	n     int
	since time.Time
}

// denied is how asking for a scope ended.
type denied struct {
	until time.Time
	err   error // nil: it was not granted
}

// challenge is what a 401 or 403 wants. ok is false for one that no token cures.
func (a *auth) challenge(resp *http.Response, with *carried) (c discover.Challenge, ok bool) {
	if a.get == nil || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return c, false
	}
	// A header that cannot be read makes no difference to a 401.
	list, _ := discover.Challenges(resp.Header)
	c = with.aboutToken(list)
	return c, resp.StatusCode == http.StatusUnauthorized || c.ErrorCode() == "insufficient_scope" || c.ErrorCode() == stepUpSignIn
}

// stepUpSignIn is the error of RFC 9470.
const stepUpSignIn = "insufficient_user_authentication"

// cure decides what to do about a challenge: it returns another token to send the
// same message with, or why there is none. A request that was answered so was not
// acted upon.
func (a *auth) cure(ctx context.Context, resp *http.Response, c discover.Challenge, with *carried, n *tries) (*carried, error) {
	switch c.ErrorCode() {
	case stepUpSignIn:
		return nil, stronger(resp, c)
	case badProof, dpop.ErrorUseNonce:
		if with.Prover != nil {
			return nil, errProof()
		}
	case "insufficient_scope":
		n.widened++
		return a.widen(ctx, with, c.Scopes(), n)
	}
	if n.renewed++; n.renewed > maxRenewed {
		a.inVain()
		return nil, errRefused()
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
		Endpoint: "the server", Status: resp.StatusCode, Code: stepUpSignIn,
		ACRValues: strings.Join(c.ACRValues(), " "), MaxAge: -1,
	}
	if age, ok := c.MaxAge(); ok {
		e.MaxAge = age
	}
	return e
}

// widen asks for the scopes that an operation needs, on top of those there are (MCP
// 2026-07-28, Step-Up Authorization). The identity provider decides; a cap can be
// configured (S27). It stops as soon as asking brings none of them.
func (a *auth) widen(ctx context.Context, with *carried, scopes []string, n *tries) (*carried, error) {
	missing := &Error{
		Code: "insufficient_scope", Message: "the server wants the scope " + strings.Join(scopes, " ") + ", which you were not granted",
		Hint: "ask your administrator to allow it",
	}
	if len(scopes) == 0 {
		missing.Message = "the server wants a wider token and does not say which scope"
	}
	ask, err := a.wider(with, scopes, n)
	if err != nil {
		return nil, err
	}
	if ask == nil {
		return nil, missing
	}
	enough := func(t *carried) bool { return contains(t.Scopes, scopes) }
	t, err := a.obtain(ctx, want{ask: token.Ask{Scopes: ask}, good: enough, wide: true})
	if err == nil && enough(t) || ctx.Err() != nil {
		return t, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.vain = append(a.vain, a.now())
	d := denied{until: a.now().Add(denial)}
	if err != nil {
		d = denied{until: a.now().Add(afterError), err: err}
	}
	a.denied[strings.Join(scopes, " ")] = d
	if err != nil {
		return nil, err
	}
	return nil, missing
}

// wider returns the scopes to ask for, nil if that is of no use: there are none to
// add, they were there already, or they have been asked for often enough.
func (a *auth) wider(with *carried, scopes []string, n *tries) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.steps == nil {
		a.steps, a.denied = map[string]stepping{}, map[string]denied{}
	}
	if len(a.steps) > 1000 || len(a.denied) > 1000 { // a server that makes names up
		clear(a.steps)
		clear(a.denied)
	}
	if a.most != nil && !contains(slices.Concat(a.most, a.configured), scopes) {
		return nil, &Error{
			Code: "beyond_max_scopes", Message: "the server wants the scope " + strings.Join(scopes, " ") + ", which is beyond oauth.maxScopes",
			Hint: "if that is right, add it to oauth.maxScopes of this server",
		}
	}
	now := a.now()
	if d := a.denied[strings.Join(scopes, " ")]; now.Before(d.until) {
		return nil, d.err
	}
	// A server can make up scopes, and operations too.
	a.vain = slices.DeleteFunc(a.vain, func(at time.Time) bool { return now.Sub(at) >= while })
	if len(a.vain) >= maxVain {
		return nil, &Error{
			Code: "insufficient_scope", Message: "the server wants one scope after another that you are not granted; no more are asked for in the next minutes",
			Hint: "tell the owner of the server",
		}
	}
	s := a.steps[n.operation]
	if now.Sub(s.since) >= while {
		s = stepping{since: now}
	}
	s.n++
	a.steps[n.operation] = s
	if len(scopes) == 0 || contains(with.Scopes, scopes) || n.widened > maxWidened || s.n > maxSteps {
		return nil, nil
	}
	union := slices.Concat(a.configured, a.scopes, with.Scopes, scopes)
	slices.Sort(union)
	return slices.Compact(union), nil
}

func contains(have, want []string) bool {
	for _, s := range want {
		if !slices.Contains(have, s) {
			return false
		}
	}
	return true
}
