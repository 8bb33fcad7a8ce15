package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/deliver/clients"
)

func newTeardown(a *app) *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use:   "teardown CLIENT [SERVER]...",
		Short: "Take out of an MCP client's configuration what setup wrote",
		Long: `Take the entries that start mcpauth out of an MCP client's configuration: those
of these servers, or all. A file that nobody has changed since "mcpauth setup" is
put back byte for byte; otherwise everything but the entries stays.`,
		Args:              takes("the name of a client; to see them: mcpauth setup --list", 1, 1000),
		ValidArgsFunction: clientNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.open(); err != nil {
				return err
			}
			return tearDownClient(cmd.Context(), a, args[0], args[1:], dryRun)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the difference and change nothing")
	return c
}

func tearDownClient(ctx context.Context, a *app, id string, names []string, dryRun bool) error {
	c, err := findClient(id)
	if err != nil {
		return err
	}
	if c.Paste != "" {
		a.say("%s has no file that a program may edit: take the servers out yourself", c.Name)
		a.hint("in the IDE: %s", c.Paste)
		return nil
	}
	var servers []clients.Server
	for _, name := range names {
		// A server may be gone from the configuration, and its entry still be there.
		s := clients.Server{Name: name}
		if known, err := a.cfg.Server(name); err == nil {
			s.Name = known.Name
		}
		servers = append(servers, s)
	}
	ch, err := a.editor().Teardown(ctx, c, servers, dryRun)
	switch {
	case err != nil:
		return err
	case dryRun:
		return a.difference(ch)
	case len(ch.Removed) == 0:
		a.say("nothing of mcpauth's to take out of %s", ch.Path)
	case ch.After == nil:
		a.say("removed %s, which mcpauth had made", ch.Path)
	default:
		a.say("removed from %s: %s", ch.Path, strings.Join(ch.Removed, ", "))
	}
	if ch.Backup != "" {
		a.say("the file has changed since setup; the copy from then is still there: %s", ch.Backup)
	}
	return nil
}
