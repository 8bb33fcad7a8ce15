package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/deliver/clients"
)

func newImport(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "import",
		Short: "Take over what another program was configured with",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use:   "vscode",
		Short: "Take over VS Code's own enterprise-managed sign-in and its servers",
		Long: `Read the setting "mcp.enterpriseManagedAuth.idp" of VS Code and the managed
servers in its mcp.json, and write both into mcpauth's configuration. VS Code's
files stay as they are. Each server is pinned to its authorization server at its
first use. Client secrets do not come along: VS Code keeps them where only it can
read them.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			idp := a.flags.IdP
			a.flags.IdP = "" // here it names what may not be there yet
			if err := a.open(); err != nil {
				return err
			}
			return importVSCode(cmd.Context(), a, idp)
		},
	})
	return c
}

// importVSCode writes the identity provider under the given name, "" for the
// default one.
func importVSCode(ctx context.Context, a *app, idpName string) error {
	n, err := clients.VSCode(a.place())
	if err != nil {
		return err
	}
	if n.Issuer == "" || n.ClientID == "" {
		return &usageError{
			text: fmt.Sprintf("%s has no mcp.enterpriseManagedAuth.idp with an issuer and a clientId", n.Path),
			hint: "mcpauth login --issuer https://your-company.example --client-id ID",
		}
	}
	known, ok := a.knownIdP(idpName)
	if ok && (known.Issuer != n.Issuer || known.IdPClientID != n.ClientID) {
		return &usageError{
			text: fmt.Sprintf("the configuration has another identity provider already: %q", known.Issuer),
			hint: "keep both: mcpauth import vscode --idp vscode",
		}
	}
	var added, kept []config.Server
	for _, native := range n.Servers {
		s := config.Server{
			Name: serverName(native.Name), Type: "http", URL: native.URL,
			OAuth: config.OAuth{ASClientID: native.ClientID},
		}
		if old, err := a.cfg.Server(s.Name); err == nil {
			if old.URL != s.URL {
				a.warn(fmt.Sprintf("left out %q: there is a server of that name with another URL", native.Name))
			}
			kept = append(kept, old)
			continue
		}
		if s.OAuth.ASClientID == "" {
			a.warn(fmt.Sprintf("left out %q: it has no oauth.clientId; add it with mcpauth server add", native.Name))
			continue
		}
		if err := config.Validate(s.Name, s); err != nil {
			a.warn(fmt.Sprintf("left out %q: %v", native.Name, err))
			continue
		}
		if slices.ContainsFunc(added, func(other config.Server) bool { return other.Name == s.Name }) {
			a.warn(fmt.Sprintf("left out %q: another server becomes %s as well", native.Name, s.Name))
			continue
		}
		s.OAuth.IdP = idpName
		added = append(added, s)
	}
	if ok && len(added) == 0 {
		a.say("nothing new: the identity provider is known, and so are %d servers", len(kept))
		return nil
	}
	err = config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error {
		if !ok {
			if err := d.SetIdP(idpName, config.IdP{Issuer: n.Issuer, IdPClientID: n.ClientID}); err != nil {
				return err
			}
		}
		for _, s := range added {
			if err := d.SetServer(s.Name, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.pointer()
	if !ok {
		a.say("took over the identity provider %q with the client id %q", n.Issuer, n.ClientID)
	}
	for _, s := range added {
		a.say("took over %s: %s", s.Name, bare(s.URL))
	}
	a.say("client secrets have to be entered again: with login, and with clientAuth of a server")
	a.hint("%s", login(idpName))
	return nil
}

func (a *app) knownIdP(name string) (config.IdP, bool) {
	if name == "" {
		name = config.DefaultIdP
	}
	for _, p := range a.cfg.IdPs() {
		if p.Name == name {
			return p, true
		}
	}
	return config.IdP{}, false
}

// serverName makes one that mcpauth takes out of one that VS Code takes.
func serverName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, name), "._-")
}
