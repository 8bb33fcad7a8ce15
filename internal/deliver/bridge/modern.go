package bridge

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
)

// headers are those that the stateless era puts on every POST (MCP 2026-07-28,
// Streamable HTTP; SEP-2243): what is in the body, for those who route by headers.
func (b *bridge) modernHeaders(m *message, h http.Header) {
	h[headerVersion] = []string{m.version}
	if m.method == "" {
		return
	}
	h[headerMethod] = []string{headerValue(m.method)}
	if name, ok := m.operand(); ok {
		h[headerName] = []string{headerValue(name)}
	}
	if m.method == "tools/call" {
		m.sent = http.Header{}
		b.tools.headers(m, m.sent)
		maps.Copy(h, m.sent)
	}
}

// operand is the name of what a request is about.
func (m *message) operand() (string, bool) {
	key := map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}[m.method]
	if key == "" {
		return "", false
	}
	at, err := member(m.raw, m.params, key)
	if err != nil || at.none() {
		return "", false
	}
	s, err := text(at.of(m.raw))
	return string(s), err == nil
}

// operation names what a message is about, for the record of step-ups.
func (m *message) operation() string {
	name, _ := m.operand()
	return m.method + " " + name
}

// The sentinel around a value that cannot stand in a header as it is.
const (
	encodedFrom = "=?base64?"
	encodedTo   = "?="
)

// headerValue encodes a value for a header: as it is when it is visible ASCII with
// spaces inside only, and could not be taken for an encoded one.
func headerValue(s string) string {
	plain := s == strings.Trim(s, " \t") && (!strings.HasPrefix(s, encodedFrom) || !strings.HasSuffix(s, encodedTo))
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] <= '~'
	}
	if plain {
		return s
	}
	return encodedFrom + base64.StdEncoding.EncodeToString([]byte(s)) + encodedTo
}
