package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	// maxReplay is how much of a request is kept in case its token is refused. A
	// longer one goes out as it comes and is not sent twice.
	maxReplay = 256 << 10

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
	resp, err := t.send(req, tok, again)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !aboutToken(resp) || !t.mayRenew(tok.AccessToken) {
		return resp, err
	}
	// Even when this request cannot be sent again, the next one needs the token.
	tok, err = t.token(req.Context(), token.Ask{Refused: tok.AccessToken})
	if err != nil {
		t.notRenewed()
		if req.Context().Err() == nil {
			t.say(t.proxy.Explain(err))
		}
		return resp, nil // the server's own answer
	}
	if again == nil {
		return resp, nil
	}
	discard(resp)
	second := req.Clone(req.Context())
	second.Body = again()
	if resp, err = t.send(second, tok, again); err == nil && resp.StatusCode == http.StatusUnauthorized && aboutToken(resp) {
		t.renewedInVain()
	}
	return resp, err
}

// aboutToken reports whether another token may cure a refusal: not that of a proof,
// nor the want of a better sign-in.
func aboutToken(resp *http.Response) bool {
	switch challenge(resp).ErrorCode() {
	case stronger, badProof, dpop.ErrorUseNonce:
		return false
	}
	return true
}

func discard(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxDrain)
	resp.Body.Close()
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
	ctx, cancel := context.WithTimeout(ctx, t.proxy.tokenTime())
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

// maxRenewed is how many tokens a server can have replaced within a minute: one
// that takes none of them twice must not have the identity provider asked for
// every request.
const maxRenewed = 5

// mayRenew is false for a minute after a new token was refused as well: the fault
// is not the token's, and each try costs the identity provider an exchange.
func (t *route) mayRenew(refused secret.Text) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.proxy.now()
	switch {
	case now.Before(t.giveUp):
		return false
	case refused.Equal(t.refused):
		return true // with another request, and there is one new token for all of them
	}
	t.renewed = slices.DeleteFunc(t.renewed, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if len(t.renewed) >= maxRenewed {
		return false
	}
	t.refused, t.renewed = refused, append(t.renewed, now)
	return true
}

// notRenewed has the next try counted, although it is about the same token.
func (t *route) notRenewed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = secret.Text{}
}

func (t *route) renewedInVain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveUp = t.proxy.now().Add(time.Minute)
}
