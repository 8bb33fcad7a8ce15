package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
)

func newServer(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "server",
		Short: "Name the servers: add, list, remove, trust",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newServerAdd(a), newServerList(a), newServerRemove(a), newServerTrust(a))
	return c
}

func newServerList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the configured servers",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.open(); err != nil {
				return err
			}
			return listServers(a)
		},
	}
	c.Flags().BoolVar(&a.json, "json", false, "print as JSON")
	return c
}

func listServers(a *app) error {
	f, err := a.recorded()
	if err != nil {
		return err
	}
	list := []serverStatus{}
	for _, s := range a.cfg.Servers() {
		list = append(list, serverOf(s, f.Servers[s.URL]))
	}
	if a.json {
		return writeJSON(a.env.Stdout, struct {
			Version int            `json:"version"`
			Servers []serverStatus `json:"servers"`
		}{1, list})
	}
	if len(list) == 0 {
		a.say("no servers are configured")
		fmt.Fprintln(a.env.Stderr, "hint: mcpauth server add NAME URL --client-id ID")
		return nil
	}
	tw := tabwriter.NewWriter(a.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tURL\tAUTHORIZATION SERVER\tPINNED BY")
	for _, s := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Name, s.URL, dash(s.AS), dash(s.Pinned))
	}
	return tw.Flush()
}

func newServerRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a server, its tokens and its client secret",
		Args:              takes("the name of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.open(); err != nil {
				return err
			}
			return removeServer(cmd.Context(), a, args[0])
		},
	}
}

func removeServer(ctx context.Context, a *app, name string) error {
	s, err := a.cfg.Server(name)
	if err != nil {
		return err
	}
	if other := a.namesake(s); other != "" { // whose record it is as well: its pin, and that it was managed
		if err := config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error { return d.RemoveServer(s.Name) }); err != nil {
			return err
		}
		a.say("removed %s; what is known of its URL stays, since it is that of %s", s.Name, other)
		return nil
	}
	v, err := a.store()
	if err != nil {
		return err
	}
	f, err := a.recorded()
	if err != nil {
		return err
	}
	r := f.Servers[s.URL]
	if err := token.Discard(v, r); err != nil {
		return err
	}
	if err := a.forgetConsent(ctx, s); err != nil {
		return err
	}
	if err := v.Delete(ctx, token.DPoPKeyItem(s.URL)); err != nil && !errors.Is(err, vault.ErrNotFound) {
		return err
	}
	if as := serverOf(s, r).AS; as != "" && !a.sharesClient(s) {
		if err := v.Delete(ctx, identity.ClientSecretItem(as, s.OAuth.ASClientID)); err != nil {
			return err
		}
	}
	if err := config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error { return d.RemoveServer(s.Name) }); err != nil {
		return err
	}
	if err := a.state.Update(ctx, func(f *state.File) error { delete(f.Servers, s.URL); return nil }); err != nil {
		return err
	}
	a.say("removed %s", s.Name)
	return nil
}

// namesake is the name of another server with the same URL.
func (a *app) namesake(s config.Server) string {
	for _, other := range a.cfg.Servers() {
		if other.Name != s.Name && other.URL == s.URL {
			return other.Name
		}
	}
	return ""
}

// sharesClient reports whether another server uses the same client, so that its
// secret must stay.
func (a *app) sharesClient(s config.Server) bool {
	for _, other := range a.cfg.Servers() {
		if other.Name != s.Name && other.OAuth.ASClientID == s.OAuth.ASClientID {
			return true
		}
	}
	return false
}

func newServerTrust(a *app) *cobra.Command {
	var yes bool
	var clientID string
	c := &cobra.Command{
		Use:   "trust NAME",
		Short: "Accept that a server now has another authorization server",
		Long: `Ask the server which authorization server it has now, show it beside the one it
is pinned to, and pin the new one if you agree. Do this only when the server's
owner has announced the change: who controls the authorization server gets to
see your company's assertions about you.`,
		Args:              takes("the name of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.open(); err != nil {
				return err
			}
			return trustServer(cmd.Context(), a, args[0], yes, clientID)
		},
	}
	c.Flags().StringVar(&clientID, "client-id", "", "the client `ID` that the new authorization server gave to mcpauth")
	c.Flags().BoolVar(&yes, "yes", false, "agree without being asked")
	return c
}

func trustServer(ctx context.Context, a *app, name string, yes bool, clientID string) error {
	s, err := a.source(name)
	if err != nil {
		return err
	}
	if s.Server.OAuth.Issuer != "" {
		return &usageError{
			text: fmt.Sprintf("the configuration pins %s to %q", s.Server.Name, s.Server.OAuth.Issuer),
			hint: "change mcpServers." + s.Server.Name + ".oauth.issuer in " + a.cfg.Path,
		}
	}
	place, err := s.Look(ctx)
	if err != nil {
		return err
	}
	f, err := a.recorded()
	if err != nil {
		return err
	}
	before := f.Servers[s.Server.URL].Issuer
	if before == place.AS {
		a.say("%s has the authorization server it is pinned to: %q", s.Server.Name, place.AS)
		return nil
	}
	a.say("%s is pinned to %q and now names %q", s.Server.Name, dash(before), place.AS)
	if clientID == "" && s.BoundToIssuer() {
		return &usageError{
			text: fmt.Sprintf("the client id %q is for %q only; the new authorization server gives its own", s.Server.OAuth.ASClientID, dash(before)),
			hint: "ask the server's owner, then: mcpauth server trust " + name + " --client-id ID",
		}
	}
	if !yes {
		if err := a.agree("use the new authorization server?"); err != nil {
			return err
		}
	}
	if err := a.forgetConsent(ctx, s.Server); err != nil {
		return err
	}
	if clientID != "" && clientID != s.Server.OAuth.ASClientID {
		s.Server.OAuth.ASClientID = clientID
		if err := usable(ctx, s.Server); err != nil {
			return err
		}
		if err := config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error { return d.SetServer(s.Server.Name, s.Server) }); err != nil {
			return err
		}
	}
	if err := s.Trust(ctx, place); err != nil {
		return err
	}
	a.say("%s is now pinned to %q", s.Server.Name, place.AS)
	return a.dropSecretOf(ctx, before, s.Server)
}

// dropSecretOf forgets the secret that the former authorization server gave:
// credentials of one are nothing to another (protocol rule 5.5).
func (a *app) dropSecretOf(ctx context.Context, before string, s config.Server) error {
	if before == "" || s.OAuth.ClientAuth.HasSecret() || s.OAuth.ClientAuth.KeyFile != "" || a.sharesClient(s) {
		return nil
	}
	item := identity.ClientSecretItem(before, s.OAuth.ASClientID)
	_, err := a.vault.Get(ctx, item)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = a.vault.Delete(ctx, item)
	}
	if err != nil {
		return err
	}
	a.say("the client secret was for %q only and is dropped; enter the one for the new authorization server", before)
	fmt.Fprintf(a.env.Stderr, "hint: mcpauth server remove %s\nhint: mcpauth server add %s %s --client-id ID --client-secret-stdin\n", s.Name, s.Name, s.URL)
	return nil
}

// agree asks a person, and takes anything but yes for no.
func (a *app) agree(question string) error {
	if !a.env.Terminal {
		return &usageError{text: "nobody is here to be asked: " + question, hint: "a person has to look at both, in a terminal"}
	}
	fmt.Fprintf(a.env.Stderr, "mcpauth: %s [y/N] ", question)
	var answer string
	_, _ = fmt.Fscanln(a.env.Stdin, &answer) // no answer is a no
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return &usageError{text: "nothing was changed"}
	}
	return nil
}
