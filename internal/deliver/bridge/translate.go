package bridge

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// stateless is the version of the stateless era that the bridge can speak itself.
const stateless = "2026-07-28"

// sessionVersions are those of the era of sessions, newest first.
var sessionVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// translation is what stands between a client that knows sessions only and a
// server that has none any more. It exists once such a server has answered.
type translation struct {
	meta    string // members of _meta on every request, without the log level
	changes map[string]bool

	mu       sync.Mutex
	level    string // of logging/setLevel
	uris     []string
	asked    map[string]chan *message // our requests to the client, by id
	asks     int
	unlisten context.CancelFunc
}

// discovered is the answer to server/discover.
type discovered struct {
	Result struct {
		Versions     []string        `json:"supportedVersions"`
		Capabilities json.RawMessage `json:"capabilities"`
		Instructions string          `json:"instructions"`
		Meta         struct {
			Server json.RawMessage `json:"io.modelcontextprotocol/serverInfo"`
		} `json:"_meta"`
	} `json:"result"`
}

// translateFrom is tried when a server has refused initialize. If it is one of the
// stateless era, translation begins, and the answer to initialize is returned.
func (b *bridge) translateFrom(ctx context.Context, m *message) []byte {
	var hello struct {
		Params struct {
			Version      string          `json:"protocolVersion"`
			Client       json.RawMessage `json:"clientInfo"`
			Capabilities json.RawMessage `json:"capabilities"`
		} `json:"params"`
	}
	if json.Unmarshal(m.raw, &hello) != nil {
		return nil
	}
	t := &translation{asked: map[string]chan *message{}, changes: map[string]bool{}}
	t.meta = `"` + metaVersion + `":"` + stateless + `"`
	t.meta += `,"` + metaCapabilities + `":` + orEmpty(hello.Params.Capabilities)
	if hello.Params.Client != nil {
		t.meta += `,"` + metaClientInfo + `":` + string(hello.Params.Client)
	}
	probe, err := t.own("discover", "server/discover", `{"_meta":{`+t.meta+`}}`)
	if err != nil {
		return nil
	}
	resp, err := b.send(ctx, request{method: http.MethodPost, message: probe})
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var d discovered
	if body, err := b.first(resp); err != nil || json.Unmarshal(body, &d) != nil || !slices.Contains(d.Result.Versions, stateless) {
		return nil
	}
	t.learn(d)
	b.mu.Lock()
	b.translation, b.session = t, nil
	b.mu.Unlock()
	b.Warn("the server speaks MCP " + stateless + " only; translating for a client that does not")
	return t.welcome(m, d, hello.Params.Version)
}

// notReally begins translation with a server that has answered initialize and then
// refuses whatever is said in the version that it named, as a server of the official
// Go SDK does when it is restricted to the stateless era.
func (b *bridge) notReally(ctx context.Context) bool {
	s := b.current()
	if s == nil || s.id != "" {
		return false
	}
	m, err := read(s.initialize)
	if err != nil || b.translateFrom(ctx, m) == nil {
		return false
	}
	b.turn(ctx, b.translation, &message{envelope: envelope{method: "notifications/initialized"}})
	return true
}

// welcome is the answer to initialize that the server would have given.
func (t *translation) welcome(m *message, d discovered, version string) []byte {
	if !slices.Contains(sessionVersions, version) {
		version = sessionVersions[0]
	}
	info := d.Result.Meta.Server
	if info == nil {
		info = json.RawMessage(`{"name":"unknown","version":"unknown"}`)
	}
	answer, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}{"2.0", m.id.of(m.raw), struct {
		Version      string          `json:"protocolVersion"`
		Capabilities json.RawMessage `json:"capabilities"`
		Server       json.RawMessage `json:"serverInfo"`
		Instructions string          `json:"instructions,omitempty"`
	}{version, json.RawMessage(orEmpty(d.Result.Capabilities)), info, d.Result.Instructions}})
	if err != nil {
		return nil
	}
	return answer
}

// learn notes of which changes the server can tell.
func (t *translation) learn(d discovered) {
	var c map[string]struct {
		Changes bool `json:"listChanged"`
	}
	if json.Unmarshal(d.Result.Capabilities, &c) != nil {
		return
	}
	for _, kind := range []string{"tools", "prompts", "resources"} {
		if c[kind].Changes {
			t.changes[kind+"ListChanged"] = true
		}
	}
}

// own is a request of the bridge's own in the stateless era.
func (t *translation) own(id, method, params string) (*message, error) {
	return read([]byte(`{"jsonrpc":"2.0","id":"mcpauth-` + id + `","method":"` + method + `","params":` + params + `}`))
}

// turn makes a message of the era of sessions one of the stateless era. done is
// true when nothing is left to be sent: what that era no longer has, the bridge
// does in its place.
func (b *bridge) turn(ctx context.Context, t *translation, m *message) (done bool) {
	switch m.method {
	case "":
		t.deliver(m)
		return true
	case "notifications/initialized":
		b.subscribe(t)
		return true
	case "ping":
		b.settleCall(m, "{}")
		return true
	case "logging/setLevel":
		at, err := member(m.raw, m.params, "level")
		if err == nil && !at.none() {
			t.mu.Lock()
			t.level = string(at.of(m.raw))
			t.mu.Unlock()
		}
		b.settleCall(m, "{}")
		return true
	case "resources/subscribe", "resources/unsubscribe":
		if at, err := member(m.raw, m.params, "uri"); err == nil && !at.none() {
			t.change(string(at.of(m.raw)), m.method == "resources/subscribe")
			b.subscribe(t)
		}
		b.settleCall(m, "{}")
		return true
	}
	if !m.isRequest() {
		return true // the stateless era has no other notifications of clients
	}
	t.stamp(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range m.asked {
		if c := b.calls[m.asked[i].key]; c != nil {
			c.modern = true // its cancellation is not forwarded
		}
	}
	return false
}

// settleCall answers a request of the client with a result of the bridge's own.
func (b *bridge) settleCall(m *message, result string) {
	for _, id := range m.rest() {
		m.answered(id)
		b.out.send([]byte(`{"jsonrpc":"2.0","id":` + string(id) + `,"result":` + result + `}`))
	}
}

// stamp puts into a request what the stateless era wants in each.
func (t *translation) stamp(m *message) {
	meta := t.meta
	t.mu.Lock()
	if t.level != "" {
		meta += `,"io.modelcontextprotocol/logLevel":` + t.level
	}
	t.mu.Unlock()
	m.insertMeta(meta)
	m.version = stateless
}

// insertMeta puts members into the _meta of a message.
func (m *message) insertMeta(members string) {
	switch {
	case isObject(m.raw, m.meta):
		m.insert(m.meta, members)
	case isObject(m.raw, m.params):
		m.insert(m.params, `"_meta":{`+members+`}`)
	default:
		m.insert(span{0, len(m.raw)}, `"params":{"_meta":{`+members+`}}`)
	}
}

func orEmpty(object json.RawMessage) string {
	if len(object) == 0 || object[0] != '{' {
		return "{}"
	}
	return string(object)
}
