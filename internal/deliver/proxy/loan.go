package proxy

import (
	"net/http"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

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
