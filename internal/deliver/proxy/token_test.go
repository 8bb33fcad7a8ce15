package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// only accepts one token.
func only(good string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+good {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, "the server's own words")
			return
		}
		io.WriteString(w, "good")
	}
}

// A refused token is replaced once, and the request sent again with all it had.
func TestRefusedToken(t *testing.T) {
	s := serve(t)
	s.up.answer = only("token-1-of-wiki")
	if got := text(t, s.do(t, "POST", "/wiki/x?y", `{"id":1}`, "Mcp-Name: n")); got != "good" {
		t.Errorf("got %q", got)
	}
	if len(s.up.bodies) != 2 || s.up.bodies[0] != s.up.bodies[1] || s.up.bodies[0] != `{"id":1}` {
		t.Errorf("the server got %q", s.up.bodies)
	}
	for _, r := range s.up.requests() {
		if r.RequestURI != "/mcp/x?y" || r.Header.Get("Mcp-Name") != "n" || len(r.Header["Authorization"]) != 1 {
			t.Errorf("%s %v", r.RequestURI, r.Header)
		}
	}
	if got := s.tokens.asked; len(got) != 2 || got[1].Refused.Reveal() != "token-0-of-wiki" {
		t.Errorf("asked %d times", len(got))
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.up.answer = only(fmt.Sprintf("token-%d-of-wiki", s.tokens.n+1))
		if resp := s.do(t, method, "/wiki", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
}

// A server that refuses every token is not asked for ever, nor is the identity
// provider; its own words reach the client.
func TestRefusedAgain(t *testing.T) {
	now := time.Now()
	s := serve(t, func(s *setup) { s.Now = func() time.Time { return now } })
	s.up.answer = only("none")
	for range 5 {
		resp := s.do(t, "POST", "/wiki", "{}")
		if got := text(t, resp); resp.StatusCode != http.StatusUnauthorized || got != "the server's own words" || resp.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("got %d %q %v", resp.StatusCode, got, resp.Header)
		}
	}
	if s.tokens.n != 1 || len(s.up.requests()) != 6 {
		t.Errorf("%d new tokens, %d requests", s.tokens.n, len(s.up.requests()))
	}
	now = now.Add(time.Minute)
	s.do(t, "POST", "/wiki", "{}")
	if s.tokens.n != 2 {
		t.Errorf("after a minute: %d new tokens", s.tokens.n)
	}
	now = slept(t, now, time.Minute)
	s.do(t, "POST", "/wiki", "{}")
	if s.tokens.n != 3 {
		t.Errorf("after a minute asleep: %d new tokens", s.tokens.n)
	}
	if n := strings.Count(s.lines(), "does not accept"); n != 3 {
		t.Errorf("logged %d times", n)
	}
}

// A request too long to be kept is not sent twice, but the next one has the token.
func TestLongRequestIsNotSentTwice(t *testing.T) {
	s := serve(t)
	s.up.answer = only("token-1-of-wiki")
	long := `"` + strings.Repeat("x", maxReplay) + `"`
	if resp := s.do(t, "POST", "/wiki", long); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d", resp.StatusCode)
	}
	if n := len(s.up.requests()); n != 1 || s.up.bodies[0] != long {
		t.Errorf("%d requests", n)
	}
	if resp := s.do(t, "POST", "/wiki", long); resp.StatusCode != http.StatusOK || s.up.bodies[1] != long {
		t.Errorf("the next one got %d", resp.StatusCode)
	}
	s.up.answer = only("token-2-of-wiki")
	if resp := s.do(t, "POST", "/wiki", long[:maxReplay]); resp.StatusCode != http.StatusOK {
		t.Errorf("the longest one that is kept got %d", resp.StatusCode)
	}
}

// What a new token does not cure is passed on as it came, and told to the person.
func TestRefusalsPassThrough(t *testing.T) {
	for _, row := range []struct {
		status          int
		challenge, told string
	}{
		{403, `Bearer error="insufficient_scope", scope="a b"`, "wiki: the server wants a scope that the token does not have: a b"},
		{401, `Bearer error="insufficient_user_authentication", acr_values="mfa"`, "wiki: the server wants a stronger or fresher sign-in: mfa"},
		{403, ``, ""},
		{400, `Bearer error="insufficient_scope"`, ""},
		{500, ``, ""},
		{304, ``, ""},
	} {
		s := serve(t)
		s.up.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", row.challenge)
			w.WriteHeader(row.status)
		}
		resp := s.do(t, "POST", "/wiki", "{}")
		if resp.StatusCode != row.status || resp.Header.Get("WWW-Authenticate") != row.challenge || s.lines() != row.told {
			t.Errorf("%+v: %d %v %q", row, resp.StatusCode, resp.Header, s.lines())
		}
		if s.tokens.count() != 1 || len(s.up.requests()) != 1 {
			t.Errorf("%+v: asked %d times, sent %d times", row, s.tokens.count(), len(s.up.requests()))
		}
	}
}

// Without a token the client is told why, and it goes on when there is one again.
func TestNoToken(t *testing.T) {
	s := serve(t)
	s.tokens.fail(errors.New("you are not signed in"))
	resp := s.do(t, "POST", "/wiki", "{}")
	if got := text(t, resp); resp.StatusCode != http.StatusBadGateway || got != `{"error":"test","message":"you are not signed in","hint":"hint"}`+"\n" {
		t.Errorf("got %d %q", resp.StatusCode, got)
	}
	if s.lines() != "wiki: you are not signed in" || len(s.up.requests()) != 0 {
		t.Errorf("%q, %d requests", s.lines(), len(s.up.requests()))
	}
	s.tokens.fail(nil)
	if resp := s.do(t, "POST", "/wiki", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("then %d", resp.StatusCode)
	}
	s.tokens.fail(errors.New("you are not signed in"))
	s.do(t, "POST", "/wiki", "{}")
	if n := strings.Count(s.lines(), "you are not signed in"); n != 2 {
		t.Errorf("what happened anew was told %d times in all", n)
	}
	s.tokens.fail(nil)
	// A refused token that cannot be replaced: the server's answer, and a line.
	s.up.answer = func(w http.ResponseWriter, _ *http.Request) {
		s.tokens.fail(errors.New("the sign-in has ended"))
		w.WriteHeader(http.StatusUnauthorized)
	}
	if resp := s.do(t, "POST", "/wiki", "{}"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(s.lines(), "the sign-in has ended") {
		t.Errorf("%d %q", resp.StatusCode, s.lines())
	}
}

// Tokens come and go under fifty clients, and each is forgotten in the end.
func TestTokensAreForgotten(t *testing.T) {
	s := serve(t)
	var mu sync.Mutex
	good := "token-0-of-wiki"
	s.up.answer = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		ok := r.Header.Get("Authorization") == "Bearer "+good
		mu.Unlock()
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	for i := range 5 {
		mu.Lock()
		good = fmt.Sprintf("token-%d-of-wiki", i)
		mu.Unlock()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if resp := s.do(t, "POST", "/wiki", "{}"); resp.StatusCode != http.StatusOK {
					t.Errorf("round %d: %d", i, resp.StatusCode)
				}
			})
		}
		wg.Wait()
	}
	for i := range 5 {
		// A token that is still known would be stopped anywhere but at its server.
		req, _ := http.NewRequest("GET", s.up.URL+"/elsewhere", nil)
		req.Header.Set("X-Test", fmt.Sprintf("token-%d-of-wiki", i))
		_, err := s.Net.Streaming().Transport.RoundTrip(req)
		if known := err != nil; known != (i == 4) {
			t.Errorf("token %d: known is %v", i, known)
		}
	}
}

// One request that is still about to be sent keeps its token.
func TestLoans(t *testing.T) {
	s := serve(t)
	to := s.routes()["wiki"]
	first, second := secret.New("first-token-of-all"), secret.New("second-token-of-all")
	back := to.lend(first)
	again := to.lend(first)
	to.lend(second)()
	back()
	if len(to.lent) != 2 {
		t.Errorf("%d tokens are kept, want both", len(to.lent))
	}
	again()
	if len(to.lent) != 1 || to.lent[second.Reveal()] == nil {
		t.Errorf("%d tokens are kept, want the second", len(to.lent))
	}
}
