package resilience

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/cli"
)

// inside runs a command in this process, for speed and with a clock that is ahead
// of the true one. The person signs in by herself.
func (l *laptop) inside(ahead time.Duration, args ...string) done {
	return l.insideAt(func() time.Time { return time.Now().Add(ahead) }, args...)
}

// insideAt is inside with a clock that may do anything.
func (l *laptop) insideAt(now func() time.Time, args ...string) done {
	var out, err bytes.Buffer
	exit := cli.Main(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Home: l.home,
		Getenv: func(string) string { return "" },
		Now:    now,
		Browse: func(_ context.Context, address string) error {
			go func() { _ = l.person(context.Background(), address) }()
			return nil
		},
	})
	return done{out.String(), err.String(), exit}
}

// issued reports whether the answer is one of the authorization server's tokens.
func (l *laptop) issued(d done) bool {
	_, ok := l.AS.Lookup(strings.TrimSuffix(d.out, "\n"))
	return d.exit == 0 && ok
}
