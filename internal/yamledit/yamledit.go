// Package yamledit adds an entry to a mapping or a list at the top of a YAML text,
// and removes one, in the text, so that bytes it does not mean to change cannot
// change.
//
// It finds its way with a parser that knows positions. Callers compare what the
// text means before and after (Plain), since YAML has more ways to write one thing
// than this package knows.
package yamledit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

// Plain returns what a text means. One that holds nothing is an empty mapping.
func Plain(src []byte) (any, error) {
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return map[string]any{}, nil
	}
	var out any
	if err := root.Decode(&out); err != nil {
		return nil, err
	}
	return out, nil
}

// parse returns the root, nil for a text that holds nothing.
func parse(src []byte) (root *yaml.Node, err error) {
	if !utf8.Valid(src) {
		return nil, errors.New("not valid UTF-8")
	}
	// The parser counts lines by these too, which no editor shows as lines.
	if bytes.Contains(bytes.ReplaceAll(src, []byte("\r\n"), nil), []byte("\r")) || bytes.ContainsAny(src, "\u0085\u2028\u2029") {
		return nil, errors.New("it has line ends that are neither LF nor CRLF")
	}
	d := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document")
	}
	root = doc.Content[0]
	if isNothing(root) {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("it is not a mapping")
	}
	return root, nil
}

// isNothing tells a value that is absent from a null that somebody wrote.
func isNothing(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

// Entry is what Insert adds: a member of a mapping, or with an empty Name an
// element of a list. Field values are JSON: strings, numbers, true, false, and lists of
// those.
type Entry struct {
	Name   string
	Fields []jsonedit.Field
}

// Insert adds an entry as the first one below the top-level key, which it makes
// when it is not there.
func Insert(src []byte, key string, e Entry) ([]byte, error) {
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	t := text{src: src, eol: "\n"}
	if bytes.Contains(src, []byte("\r\n")) {
		t.eol = "\r\n"
	}
	if root == nil {
		return t.append(key + ":" + t.eol + e.block(2, 2, t.eol)), nil
	}
	if root.Style&yaml.FlowStyle != 0 {
		name, value := find(root, key)
		if name == nil {
			return t.flow(root, plain(key)+": "+e.wrapped())
		}
		return t.flow(value, e.inline())
	}
	name, value := find(root, key)
	if name == nil {
		indent := root.Column - 1
		return t.append(spaces(indent) + key + ":" + t.eol + e.block(indent+2, 2, t.eol)), nil
	}
	switch {
	case isNothing(value):
		return t.below(name.Line, e.block(name.Column+1, 2, t.eol)), nil
	case value.Style&yaml.FlowStyle != 0:
		return t.flow(value, e.inline())
	case value.Kind == yaml.MappingNode && len(value.Content) > 0 && e.Name != "":
		indent := value.Content[0].Column - 1
		return t.below(name.Line, e.block(indent, max(1, indent-(name.Column-1)), t.eol)), nil
	case value.Kind == yaml.SequenceNode && e.Name == "":
		return t.below(name.Line, e.block(value.Column-1, 2, t.eol)), nil
	}
	return nil, fmt.Errorf("%q is not what an entry can be added to", key)
}

func find(mapping *yaml.Node, key string) (name, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// text is what is added to.
type text struct {
	src []byte
	eol string
}

func (t text) append(block string) []byte {
	if n := len(t.src); n > 0 && t.src[n-1] != '\n' {
		block = t.eol + block
	}
	return append(bytes.Clone(t.src), block...)
}

// below adds a block under a line, counted from 1.
func (t text) below(line int, block string) []byte {
	at := offset(t.src, line+1, 1)
	if at > 0 && t.src[at-1] != '\n' {
		block = t.eol + strings.TrimSuffix(block, t.eol)
	}
	return append(append(bytes.Clone(t.src[:at]), block...), t.src[at:]...)
}

// flow adds to a collection in brackets, behind the opening one.
func (t text) flow(n *yaml.Node, member string) ([]byte, error) {
	at := offset(t.src, n.Line, n.Column)
	if at >= len(t.src) || t.src[at] != '{' && t.src[at] != '[' {
		return nil, fmt.Errorf("line %d: brackets were expected", n.Line)
	}
	if len(n.Content) > 0 {
		member += ", "
	}
	return append(append(bytes.Clone(t.src[:at+1]), member...), t.src[at+1:]...), nil
}

// offset turns a position of the parser, which counts from 1 and columns in
// characters, into one of the text.
func offset(src []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(src[at:], '\n')
		if i < 0 {
			return len(src)
		}
		at += i + 1
	}
	for ; column > 1 && at < len(src); column-- {
		_, size := utf8.DecodeRune(src[at:])
		at += size
	}
	return at
}

// block writes an entry on lines of its own.
func (e Entry) block(indent, unit int, eol string) string {
	var b strings.Builder
	first, rest := spaces(indent)+"- ", spaces(indent+2)
	if e.Name != "" {
		b.WriteString(spaces(indent) + plain(e.Name) + ":" + eol)
		first, rest = spaces(indent+unit), spaces(indent+unit)
	}
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(first)
		} else {
			b.WriteString(rest)
		}
		b.WriteString(plain(f.Name) + ": " + value(f.Value) + eol)
	}
	return b.String()
}

// inline writes an entry for a collection in brackets.
func (e Entry) inline() string {
	var parts []string
	for _, f := range e.Fields {
		parts = append(parts, plain(f.Name)+": "+value(f.Value))
	}
	object := "{" + strings.Join(parts, ", ") + "}"
	if e.Name == "" {
		return object
	}
	return plain(e.Name) + ": " + object
}

// wrapped is inline with its collection around it.
func (e Entry) wrapped() string {
	if e.Name == "" {
		return "[" + e.inline() + "]"
	}
	return "{" + e.inline() + "}"
}

func spaces(n int) string { return strings.Repeat(" ", n) }

// value writes JSON, which is YAML as it is, the way people write YAML.
func value(v json.RawMessage) string {
	var s string
	var elements []json.RawMessage
	switch {
	case json.Unmarshal(v, &s) == nil:
		return plain(s)
	case json.Unmarshal(v, &elements) == nil:
		var parts []string
		for _, e := range elements {
			parts = append(parts, value(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return string(v)
}

// plain leaves the quotes away from what every reader takes for a string.
func plain(s string) string {
	var read any
	if isWord(s) && yaml.Unmarshal([]byte(s), &read) == nil && read == any(s) && !oldBool[strings.ToLower(s)] {
		return s
	}
	quoted, _ := json.Marshal(s) // a string always can be
	return string(quoted)
}

// isWord holds for letters, digits and a few signs, beginning with a letter or a
// slash.
func isWord(s string) bool {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' }
	for i := range len(s) {
		if c := s[i]; !letter(c) && (i == 0 || !(c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// oldBool are words that were booleans in YAML 1.1.
var oldBool = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true}
