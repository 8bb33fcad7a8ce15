package bridge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/mcpauth/mcpauth/internal/wire"
)

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// exchange sends a message and forwards what comes back. A call whose headers the
// server expects otherwise is made again when its tools/list says how.
func (b *bridge) exchange(ctx context.Context, m *message) error {
	err := b.exchangeOnce(ctx, m)
	if m.mismatch == nil {
		return err
	}
	if !b.relist(ctx, m) {
		m.accepted()
		b.out.send(m.mismatch)
		return nil
	}
	m.asked[0].answered = false
	return b.exchangeOnce(ctx, m)
}

func (b *bridge) exchangeOnce(ctx context.Context, m *message) error {
	r := request{method: http.MethodPost, message: m}
	if !m.modern() && m.method != "initialize" {
		r.session = b.current()
	}
	resp, err := b.send(ctx, r)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusNotFound && r.session != nil && r.session.id != "" {
		// The server has forgotten the session, and so did not act.
		discard(resp)
		if r.session, err = b.restart(ctx, r.session); err != nil {
			return err
		}
		if resp, err = b.send(ctx, r); err != nil {
			return err
		}
	}
	defer resp.Body.Close()
	if m.done() { // nothing to wait for
		if resp.StatusCode >= 300 {
			return httpError(resp)
		}
		m.accepted()
		io.CopyN(io.Discard, resp.Body, maxDrain)
		return nil
	}
	kind := mediaType(resp)
	switch {
	case resp.StatusCode >= 300 || resp.StatusCode < 200:
		return b.failed(m, resp)
	case kind == typeJSON:
		return b.whole(m, resp)
	case kind == typeEvents:
		return b.streamed(ctx, m, resp, r.session)
	case resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent:
		return &Error{Code: "no_answer", Message: fmt.Sprintf("the server took the request and gave no answer (HTTP %d)", resp.StatusCode)}
	}
	return &Error{Code: "strange_answer", Message: fmt.Sprintf("the server's answer is neither JSON nor a stream of events, but %q", kind)}
}

// failed forwards the JSON-RPC error that comes with an HTTP error, unchanged.
func (b *bridge) failed(m *message, resp *http.Response) error {
	if mediaType(resp) == typeJSON {
		if body, err := readAll(resp.Body, resp.ContentLength, b.MaxMessage); err == nil {
			if e, err := open(body); err == nil && !e.failure.none() && e.method == "" && len(m.asked) == 1 {
				p := &m.asked[0]
				if e.id.none() || !p.is(e.id.of(body)) {
					body = withID(body, e.failure, p.id)
					e, _ = open(body)
				}
				p.answered = true
				b.answer(m, p, resp, body, e)
				return nil
			}
		}
	}
	m.tooNew = b.maybeSessions(m, resp.StatusCode, 0)
	if m.method == "server/discover" && resp.StatusCode < 500 {
		// A server of the session era says in its own way that it knows no such
		// thing. This is how its JSON-RPC would say it, and what a client that
		// probes for the era waits for.
		for _, id := range m.rest() {
			m.answered(id)
			b.out.send(answerError(id, codeNoMethod, "Method not found", nil))
		}
		return nil
	}
	return httpError(resp)
}

// whole forwards an answer that is one JSON document.
func (b *bridge) whole(m *message, resp *http.Response) error {
	body, err := readAll(resp.Body, resp.ContentLength, b.MaxMessage)
	if err != nil {
		return brokenError(err)
	}
	if err := b.forward(m, resp, body); err != nil {
		return err
	}
	if !m.done() {
		return &Error{Code: "no_answer", Message: "the server's answer is not one to this request"}
	}
	return nil
}

// forward hands one message of the server to the client, and notes what it answers.
func (b *bridge) forward(m *message, resp *http.Response, msg []byte) error {
	msg = bytes.TrimSpace(msg)
	if len(msg) > 0 && msg[0] == '[' { // a batch, MCP 2025-03-26
		return b.forwardBatch(m, resp, msg)
	}
	e, err := open(msg)
	if err != nil {
		return &Error{Code: "strange_answer", Message: "the server's answer is not JSON-RPC", Err: err}
	}
	var p *pending
	if m != nil && e.isResponse() {
		p = m.answered(e.id.of(msg))
	}
	if p != nil {
		b.answer(m, p, resp, msg, e)
	} else if back := b.goesBack(); back == nil || !b.pass(back, msg, e) {
		b.out.send(msg)
	}
	return nil
}

// answer hands the answer to a request to the client, unless the bridge itself has
// something to do about it first.
func (b *bridge) answer(m *message, p *pending, resp *http.Response, msg []byte, e envelope) {
	switch {
	case m.method == "initialize" && !m.modern() && !e.failure.none():
		m.refused = bytes.Clone(msg)
		return
	case m.translated && needsInput(msg, e.result):
		m.input = bytes.Clone(msg)
		return
	case m.translated && !e.id.none():
		if !bytes.Equal(p.id, e.id.of(msg)) {
			msg = append(append(bytes.Clone(msg[:e.id.from]), p.id...), msg[e.id.to:]...)
			e, _ = open(msg)
		}
	}
	switch {
	case !e.failure.none() && b.maybeSessions(m, resp.StatusCode, errorCode(msg, e)):
		m.tooNew, m.held = true, bytes.Clone(msg)
		return
	case m.mismatches(msg, e):
		m.mismatch = bytes.Clone(msg)
		return
	case m.modern() && !e.result.none():
		b.speaksStateless()
	}
	msg = b.learn(m, resp, msg, e)
	if m.lowered {
		msg = complete(msg, e.result)
	}
	m.accepted()
	b.out.send(msg)
}

func (b *bridge) forwardBatch(m *message, resp *http.Response, msg []byte) error {
	b.mu.Lock()
	apart := b.backward != nil || !b.batches // its client knows none
	b.mu.Unlock()
	err := elements(msg, span{0, len(msg)}, func(at span) error {
		part := at.of(msg)
		if part[0] == '[' {
			return errJSON
		}
		if apart {
			return b.forward(m, resp, bytes.Clone(part))
		}
		e, err := open(part)
		if err == nil && m != nil && e.isResponse() {
			m.answered(e.id.of(part))
		}
		return err
	})
	if err != nil {
		return &Error{Code: "strange_answer", Message: "the server's answer is not JSON-RPC", Err: err}
	}
	if !apart {
		b.out.send(msg)
	}
	return nil
}

// learn takes from an answer what later requests need.
func (b *bridge) learn(m *message, resp *http.Response, msg []byte, e envelope) []byte {
	switch {
	case e.result.none():
	case m.method == "initialize" && !m.modern():
		if old := b.started(m, resp, msg, e.result); old != nil {
			b.retire(b.life, old)
		}
	case m.method == "tools/list" && m.modern():
		return b.tools.learn(msg, e.result)
	}
	return msg
}

// streamed forwards an answer that comes as a stream of events. One that breaks
// off is taken up again where the era and the server allow it.
func (b *bridge) streamed(ctx context.Context, m *message, resp *http.Response, s *session) error {
	at, err := b.stream(m, resp)
	if m.done() || ctx.Err() != nil {
		return nil
	}
	if m.modern() || at.id == "" {
		return brokenError(err)
	}
	resp.Body.Close()
	if s == nil {
		s = b.current()
	}
	return b.follow(ctx, s, m, at)
}

// lingering is how long a stream may stay open after the answer that it was opened
// for. Most end with it, and their connection can be used again.
const lingering = time.Second

// stream forwards the events of a response until it ends, and returns where it
// could be taken up again. Events that are no JSON-RPC are left out, as the official
// SDKs do: some servers show with them that they are alive.
func (b *bridge) stream(m *message, resp *http.Response) (cursor, error) {
	var at cursor
	waiting, warned := m != nil, false
	in := b.events(resp)
	for {
		e, err := in.next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return at, err
		}
		if e.hasID {
			at.id = e.id
		}
		if e.retry > 0 {
			at.retry = e.retry
		}
		if len(e.data) == 0 || e.other {
			continue
		}
		if err := b.forward(m, resp, e.data); err != nil {
			if !warned {
				b.Warn("the server sent what is no JSON-RPC, and was left out")
				warned = true
			}
			continue
		}
		if waiting && m.done() {
			waiting = false
			defer time.AfterFunc(lingering, func() { resp.Body.Close() }).Stop()
		}
	}
}

func (b *bridge) events(resp *http.Response) *events {
	return &events{r: bufio.NewReader(resp.Body), max: b.MaxMessage}
}

func discard(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxDrain)
	resp.Body.Close()
}

func mediaType(resp *http.Response) string {
	stated := resp.Header.Get("Content-Type")
	if stated == typeJSON || stated == typeEvents { // as nearly all have it
		return stated
	}
	t, _, _ := mime.ParseMediaType(stated)
	return t
}

func httpError(resp *http.Response) error {
	e := &Error{Code: "http_error", Status: resp.StatusCode, Message: fmt.Sprintf("the server answered HTTP %d", resp.StatusCode)}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		e.Code, e.Message = "no_auth", "the server wants a token, and this bridge was started without one"
	case resp.StatusCode == http.StatusForbidden:
		e.Code = "forbidden"
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Code, e.Hint = "redirect", "redirects are not followed; correct the server's URL"
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		e.Code, e.Hint = "unavailable", "try again in a moment"
	}
	return e
}

func networkError(err error) error {
	return &Error{Code: "network", Message: "the server cannot be reached: " + wire.Explain(err), Err: err}
}

func brokenError(err error) error {
	e := &Error{Code: "no_answer", Message: "the server's answer broke off; whether it acted is not known", Err: err}
	if err == errTooLarge {
		e.Code, e.Message = "too_large", "the server's answer is too large"
	}
	return e
}
