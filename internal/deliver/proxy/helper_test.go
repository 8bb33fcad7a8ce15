package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const key = "the-secret-of-this-run"

// tokens is a token source that counts. A token is "token-N-of-SERVER".
type tokens struct {
	mu    sync.Mutex
	n     int
	asked []token.Ask
	err   error
}

func (s *tokens) of(server string) func(context.Context, token.Ask) (token.Token, error) {
	return func(_ context.Context, a token.Ask) (token.Token, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, a)
		if s.err != nil {
			return token.Token{}, s.err
		}
		now := fmt.Sprintf("token-%d-of-%s", s.n, server)
		if a.Refused.Reveal() == now {
			s.n++
			now = fmt.Sprintf("token-%d-of-%s", s.n, server)
		}
		return token.Token{AccessToken: secret.New(now), Type: "Bearer"}, nil
	}
}

func (s *tokens) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *tokens) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// slept is the time after a laptop has slept: the monotonic reading of a time that
// is not stripped of it stood still meanwhile.
func slept(t testing.TB, before time.Time, d time.Duration) time.Time {
	t.Helper()
	after := before
	*(*uint64)(unsafe.Pointer(&after)) += uint64(d/time.Second) << 30 // the wall clock's seconds
	if after.Sub(before) != 0 || after.Round(0).Sub(before.Round(0)) != d {
		t.Fatal("package time keeps its readings in another way now")
	}
	return after
}

// upstream is an MCP server that writes down what reaches it.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []*http.Request
	bodies []string
	answer http.HandlerFunc // after the body was read; nil means 200
	raw    http.HandlerFunc // in place of all that
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u.raw != nil {
			u.raw(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen, u.bodies = append(u.seen, r), append(u.bodies, string(body))
		u.mu.Unlock()
		if u.answer != nil {
			u.answer(w, r)
			return
		}
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen
}

// setup is a running proxy in front of "wiki" (with an upstream) and "other".
type setup struct {
	*Proxy
	up     *upstream
	tokens *tokens
	addr   string
	end    context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	logged []string
}

func (s *setup) lines() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.logged, "\n")
}

func serve(t *testing.T, change ...func(*setup)) *setup {
	t.Helper()
	n, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{up: newUpstream(t), tokens: &tokens{}, ended: make(chan error, 1)}
	n.Configured(s.up.URL)
	s.Proxy = &Proxy{
		Net: n, Secret: secret.New(key), Grace: 50 * time.Millisecond,
		Servers: []Server{
			{Name: "wiki", URL: s.up.URL + "/mcp", Token: s.tokens.of("wiki")},
			{Name: "other", URL: s.up.URL + "/other", Token: s.tokens.of("other")},
		},
		Explain: func(err error) Problem { return Problem{Code: "test", Message: err.Error(), Hint: "hint"} },
		Log: func(server string, p Problem) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.logged = append(s.logged, server+": "+p.Message)
		},
	}
	for _, c := range change {
		c(s)
	}
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	go func() { s.ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-s.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		n.CloseIdle()
	})
	return s
}

// raw sends exactly these lines, with HOST and KEY filled in, and reads one answer.
func (s *setup) raw(t *testing.T, lines ...string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	text := strings.NewReplacer("HOST", s.addr, "KEY", key).Replace(strings.Join(lines, "\r\n"))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// do sends a well-formed request.
func (s *setup) do(t *testing.T, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func problemOf(t *testing.T, resp *http.Response) (p Problem) {
	t.Helper()
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}
