// Package tomledit adds tables to TOML and removes them, in the text, so that bytes
// it does not mean to change cannot change.
//
// It finds its way with a parser that knows positions. Callers compare what the
// text means before and after (Plain): TOML has many ways to write one thing, and
// Remove finds those that stand on lines of their own.
package tomledit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

// Plain returns what a text means.
func Plain(src []byte) (any, error) {
	out := map[string]any{}
	if err := toml.Unmarshal(src, &out); err != nil {
		return nil, err
	}
	return out, nil
}

// Insert adds the table at path, which must not be there, to the end of the text.
// Field values are JSON: strings, numbers, true, false, and lists of those.
func Insert(src []byte, path []string, fields []jsonedit.Field) ([]byte, error) {
	eol := "\n"
	if bytes.Contains(src, []byte("\r\n")) {
		eol = "\r\n"
	}
	var b bytes.Buffer
	b.Write(src)
	if len(src) > 0 && src[len(src)-1] != '\n' {
		b.WriteString(eol)
	}
	if len(bytes.TrimSpace(src)) > 0 && !bytes.HasSuffix(src, []byte(eol+eol)) {
		b.WriteString(eol)
	}
	var names []string
	for _, p := range path {
		names = append(names, key(p))
	}
	b.WriteString("[" + strings.Join(names, ".") + "]" + eol)
	for _, f := range fields {
		if f.Value[0] == '{' || f.Value[0] == 'n' {
			return nil, fmt.Errorf("the value of %q cannot be written as TOML", f.Name)
		}
		b.WriteString(key(f.Name) + " = " + list(f.Value) + eol)
	}
	return b.Bytes(), nil
}

func key(s string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	if s != "" && !strings.ContainsFunc(s, odd) {
		return s
	}
	quoted, _ := json.Marshal(s) // a string always can be
	return string(quoted)
}

// list puts the spaces into a list of strings that people put there. JSON's own
// strings, numbers and words are TOML.
func list(value json.RawMessage) string {
	var elements []json.RawMessage
	if json.Unmarshal(value, &elements) != nil {
		return string(value)
	}
	var parts []string
	for _, e := range elements {
		parts = append(parts, string(e))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Remove cuts out the table at path and what is below it: header lines, and lines
// of keys. Comments between them stay.
func Remove(src []byte, path []string) ([]byte, error) {
	var p unstable.Parser
	p.Reset(src)
	type lines struct{ start, end int }
	var cuts []lines
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var names []string
		start, end := -1, 0
		for k := e.Key(); k.Next(); {
			r := k.Node().Raw
			names = append(names, string(k.Node().Data))
			if start < 0 {
				start = int(r.Offset)
			}
			end = int(r.Offset + r.Length)
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = names
		case unstable.KeyValue:
			names = slices.Concat(table, names)
			end = int(e.Raw.Offset + e.Raw.Length)
		}
		if len(names) >= len(path) && slices.Equal(names[:len(path)], path) {
			cuts = append(cuts, lines{lineStart(src, start), lineEnd(src, end)})
		}
	}
	if err := p.Error(); err != nil {
		return nil, err
	}
	if len(cuts) == 0 {
		return nil, fmt.Errorf("%q does not stand on lines of its own", strings.Join(path, "."))
	}
	out := bytes.Clone(src)
	for _, c := range slices.Backward(cuts) {
		out = slices.Concat(out[:c.start], out[c.end:])
	}
	return closeGap(out, cuts[0].start), nil
}

func lineStart(src []byte, at int) int { return bytes.LastIndexByte(src[:at], '\n') + 1 }

func lineEnd(src []byte, at int) int {
	if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(src)
}

// closeGap removes one of two blank lines that meet where a table was, and the
// blank line that the end of the text does not need.
func closeGap(src []byte, at int) []byte {
	if at == 0 || at > len(src) {
		return src
	}
	before := lineStart(src, at-1)
	blank := func(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }
	if blank(src[before:at]) && blank(src[at:lineEnd(src, at)]) {
		return slices.Concat(src[:before], src[at:])
	}
	return src
}
