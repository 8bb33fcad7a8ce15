package bridge

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// request is one HTTP request to the server.
type request struct {
	method    string
	message   *message // nil for GET and DELETE
	session   *session // nil: none yet, or not of that era
	last      string   // Last-Event-ID
	operation string   // what a step-up is about; empty: the message says it
}

// about names what a request is about, for the record of step-ups.
func (r request) about() string {
	if r.operation != "" {
		return r.operation
	}
	return r.message.operation()
}

// send sends a request with the bearer token. A 401 or 403 says that the server
// did not act on it: it is sent again when there is another token that may help.
func (b *bridge) send(ctx context.Context, r request) (*http.Response, error) {
	t, err := b.auth.bearer(ctx)
	if err != nil {
		return nil, err
	}
	var n tries
	for {
		resp, err := b.sendAs(ctx, r, t)
		if err != nil {
			return nil, err
		}
		c, curable := b.auth.challenge(resp, t)
		if !curable {
			return resp, nil
		}
		discard(resp)
		n.operation = r.about()
		if t, err = b.auth.cure(ctx, resp, c, t, &n); err != nil {
			return nil, err
		}
	}
}

// sendAs sends a request with this token, and once more if the server only wants
// its nonce in the proof for it (RFC 9449 section 9).
func (b *bridge) sendAs(ctx context.Context, r request, t *carried) (*http.Response, error) {
	for first := true; ; first = false {
		req := b.request(ctx, r)
		if err := t.authorize(req); err != nil {
			return nil, err
		}
		resp, err := b.http.RoundTrip(req)
		if err != nil {
			return nil, networkError(err)
		}
		if !t.lacksNonce(resp) || !first {
			return resp, nil
		}
		discard(resp)
	}
}

// maxDrain is how much of an answer that nobody wants is read, so that its
// connection can be used again.
const maxDrain = 64 << 10

func (b *bridge) request(ctx context.Context, r request) *http.Request {
	req := b.blank.WithContext(ctx)
	u := *b.blank.URL
	req.Method, req.URL, req.Header = r.method, &u, make(http.Header, 8)
	if r.message == nil {
		if r.method == http.MethodGet {
			req.Header["Accept"] = b.fixed.events
		}
		r.session.headers(req.Header)
		if r.last != "" {
			req.Header[headerLast] = []string{r.last}
		}
		return req
	}
	req.ContentLength = int64(len(r.message.raw))
	req.GetBody = r.message.body
	req.Body, _ = req.GetBody()
	req.Header["Content-Type"] = b.fixed.json
	req.Header["Accept"] = b.fixed.both
	if r.message.modern() {
		b.modernHeaders(r.message, req.Header)
	} else {
		r.session.headers(req.Header)
	}
	return req
}

// body is a message as the body of a request, in the form that net/http knows to be
// in memory: it sends any other one in two packets.
func (m *message) body() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m.raw)), nil
}

// values are those of headers that are always the same. Nobody changes them.
type values struct{ json, events, both []string }

func newValues() values {
	return values{json: []string{typeJSON}, events: []string{typeEvents}, both: []string{typeJSON + ", " + typeEvents}}
}
