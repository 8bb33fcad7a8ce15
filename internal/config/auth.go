package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// ErrNoSecret says that neither secretFile nor secretCommand is configured. The
// vault may hold the secret then.
var ErrNoSecret = errors.New("no client secret is configured")

// ErrNoKey says that no keyFile is configured.
var ErrNoKey = errors.New("no client key is configured")

const (
	maxSecret     = 64 << 10
	secretTimeout = 10 * time.Second
)

// HasSecret reports whether Secret has somewhere to look.
func (a Auth) HasSecret() bool { return a.SecretFile != "" || len(a.SecretCommand) > 0 }

// Secret reads the client secret from the file or the program that the user
// named. One newline at its end does not count, nor does a byte order mark. A file of the user's own must
// be for the user's eyes only; see ownfile.ReadSecret. The program gets no input, no
// shell and ten seconds, and only its standard output counts.
func (a Auth) Secret(ctx context.Context) (secret.Text, error) {
	var data []byte
	var err error
	switch {
	case a.SecretFile != "":
		data, err = ownfile.ReadSecret(a.SecretFile, maxSecret)
	case len(a.SecretCommand) > 0:
		data, err = runSecret(ctx, a.SecretCommand)
	default:
		return secret.Text{}, ErrNoSecret
	}
	return line(data, err, "read the client secret")
}

// Token reads the JWT with which the platform vouches for this program. The same
// rules hold as for a client secret, except that the file may be anybody's:
// platforms mount such files world-readable.
func (w Workload) Token(ctx context.Context) (secret.Text, error) {
	if w.TokenFile != "" {
		data, _, err := ownfile.Read(w.TokenFile, maxSecret)
		return line(data, err, "read the platform's token")
	}
	data, err := runSecret(ctx, w.TokenCommand)
	return line(data, err, "read the platform's token")
}

// line takes the one line of text that a secret is out of what was read.
func line(data []byte, err error, doing string) (secret.Text, error) {
	if err != nil {
		return secret.Text{}, fmt.Errorf("%s: %w", doing, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(bytes.TrimPrefix(data, mark)), "\n"), "\r")
	if text == "" {
		return secret.Text{}, errors.New(doing + ": it is empty")
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return secret.Text{}, errors.New(doing + ": it is not one line of text")
	}
	return secret.New(text), nil
}

// Key reads the private key, PEM or JWK as it stands in the file.
func (a Auth) Key() (secret.Text, error) {
	if a.KeyFile == "" {
		return secret.Text{}, ErrNoKey
	}
	data, err := ownfile.ReadSecret(a.KeyFile, maxSecret)
	if err != nil {
		return secret.Text{}, fmt.Errorf("read the client key: %w", err)
	}
	return secret.New(string(data)), nil
}

// runSecret never quotes what the program printed, on either stream.
func runSecret(ctx context.Context, argv []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	var out limited
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second // a grandchild that keeps the pipe open is not waited for
	err := cmd.Run()
	program := filepath.Base(argv[0])
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", program, ctx.Err())
	case out.over:
		return nil, fmt.Errorf("run %s: it printed more than %d bytes", program, maxSecret)
	case err != nil:
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	return out.data.Bytes(), nil
}

// limited is a buffer that ends the writer when it is full. It does not embed
// bytes.Buffer, whose ReadFrom would let io.Copy pass the limit by.
type limited struct {
	data bytes.Buffer
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.data.Len()+len(p) > maxSecret {
		l.over = true
		return 0, errors.New("too much output")
	}
	return l.data.Write(p)
}
