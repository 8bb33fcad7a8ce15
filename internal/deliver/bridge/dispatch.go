package bridge

import (
	"context"
	"errors"
	"sync"
	"time"
)

// dispatch starts what a message of the client asks for, and returns what must be
// accepted before the next message may be sent. The caller has taken a slot.
func (b *bridge) dispatch(ctx context.Context, line []byte, before chan struct{}) (after chan struct{}) {
	m, err := b.read1(line)
	if err != nil {
		b.refuse(m, err)
		<-b.slots
		return before
	}
	if m.method == "notifications/cancelled" && b.cancelled(m) {
		<-b.slots
		return before
	}
	if b.Token != nil {
		declare(m)
	}
	after = before
	if !m.isRequest() || m.method == "initialize" {
		after = make(chan struct{})
		m.accepted = sync.OnceFunc(func() { close(after) })
	}
	ctx, cancel := context.WithCancel(ctx)
	b.employ(job{ctx, m, b.enter(m, cancel), before})
	return after
}

// job is a message of the client for a goroutine to take to the server.
type job struct {
	ctx    context.Context
	m      *message
	call   *call
	before chan struct{}
}

// maxIdle is how many goroutines wait for the next message.
const maxIdle = 64

// employ gives a job to a goroutine that has done one before, and so has the stack
// that it takes, or to a new one.
func (b *bridge) employ(j job) {
	select {
	case b.jobs <- j:
	default:
		b.spawn(func() { b.labour(j) })
	}
}

func (b *bridge) labour(j job) {
	for {
		b.do(j)
		if b.idle.Add(1) > maxIdle {
			b.idle.Add(-1)
			return
		}
		select {
		case j = <-b.jobs:
			b.idle.Add(-1)
		case <-b.life.Done():
			return
		}
	}
}

func (b *bridge) do(j job) {
	defer func() { <-b.slots }()
	defer j.call.cancel()
	defer j.m.accepted()
	defer b.leave(j.m, j.call)
	var enough <-chan time.Time
	if j.m.isResponse() {
		enough = time.After(patience)
	}
	select {
	case <-j.before:
	case <-enough:
	case <-j.ctx.Done():
		return
	}
	if !j.m.isRequest() {
		defer time.AfterFunc(b.AcceptTime, j.m.accepted).Stop()
	}
	t, back := b.translating(j.m)
	switch {
	case t != nil:
		b.carryTranslated(j.ctx, t, j.m)
	case back != nil:
		b.carryBack(j.ctx, back, j.m)
	default:
		b.carry(j.ctx, j.m)
	}
}

// patience is how long the client's answer to a question of the server waits for the
// messages before it. A server may accept one of those only when it has the answer, as
// servers of the official Java SDK do that ask for the roots when told of new ones.
const patience = 500 * time.Millisecond

// translating returns the translation that a message needs, if any.
func (b *bridge) translating(m *message) (*translation, *backward) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case m.modern():
		return nil, b.backward
	case m.method == "initialize":
		return nil, nil
	}
	return b.translation, nil
}

// read1 takes a line apart: one message, or a batch where the negotiated version
// has them (MCP 2025-03-26 only). A batch is sent as it is.
func (b *bridge) read1(line []byte) (*message, error) {
	if line[0] != '[' {
		m, err := read(line)
		if err == nil && m.method != "" {
			b.mu.Lock()
			if m.modern() {
				b.era = m.version
			} else if !m.isRequest() && b.session == nil {
				m.version = b.era // notifications have no _meta, and need the header
			}
			b.mu.Unlock()
		}
		return m, err
	}
	m := &message{raw: line, accepted: func() {}}
	b.mu.Lock()
	allowed := b.batches
	b.mu.Unlock()
	if !allowed {
		return m, errors.New("batches are not part of this protocol version")
	}
	err := elements(line, span{0, len(line)}, func(at span) error {
		part, err := read(at.of(line))
		if err == nil && part.isRequest() {
			m.expect(part.id.of(part.raw))
		}
		return err
	})
	return m, err
}

// refuse answers what cannot be sent. A notification gets no answer.
func (b *bridge) refuse(m *message, err error) {
	code := codeInvalid
	if err == errJSON {
		code = codeParse
	}
	if m.method != "" && m.id.none() {
		b.Warn("the client sent a message that was dropped: " + err.Error())
		return
	}
	b.out.send(answerError(idOf(m.envelope, m.raw), code, "mcpauth: "+err.Error(), nil))
}

// carry takes one message to the server and its answer back.
func (b *bridge) carry(ctx context.Context, m *message) {
	if m.method == "notifications/initialized" && !m.modern() {
		m.accepted = func() {} // calls come after the stream on which the server may speak of them
	}
	err := b.exchange(ctx, m)
	if m.tooNew && ctx.Err() == nil {
		if t := b.backwardFrom(ctx, m); t != nil {
			b.carryBack(ctx, t, m)
			return
		}
		if m.held != nil {
			b.out.send(m.held)
			return
		}
	}
	switch {
	case ctx.Err() != nil: // cancelled by the client, or at the end: nobody waits
	case m.refused != nil || m.method == "initialize" && !m.modern() && refuses(err):
		if answer := b.translateFrom(ctx, m); answer != nil {
			m.accepted()
			b.out.send(answer)
		} else if m.refused != nil {
			b.out.send(m.refused)
		} else {
			b.fail(m, err)
		}
	case m.method == "notifications/initialized" && refuses(err) && b.notReally(ctx):
	case err != nil:
		b.fail(m, err)
	case m.method == "notifications/cancelled":
		// The server has been told. It should not answer any more, and need not
		// end the stream either.
		if c := b.called(m); c != nil {
			time.AfterFunc(lingering, c.cancel)
		}
	case m.method == "notifications/initialized" && !m.modern():
		if s := b.current(); s != nil {
			b.listen(s)
			s.awaitStream(ctx)
		}
	}
}

// refuses reports whether an error is a server's word that it will not do this, and
// not that it could not be asked.
func refuses(err error) bool {
	e := new(Error)
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500
}

// carryTranslated is carry between the two eras. A call may take several rounds.
func (b *bridge) carryTranslated(ctx context.Context, t *translation, first *message) {
	if b.turn(ctx, t, first) {
		return
	}
	m := first
	for range maxRounds {
		m.translated, m.input = true, nil
		err := b.exchange(ctx, m)
		if err == nil && m.input != nil {
			m, err = b.fulfil(ctx, t, first, m)
		} else if err == nil {
			return
		}
		var no *refusal
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &no):
			b.out.send(withID(no.failure, span{0, len(no.failure)}, first.id.of(first.raw)))
			return
		case err != nil:
			b.fail(first, err)
			return
		}
	}
	b.fail(first, &Error{Code: "too_many_questions", Message: "the server answers with questions only"})
}

// fail tells the client that a message got no answer from the server.
func (b *bridge) fail(m *message, err error) {
	f := b.Explain(err)
	if len(m.asked) == 0 {
		b.Warn("a message of the client did not arrive: " + f.Message)
		return
	}
	ids := m.rest()
	if m.translated {
		ids = [][]byte{m.id.of(m.raw)}
	}
	for _, id := range ids {
		b.out.send(answerFailure(id, f))
	}
}

// cancelled ends a request of the stateless era, in which closing the stream is the
// cancellation and no notification goes to the server. In the era of sessions it
// reports false, and the notification is forwarded.
func (b *bridge) cancelled(m *message) bool {
	c := b.called(m)
	b.mu.Lock()
	session, modern := b.session != nil, c != nil && c.modern
	b.mu.Unlock()
	if modern {
		c.cancel()
	}
	return modern || c == nil && !session
}

// called is the request under way that a cancellation is about, or nil.
func (b *bridge) called(m *message) *call {
	at, err := member(m.raw, m.params, "requestId")
	if err != nil || at.none() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[idKey(at.of(m.raw))]
}

func (b *bridge) enter(m *message, cancel context.CancelFunc) *call {
	c := &call{m.modern(), cancel}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range m.asked {
		b.calls[m.asked[i].key] = c
	}
	return c
}

func (b *bridge) leave(m *message, c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range m.asked {
		if id := m.asked[i].key; b.calls[id] == c {
			delete(b.calls, id)
		}
	}
}
