package jsonedit_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

func TestSetAndRemove(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"nothing", "", "{\n  \"m\": {\n    \"w\": {\n      \"a\": [\"b\", \"<&>\"]\n    }\n  }\n}\n"},
		{"only a comment", "// c", "// c\n{\n  \"m\": {\n    \"w\": {\n      \"a\": [\"b\", \"<&>\"]\n    }\n  }\n}\n"},
		{"one line", `{"m": {"x": 1}}`, `{"m": {"x": 1, "w": { "a": ["b", "<&>"] }}}`},
		{"trailing comma", "{\n\t\"m\": {\n\t\t\"x\": 1, // c\n\t},\n}", "{\n\t\"m\": {\n\t\t\"x\": 1, // c\n\t\t\"w\": {\n\t\t\t\"a\": [\"b\", \"<&>\"]\n\t\t},\n\t},\n}"},
		{"CRLF", "{\r\n  \"m\": {\r\n    \"x\": 1\r\n  }\r\n}", "{\r\n  \"m\": {\r\n    \"x\": 1,\r\n    \"w\": {\r\n      \"a\": [\"b\", \"<&>\"]\r\n    }\r\n  }\r\n}"},
	} {
		d := jsonedit.New([]byte(tt.before))
		if err := d.Set([]string{"m", "w"}, map[string]any{"a": []string{"b", "<&>"}}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.after, string(d.Bytes())); diff != "" {
			t.Errorf("%s: added (-want +got):\n%s", tt.name, diff)
		}
		if err := d.Remove([]string{"m", "w"}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := string(d.Bytes()); bytes.Contains([]byte(tt.before), []byte(`"x"`)) && got != tt.before {
			t.Errorf("%s: removed: %q", tt.name, got)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, text := range []string{`[]`, `{"m": null}`, `{"m": 1}`, `{`, `{}{}`} {
		d := jsonedit.New([]byte(text))
		if err := d.Set([]string{"m", "w"}, 1); err == nil || string(d.Bytes()) != text {
			t.Errorf("%s became %s", text, d.Bytes())
		}
		if err := d.Remove([]string{"m", "w"}); err == nil || string(d.Bytes()) != text {
			t.Errorf("%s became %s", text, d.Bytes())
		}
	}
}

func TestPlain(t *testing.T) {
	got, err := jsonedit.Plain([]byte("// c\n{\"a\": 1.50, /* c */ \"b\": [true, null,],}"))
	if want := map[string]any{"a": json.Number("1.50"), "b": []any{true, nil}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := jsonedit.Plain(nil); err != nil || !reflect.DeepEqual(got, map[string]any{}) {
		t.Errorf("nothing: %v, %v", got, err)
	}
	if _, err := jsonedit.Plain([]byte("{")); err == nil {
		t.Error("half an object was read")
	}
}
