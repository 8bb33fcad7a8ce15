package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/mcpauth/mcpauth/internal/cli"
	"github.com/mcpauth/mcpauth/internal/company"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// shell runs mcpauth in a home folder of its own.
type shell struct {
	home    string
	company *company.Company
	auto    bool
	screen  *screen
	open    func(ctx context.Context, address string) error // in place of the browser; may be nil
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// run shows a command and runs it. A word that begins with ~/ is in the demo's
// home folder.
func (s *shell) run(ctx context.Context, stdin secret.Text, args ...string) result {
	typed := "mcpauth"
	for _, a := range args {
		if strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		typed += " " + a
	}
	if !stdin.IsZero() {
		typed = "… | " + typed
	}
	s.screen.command(typed)
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if rest, ok := strings.CutPrefix(a, "~/"); ok {
			words[i] = filepath.Join(s.home, rest)
		}
	}
	var out, err bytes.Buffer
	code := cli.Main(ctx, cli.Env{
		Args: words, Stdin: strings.NewReader(stdin.Reveal()), Stdout: &out, Stderr: &err,
		Getenv: s.getenv, Home: s.home, Browse: s.browse,
	})
	return result{code, s.tilde(out.String()), s.tilde(err.String())}
}

// getenv hides whatever would lead to the person's own configuration.
func (s *shell) getenv(name string) string {
	if name == "BROWSER" || name == "PATH" {
		return os.Getenv(name)
	}
	return ""
}

// browse opens the real browser, or plays Alice in front of one.
func (s *shell) browse(ctx context.Context, address string) error {
	if s.open != nil {
		return s.open(ctx, address)
	}
	if !s.auto {
		return cli.Browser(os.Getenv)(ctx, address)
	}
	go func() { _, _ = s.company.SignIn(ctx, "alice", address) }() // mcpauth says what came of it
	return nil
}

func (s *shell) tilde(text string) string { return strings.ReplaceAll(text, s.home, "~") }

// write puts a file into the home folder, for commands that read one.
func (s *shell) write(name string, content secret.Text) error {
	return os.WriteFile(filepath.Join(s.home, name), []byte(content.Reveal()), 0o600)
}
