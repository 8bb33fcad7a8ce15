package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/token"
)

type bridgeOptions struct {
	server string
	noAuth bool

	interactive bool
}

func newBridge(a *app) *cobra.Command {
	var o bridgeOptions
	c := &cobra.Command{
		Use:   "bridge SERVER",
		Short: "Be a stdio MCP server that forwards to a remote one",
		Long: `Be a stdio MCP server that forwards to a remote one and puts its access token on,
for the MCP clients that can start a command and know no other way to a token.
Tokens are renewed while it runs. It ends when its standard input does.

  "wiki": { "command": "mcpauth", "args": ["bridge", "wiki"] }`,
		Args:              takes("the name or URL of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.server = args[0]
			return runBridge(cmd.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.interactive, "interactive", false, "open the browser when you have to sign in or to agree; without it the client is told what to type")
	c.Flags().BoolVar(&o.noAuth, "no-auth", false, "for tests: forward to the server at this URL, which wants no token and gets none")
	return c
}

func runBridge(ctx context.Context, a *app, o bridgeOptions) error {
	if err := a.open(); err != nil {
		return err
	}
	n, err := a.network()
	if err != nil {
		return err
	}
	b := bridge.Options{
		Endpoint: o.server, Net: n, In: a.env.Stdin, Out: a.env.Stdout, Now: a.env.Now,
		Warn: a.warn, Explain: a.bridgeFailure(),
	}
	if o.noAuth {
		if !strings.Contains(o.server, "://") {
			return &usageError{text: "--no-auth wants a URL", hint: "mcpauth bridge SERVER"}
		}
		n.Configured(o.server)
	} else {
		s, err := a.cfg.Server(o.server)
		if err != nil {
			return err
		}
		tokens := &standing{first: a, interactive: o.interactive}
		defer tokens.finish(ctx)
		b.Endpoint = s.URL
		b.Token = func(ctx context.Context, ask token.Ask) (token.Token, error) { return tokens.get(ctx, s, ask) }
		if o.interactive {
			b.TokenTime = personTime
		}
		b.Scopes, b.MaxScopes = s.OAuth.Scopes, s.OAuth.MaxScopes
	}
	// A client that is gone must be an error to write to, not the end: the server
	// is told that its session is over.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	if err := bridge.Run(ctx, b); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // a signal is one of the ways in which clients end their servers
}

// bridgeFailure puts an error into words for the MCP client, and onto standard
// error once for as long as it is the same.
func (a *app) bridgeFailure() func(error) bridge.Failure {
	var mu sync.Mutex
	var last string
	return func(err error) bridge.Failure {
		r := explain(err)
		if own := new(bridge.Error); errors.As(err, &own) {
			r.Code, r.Message = own.Code, own.Message
			if own.Hint != "" {
				r.Hints = []string{own.Hint}
			}
		}
		f := bridge.Failure{Code: r.Code, Stage: string(r.Stage), Message: r.Message, Hint: strings.Join(r.Hints, "; ")}
		mu.Lock()
		defer mu.Unlock()
		if now := fmt.Sprint(f); now != last {
			last = now
			r.print(a.env.Stderr, false)
		}
		return f
	}
}
