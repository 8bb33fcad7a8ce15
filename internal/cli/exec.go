package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mcpauth/mcpauth/internal/deliver"
	"github.com/mcpauth/mcpauth/internal/token"
)

// sideBySide is how many tokens are got at the same time.
const sideBySide = 64

// manyTime is the longest to wait for a number of tokens. No MCP client waits
// behind these commands.
const manyTime = 30 * time.Second

// variablesOptions are what exec and env have in common.
type variablesOptions struct {
	servers []string
	names   []string // of the variables: NAME or SERVER=NAME
	ask     token.Ask
}

func (o *variablesOptions) bind(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.names, "env", nil, "the variable: `[SERVER=]NAME`; may be repeated (default MCPAUTH_ACCESS_TOKEN, for several servers MCPAUTH_ACCESS_TOKEN_SERVER)")
	askFlags(c, &o.ask)
	flag := c.Flags().Lookup("min-ttl") // a variable is used long after it was set
	flag.DefValue = "5m0s"
	o.ask.MinTTL = 5 * time.Minute
}

func newExec(a *app) *cobra.Command {
	var o variablesOptions
	c := &cobra.Command{
		Use:   "exec SERVER… -- COMMAND [ARGUMENT…]",
		Short: "Run a command with access tokens in its environment",
		Long: `Run a command with the access token of each server in a variable. The tokens are not
renewed while the command runs; when they expire is told on standard error. Every
program that the command starts inherits them.

  mcpauth exec wiki -- ./index-pages
  mcpauth exec wiki tickets --env wiki=WIKI_TOKEN --env tickets=TICKETS_TOKEN -- codex`,
		ValidArgsFunction: serverNames(a),
		Args: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 1 || dash == len(args) {
				return &usageError{text: "mcpauth exec needs servers, then --, then a command", hint: "mcpauth exec --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			o.servers = args[:dash]
			return runExec(cmd.Context(), a, o, args[dash:])
		},
	}
	o.bind(c)
	return c
}

func runExec(ctx context.Context, a *app, o variablesOptions, argv []string) error {
	// Before anybody is asked for a token.
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return &usageError{text: fmt.Sprintf("%q cannot be run: %v", argv[0], errors.Unwrap(err))}
	}
	vars, err := getVariables(ctx, a, o)
	if err != nil {
		return err
	}
	var names []string
	for _, v := range vars {
		names = append(names, v.Name)
	}
	var environ []string
	if a.env.Environ != nil {
		environ = a.env.Environ()
	}
	environ = slices.DeleteFunc(environ, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(names, func(n string) bool { return deliver.SameName(n, name) })
	})
	for _, v := range vars {
		environ = append(environ, v.Name+"="+v.Value.Reveal())
	}
	a.finish(ctx) // the program is about to become another one
	return a.env.run(ctx, path, argv, environ)
}

// childExit is the exit code of a program that was run in our place. It is not one
// of ours, and there is nothing to say.
type childExit struct{ code int }

func (e *childExit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// getVariables gets a token for each server and tells when it expires.
func getVariables(ctx context.Context, a *app, o variablesOptions) ([]deliver.Variable, error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	var sources []*token.Source
	var servers []string
	for _, arg := range o.servers {
		s, err := a.source(arg)
		if err != nil {
			return nil, err
		}
		if slices.Contains(servers, s.Server.Name) {
			return nil, &usageError{text: "the server " + s.Server.Name + " is given twice"}
		}
		sources, servers = append(sources, s), append(servers, s.Server.Name)
	}
	names, err := deliver.Names(servers, o.names)
	if err != nil {
		return nil, &usageError{text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(a.insisting(ctx), manyTime)
	defer cancel()
	tokens := make([]token.Token, len(sources))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for i, s := range sources {
		g.Go(func() (err error) {
			tokens[i], err = s.Get(gctx, o.ask)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var vars []deliver.Variable
	for i, t := range tokens {
		v, err := deliver.NewVariable(names[i], t)
		if err != nil {
			return nil, err
		}
		for _, w := range t.Warnings {
			a.warn(w)
		}
		left := t.Expires.Sub(a.env.now())
		if left < o.ask.MinTTL {
			a.say("warning: the tokens of %s are good for %s only, less than --min-ttl", servers[i], left.Round(time.Second))
		}
		a.say("%s has the token of %s until %s", v.Name, servers[i], t.Expires.Local().Format(time.DateTime))
		vars = append(vars, v)
	}
	return vars, nil
}
