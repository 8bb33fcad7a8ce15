package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/token"
)

func newIDJAG(a *app) *cobra.Command {
	var ask token.Ask
	c := &cobra.Command{
		Use:   "id-jag SERVER",
		Short: "Print a fresh ID-JAG for a server, for programs that redeem it themselves",
		Long: `Print a fresh ID-JAG: the signed grant with which a program that has its own
client credentials gets an access token from the server's authorization server.
It is good for one use and a few minutes, and is not kept.`,
		Args:              takes("the name or URL of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printIDJAG(cmd.Context(), a, args[0], ask)
		},
	}
	c.Flags().StringArrayVar(&ask.Scopes, "scope", nil, "a `scope` to ask for instead of the configured ones; may be repeated")
	return c
}

func printIDJAG(ctx context.Context, a *app, server string, ask token.Ask) error {
	if err := a.open(); err != nil {
		return err
	}
	s, err := a.source(server)
	if err != nil {
		return err
	}
	c, err := s.Grant(ctx, ask)
	if err != nil {
		return err
	}
	for _, w := range c.Grant.Warnings {
		a.warn(w)
	}
	_, err = fmt.Fprintln(a.env.Stdout, c.Grant.Assertion.Reveal())
	return err
}
