package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Main runs one command and returns its exit code.
func Main(ctx context.Context, env Env) int {
	a := &app{env: env}
	root := newRootFor(a, env.Args)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := room()
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	defer a.end(ctx)
	if err == nil {
		return exitOK
	}
	var child *childExit
	if errors.As(err, &child) {
		return child.code
	}
	r := explain(err)
	if ctx.Err() != nil {
		r = report{Exit: exitUnexpected, Code: "interrupted", Message: "interrupted"}
	}
	r.print(env.Stderr, a.json)
	return r.Exit
}

// newRootFor builds the command that was typed, and all of them when that is not
// clear: all take as long to build as a token from the cache takes to print.
func newRootFor(a *app, args []string) *cobra.Command {
	if len(args) > 0 && args[0] == "token" {
		return newBareRoot(a, newToken(a))
	}
	if len(args) > 0 && args[0] == "headers" {
		return newBareRoot(a, newHeaders(a))
	}
	return newRoot(a)
}

func newBareRoot(a *app, only *cobra.Command) *cobra.Command {
	root := rootOf(a)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(only)
	return root
}

func newRoot(a *app) *cobra.Command {
	root := rootOf(a)
	root.PersistentPreRun = func(*cobra.Command, []string) { a.catchSignals() }
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Sign in:", []*cobra.Command{newLogin(a), newLogout(a), newStatus(a)}},
		{"Servers:", []*cobra.Command{newServer(a), newExplain(a), newWarm(a)}},
		{"MCP clients:", []*cobra.Command{newSetup(a), newTeardown(a), newImport(a), newBridge(a), newProxy(a)}},
		{"Tokens, for scripts and programs:", []*cobra.Command{newToken(a), newHeaders(a), newExec(a), newEnv(a), newIDJAG(a)}},
		{"For administrators:", []*cobra.Command{newCIMD(a), newKeys(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, c := range group.commands {
			c.GroupID = group.title
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(a))
	return root
}

func rootOf(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpauth",
		Short: "One sign-in, and an access token for every MCP server your company allows",
		Long: `mcpauth gives every MCP client on this computer an access token for every MCP
server that your company allows, from one sign-in and without consent screens.

  mcpauth login --issuer https://acme.okta.example --client-id 0oa1b2c3
  mcpauth server add wiki https://wiki.example/mcp --client-id wiki-mcp
  mcpauth token wiki

Standard output is the answer, standard error the conversation.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.flags.Config, "config", "", "read this configuration `file`")
	flags.StringVar(&a.flags.CAFile, "ca-file", "", "also trust the certificate authorities in this PEM `file`")
	flags.StringVar(&a.flags.IdP, "idp", "", "use the identity provider with this `name`")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "tell on standard error what is asked of whom (never secrets)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{text: err.Error(), hint: cmd.CommandPath() + " --help"}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	return root
}

// usageError is a mistake in what was typed or configured.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// takes demands a number of arguments, and says which.
func takes(what string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return &usageError{text: fmt.Sprintf("%s needs %s", cmd.CommandPath(), what), hint: cmd.CommandPath() + " --help"}
		case len(args) > most:
			return &usageError{text: fmt.Sprintf("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args)), hint: cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// noArgs is for commands that take none. Of a command that has commands below it
// what was typed is probably one of them.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasSubCommands():
		return &usageError{text: fmt.Sprintf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]), hint: cmd.CommandPath() + " --help"}
	}
	cmd.SuggestionsMinimumDistance = 2 // typing mistakes; cobra sets this only in its own message
	hint := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean: " + cmd.CommandPath() + " " + near[0]
	}
	return &usageError{text: fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0]), hint: hint}
}

// serverNames completes the names of configured servers.
func serverNames(a *app) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 && a.open() == nil {
			for _, s := range a.cfg.Servers() {
				names = append(names, s.Name+"\t"+s.URL)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (r report) print(w io.Writer, asJSON bool) {
	if asJSON {
		type body struct {
			Code    string `json:"code"`
			Stage   string `json:"stage,omitempty"`
			Message string `json:"message"`
			Hint    string `json:"hint,omitempty"`
			Server  string `json:"server,omitempty"`
		}
		_ = writeJSON(w, struct {
			Version int  `json:"version"`
			Error   body `json:"error"`
		}{1, body{r.Code, string(r.Stage), r.Message, strings.Join(r.Hints, "; "), r.Server}})
		return
	}
	fmt.Fprintf(w, "mcpauth: %s\n", wire.Clean(r.Message))
	if r.Says != "" {
		fmt.Fprintf(w, "%s says: %q\n", r.SaysWho, wire.Clean(r.Says))
	}
	for _, fact := range r.Facts {
		fmt.Fprintf(w, "  %s\n", wire.Clean(fact))
	}
	for _, hint := range r.Hints {
		fmt.Fprintf(w, "hint: %s\n", wire.Clean(hint))
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

// maxSecret is more than any token or secret has.
const maxSecret = 256 << 10

// readSecret reads one secret from standard input, up to a bound no real one
// reaches.
func readSecret(r io.Reader, flag string) (secret.Text, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	switch {
	case err != nil:
		return secret.Text{}, fmt.Errorf("read standard input for %s: %w", flag, err)
	case len(b) > maxSecret:
		return secret.Text{}, &usageError{text: flag + ": standard input is too long for a secret"}
	}
	s := strings.TrimRight(strings.TrimPrefix(string(b), "\ufeff"), "\r\n") // PowerShell may begin with a mark
	if s == "" || strings.ContainsAny(s, "\r\n\x00") {
		return secret.Text{}, &usageError{text: flag + " wants one line on standard input", hint: "printf %s \"$SECRET\" | mcpauth … " + flag}
	}
	return secret.New(s), nil
}

func isAny[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}
