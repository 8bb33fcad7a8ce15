package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/deliver"
)

func newEnv(a *app) *cobra.Command {
	var o variablesOptions
	var format string
	c := &cobra.Command{
		Use:   "env SERVER…",
		Short: "Print access tokens as assignments for a shell",
		Long: `Print the access token of each server as an assignment to a variable.

  eval "$(mcpauth env wiki)"                             sh, bash, zsh
  mcpauth env wiki --format fish | source
  mcpauth env wiki --format pwsh | Invoke-Expression
  mcpauth env wiki tickets --format dotenv > .env        which then holds secrets`,
		Args:              takes("the names or URLs of servers", 1, 1<<10),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.servers = args
			return printEnv(cmd.Context(), a, o, format)
		},
	}
	c.Flags().StringVar(&format, "format", "sh", "sh, fish, pwsh, dotenv or json")
	o.bind(c)
	return c
}

func printEnv(ctx context.Context, a *app, o variablesOptions, format string) error {
	write, ok := deliver.Shells[format]
	if !ok {
		return &usageError{text: "unknown format " + format, hint: "sh, fish, pwsh, dotenv or json"}
	}
	vars, err := getVariables(ctx, a, o)
	if err != nil {
		return err
	}
	return write(a.env.Stdout, vars)
}
