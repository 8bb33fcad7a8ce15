package bridge

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Bounds on what is remembered of a server's tools: how many, how much of each in
// bytes, and how deep in a schema annotations are looked for.
const (
	maxTools    = 10_000
	maxToolSize = 4 << 10
	maxDepth    = 64
)

// tools remembers which arguments of which tools go into headers as well: those
// that carry x-mcp-header in the tool's input schema (SEP-2243).
type tools struct {
	mu    sync.RWMutex
	known map[string][]binding
}

// binding says that an argument goes into a header.
type binding struct {
	path   []string
	header string // in canonical form, with its prefix
}

// schema is what matters of an input schema.
type schema struct {
	Type       any               `json:"type"`
	Header     json.RawMessage   `json:"x-mcp-header"`
	Properties map[string]schema `json:"properties"`
}

// learn reads the result of tools/list and returns it without the tools whose
// annotations are invalid, which clients must not use over HTTP.
func (t *tools) learn(msg []byte, result span) []byte {
	list, err := member(msg, result, "tools")
	if err != nil || list.none() {
		return msg
	}
	var bad []span
	annotated := bytes.Contains(list.of(msg), []byte("x-mcp-header"))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string][]binding{}
	}
	// A list that cannot be read to its end teaches what was read.
	_ = elements(msg, list, func(at span) error {
		if !annotated && len(t.known) == 0 {
			return errJSON // the common case: nothing to learn, nothing to forget
		}
		var tool struct {
			Name  string `json:"name"`
			Input schema `json:"inputSchema"`
		}
		if json.Unmarshal(at.of(msg), &tool) != nil {
			return nil
		}
		found, ok := tool.Input.bindings(nil, map[string]bool{})
		switch {
		case !ok:
			bad = append(bad, at)
		case len(found) == 0:
			delete(t.known, tool.Name)
		case len(t.known) < maxTools && size(found)+len(tool.Name) <= maxToolSize:
			t.known[tool.Name] = found
		}
		return nil
	})
	return without(msg, list, bad)
}

// bindings collects the annotations below a schema. ok is false if one of them is
// invalid: no header name, one that comes twice, or on what is not a primitive.
func (s schema) bindings(path []string, seen map[string]bool) (list []binding, ok bool) {
	if len(path) == maxDepth {
		return nil, true
	}
	for name, p := range s.Properties {
		at := append(path[:len(path):len(path)], name)
		if p.Header != nil {
			var header string
			if json.Unmarshal(p.Header, &header) != nil || !isToken(header) || seen[strings.ToLower(header)] ||
				p.Type != "string" && p.Type != "integer" && p.Type != "boolean" {
				return nil, false
			}
			seen[strings.ToLower(header)] = true
			list = append(list, binding{at, http.CanonicalHeaderKey(headerParam + header)})
		}
		below, ok := p.bindings(at, seen)
		if !ok {
			return nil, false
		}
		list = append(list, below...)
	}
	return list, true
}

func size(list []binding) (n int) {
	for _, b := range list {
		n += len(b.header)
		for _, name := range b.path {
			n += len(name)
		}
	}
	return n
}

// isToken reports whether s can be part of a header's name (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) {
			return false
		}
	}
	return s != ""
}

// without cuts elements out of the array at list.
func without(msg []byte, list span, bad []span) []byte {
	if len(bad) == 0 {
		return msg
	}
	out := bytes.Clone(msg[:list.from+1])
	first := true
	_ = elements(msg, list, func(at span) error {
		if len(bad) > 0 && bad[0] == at {
			bad = bad[1:]
			return nil
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, at.of(msg)...)
		return nil
	})
	return append(append(out, ']'), msg[list.to:]...)
}

// headers puts the arguments of a call where the tool's schema wants them.
func (t *tools) headers(m *message, h http.Header) {
	name, _ := m.operand()
	t.mu.RLock()
	list := t.known[name]
	t.mu.RUnlock()
	if len(list) == 0 {
		return
	}
	arguments, err := member(m.raw, m.params, "arguments")
	if err != nil {
		return
	}
	for _, b := range list {
		at := arguments
		for _, name := range b.path {
			if at, err = member(m.raw, at, name); err != nil {
				break
			}
		}
		if err != nil || at.none() {
			continue
		}
		if s, ok := primitive(at.of(m.raw)); ok {
			h[b.header] = []string{headerValue(s)}
		}
	}
}

// maxSafe bounds the integers that every JSON implementation reads alike.
const maxSafe = 1<<53 - 1

// primitive is a string, a boolean or an integer as it stands in a header.
func primitive(raw []byte) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= maxSafe {
			return strconv.FormatInt(int64(v), 10), true
		}
	}
	return "", false
}
