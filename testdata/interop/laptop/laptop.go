// Package laptop is a person's computer for one test: an empty home folder, the
// real mcpauth binary in it, and a browser that the test chooses.
//
// It knows nothing of the protocol. What it does check, after every command, is
// that no token shows where none was asked for.
package laptop

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Laptop is one home folder with one binary.
type Laptop struct {
	// Home is the only folder that mcpauth may find.
	Home string
	// Browser is the value of $BROWSER: a command that gets the URL as its
	// last argument. Empty means a browser that must not be opened.
	Browser string

	bin string
}

// Result is how one command ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// New builds mcpauth from the repository around this module, or takes the one
// that MCPAUTH_BIN names.
func New(t *testing.T) *Laptop {
	t.Helper()
	bin := os.Getenv("MCPAUTH_BIN")
	if bin == "" {
		bin = filepath.Join(t.TempDir(), "mcpauth")
		build := exec.Command("go", "build", "-o", bin, "./cmd/mcpauth")
		build.Dir = filepath.Join("..", "..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build mcpauth: %v\n%s", err, out)
		}
	}
	return &Laptop{Home: t.TempDir(), bin: bin}
}

// Config writes the configuration file, as a person would.
func (l *Laptop) Config(t *testing.T, text string) {
	t.Helper()
	path := l.Path(configFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configFile is below the home folder.
const configFile = ".config/mcpauth/config.json"

// Copy is what a backup holds, or a thief: another laptop with the same home
// folder as this one has now.
func (l *Laptop) Copy(t *testing.T) *Laptop {
	t.Helper()
	c := &Laptop{Home: t.TempDir(), bin: l.bin}
	if out, err := exec.Command("cp", "-a", l.Home+"/.", c.Home).CombinedOutput(); err != nil {
		t.Fatalf("copy a home folder: %v\n%s", err, out)
	}
	config, err := os.ReadFile(c.Path(configFile))
	if err != nil {
		t.Fatal(err)
	}
	c.Config(t, strings.ReplaceAll(string(config), l.Home, c.Home)) // it names files by their paths
	return c
}

// Command is one mcpauth command that has not started. Its environment holds
// HOME, PATH and BROWSER and nothing else.
func (l *Laptop) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.bin, args...)
	browser := l.Browser
	if browser == "" {
		browser = "false"
	}
	cmd.Env = []string{"HOME=" + l.Home, "PATH=" + os.Getenv("PATH"), "BROWSER=" + browser}
	return cmd
}

// Run runs one mcpauth command to its end.
func (l *Laptop) Run(t *testing.T, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := l.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("mcpauth %s: %v", strings.Join(args, " "), err)
	}
	r := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	t.Logf("mcpauth %s: exit %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	if leak := jwt.FindString(r.Stderr); leak != "" {
		t.Errorf("mcpauth %s: a token shows on stderr, it starts with %.8q", args[0], leak)
	}
	if leak := jwt.FindString(r.Stdout); leak != "" && args[0] != "token" && args[0] != "headers" && args[0] != "id-jag" {
		t.Errorf("mcpauth %s: a token shows on stdout, it starts with %.8q", args[0], leak)
	}
	return r
}

// Want runs one command and ends the test unless it exits with code.
func (l *Laptop) Want(t *testing.T, code int, args ...string) Result {
	t.Helper()
	r := l.Run(t, args...)
	if r.Code != code {
		t.Fatalf("mcpauth %s: exit %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}

// File writes a file into the home folder, as a person would who was given a
// secret by an administrator, and returns its path.
func (l *Laptop) File(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(l.Home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Path names a file in the home folder that mcpauth itself will make.
func (l *Laptop) Path(name string) string { return filepath.Join(l.Home, name) }

// jwt finds the start of a compact JWT: a base64url JSON object and a dot.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.`)
