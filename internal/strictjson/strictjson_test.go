package strictjson_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/strictjson"
)

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"nothing", "", "not valid JSON"},
		{"garbage", "<html>", "not valid JSON"},
		{"cut off", `{"a":"b`, "not valid JSON"},
		{"not closed", `{"a":[1`, "not valid JSON"},
		{"comma too many", `{"a":1,}`, ""},
		{"comma missing", `{"a":1 "b":2}`, ""},
		{"name not a string", `{1:2}`, ""},
		{"comment", `{"a":1/**/}`, ""},
		{"byte order mark", "\ufeff{}", "not valid JSON"},
		{"not UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8"},
		{"array", `[{}]`, "not a JSON object"},
		{"string", `"a"`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"two objects", `{}{}`, "more than one JSON value"},
		{"text after it", `{} x`, "more than one JSON value"},
		{"bracket after it", `{}]`, "more than one JSON value"},
		{"name twice", `{"a":1,"b":2,"a":1}`, `member "a" stands twice`},
		{"name twice, once escaped", `{"iss":1,"\u0069ss":2}`, `member "iss" stands twice`},
		{"name twice, deeper", `{"x":[{"y":{"a":1,"a":2}}]}`, `member "a" stands twice`},
		{"nested too deeply", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested too deeply"},
		{"long name twice", `{"` + strings.Repeat("n", 1<<16) + `":1,"` + strings.Repeat("n", 1<<16) + `":2}`, "stands twice"},
	} {
		o, err := strictjson.Parse([]byte(test.data))
		if err == nil || o != nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 200 {
			t.Errorf("%s: Parse = %v, %v, want %q", test.name, o, err, test.want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, data := range []string{`{}`, " {\n} \n", `{"a":{"a":1},"A":2}`, `{"a":[{"b":1},{"b":1}]}`, `{"":1}`} {
		if o, err := strictjson.Parse([]byte(data)); err != nil || o == nil {
			t.Errorf("%s: Parse = %v, %v", data, o, err)
		}
	}
}

func parse(t *testing.T, data string) strictjson.Object {
	t.Helper()
	o, err := strictjson.Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const every = `{"s":"v","e":"","n":null,"spaced": null ,"b":true,"i":7,"q":"7","o":{"s":"deep"},"a":["x","y"],"none":[],"m":["x",1],"mn":["x",null]}`

func TestText(t *testing.T) {
	o := parse(t, every)
	for name, want := range map[string]string{"s": "v", "e": "", "n": "", "spaced": "", "S": "", "absent": ""} {
		if got, err := o.Text(name); err != nil || got != want {
			t.Errorf("Text(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"b", "i", "o", "a"} {
		if got, err := o.Text(name); err == nil || got != "" {
			t.Errorf("Text(%q) = %q, %v, want an error", name, got, err)
		}
	}
	for name, want := range map[string]bool{"s": true, "e": true, "n": false, "spaced": false, "S": false} {
		if o.Has(name) != want {
			t.Errorf("Has(%q) = %v", name, !want)
		}
	}
}

func TestTexts(t *testing.T) {
	o := parse(t, every)
	for name, want := range map[string][]string{"a": {"x", "y"}, "s": {"v"}, "none": {}, "n": nil, "A": nil} {
		if got, err := o.Texts(name); err != nil || !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("Texts(%q) = %#v, %v", name, got, err)
		}
	}
	for _, name := range []string{"m", "mn", "o", "i", "b"} {
		if got, err := o.Texts(name); err == nil || got != nil {
			t.Errorf("Texts(%q) = %#v, %v, want an error", name, got, err)
		}
	}
}

func TestBoolAndObject(t *testing.T) {
	o := parse(t, every)
	if b, err := o.Bool("b"); !b || err != nil {
		t.Errorf("Bool = %v, %v", b, err)
	}
	if b, err := o.Bool("B"); b || err != nil {
		t.Errorf("Bool in another case = %v, %v", b, err)
	}
	if b, err := o.Bool("s"); b || err == nil {
		t.Errorf("Bool of a string = %v, %v", b, err)
	}
	sub, err := o.Object("o")
	if s, _ := sub.Text("s"); s != "deep" || err != nil {
		t.Errorf("Object = %v, %v", sub, err)
	}
	if sub, err := o.Object("O"); sub != nil || err != nil {
		t.Errorf("Object in another case = %v, %v", sub, err)
	}
	if sub, err := o.Object("a"); sub != nil || err == nil {
		t.Errorf("Object of an array = %v, %v", sub, err)
	}
}

func TestNumbers(t *testing.T) {
	for value, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `0`: 0, `1.5`: 1500 * time.Millisecond, `6e2`: 10 * time.Minute,
		`1e300`: math.MaxInt64, `99999999999`: math.MaxInt64,
	} {
		if d, ok, err := parse(t, `{"v":`+value+`}`).Seconds("v"); d != want || !ok || err != nil {
			t.Errorf("Seconds of %s = %v, %v, %v", value, d, ok, err)
		}
	}
	for value, want := range map[string]time.Time{
		`1785240000`: time.Unix(1785240000, 0), `"1785240000"`: time.Unix(1785240000, 0),
		`1785240000.5`: time.Unix(1785240000, 5e8), `0`: time.Unix(0, 0), `1e300`: time.Unix(253402300799, 0), `null`: {},
	} {
		if got, err := parse(t, `{"v":`+value+`}`).Time("v"); !got.Equal(want) || err != nil {
			t.Errorf("Time of %s = %v, %v", value, got, err)
		}
	}
	for _, value := range []string{`-1`, `"soon"`, `""`, `" 1"`, `"0x10"`, `"Inf"`, `"NaN"`, `true`, `[1]`, `{}`, `1e999`} {
		o := parse(t, `{"v":`+value+`}`)
		if d, ok, err := o.Seconds("v"); d != 0 || ok || err == nil {
			t.Errorf("Seconds of %s = %v, %v, %v", value, d, ok, err)
		}
		if got, err := o.Time("v"); !got.IsZero() || err == nil {
			t.Errorf("Time of %s = %v, %v", value, got, err)
		}
	}
	if d, ok, err := parse(t, `{}`).Seconds("v"); d != 0 || ok || err != nil {
		t.Errorf("Seconds of nothing = %v, %v, %v", d, ok, err)
	}
}

// Errors show names, which are ours, and never values, which may be secret.
func TestErrorsHideValues(t *testing.T) {
	o := parse(t, `{"v":{"s3cret":["s3cret"]}}`)
	_, text := o.Text("v")
	_, texts := o.Texts("v")
	_, flag := o.Bool("v")
	_, moment := o.Time("v")
	for _, err := range []error{text, texts, flag, moment} {
		if err == nil || !strings.Contains(err.Error(), `"v"`) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error = %v", err)
		}
	}
}

// What is accepted is JSON to everybody else, too, and has as many members; and
// an error comes with nothing.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{every, `{"a":1,"a":2}`, `{"a":{"b":[{}]}}`, `[]`, `{"a":1,}`, `{} {}`, "{\"\\ud800\":1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := strictjson.Parse(data)
		if err != nil {
			if o != nil {
				t.Errorf("object beside the error %v", err)
			}
			return
		}
		var other map[string]any
		if json.Unmarshal(data, &other) != nil || len(other) != len(o) {
			t.Errorf("encoding/json has %d members, Parse %d", len(other), len(o))
		}
		for name := range o {
			s, textErr := o.Text(name)
			list, listErr := o.Texts(name)
			d, ok, secondsErr := o.Seconds(name)
			when, timeErr := o.Time(name)
			switch {
			case textErr != nil && s != "", listErr != nil && list != nil, secondsErr != nil && (d != 0 || ok), timeErr != nil && !when.IsZero():
				t.Errorf("member %q: a value beside an error", name)
			case d < 0 || ok && when.Before(time.Unix(0, 0)):
				t.Errorf("member %q: %v, %v", name, d, when)
			case textErr == nil && o.Has(name) && other[name] != s:
				t.Errorf("member %q: %q, encoding/json has %v", name, s, other[name])
			}
		}
	})
}
