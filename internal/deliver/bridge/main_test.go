package bridge_test

import (
	"context"
	"errors"

	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// tokens is a source of tokens whose answers the test decides.
type tokens struct {
	mu   sync.Mutex
	asks []token.Ask
	give func(n int, ask token.Ask) (token.Token, error) // nil: "token-1", "token-2" …
}

func (s *tokens) get(_ context.Context, ask token.Ask) (token.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks = append(s.asks, ask)
	if s.give != nil {
		return s.give(len(s.asks), ask)
	}
	return numbered(len(s.asks)), nil
}

func numbered(n int, scopes ...string) token.Token {
	return token.Token{AccessToken: secret.New("token-" + string(rune('0'+n))), Type: "Bearer", Expires: time.Now().Add(time.Hour), Scopes: scopes}
}

func (s *tokens) asked() []token.Ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]token.Ask(nil), s.asks...)
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

// running is a bridge that a test has started.
type running struct {
	in    *io.PipeWriter // what the client writes
	out   *io.PipeReader // what it reads
	ended chan struct{}
	err   error // of Run, once ended is closed
	warn  *lines
	lines chan string // see hear
}

type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, s)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

// start runs a bridge to the server at url until the test ends.
func start(t *testing.T, url string, change func(*bridge.Options)) *running {
	t.Helper()
	n, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.Configured(url)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	r := &running{in: inW, out: outR, ended: make(chan struct{}), warn: &lines{}}
	o := bridge.Options{Endpoint: url, Net: n, In: inR, Out: outW, Token: (&tokens{}).get, Warn: r.warn.add}
	if change != nil {
		change(&o)
	}
	go func() {
		r.err = bridge.Run(context.Background(), o)
		outW.Close()
		close(r.ended)
	}()
	t.Cleanup(func() {
		inW.Close()
		outR.Close()
		<-r.ended
	})
	return r
}

// closeOnce lets a client of the SDK close the pipe that the test closes as well.
func (r *running) transport() mcp.Transport {
	return &mcp.IOTransport{Reader: r.out, Writer: r.in}
}

// serve starts a handler and demands the bearer token of it.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/mcp"
}

func bearing(t *testing.T, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer token-1" {
			t.Errorf("%s with Authorization %q", r.Method, got)
		}
		h.ServeHTTP(w, r)
	})
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func asError[T error](err error, target *T) bool { return errors.As(err, target) }
