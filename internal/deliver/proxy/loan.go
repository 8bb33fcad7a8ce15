package proxy

import (
	"io"
	"net/http"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// send sends a request with a token, which may go to this server only and only as
// long as it takes to send it. One that is bound to a key goes with a proof, and if
// the server only wants its nonce in that, once more (RFC 9449 sections 7.1 and 9).
// again is the body for that, nil if it is not at hand.
func (t *route) send(req *http.Request, tok token.Token, again func() io.ReadCloser) (*http.Response, error) {
	defer t.lend(tok.AccessToken)()
	if tok.Prover == nil {
		req.Header.Del("DPoP") // the client's, or of the token before
		req.Header.Set("Authorization", "Bearer "+tok.AccessToken.Reveal())
		return t.out.RoundTrip(req)
	}
	resp, err := t.prove(req, tok)
	if err != nil || again == nil || !dpop.WantsNonce(resp) {
		return resp, err
	}
	discard(resp)
	second := req.Clone(req.Context())
	second.Body = again()
	return t.prove(second, tok)
}

func (t *route) prove(req *http.Request, tok token.Token) (*http.Response, error) {
	if err := tok.Prover.Sign(req, tok.AccessToken); err != nil {
		req.Body.Close()
		return nil, err
	}
	resp, err := t.out.RoundTrip(req)
	if err == nil {
		tok.Prover.Learn(resp)
	}
	return resp, err
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
