//go:build unix

package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct{ name, text, want, err string }{
		{"plain", "s3 cret", "s3 cret", ""},
		{"newline", "s3cret\n", "s3cret", ""},
		{"CRLF", "s3cret\r\n", "s3cret", ""},
		{"byte order mark", "\ufeffs3cret", "s3cret", ""},
		{"space is part of it", " s3cret ", " s3cret ", ""},
		{"empty", "", "", "read the client secret: it is empty"},
		{"only a newline", "\n", "", "read the client secret: it is empty"},
		{"two lines", "canary\ncanary\n", "", "read the client secret: it is not one line of text"},
		{"two newlines", "canary\n\n", "", "read the client secret: it is not one line of text"},
		{"not text", "canary\xff", "", "read the client secret: it is not one line of text"},
		{"too long", strings.Repeat("x", maxSecret+1), "", "read the client secret: refuse PATH: it is longer than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(i))
			write(t, path, tt.text, 0o600)
			got, err := Auth{SecretFile: path}.Secret(t.Context())
			checkSecret(t, got.Reveal(), err, tt.want, strings.ReplaceAll(tt.err, "PATH", path))
		})
	}
}

func checkSecret(t *testing.T, got string, err error, want, wantErr string) {
	t.Helper()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if got != want || text != wantErr {
		t.Errorf("got %q, %q; want %q, %q", got, text, want, wantErr)
	}
}

func TestSecretFileModes(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o400, 0o600, 0o622} {
		path := filepath.Join(dir, fmt.Sprintf("%o", mode))
		write(t, path, "s", mode)
		_, err := Auth{SecretFile: path}.Secret(t.Context())
		_, keyErr := Auth{KeyFile: path}.Key()
		var unsafe *ownfile.Unsafe
		if refused := errors.As(err, &unsafe); refused != (mode&0o022 != 0) || refused != errors.As(keyErr, &unsafe) {
			t.Errorf("mode %o: %v, %v", mode, err, keyErr)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Auth{SecretFile: fifo}).Secret(t.Context()); err == nil {
		t.Error("a FIFO was read")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "600"), link); err != nil {
		t.Fatal(err)
	}
	if got, err := (Auth{SecretFile: link}).Secret(t.Context()); got.Reveal() != "s" {
		t.Errorf("a link, as container secrets are: %v", err)
	}
}

func TestSecretCommand(t *testing.T) {
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, tt := range []struct {
		name      string
		argv      []string
		want, err string
	}{
		{"prints", []string{"printf", "s3cret\n"}, "s3cret", ""},
		{"no shell", []string{"echo", "$HOME;`id`"}, "$HOME;`id`", ""},
		{"no input", sh("cat; echo done"), "done", ""},
		{"only standard output", sh("echo canary >&2; echo s"), "s", ""},
		{"fails", sh("echo canary; echo canary >&2; exit 3"), "", "read the client secret: run sh: exit status 3"},
		{"prints nothing", []string{"true"}, "", "read the client secret: it is empty"},
		{"prints too much", []string{"yes", "canary"}, "", "read the client secret: run yes: it printed more than 65536 bytes"},
		{"absent", []string{"/nowhere/show"}, "", "read the client secret: run show: fork/exec /nowhere/show: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Auth{SecretCommand: tt.argv}.Secret(t.Context())
			checkSecret(t, got.Reveal(), err, tt.want, tt.err)
		})
	}
}

// The caller's patience counts, even when a grandchild keeps the pipe open.
func TestSecretCommandObeysContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Auth{SecretCommand: []string{"/bin/sh", "-c", "sleep 60 & wait"}}.Secret(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestNothingConfigured(t *testing.T) {
	if _, err := (Auth{}).Secret(t.Context()); !errors.Is(err, ErrNoSecret) {
		t.Errorf("Secret: %v", err)
	}
	if _, err := (Auth{}).Key(); !errors.Is(err, ErrNoKey) {
		t.Errorf("Key: %v", err)
	}
	if (Auth{}).HasSecret() || !(Auth{SecretFile: "f"}).HasSecret() || !(Auth{SecretCommand: []string{"c"}}).HasSecret() {
		t.Error("HasSecret is wrong")
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "{\n}\n", 0o600)
	got, err := Auth{KeyFile: path}.Key()
	checkSecret(t, got.Reveal(), err, "{\n}\n", "")
}
