package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// helpFolder has what every command prints for --help, as people read it.
var helpFolder = filepath.Join("..", "..", "testdata", "help")

func TestHelp(t *testing.T) {
	golden := map[string]bool{}
	for _, path := range commandPaths(newRoot(&app{})) {
		name := strings.ReplaceAll(path, " ", "-") + ".txt"
		golden[name] = true
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := run(t, append(strings.Fields(path)[1:], "--help")...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, stderr %q", code, stderr)
			}
			file := filepath.Join(helpFolder, name)
			if *update {
				if err := os.WriteFile(file, []byte(stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run: go test ./internal/cli -update", err)
			}
			if diff := cmp.Diff(string(want), stdout); diff != "" {
				t.Errorf("help has changed (-want +got); run: go test ./internal/cli -update\n%s", diff)
			}
			for line := range strings.Lines(stdout) {
				if len(line) > 160 {
					t.Errorf("a line is too long to read: %q", line)
				}
			}
		})
	}
	files, err := os.ReadDir(helpFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if golden[f.Name()] {
			continue
		}
		if *update {
			if err := os.Remove(filepath.Join(helpFolder, f.Name())); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s belongs to no command", f.Name())
	}
}

// commandPaths lists every command of ours by its full path.
func commandPaths(c *cobra.Command) []string {
	paths := []string{c.CommandPath()}
	for _, sub := range c.Commands() {
		paths = append(paths, commandPaths(sub)...)
	}
	return paths
}

// Every flag says what it does, in one style.
func TestFlagsAreExplained(t *testing.T) {
	for _, path := range commandPaths(newRoot(&app{})) {
		stdout, _, _ := run(t, append(strings.Fields(path)[1:], "--help")...)
		for line := range strings.Lines(stdout) {
			if flag, what, ok := strings.Cut(strings.TrimSpace(line), "   "); ok && strings.HasPrefix(flag, "-") && strings.TrimSpace(what) == "" {
				t.Errorf("%s: %s is not explained", path, flag)
			}
		}
	}
}

// run is one command in a home without anything.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(context.Background(), Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err,
		Getenv: func(string) string { return "" }, Home: t.TempDir(),
	})
	return out.String(), err.String(), code
}
