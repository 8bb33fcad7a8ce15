package ownjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/ownjson"
)

type thing struct {
	Name  string    `json:"name"`
	Count int       `json:"count"`
	Flag  bool      `json:"flag"`
	When  time.Time `json:"when"`
	List  []string  `json:"list"`
	Other any       `json:"other"`
}

func read(b []byte) (t thing, ok bool) {
	r := ownjson.New(b)
	r.Object(func(name string) {
		switch name {
		case "name":
			t.Name = r.Text()
		case "count":
			t.Count = r.Int()
		case "flag":
			t.Flag = r.Bool()
		case "when":
			t.When = r.Time()
		case "list":
			t.List = r.Texts()
		default:
			r.Skip()
		}
	})
	return t, r.OK()
}

// What encoding/json wrote is read as encoding/json reads it.
func TestReadsWhatWasWritten(t *testing.T) {
	for _, want := range []thing{
		{},
		{Name: "plain", Count: -17, Flag: true, When: time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC), List: []string{"a", "b"}},
		{Name: "<quoted> \"&\" \\ \n \u2028 ü \x7f", List: []string{}, When: time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))},
		{Other: map[string]any{"a": []any{1.5e10, nil, "}]", map[string]any{}, []any{}, true}, "\\": "\\\""}},
	} {
		for _, indent := range []string{"", "  "} {
			b, err := json.MarshalIndent(want, "", indent)
			if err != nil {
				t.Fatal(err)
			}
			if want.List == nil { // null is for encoding/json
				b, err = json.Marshal(map[string]any{"name": want.Name, "count": want.Count, "flag": want.Flag, "when": want.When, "other": want.Other})
				if err != nil {
					t.Fatal(err)
				}
			}
			got, ok := read(b)
			if !ok {
				t.Fatalf("does not read %s", b)
			}
			var slow thing
			if err := json.Unmarshal(b, &slow); err != nil {
				t.Fatal(err)
			}
			slow.Other = nil
			if len(slow.List) == 0 {
				slow.List = nil
			}
			if diff := cmp.Diff(slow, got); diff != "" {
				t.Errorf("%s: %s", b, diff)
			}
		}
	}
}

// Anything else is not OK, and ends.
func TestSaysNo(t *testing.T) {
	for _, s := range []string{
		``, `{`, `{"name"`, `{"name":`, `{"name":"a`, `{"name":"a"`, `{"name":"a",`, `{"name":"a",}`, `{"name":"a"}}`, `{"name":"a"} x`,
		`{"name":1}`, `{"count":"1"}`, `{"count":1.5}`, `{"flag":1}`, `{"flag":truer}`, `{"when":"yesterday"}`, `{"when":1}`, `{"list":null}`, `{"list":["a"`, `{"list":[1]}`,
		`{"name":"\x"}`, strings.Repeat("[", 1<<20), `{"other":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, `{"other":}`, `{"other":[}`, `{"other":"`, `[]`, `null`, `{name:1}`,
	} {
		if _, ok := read([]byte(s)); ok {
			t.Errorf("reads %s", s)
		}
	}
}

// It ends, and whoever is OK with a text agrees with encoding/json.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"name":"a\u0026","count":1,"flag":true,"when":"2026-03-04T05:06:07Z","list":["x"],"other":{"a":[1,null]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := read(b)
		var slow thing
		if !ok || json.Unmarshal(b, &slow) != nil {
			return
		}
		var names map[string]json.RawMessage // encoding/json takes other spellings and nulls as well
		if json.Unmarshal(b, &names) != nil || len(names) != 1 {
			return
		}
		if _, exact := names["name"]; exact && got.Name != slow.Name {
			t.Errorf("%q: got %q, want %q", b, got.Name, slow.Name)
		}
	})
}
