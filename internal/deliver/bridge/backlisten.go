package bridge

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// listening is a subscriptions/listen of a client of the stateless era: a request
// under way for as long as it wants to hear of changes.
type listening struct {
	id     string // as JSON
	wanted wanted
}

type wanted struct {
	Tools     bool     `json:"toolsListChanged,omitempty"`
	Prompts   bool     `json:"promptsListChanged,omitempty"`
	Resources bool     `json:"resourcesListChanged,omitempty"`
	URIs      []string `json:"resourceSubscriptions,omitempty"`
}

// listenBack does what subscriptions/listen asks for with what the session era has:
// changes come on the session's own stream, and those of resources are subscribed to
// one by one.
func (b *bridge) listenBack(ctx context.Context, t *backward, m *message) {
	l := &listening{id: string(m.id.of(m.raw))}
	if at, err := member(m.raw, m.params, "notifications"); err == nil && isObject(m.raw, at) {
		_ = json.Unmarshal(at.of(m.raw), &l.wanted) // what cannot be read is not wanted
	}
	w := &l.wanted
	w.Tools, w.Prompts = w.Tools && t.can.Tools.Changes, w.Prompts && t.can.Prompts.Changes
	w.Resources = w.Resources && t.can.Resources.Changes
	if !t.can.Resources.Subscribe {
		w.URIs = nil
	}
	if s := b.current(); s != nil { // what is said before that is lost
		select {
		case <-s.opened:
		case <-time.After(firstWait): // some servers say nothing until they have something to say
		case <-ctx.Done():
		}
	}
	agreed, _ := json.Marshal(w) // cannot fail
	meta := `"_meta":{"` + metaSubscription + `":` + l.id + `}`
	t.mu.Lock()
	t.listens = append(t.listens, l)
	t.mu.Unlock()
	for _, uri := range w.URIs {
		b.tell(ctx, t, "resources/subscribe", uriParams(uri))
	}
	b.out.send([]byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":` + string(agreed) + `,` + meta + `}}`))
	if string(agreed) != "{}" {
		<-ctx.Done()
	}
	t.mu.Lock()
	t.listens = slices.DeleteFunc(t.listens, func(other *listening) bool { return other == l })
	t.mu.Unlock()
	for _, uri := range w.URIs {
		if b.life.Err() == nil && !t.listened(uri) {
			b.tell(b.life, t, "resources/unsubscribe", uriParams(uri))
		}
	}
	if ctx.Err() == nil {
		b.settleCall(m, `{"resultType":"complete",`+meta+`}`)
	}
}

func uriParams(uri string) string {
	text, _ := json.Marshal(uri) // text: cannot fail
	return `{"uri":` + string(text) + `}`
}

func (t *backward) listened(uri string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.listens, func(l *listening) bool { return slices.Contains(l.wanted.URIs, uri) })
}

// pass deals with what the server says of its own accord, and reports whether that
// was all: a client of the stateless era hears of changes only where it listens, and
// answers no requests.
func (b *bridge) pass(t *backward, msg []byte, e envelope) bool {
	switch {
	case e.isRequest():
		answer := answerError(e.id.of(msg), codeNoMethod, "mcpauth: the client in front of this session knows no requests of servers (MCP "+stateless+")", nil)
		if e.method == "ping" {
			answer = []byte(`{"jsonrpc":"2.0","id":` + string(e.id.of(msg)) + `,"result":{}}`)
		}
		if t.answering.Add(1) > maxQuestions { // it does not take the answers that it has
			t.answering.Add(-1)
			return true
		}
		b.spawn(func() {
			defer t.answering.Add(-1)
			b.post(b.life, answer)
		})
		return true
	case e.method == "notifications/cancelled": // of such a request
		return true
	case strings.HasSuffix(e.method, "/list_changed"), e.method == "notifications/resources/updated":
	default:
		return false
	}
	at, _ := member(msg, e.params, "uri")
	uri := word(msg, at)
	t.mu.Lock()
	listens := slices.Clone(t.listens)
	t.mu.Unlock()
	for _, l := range listens {
		if l.wants(e.method, uri) {
			note := &message{raw: slices.Clone(msg), envelope: e}
			note.meta, _ = member(msg, e.params, "_meta")
			note.insertMeta(`"` + metaSubscription + `":` + l.id)
			b.out.send(note.raw)
		}
	}
	return true
}

func (l *listening) wants(method, uri string) bool {
	switch method {
	case "notifications/tools/list_changed":
		return l.wanted.Tools
	case "notifications/prompts/list_changed":
		return l.wanted.Prompts
	case "notifications/resources/list_changed":
		return l.wanted.Resources
	case "notifications/resources/updated":
		return slices.Contains(l.wanted.URIs, uri)
	}
	return false
}
