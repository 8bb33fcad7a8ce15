package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/deliver"
	"github.com/mcpauth/mcpauth/internal/token"
)

type headersOptions struct {
	server string // empty: as the calling client says
	format string
	ask    token.Ask
}

func newHeaders(a *app) *cobra.Command {
	var o headersOptions
	c := &cobra.Command{
		Use:   "headers [SERVER]",
		Short: "Print the HTTP header for a server, for MCP clients that run a header helper",
		Long: `Print {"Authorization":"Bearer …"} and nothing else: what Claude Code's
headersHelper and Codex's http_headers_helper expect. Without an argument the
server is the one that Claude Code says it connects to.

  "headersHelper": "mcpauth headers wiki"`,
		Args:              takes("the name or URL of at most one server", 0, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.server = args[0]
			}
			return printHeaders(cmd.Context(), a, o)
		},
	}
	c.Flags().StringVar(&o.format, "format", "json", "json, header, curl or bazel")
	askFlags(c, &o.ask)
	return c
}

func printHeaders(ctx context.Context, a *app, o headersOptions) error {
	write, ok := deliver.Headers[o.format]
	if !ok {
		return &usageError{text: "unknown format " + o.format, hint: "json, header, curl or bazel"}
	}
	open := a.open
	if o.server != "" && a.env.Getenv(claudeURL) == "" {
		open = func() error { return a.openFor(o.server) }
	}
	if err := open(); err != nil {
		return err
	}
	name, err := o.serverFor(a)
	if err != nil {
		return err
	}
	t, err := getToken(ctx, a, name, o.ask, (*token.Source).GetForHelper)
	if err != nil {
		return err
	}
	return write(a.env.Stdout, t)
}

// claudeURL is the variable that says where a client is about to connect to.
const claudeURL = "CLAUDE_CODE_MCP_SERVER_URL"

// serverFor finds the server that is meant. A client that tells to which URL it
// is about to connect must mean the configured one: otherwise a project's own
// file could have the token of a server sent somewhere else.
func (o headersOptions) serverFor(a *app) (string, error) {
	url := a.env.Getenv(claudeURL)
	name := o.server
	if name == "" {
		name = a.env.Getenv("CLAUDE_CODE_MCP_SERVER_NAME")
	}
	if name == "" && url == "" {
		return "", &usageError{text: "which server?", hint: "mcpauth headers SERVER"}
	}
	if url == "" {
		return name, nil
	}
	byURL, err := a.cfg.Server(url)
	if err != nil {
		if name != "" {
			return "", &wrongURL{server: name, url: url}
		}
		return "", err
	}
	if o.server != "" {
		byName, err := a.cfg.Server(o.server)
		if err != nil {
			return "", err
		}
		if byName.URL != byURL.URL {
			return "", &wrongURL{server: o.server, url: url}
		}
		return byName.Name, nil
	}
	return byURL.Name, nil
}

// wrongURL says that a client wants to send a server's token elsewhere.
type wrongURL struct{ server, url string }

func (e *wrongURL) Error() string {
	return fmt.Sprintf("the MCP client connects to %q, which is not the URL of the server %q", bare(e.url), e.server)
}
