package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/deliver"
	"github.com/mcpauth/mcpauth/internal/token"
)

// helperTime is the longest that a caller waits for token and headers. MCP clients
// give their helpers ten seconds, and what comes later is silently dropped.
const helperTime = 6 * time.Second

type tokenOptions struct {
	server string
	format string
	ask    token.Ask
}

func newToken(a *app) *cobra.Command {
	var o tokenOptions
	c := &cobra.Command{
		Use:   "token SERVER",
		Short: "Print an access token for a server",
		Long: `Print an access token for a server, given by its name or its URL. Tokens are kept
until they are about to expire; most calls ask nobody.

  curl -H "Authorization: Bearer $(mcpauth token wiki)" https://wiki.example/mcp`,
		Args:              takes("the name or URL of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.server = args[0]
			if a.json {
				if cmd.Flags().Changed("format") && o.format != "json" {
					return &usageError{text: "--json and --format " + o.format + " exclude each other"}
				}
				o.format = "json"
			}
			return printToken(cmd.Context(), a, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&a.json, "json", false, "print token, expiry and scope as JSON")
	f.StringVar(&o.format, "format", "bare", "bare, json or exec-credential")
	askFlags(c, &o.ask)
	return c
}

// askFlags are those of every command that gets a token.
func askFlags(c *cobra.Command, ask *token.Ask) {
	f := c.Flags()
	f.BoolVar(&ask.Fresh, "fresh", false, "get a new token, whatever is kept")
	f.DurationVar(&ask.MinTTL, "min-ttl", 0, "the time that the token must still be good for, such as 5m")
	f.StringArrayVar(&ask.Scopes, "scope", nil, "a `scope` to ask for instead of the configured ones; may be repeated")
}

func printToken(ctx context.Context, a *app, o tokenOptions) error {
	write, ok := deliver.Tokens[o.format]
	if !ok {
		return &usageError{text: "unknown format " + o.format, hint: "bare, json or exec-credential"}
	}
	if err := a.openFor(o.server); err != nil {
		return err
	}
	t, err := getToken(ctx, a, o.server, o.ask, (*token.Source).Get)
	if err != nil {
		return err
	}
	return write(a.env.Stdout, t)
}

// getToken answers within helperTime, whatever happens. The configuration is open.
func getToken(ctx context.Context, a *app, server string, ask token.Ask, get func(*token.Source, context.Context, token.Ask) (token.Token, error)) (token.Token, error) {
	ctx, cancel := context.WithTimeout(a.insisting(ctx), helperTime)
	defer cancel()
	s, err := a.quickSource(server)
	if err != nil {
		return token.Token{}, err
	}
	t, err := get(s, ctx, ask)
	if err != nil {
		return token.Token{}, err
	}
	for _, w := range t.Warnings {
		a.warn(w)
	}
	if left := t.Expires.Sub(a.env.now()); ask.MinTTL > 0 && ask.MinTTL > left {
		a.say("warning: this server's tokens are good for %s only, less than --min-ttl", left.Round(time.Second))
	}
	return t, nil
}
