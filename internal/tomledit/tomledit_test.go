package tomledit_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
	"github.com/mcpauth/mcpauth/internal/tomledit"
)

var fields = []jsonedit.Field{{Name: "url", Value: []byte(`"u"`)}, {Name: "a b", Value: []byte(`["x","y"]`)}, {Name: "n", Value: []byte("3")}}

const table = "[m.w]\nurl = \"u\"\n\"a b\" = [\"x\", \"y\"]\nn = 3\n"

func TestInsert(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"nothing", "", table},
		{"no final newline", "a = 1", "a = 1\n\n" + table},
		{"a blank line at the end", "a = 1\n\n", "a = 1\n\n" + table},
		{"CRLF", "a = 1\r\n", "a = 1\r\n\r\n" + string(bytes.ReplaceAll([]byte(table), []byte("\n"), []byte("\r\n")))},
	} {
		got, err := tomledit.Insert([]byte(tt.before), []string{"m", "w"}, fields)
		if diff := cmp.Diff(tt.after, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
	if got, err := tomledit.Insert(nil, []string{"m", "w.x"}, nil); string(got) != "[m.\"w.x\"]\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, value := range []string{`{}`, `null`} {
		if got, err := tomledit.Insert(nil, []string{"m"}, []jsonedit.Field{{Name: "x", Value: []byte(value)}}); err == nil {
			t.Errorf("%s became %q", value, got)
		}
	}
}

// Each way to write the table on lines of its own, and what stays around it.
func TestRemove(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"alone", table, ""},
		{"in the middle", "a = 1\n\n[m.w]\nx = 1 # c\n\n# next\n[m.x]\ny = 2\n", "a = 1\n\n# next\n[m.x]\ny = 2\n"},
		{"at the end", "a = 1\n\n[m.w]\nx = 1", "a = 1\n"},
		{"tables below", "[m.w]\nx = 1\n[m.x]\n[m.w.env]\nk = 'v'\n", "[m.x]\n"},
		{"a long value", "[m]\n[m.w]\nx = [\n  1,\n]\ny = '''\n[m.x]\n'''\n[n]\n", "[m]\n[n]\n"},
		{"dotted keys", "m.w.x = 1\nm.x.y = 2\n", "m.x.y = 2\n"},
		{"inside its parent", "[m]\nw = { x = 1 }\n'w'.y = 1\nx = 2\n", "[m]\nx = 2\n"},
		{"quoted", "[ m . \"w\" ] # c\nx = 1\n[m.ww]\n", "[m.ww]\n"},
		{"its comments stay", "[m.w]\n# mine\nx = 1\n", "# mine\n"},
		{"CRLF", "a = 1\r\n\r\n[m.w]\r\nx = 1\r\n", "a = 1\r\n"},
	} {
		got, err := tomledit.Remove([]byte(tt.before), []string{"m", "w"})
		if diff := cmp.Diff(tt.after, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
	for _, text := range []string{"", "[m]\n", "m = { w = { x = 1 } }\n", "= 1\n"} {
		if got, err := tomledit.Remove([]byte(text), []string{"m", "w"}); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// What is added can be taken out, and neither moves a byte of anything else.
func FuzzInsertRemove(f *testing.F) {
	for _, text := range []string{"", "a = 1", "[m]\r\nx.y = 1\r\n", "[[a]]\n[[a]]\nb = [\n1, # c\n]\n", "m.x = '''\n[m.w]\n'''\n", "\n\n# c"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := tomledit.Plain(text)
		if err != nil {
			return
		}
		after, err := tomledit.Insert(text, []string{"m", "w"}, fields)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(after, text) {
			t.Fatalf("%q became %q", text, after)
		}
		if _, err := tomledit.Plain(after); err != nil {
			return // there is an "m" that takes no table; the caller finds that out
		}
		back, err := tomledit.Remove(after, []string{"m", "w"})
		if err != nil {
			t.Fatal(err)
		}
		if blank := " \t\r\n"; !bytes.Contains(text, []byte("w")) && !bytes.Equal(bytes.TrimRight(back, blank), bytes.TrimRight(text, blank)) {
			t.Fatalf("%q came back as %q", text, back)
		}
		if got, err := tomledit.Plain(back); err != nil || !reflect.DeepEqual(got, before) && !bytes.Contains(text, []byte("nan")) {
			t.Fatalf("%q came back as %q: %v", text, back, err)
		}
	})
}
