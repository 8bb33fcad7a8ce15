package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// maxRounds is how often a server may answer one call with questions.
const maxRounds = 10

// question is one entry of inputRequests: what in the era of sessions would have
// been a request of the server (SEP-2322).
type question struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// needsInput reports whether an answer is no answer yet.
func needsInput(msg []byte, result span) bool {
	kind, err := member(msg, result, "resultType")
	return err == nil && word(msg, kind) == "input_required"
}

// maxQuestions is how much a person, or a model, can be asked at a time.
const maxQuestions = 64

// fulfil asks the client what the server wants to know before it goes on, and
// returns the call again, with the answers in it.
func (b *bridge) fulfil(ctx context.Context, t *translation, first, m *message) (*message, error) {
	var answer struct {
		Result struct {
			Questions map[string]question `json:"inputRequests"`
			State     json.RawMessage     `json:"requestState"`
		} `json:"result"`
	}
	if err := json.Unmarshal(m.input, &answer); err != nil {
		return nil, &Error{Code: "strange_answer", Message: "the server asks something that cannot be read"}
	}
	questions := answer.Result.Questions
	if len(questions) > maxQuestions {
		return nil, &Error{Code: "strange_answer", Message: "the server asks too many things at once"}
	}
	if len(questions) == 0 { // it wants to be asked again later
		if err := b.sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	type reply struct {
		key string
		msg *message
		err error
	}
	replies := make(chan reply, len(questions))
	for key, q := range questions {
		b.spawn(func() {
			msg, err := b.ask(ctx, t, q)
			replies <- reply{key, msg, err}
		})
	}
	answers := map[string]json.RawMessage{}
	for range questions {
		r := <-replies
		switch {
		case r.err != nil:
			return nil, r.err
		case r.msg.result.none():
			return nil, &refusal{r.msg.failure.of(r.msg.raw)}
		}
		answers[r.key] = r.msg.result.of(r.msg.raw)
	}
	text, err := json.Marshal(answers)
	if err != nil {
		return nil, err
	}
	more := `"inputResponses":` + string(text)
	if answer.Result.State != nil {
		more += `,"requestState":` + string(answer.Result.State)
	}
	return t.again(first, more)
}

// refusal is the client's own error, which becomes the answer to its call.
type refusal struct{ failure []byte }

func (*refusal) Error() string { return "the client does not answer the server's question" }

// ask sends a request of the bridge's own to the client and waits for its answer.
func (b *bridge) ask(ctx context.Context, t *translation, q question) (*message, error) {
	t.mu.Lock()
	t.asks++
	id := `"mcpauth-ask-` + strconv.Itoa(t.asks) + `"`
	answer := make(chan *message, 1)
	t.asked[id] = answer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.asked, id)
	}()
	msg, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		question
	}{"2.0", json.RawMessage(id), q})
	if err != nil {
		return nil, err
	}
	b.out.send(msg)
	select {
	case m := <-answer:
		return m, nil
	case <-ctx.Done():
		b.out.send([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`))
		return nil, ctx.Err()
	}
}

// deliver hands the client's answer to whoever asked.
func (t *translation) deliver(m *message) {
	if m.id.none() {
		return
	}
	t.mu.Lock()
	waiting := t.asked[idKey(m.id.of(m.raw))]
	t.mu.Unlock()
	if waiting != nil {
		select {
		case waiting <- m:
		default: // answered twice
		}
	}
}

// again is a call that is made once more. It is another request to the server, and
// so has another id, and to the client it is the one that it knows.
func (t *translation) again(first *message, more string) (*message, error) {
	t.mu.Lock()
	t.asks++
	id := fmt.Sprintf(`"mcpauth-again-%d"`, t.asks)
	t.mu.Unlock()
	raw := append([]byte(nil), first.raw[:first.id.from]...)
	raw = append(append(raw, id...), first.raw[first.id.to:]...)
	m, err := read(raw)
	if err != nil {
		return nil, err
	}
	m.insert(m.params, more)
	m.translated = true
	m.asked[0].id = first.id.of(first.raw)
	return m, nil
}
