package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	// maxReplay is how much of a request is kept in case its token is refused. A
	// longer one goes out as it comes and is not sent twice.
	maxReplay = 256 << 10

	// tokenTime is the longest that a request waits for its token.
	tokenTime = 30 * time.Second

	// maxDrain is what is read of a refusal, so that its connection can be used again.
	maxDrain = 64 << 10
)

// RoundTrip sends a request with the server's token. When the server refuses the
// token a new one is got, and the request, which the server cannot have acted on,
// is sent once more if it is still at hand (protocol section 1.8).
func (t *route) RoundTrip(req *http.Request) (*http.Response, error) {
	again, err := keep(req)
	if err != nil {
		return nil, err
	}
	tok, err := t.token(req.Context(), token.Ask{})
	if err != nil {
		req.Body.Close()
		return nil, err
	}
	resp, err := t.send(req, tok)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || challenge(resp).ErrorCode() == stronger || !t.mayRenew() {
		return resp, err
	}
	// Even when this request cannot be sent again, the next one needs the token.
	tok, err = t.token(req.Context(), token.Ask{Refused: tok.AccessToken})
	if err != nil {
		if req.Context().Err() == nil {
			t.say(t.proxy.Explain(err))
		}
		return resp, nil // the server's own answer
	}
	if again == nil {
		return resp, nil
	}
	io.CopyN(io.Discard, resp.Body, maxDrain)
	resp.Body.Close()
	second := req.Clone(req.Context())
	second.Body = again()
	if resp, err = t.send(second, tok); err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.renewedInVain()
	}
	return resp, err
}

// keep reads a request's body into memory, up to a bound. It returns how to have
// the body again, or nil if it is longer.
func keep(req *http.Request) (again func() io.ReadCloser, err error) {
	if req.Body == nil || req.Body == http.NoBody {
		req.Body = http.NoBody
		return func() io.ReadCloser { return http.NoBody }, nil
	}
	head, err := io.ReadAll(io.LimitReader(req.Body, maxReplay+1))
	if err != nil {
		req.Body.Close()
		return nil, &brokenOff{err}
	}
	if len(head) > maxReplay {
		req.Body = &joined{io.MultiReader(bytes.NewReader(head), req.Body), req.Body}
		return nil, nil
	}
	req.Body.Close()
	again = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(head)) }
	req.Body, req.ContentLength = again(), int64(len(head))
	// With it net/http can also use another connection when the kept one is dead.
	req.GetBody = func() (io.ReadCloser, error) { return again(), nil }
	return again, nil
}

// brokenOff says that the client did not finish its request.
type brokenOff struct{ err error }

func (e *brokenOff) Error() string { return "read the client's request: " + e.err.Error() }
func (e *brokenOff) Unwrap() error { return e.err }

type joined struct {
	io.Reader
	io.Closer
}

// token asks for a token, in a bounded time.
func (t *route) token(ctx context.Context, a token.Ask) (token.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	tok, err := t.server.Token(ctx, a)
	if err == nil && tok.AccessToken.IsZero() {
		err = errors.New("there is no token to send")
	}
	for _, w := range tok.Warnings {
		t.say(Problem{Code: "warning", Message: wire.Clean(w)})
	}
	return tok, err
}

// send sends a request with a token, which may go to this server only and only as
// long as it takes to send it.
func (t *route) send(req *http.Request, tok token.Token) (*http.Response, error) {
	defer t.lend(tok.AccessToken)()
	req.Header.Set("Authorization", "Bearer "+tok.AccessToken.Reveal())
	return t.out.RoundTrip(req)
}

// loan counts the requests that are about to carry a token.
type loan struct {
	token secret.Text
	users int
}

// lend permits a token to go to this server until what it returns is called and no
// other request needs it any more. The newest token stays known, so that it is
// still recognised where it stands astray.
func (t *route) lend(tok secret.Text) (back func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tok.Reveal()
	l := t.lent[key]
	if l == nil {
		l = &loan{token: tok}
		t.lent[key] = l
	}
	l.users++
	t.proxy.Net.Permit(wire.AccessToken, tok, wire.Prefix(t.server.URL))
	old := t.current
	t.current = tok
	t.drop(old)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		l.users--
		t.drop(tok)
	}
}

// drop forgets a token that is neither current nor needed.
func (t *route) drop(tok secret.Text) {
	if l := t.lent[tok.Reveal()]; l != nil && l.users == 0 && !tok.Equal(t.current) {
		delete(t.lent, tok.Reveal())
		t.proxy.Net.Forget(tok)
	}
}

// mayRenew is false for a minute after a new token was refused as well: the fault
// is not the token's, and each try costs the identity provider an exchange.
func (t *route) mayRenew() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.proxy.now().Before(t.giveUp)
}

func (t *route) renewedInVain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveUp = t.proxy.now().Add(time.Minute)
}

// stronger is how a server asks for a better sign-in (RFC 9470 section 3). No new
// token of this one helps.
const stronger = "insufficient_user_authentication"

// challenge is the server's first OAuth challenge, or the zero one.
func challenge(resp *http.Response) discover.Challenge {
	all, err := discover.Challenges(resp.Header)
	if err != nil {
		return discover.Challenge{}
	}
	for _, c := range all {
		if c.ErrorCode() != "" {
			return c
		}
	}
	return discover.Challenge{}
}

// sayRefusal tells the person what the client may not show. The answer itself
// reaches the client as it is.
func (t *route) sayRefusal(resp *http.Response) {
	c := challenge(resp)
	problem := Problem{Code: wire.Clean(c.ErrorCode())}
	switch {
	case c.ErrorCode() == "insufficient_scope":
		problem.Message = "the server wants a scope that the token does not have"
		if scopes := strings.Join(c.Scopes(), " "); scopes != "" {
			problem.Message += ": " + wire.Clean(scopes)
		}
	case c.ErrorCode() == stronger:
		problem.Message = "the server wants a stronger or fresher sign-in"
		if acr := strings.Join(c.ACRValues(), " "); acr != "" {
			problem.Message += ": " + wire.Clean(acr)
		}
		problem.Hint = "mcpauth login"
	case resp.StatusCode == http.StatusUnauthorized:
		problem.Code, problem.Message = "invalid_token", "the server does not accept the access token"
	default:
		return
	}
	t.say(problem)
}
