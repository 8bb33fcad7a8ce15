package bridge

import (
	"context"
	"errors"
	"sync"
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
	b.enter(m, cancel)
	b.spawn(func() {
		defer func() { <-b.slots }()
		defer cancel()
		defer m.accepted()
		defer b.leave(m)
		select {
		case <-before:
			b.carry(ctx, m)
		case <-ctx.Done():
		}
	})
	return after
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
	err := b.exchange(ctx, m)
	switch {
	case ctx.Err() != nil: // cancelled by the client, or at the end: nobody waits
	case err != nil && len(m.ids) == 0:
		b.Warn("a message of the client did not arrive: " + b.Explain(err).Message)
	case err != nil:
		f := b.Explain(err)
		for _, id := range m.rest() {
			b.out.send(answerFailure(id, f))
		}
	case m.method == "notifications/initialized" && !m.modern():
		if s := b.current(); s != nil {
			b.listen(s)
		}
	}
}

// cancelled ends a request of the stateless era, in which closing the stream is the
// cancellation and no notification goes to the server. In the era of sessions it
// reports false, and the notification is forwarded.
func (b *bridge) cancelled(m *message) bool {
	at, err := member(m.raw, m.params, "requestId")
	if err != nil || at.none() {
		return false
	}
	b.mu.Lock()
	c := b.calls[idKey(at.of(m.raw))]
	session := b.session != nil
	b.mu.Unlock()
	if c == nil {
		return !session
	}
	if c.modern {
		c.cancel()
	}
	return c.modern
}

func (b *bridge) enter(m *message, cancel context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range m.ids {
		b.calls[id] = &call{m.modern(), cancel}
	}
}

func (b *bridge) leave(m *message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range m.rawIDs {
		delete(b.calls, id)
	}
}
