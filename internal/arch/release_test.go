package arch

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// release is what .goreleaser.yaml uses of goreleaser's configuration: a key that is
// spelled wrongly is none of these. goreleaser's own judgement takes minutes to build:
// make release-check.
type release struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Before      struct{ Hooks []string }
	Builds      []struct {
		Main, Binary                      string
		Env, Goos, Goarch, Flags, Ldflags []string
		ModTimestamp                      string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		NameTemplate string `yaml:"name_template"`
		Files        []any
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
	}
	Sboms    []struct{ Artifacts string }
	Snapshot struct {
		VersionTemplate string `yaml:"version_template"`
	}
	Changelog struct {
		Use, Sort string
		Filters   struct{ Exclude []string }
	}
	Release struct {
		Github struct{ Owner, Name string }
		Draft  bool
	}
}

// What a release builds is there, needs no C library, and is built as it is measured.
func TestReleaseConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var r release
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Version != 2 || len(r.Builds) != 1 || len(r.Archives) != 1 {
		t.Fatalf("got %+v", r)
	}
	b := r.Builds[0]
	if _, err := os.Stat(filepath.Join("../..", b.Main, "main.go")); err != nil || b.Binary != "mcpauth" {
		t.Errorf("%s: %v", b.Binary, err)
	}
	for name, list := range map[string][2][]string{
		"goos":    {b.Goos, {"linux", "darwin", "windows"}},
		"goarch":  {b.Goarch, {"amd64", "arm64"}},
		"env":     {b.Env, {"CGO_ENABLED=0"}},
		"ldflags": {b.Ldflags, {"-s -w"}},
	} {
		if !slices.Equal(list[0], list[1]) {
			t.Errorf("%s: %q, want %q", name, list[0], list[1])
		}
	}
	if !slices.Contains(b.Flags, "-trimpath") {
		t.Errorf("flags: %q", b.Flags)
	}
	for _, f := range r.Archives[0].Files {
		name, plain := f.(string)
		if _, err := os.Stat(filepath.Join("../..", name)); plain && err != nil {
			t.Error(err)
		}
	}
}
