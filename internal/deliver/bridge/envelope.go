package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"
)

// Keys of _meta in the stateless era (MCP 2026-07-28, SEP-2575).
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaClientInfo   = "io.modelcontextprotocol/clientInfo"
	metaServerInfo   = "io.modelcontextprotocol/serverInfo"
	metaLogLevel     = "io.modelcontextprotocol/logLevel"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// envelope is what the bridge reads of a message.
type envelope struct {
	id, params, result, failure span
	method                      string
}

func (e envelope) isRequest() bool  { return e.method != "" && !e.id.none() }
func (e envelope) isResponse() bool { return e.method == "" && !e.id.none() }

// open reads the envelope of a JSON-RPC message. With an error comes what was seen
// before it.
func open(msg []byte) (e envelope, err error) {
	var method span
	err = members(msg, span{0, len(msg)}, func(name []byte, value span) error {
		switch string(name) {
		case "id":
			return e.id.once(value)
		case "method":
			return method.once(value)
		case "params":
			return e.params.once(value)
		case "result":
			return e.result.once(value)
		case "error":
			return e.failure.once(value)
		}
		return nil
	})
	if !e.id.none() && !isID(e.id.of(msg)) {
		e.id = span{}
		if err == nil && !method.none() {
			err = errors.New("an id that is neither text nor number")
		}
	}
	if !method.none() {
		if e.method = word(msg, method); e.method == "" && err == nil {
			err = errors.New("a method that is no text")
		}
	}
	return e, err
}

func isID(raw []byte) bool {
	return raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
}

// idKey is an id in the one form in which two spellings of it are equal.
func idKey(raw []byte) string {
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') >= 0 {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			b, _ := json.Marshal(s)
			return string(b)
		}
	}
	return string(raw)
}

// message is one message of the client, on its way.
type message struct {
	envelope
	raw []byte

	meta    span
	version string // the era's own word in _meta; empty in a message of the session era

	asked    []pending // the requests in it; several only in a batch
	one      [1]pending
	accepted func() // called as soon as later messages may be sent

	sent     http.Header // what of it went into headers by the tool's schema
	tooNew   bool        // it was refused as by a server that knows sessions only …
	held     []byte      // … with this error, if it had words
	lowered  bool        // it goes to such a server
	mismatch []byte      // the error that a call was answered with for its headers, held back

	// Of messages that are, or may have to be, translated (translate.go).
	translated bool
	refused    []byte // the error that initialize was answered with, held back
	input      []byte // the answer that asks something
}

// pending is one request in a message.
type pending struct {
	key      string // its id as idKey has it
	id       []byte // and as the client knows it
	answered bool
}

// modern reports whether a message is of the stateless era.
func (m *message) modern() bool { return m.version != "" }

// read takes a line of the client apart.
func read(line []byte) (*message, error) {
	if !json.Valid(line) || !utf8.Valid(line) { // RFC 8259 section 8.1
		e, _ := open(line) // whose it was, as far as that can be told
		return &message{raw: line, envelope: envelope{id: e.id}}, errJSON
	}
	m := &message{raw: line, accepted: func() {}}
	var err error
	if m.envelope, err = open(line); err != nil {
		return m, err
	}
	if m.meta, err = member(line, m.params, "_meta"); err != nil {
		return m, err
	}
	version, err := member(line, m.meta, metaVersion)
	if err != nil {
		return m, err
	}
	m.version = word(line, version)
	switch {
	case m.isRequest():
		m.expect(m.id.of(line))
	case m.method == "" && (m.id.none() || m.result.none() && m.failure.none()):
		return m, errors.New("neither a request nor a notification nor a response")
	}
	return m, nil
}

func (m *message) expect(id []byte) {
	if m.asked == nil {
		m.asked = m.one[:0] // nearly always enough
	}
	m.asked = append(m.asked, pending{key: idKey(id), id: id})
}

// answered notes the answer to a request, and returns the request, or nil if it was
// none.
func (m *message) answered(id []byte) *pending {
	for i := range m.asked {
		if p := &m.asked[i]; !p.answered && p.is(id) {
			p.answered = true
			return p
		}
	}
	return nil
}

func (p *pending) is(id []byte) bool {
	return p.key == string(id) || bytes.IndexByte(id, '\\') >= 0 && p.key == idKey(id)
}

// done reports whether no answer is to come, or none any more.
func (m *message) done() bool {
	for i := range m.asked {
		if !m.asked[i].answered {
			return false
		}
	}
	return true
}

// rest are the ids of the requests that have no answer.
func (m *message) rest() (ids [][]byte) {
	for _, p := range m.asked {
		if !p.answered {
			ids = append(ids, p.id)
		}
	}
	return ids
}
