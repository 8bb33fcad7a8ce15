package bridge

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Header names of the streamable HTTP transport, in the form in which net/http
// keeps them.
const (
	headerSession = "Mcp-Session-Id"
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
	headerParam   = "Mcp-Param-"
	headerLast    = "Last-Event-Id"
)

// session is what initialize brought, in the eras that have sessions (MCP
// 2025-03-26 to 2025-11-25).
type session struct {
	id      string // empty: the server keeps none
	version string // negotiated; empty before 2025-06-18, where no header tells it

	header http.Header // both, as every request has them

	initialize []byte // as it was sent, for the day the server forgets us
	listening  sync.Once
	opened     chan struct{} // closed once the GET stream is open, or there is none
	opening    sync.Once
	end        context.CancelFunc
	ctx        context.Context // of its GET stream
}

// versionHeader is the first version whose clients send MCP-Protocol-Version.
const versionHeader = "2025-06-18"

// started keeps what the answer to initialize says, and returns the session before
// it, if any.
func (b *bridge) started(m *message, resp *http.Response, answer []byte, result span) (old *session) {
	version, _ := member(answer, result, "protocolVersion")
	s := &session{id: resp.Header.Get(headerSession), initialize: m.raw, opened: make(chan struct{})}
	if v := word(answer, version); v >= versionHeader {
		s.version = v
	}
	s.header = http.Header{}
	if s.id != "" {
		s.header[headerSession] = []string{s.id}
	}
	if s.version != "" {
		s.header[headerVersion] = []string{s.version}
	}
	s.ctx, s.end = context.WithCancel(b.life)
	b.mu.Lock()
	defer b.mu.Unlock()
	old = b.session
	b.session, b.batches = s, word(answer, version) == "2025-03-26"
	return old
}

func (b *bridge) current() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

// headers are those that a session puts on every request.
func (s *session) headers(h http.Header) {
	if s != nil {
		maps.Copy(h, s.header)
	}
}

// retire ends a session: the server is told, and need not be there any more.
func (b *bridge) retire(ctx context.Context, s *session) {
	s.end()
	if s.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	if resp, err := b.sendAs(ctx, request{method: http.MethodDelete, session: s}, b.auth.held()); err == nil {
		resp.Body.Close()
	}
}

// deleteTime is what a client that closed its end is made to wait for the server.
const deleteTime = 500 * time.Millisecond

// listen opens the stream on which a server of the session era sends what answers
// no request, and opens it again whenever it ends.
func (b *bridge) listen(s *session) {
	s.listening.Do(func() {
		b.spawn(func() { _ = b.follow(s.ctx, s, nil, cursor{}) }) // it ends with the session
	})
}

// openTime is how long the first call waits for the session's stream. Some servers
// say nothing on it, not even that it is open, before they have something to say.
const openTime = 50 * time.Millisecond

func (s *session) awaitStream(ctx context.Context) {
	t := time.NewTimer(openTime)
	defer t.Stop()
	select {
	case <-s.opened:
	case <-t.C:
	case <-ctx.Done():
	}
}

// cursor is where a stream can be taken up again.
type cursor struct {
	id    string
	retry time.Duration
}

// Reconnection: the server's own word, or a second at first and up to half a minute.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
	leastWait = 500 * time.Millisecond // whatever the server says
	maxTries  = 5                      // without anything new, for a stream that somebody waits for
)

// follow reads a stream by GET, and takes it up again where it ended (MCP
// 2025-11-25, Resumability and Redelivery), until m is answered. Without m it is
// the session's own stream, which ends with the session or when the server has none.
func (b *bridge) follow(ctx context.Context, s *session, m *message, at cursor) error {
	wait, failures := firstWait, 0
	for opened := m != nil; ; opened = true {
		if opened {
			if at.retry > 0 {
				wait = max(at.retry, leastWait)
			}
			if err := b.sleep(ctx, wait); err != nil {
				return err
			}
		}
		next, err := b.get(ctx, s, m, at)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case m != nil && m.done():
			return nil
		case err == errNoStream && m != nil:
			return brokenError(err)
		case err == errNoStream, m == nil && isRefused(err):
			return nil
		case err == nil && next.id != at.id:
			wait, failures = firstWait, 0
		default:
			failures++
			wait = min(2*wait, maxWait)
		}
		if next.id != "" {
			at.id = next.id
		}
		if next.retry > 0 {
			at.retry = next.retry
		}
		if m != nil && failures >= maxTries {
			return &Error{Code: "no_answer", Message: "the server's answer broke off and could not be taken up again", Err: err}
		}
	}
}

// isRefused reports whether the server takes no token: a stream that nobody waits
// for is then given up, since each try would cost a token.
func isRefused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "token_refused"
}

var errNoStream = errors.New("the server has no stream to take up")

// get reads one stream by GET to its end.
func (b *bridge) get(ctx context.Context, s *session, m *message, at cursor) (cursor, error) {
	resp, err := b.send(ctx, request{method: http.MethodGet, session: s, last: at.id, operation: "GET"})
	if m == nil {
		s.opening.Do(func() { close(s.opened) })
	}
	if err != nil {
		return cursor{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return cursor{}, httpError(resp)
	case resp.StatusCode != http.StatusOK || mediaType(resp) != typeEvents:
		return cursor{}, errNoStream // 405, as the spec says; others have other ways to say no
	}
	return b.stream(m, resp)
}
