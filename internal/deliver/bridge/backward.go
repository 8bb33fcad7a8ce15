package bridge

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// backward is what stands between a client of the stateless era and a server that
// knows sessions only. The server is told of no capability of the client for which
// it would have to ask something back: the client knows no such requests any more.
//
// A client that knows both eras finds out by itself. So translation begins only with
// a client that goes on after its server/discover was refused, or never made one.
type backward struct {
	discovery string // the result of server/discover, as JSON
	can       abilities

	answering atomic.Int32 // questions of the server

	mu      sync.Mutex
	level   string // that the server was told, as JSON
	asks    int
	listens []*listening
}

// abilities are what matters of a server's capabilities.
type abilities struct {
	Tools, Prompts struct {
		Changes bool `json:"listChanged"`
	}
	Resources struct {
		Changes   bool `json:"listChanged"`
		Subscribe bool
	}
	Logging *struct{}
}

// maybeSessions reports whether a refusal may be that of a server which knows only
// sessions. code is its JSON-RPC error, 0 if it has none; most of them show that the
// request was understood.
func (b *bridge) maybeSessions(m *message, status, code int) bool {
	refused := status == http.StatusBadRequest || status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotAcceptable
	if code != codeVersion && (!refused || code != 0 && code != codeInvalid && (code > -32000 || code <= codeBridge)) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !m.modern() || !m.isRequest() || b.stateless || b.translation != nil || b.noSessions || b.backward == nil && b.session != nil {
		return false
	}
	if m.method == "server/discover" && !b.probed {
		b.probed = true
		return false
	}
	return true
}

// errorCode is the code of a JSON-RPC error. That of a version which the server does
// not know counts only if it knows none of the stateless era.
func errorCode(msg []byte, e envelope) int {
	var failure struct {
		Code int
		Data json.RawMessage
	}
	if json.Unmarshal(e.failure.of(msg), &failure) != nil {
		return codeNoMethod // from which nothing follows
	}
	var data struct{ Supported []string }
	if failure.Code == codeVersion && (json.Unmarshal(failure.Data, &data) != nil || slices.ContainsFunc(data.Supported, func(v string) bool { return v >= stateless })) {
		return codeNoMethod
	}
	return failure.Code
}

func (b *bridge) speaksStateless() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stateless = true
}

func (b *bridge) goesBack() *backward {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.backward
}

// backwardFrom begins a session in place of the client that sent m. It returns nil if
// the server begins none.
func (b *bridge) backwardFrom(ctx context.Context, m *message) *backward {
	b.restarting.Lock()
	defer b.restarting.Unlock()
	b.mu.Lock()
	have, no := b.backward, b.noSessions
	b.mu.Unlock()
	if have != nil || no {
		return have
	}
	s, result, err := b.begin(ctx, m.initialize())
	t := &backward{}
	if err != nil || !t.learn(result) {
		if ctx.Err() == nil {
			b.mu.Lock()
			b.noSessions = true
			b.mu.Unlock()
		}
		return nil
	}
	b.mu.Lock()
	b.backward = t
	b.mu.Unlock()
	b.Warn("the server knows sessions only; translating for a client that does not")
	b.listen(s)
	return t
}

// initialize is what a client of the session era would have begun with.
func (m *message) initialize() []byte {
	client, capabilities := `{"name":"mcpauth","version":"1"}`, map[string]json.RawMessage{}
	if at, err := member(m.raw, m.meta, metaClientInfo); err == nil && isObject(m.raw, at) {
		client = string(at.of(m.raw))
	}
	if at, err := member(m.raw, m.meta, metaCapabilities); err == nil && isObject(m.raw, at) {
		_ = json.Unmarshal(at.of(m.raw), &capabilities) // it is JSON
	}
	for name := range capabilities {
		if name != "extensions" && name != "experimental" {
			delete(capabilities, name)
		}
	}
	able, _ := json.Marshal(capabilities) // of JSON: cannot fail
	return []byte(`{"jsonrpc":"2.0","id":"mcpauth-initialize","method":"initialize","params":{"protocolVersion":"` + sessionVersions[0] +
		`","capabilities":` + string(able) + `,"clientInfo":` + client + `}}`)
}

// learn makes the answer to server/discover out of that to initialize.
func (t *backward) learn(result []byte) bool {
	var hello struct {
		Version      string          `json:"protocolVersion"`
		Capabilities json.RawMessage `json:"capabilities"`
		Server       json.RawMessage `json:"serverInfo"`
		Instructions string          `json:"instructions"`
	}
	if json.Unmarshal(result, &hello) != nil || !slices.Contains(sessionVersions, hello.Version) {
		return false
	}
	_ = json.Unmarshal([]byte(orEmpty(hello.Capabilities)), &t.can) // what cannot be read is not there
	discovery, err := json.Marshal(struct {
		Type         string                     `json:"resultType"`
		Versions     []string                   `json:"supportedVersions"`
		Capabilities json.RawMessage            `json:"capabilities"`
		Instructions string                     `json:"instructions,omitempty"`
		TTL          int                        `json:"ttlMs"`
		Scope        string                     `json:"cacheScope"`
		Meta         map[string]json.RawMessage `json:"_meta"`
	}{
		"complete", []string{stateless}, json.RawMessage(orEmpty(hello.Capabilities)), hello.Instructions, 0, "private",
		map[string]json.RawMessage{metaServerInfo: json.RawMessage(orEmpty(hello.Server))},
	})
	t.discovery = string(discovery)
	return err == nil
}

// carryBack is carry for a message of the stateless era to a server of sessions.
func (b *bridge) carryBack(ctx context.Context, t *backward, m *message) {
	switch {
	case m.method == "server/discover":
		b.settleCall(m, t.discovery)
	case m.method == "subscriptions/listen":
		b.listenBack(ctx, t, m)
	default:
		b.tellLevel(ctx, t, m)
		m.lower()
		b.mu.Lock()
		for i := range m.asked {
			if c := b.calls[m.asked[i].key]; c != nil {
				c.modern = false // its cancellation is forwarded
			}
		}
		b.mu.Unlock()
		b.carry(ctx, m)
	}
}

// lower takes off a message what only the stateless era has.
func (m *message) lower() {
	var rest []string
	_ = members(m.raw, m.meta, func(name []byte, value span) error { // as it was read before
		switch string(name) {
		case metaVersion, metaClientInfo, metaCapabilities, metaLogLevel:
		default:
			key, _ := json.Marshal(string(name)) // text: cannot fail
			rest = append(rest, string(key)+":"+string(value.of(m.raw)))
		}
		return nil
	})
	if !m.meta.none() { // a notification has none
		m.raw = []byte(string(m.raw[:m.meta.from]) + "{" + strings.Join(rest, ",") + "}" + string(m.raw[m.meta.to:]))
	}
	m.envelope, _ = open(m.raw)
	m.meta, _ = member(m.raw, m.params, "_meta")
	m.version, m.lowered, m.tooNew, m.held = "", true, false, nil
	for i := range m.asked {
		m.asked[i].answered = false // what was held back was no answer
	}
}

// complete says of a result what all have in the stateless era.
func complete(msg []byte, result span) []byte {
	kind, err := member(msg, result, "resultType")
	if err != nil || !kind.none() || !isObject(msg, result) {
		return msg
	}
	text := `"resultType":"complete"`
	if msg[space(msg, result.from+1)] != '}' {
		text += ","
	}
	return splice(msg, result.from+1, text)
}

// tellLevel tells the server from which level on the client wants to hear of logs:
// what each request says now, and what was said once before.
func (b *bridge) tellLevel(ctx context.Context, t *backward, m *message) {
	at, err := member(m.raw, m.meta, metaLogLevel)
	if err != nil || at.none() || t.can.Logging == nil {
		return
	}
	level := string(at.of(m.raw))
	t.mu.Lock()
	known := t.level == level
	t.level = level
	t.mu.Unlock()
	if !known {
		b.tell(ctx, t, "logging/setLevel", `{"level":`+level+`}`)
	}
}

// tell makes a request of the bridge's own, whatever comes of it.
func (b *bridge) tell(ctx context.Context, t *backward, method, params string) {
	t.mu.Lock()
	t.asks++
	id := strconv.Itoa(t.asks)
	t.mu.Unlock()
	b.post(ctx, []byte(`{"jsonrpc":"2.0","id":"mcpauth-`+id+`","method":"`+method+`","params":`+params+`}`))
}

func (b *bridge) post(ctx context.Context, raw []byte) {
	m := &message{raw: raw, accepted: func() {}}
	if resp, err := b.send(ctx, request{method: http.MethodPost, message: m, session: b.current(), operation: "mcpauth"}); err == nil {
		_, _ = b.first(resp)
		resp.Body.Close()
	}
}
