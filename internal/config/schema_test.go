package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/tailscale/hujson"
)

//go:generate go test -run ^TestSchema$ -update

var update = flag.Bool("update", false, "write schema.json")

// The schema is made from the types here, so that jsonschema-go is no part of
// the program.
func TestSchema(t *testing.T) {
	want, err := json.MarshalIndent(schema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("schema.json is stale, run: go generate ./internal/config")
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.For[File](nil)
	if err != nil {
		t.Fatal(err)
	}
	tighten(s, reflect.TypeFor[File]())
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "mcpauth configuration"
	return s
}

// tighten adds what the tags of file.go know and jsonschema-go does not read.
func tighten(s *jsonschema.Schema, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, _ := spelling(f.Tag)
		if key == "" {
			continue
		}
		p := s.Properties[key]
		if p.Types != nil { // there is no null in this file
			p.Types = slices.DeleteFunc(p.Types, func(t string) bool { return t == "null" })
			p.Type, p.Types = p.Types[0], nil
		}
		rule, arg, _ := strings.Cut(f.Tag.Get("check"), "=")
		text := p
		if p.Items != nil {
			text = p.Items
		}
		switch rule {
		case "oneof":
			for _, option := range strings.Split(arg, "|") {
				p.Enum = append(p.Enum, option)
			}
		case "port":
			p.Minimum, p.Maximum = jsonschema.Ptr(0.0), jsonschema.Ptr(65535.0)
		case "url", "issuer", "uri":
			p.Format = "uri"
		case "names":
			p.PropertyNames = &jsonschema.Schema{Pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
		case "argv":
			p.MinItems = jsonschema.Ptr(1)
		}
		if text.Type == "string" && p.Enum == nil {
			text.MinLength = jsonschema.Ptr(1)
		}
		if standard, ok := f.Tag.Lookup("default"); ok {
			if p.Type == "string" {
				standard = `"` + standard + `"`
			}
			p.Default = json.RawMessage(standard)
		}
		sub := f.Type
		if sub.Kind() == reflect.Pointer {
			sub = sub.Elem()
		}
		switch {
		case sub.Kind() == reflect.Struct:
			tighten(p, sub)
		case sub.Kind() == reflect.Map:
			tighten(p.AdditionalProperties, sub.Elem())
		}
	}
}

// Files in testdata/good pass the schema and Load; those in testdata/bad, each
// named after its mistake, pass neither.
func TestSchemaAgreesWithLoad(t *testing.T) {
	resolved, err := schema(t).Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"good", "bad"} {
		paths, err := filepath.Glob(filepath.Join("testdata", kind, "*.json"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no examples in testdata/%s: %v", kind, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, loadErr := fileLayer(path, text)
			standard, err := hujson.Standardize(text)
			if err != nil {
				t.Fatal(err)
			}
			var value any
			if err := json.Unmarshal(standard, &value); err != nil {
				t.Fatal(err)
			}
			schemaErr := resolved.Validate(value)
			if good := kind == "good"; (loadErr == nil) != good || (schemaErr == nil) != good {
				t.Errorf("%s: Load says %v, the schema says %v", path, loadErr, schemaErr)
			}
		}
	}
}

// Every default in a tag is what the code does.
func TestDefaultTags(t *testing.T) {
	var p IdP
	var o OAuth
	for _, tt := range []struct {
		typ   reflect.Type
		field string
		want  string
	}{
		{reflect.TypeFor[IdP](), "RedirectHost", p.RedirectHostOrDefault()},
		{reflect.TypeFor[IdP](), "SubjectToken", p.SubjectTokenOrDefault()},
		{reflect.TypeFor[Store](), "Kind", Store{}.KindOrDefault()},
		{reflect.TypeFor[OAuth](), "Mode", o.ModeOrDefault()},
		{reflect.TypeFor[OAuth](), "DPoP", o.DPoPOrDefault()},
		{reflect.TypeFor[OAuth](), "RedirectHost", o.RedirectHostOrDefault()},
		{reflect.TypeFor[OAuth](), "RedirectPath", o.RedirectPathOrDefault()},
		{reflect.TypeFor[OAuth](), "Registration", map[bool]string{true: "auto"}[o.Registers()]},
		{reflect.TypeFor[OAuth](), "SendResource", map[bool]string{true: "true"}[o.SendsResource()]},
		{reflect.TypeFor[OAuth](), "SendScope", map[bool]string{true: "true"}[o.SendsScope()]},
	} {
		f, _ := tt.typ.FieldByName(tt.field)
		if got := f.Tag.Get("default"); got != tt.want {
			t.Errorf("%s: the tag says %q, the code %q", tt.field, got, tt.want)
		}
	}
}
