package cli

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/deliver/clients"
	"github.com/mcpauth/mcpauth/internal/state"
)

type setupOptions struct {
	list    bool
	request clients.Request
}

func newSetup(a *app) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup CLIENT [SERVER]...",
		Short: "Write servers into an MCP client's own configuration",
		Long: `Make an MCP client use mcpauth for these servers, or for all that are configured.
Claude Code and Codex run "mcpauth headers" at each connection; all others, and all
for a server whose tokens are bound to a key, start "mcpauth bridge". Comments, order and foreign entries stay, and the first change
leaves a copy of the file beside it. "mcpauth teardown" takes the entries out.

  mcpauth setup --list
  mcpauth setup claude-code
  mcpauth setup cursor wiki --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return noArgs(cmd, args)
			}
			return takes("the name of a client; to see them: mcpauth setup --list", 1, 1000)(cmd, args)
		},
		ValidArgsFunction: clientNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.json && !o.list {
				return &usageError{text: "--json goes with --list", hint: "mcpauth setup --list --json"}
			}
			if err := a.open(); err != nil {
				return err
			}
			if o.list {
				return listClients(a)
			}
			return setUpClient(cmd.Context(), a, args[0], args[1:], o.request)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.list, "list", false, "list the clients: which are installed, which are set up")
	f.BoolVar(&a.json, "json", false, "print the list as JSON")
	f.BoolVar(&o.request.DryRun, "dry-run", false, "print the difference and change nothing")
	f.BoolVar(&o.request.Force, "force", false, "replace entries of the same name that are not mcpauth's")
	f.BoolVar(&o.request.Bridge, "bridge", false, "write the bridge even where the client can run a header helper")
	return c
}

func setUpClient(ctx context.Context, a *app, id string, names []string, q clients.Request) error {
	c, err := findClient(id)
	if err != nil {
		return err
	}
	if q.Servers, err = a.serversFor(names); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of mcpauth: %w", err)
	}
	q.Run = clients.Run{Program: c.Program(a.place(), self), Flags: a.flagsToKeep(), OS: runtime.GOOS}
	if c.Paste != "" {
		text, err := c.Snippet(q)
		if err != nil {
			return err
		}
		fmt.Fprint(a.env.Stdout, text)
		a.say("%s has no file that a program may edit: paste this yourself", c.Name)
		a.hint("in the IDE: %s", c.Paste)
		return nil
	}
	if !c.Installed(a.place()) {
		a.warn(c.Name + " does not seem to be installed here")
	}
	ch, err := a.editor().Setup(ctx, c, q)
	if err != nil {
		return err
	}
	if !q.DryRun && ch.Changes() {
		a.pointer() // clients start mcpauth with fewer variables
	}
	return a.tellSetup(c, q, ch)
}

func (a *app) tellSetup(c clients.Client, q clients.Request, ch clients.Change) error {
	for _, name := range ch.Rivals {
		a.warn(fmt.Sprintf("the entry %q in %s has the same URL; with both, %s connects twice, once with its own sign-in", name, ch.Path, c.Name))
	}
	if c.EMA != "" {
		a.say("%s can do enterprise-managed sign-in by itself as well (%s): for each server use that or mcpauth, not both", c.Name, c.EMA)
	}
	if q.DryRun {
		return a.difference(ch)
	}
	for _, did := range []struct {
		what  string
		names []string
	}{{"added to", ch.Added}, {"replaced in", ch.Replaced}, {"already in", ch.Same}} {
		if len(did.names) > 0 {
			a.say("%s %s: %s", did.what, ch.Path, strings.Join(did.names, ", "))
		}
	}
	if ch.Backup != "" {
		a.say("the file as it was: %s", ch.Backup)
	}
	if ch.Changes() {
		a.hint("%s", c.Next)
	}
	return nil
}

// difference prints what would change. It is the answer of a dry run.
func (a *app) difference(ch clients.Change) error {
	if !ch.Changes() {
		a.say("nothing to change in %s", ch.Path)
		return nil
	}
	before, after := ch.Path, ch.Path
	if ch.Before == nil {
		before = os.DevNull
	}
	if ch.After == nil {
		after = os.DevNull
	}
	_, err := a.env.Stdout.Write(diff.Diff(before, ch.Before, after, ch.After))
	return err
}

// serversFor finds the servers with these names or URLs; without names all of them.
func (a *app) serversFor(names []string) (list []clients.Server, err error) {
	record, err := a.recorded()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		s, err := a.cfg.Server(name)
		if err != nil {
			return nil, err
		}
		list = append(list, a.clientServer(s, record))
	}
	if len(names) > 0 {
		return list, nil
	}
	for _, s := range a.cfg.Servers() {
		list = append(list, a.clientServer(s, record))
	}
	if len(list) == 0 {
		return nil, &usageError{text: "no servers are configured", hint: "mcpauth server add NAME URL --client-id ID"}
	}
	return list, nil
}

func (a *app) clientServer(s config.Server, record state.File) clients.Server {
	bound := s.OAuth.DPoPOrDefault() == "required" || record.Servers[s.URL].DPoP
	return clients.Server{Name: s.Name, URL: s.URL, Bound: bound}
}

// flagsToKeep are those without which a call by a client, which has no variables
// and no flags of its own, would find another configuration.
func (a *app) flagsToKeep() (flags []string) {
	if a.flags.Config != "" || a.env.Getenv("MCPAUTH_CONFIG") != "" {
		flags = append(flags, "--config", a.cfg.Path)
	}
	if a.flags.CAFile != "" || a.env.Getenv("MCPAUTH_CA_FILE") != "" {
		flags = append(flags, "--ca-file", a.cfg.CAFile())
	}
	if idp := a.flags.IdP; idp != "" {
		flags = append(flags, "--idp", idp)
	}
	return flags
}

func (a *app) place() clients.Place {
	return clients.Place{OS: runtime.GOOS, Home: a.env.Home, Getenv: a.env.Getenv}
}

func (a *app) editor() clients.Editor { return clients.Editor{Place: a.place(), State: a.state} }

func (a *app) hint(format string, args ...any) {
	fmt.Fprintf(a.env.Stderr, "hint: %s\n", fmt.Sprintf(format, args...))
}

func findClient(id string) (clients.Client, error) {
	c, ok := clients.Find(id)
	if !ok {
		return clients.Client{}, &usageError{text: fmt.Sprintf("there is no client %q", id), hint: "mcpauth setup --list"}
	}
	return c, nil
}

// clientStatus is a client in the list.
type clientStatus struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Installed bool     `json:"installed"`
	Form      string   `json:"form"` // "helper", "bridge" or "paste"
	File      string   `json:"file,omitempty"`
	Servers   []string `json:"servers"`
	OwnSignIn string   `json:"ownSignIn,omitempty"`
}

func listClients(a *app) error {
	list := []clientStatus{}
	for _, c := range clients.All() {
		s := clientStatus{ID: c.ID, Name: c.Name, Installed: c.Installed(a.place()), Form: "bridge", File: c.File(a.place()), OwnSignIn: c.EMA}
		switch {
		case c.Paste != "":
			s.Form = "paste"
		case c.Helper():
			s.Form = "helper"
		}
		ours, err := c.Ours(a.place())
		if err != nil {
			a.warn(err.Error())
		}
		s.Servers = append([]string{}, ours...)
		list = append(list, s)
	}
	if a.json {
		return writeJSON(a.env.Stdout, struct {
			Version int            `json:"version"`
			Clients []clientStatus `json:"clients"`
		}{1, list})
	}
	tw := tabwriter.NewWriter(a.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CLIENT\tINSTALLED\tSET UP FOR\tFORM\tFILE")
	for _, s := range list {
		installed := "-"
		if s.Installed {
			installed = "yes"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.ID, installed, dash(strings.Join(s.Servers, ", ")), s.Form, dash(s.File))
	}
	return tw.Flush()
}

// clientNames completes a client, then the names of servers.
func clientNames(a *app) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			for _, c := range clients.All() {
				names = append(names, c.ID+"\t"+c.Name)
			}
		} else if a.open() == nil {
			for _, s := range a.cfg.Servers() {
				names = append(names, s.Name+"\t"+s.URL)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
