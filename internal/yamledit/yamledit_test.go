package yamledit_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
	"github.com/mcpauth/mcpauth/internal/yamledit"
)

var fields = []jsonedit.Field{{Name: "cmd", Value: []byte(`"/opt/x y"`)}, {Name: "args", Value: []byte(`["bridge","null","on","1","w"]`)}, {Name: "on", Value: []byte("true")}}

var member, element = yamledit.Entry{Name: "w", Fields: fields}, yamledit.Entry{Fields: append([]jsonedit.Field{{Name: "name", Value: []byte(`"w"`)}}, fields...)}

const (
	body   = "cmd: \"/opt/x y\"\n    args: [bridge, \"null\", \"on\", \"1\", w]\n    \"on\": true\n"
	inline = "cmd: \"/opt/x y\", args: [bridge, \"null\", \"on\", \"1\", w], \"on\": true}"
)

func TestInsert(t *testing.T) {
	for _, tt := range []struct {
		name          string
		entry         yamledit.Entry
		before, after string
	}{
		{"nothing", member, "", "m:\n  w:\n    " + body},
		{"no final newline", member, "a: 1", "a: 1\nm:\n  w:\n    " + body},
		{"an empty key", member, "m: # c\na: 1\n", "m: # c\n  w:\n    " + body + "a: 1\n"},
		{"an empty key at the end", member, "a: 1\nm:", "a: 1\nm:\n  w:\n    " + body[:len(body)-1]},
		{"before a sibling", member, "m:\n  # x\n  x: {}\n", "m:\n  w:\n    " + body + "  # x\n  x: {}\n"},
		{"one space", member, "m:\n x:\n  y: 1\n", "m:\n w:\n  cmd: \"/opt/x y\"\n  args: [bridge, \"null\", \"on\", \"1\", w]\n  \"on\": true\n x:\n  y: 1\n"},
		{"brackets", member, "m: {}\n", "m: {w: {" + inline + "}\n"},
		{"brackets with a sibling", member, "é: é\nm: { x: 1 }\n", "é: é\nm: {w: {" + inline + ",  x: 1 }\n"},
		{"all in brackets", member, "{a: 1}", "{m: {w: {" + inline + "}, a: 1}"},
		{"CRLF", member, "m:\r\n", string(bytes.ReplaceAll([]byte("m:\n  w:\n    "+body), []byte("\n"), []byte("\r\n")))},
		{"a list", element, "m:\n- name: x\n", "m:\n- name: w\n  cmd: \"/opt/x y\"\n  args: [bridge, \"null\", \"on\", \"1\", w]\n  \"on\": true\n- name: x\n"},
		{"a new list", element, "---\na: 1\n", "---\na: 1\nm:\n  - name: w\n    " + body},
		{"a list in brackets", element, "m: []", "m: [{name: w, " + inline + "]"},
	} {
		got, err := yamledit.Insert([]byte(tt.before), "m", tt.entry)
		if diff := cmp.Diff(tt.after, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, text := range []string{"- a\n", "m: 1\n", "m: null\n", "m: ~\n", "m: text\n", "a: 1\n---\nb: 1\n", "a: 1\rb: 2\r", "a: \"\u2028\"\n", "a: \xff\n", "m: [}\n", "m:\n- x\n"} {
		if got, err := yamledit.Insert([]byte(text), "m", member); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{"", "a: 1\n", "m:\n", "m:\n  x: 1\n", "m: {w: {a: 1}}\n", "m:\n- w\n", "? m\n: {}\n"} {
		if got, err := yamledit.Remove([]byte(text), "m", "w"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestRemove(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"alone", "a: 1\nm:\n  w:\n    x: 1\n", "a: 1\n"},
		{"first", "m: # c\n  w:\n    x: |\n      y\n\n      z\n\n  # x\n  x: {}\n", "m: # c\n\n  # x\n  x: {}\n"},
		{"last", "m:\n  x: {}\n  w: {a: 1}\n\n# end", "m:\n  x: {}\n\n# end"},
		{"no final newline", "m:\n  x: {}\n  w:\n    a: 1", "m:\n  x: {}\n"},
		{"a list", "m:\n- name: x\n- a: 1\n  name: w\n  b:\n  - 1\n- {name: y}\n", "m:\n- name: x\n- {name: y}\n"},
		{"an element in brackets", "m:\n  - name: x\n  - { name: w, a: 1 }\n", "m:\n  - name: x\n"},
		{"its comments stay", "m:\n  x: 1\n  # w\n  w:\n    a: 1\n", "m:\n  x: 1\n  # w\n"},
	} {
		got, err := yamledit.Remove([]byte(tt.before), "m", "w")
		if diff := cmp.Diff(tt.after, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
}

// What is added is one piece, and nothing else moves.
func FuzzInsert(f *testing.F) {
	for _, text := range []string{"", "m:", "m:\n  x: {}\n", "m: {}\n", "{m: {a: b}}", "m:\r\n- name: x\r\n", "a: |+\n  b\n\n", "---\nm:\n    a: &a\n        b: *a\n"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, list bool) {
		e := member
		if list {
			e = element
		}
		after, err := yamledit.Insert(text, "m", e)
		if err != nil {
			return
		}
		at := 0
		for at < len(text) && text[at] == after[at] {
			at++
		}
		for grown := len(after) - len(text); ; at-- {
			if bytes.Equal(text[at:], after[at+grown:]) {
				break
			}
			if at == 0 {
				t.Fatalf("%q became %q", text, after)
			}
		}
	})
}
