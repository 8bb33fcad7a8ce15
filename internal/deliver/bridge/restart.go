package bridge

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// restart begins a new session in place of one that the server has forgotten (MCP
// 2025-11-25, Session Management: HTTP 404). The client is not told: over stdio it
// has no way to hear that its server started anew. What it had set up in the old
// session, such as subscriptions, is lost.
func (b *bridge) restart(ctx context.Context, gone *session) (*session, error) {
	b.restarting.Lock()
	defer b.restarting.Unlock()
	if s := b.current(); s != gone {
		return s, nil // another call was faster
	}
	fail := func(err error) (*session, error) {
		return nil, &Error{Code: "session_lost", Message: "the server has forgotten the session, and a new one cannot be had", Hint: "restart the MCP client", Err: err}
	}
	s, _, err := b.begin(ctx, gone.initialize)
	if err != nil || s.version != gone.version {
		return fail(err)
	}
	b.Warn("the server has forgotten the session; a new one was started")
	b.listen(s)
	return s, nil
}

// begin begins a session in place of the client. It returns the result of initialize
// as well.
func (b *bridge) begin(ctx context.Context, initialize []byte) (s *session, result []byte, err error) {
	m := &message{raw: initialize, accepted: func() {}}
	resp, err := b.send(ctx, request{method: http.MethodPost, message: m, operation: "initialize"})
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := b.first(resp)
	if err != nil {
		return nil, nil, err
	}
	e, err := open(answer)
	if err == nil && e.result.none() {
		err = &Error{Code: "refused", Message: "the server refuses to begin a session"}
	}
	if err != nil {
		return nil, nil, err
	}
	if old := b.started(m, resp, answer, e.result); old != nil {
		old.end()
	}
	s = b.current()
	note := &message{raw: []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)}
	said, err := b.send(ctx, request{method: http.MethodPost, message: note, session: s, operation: "initialize"})
	if err != nil {
		return nil, nil, err
	}
	discard(said)
	return s, e.result.of(answer), nil
}

// first is the one response in an answer.
func (b *bridge) first(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, httpError(resp)
	}
	if mediaType(resp) != typeEvents {
		return readAll(resp.Body, resp.ContentLength, b.MaxMessage)
	}
	in := b.events(resp)
	for {
		e, err := in.next()
		if err == io.EOF {
			err = brokenError(nil)
		}
		if err != nil {
			return nil, err
		}
		if m, err := open(e.data); err == nil && m.isResponse() {
			return bytes.Clone(e.data), nil
		}
	}
}
