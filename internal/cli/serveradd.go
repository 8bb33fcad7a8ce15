package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

type serverAddOptions struct {
	server      config.Server
	store       config.Store
	secretStdin bool
	noResource  bool
	noScope     bool
	noRegister  bool
}

func newServerAdd(a *app) *cobra.Command {
	var o serverAddOptions
	c := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Name a server, find its authorization server and pin it",
		Long: `Ask a server who issues its tokens, show that, and remember both under a name.
From then on another authorization server stops every command until you agree
with "mcpauth server trust".

A server that your company manages needs the client id that mcpauth has at its
authorization server:

  mcpauth server add wiki https://wiki.example/mcp --client-id wiki-mcp --client-secret-stdin

Another server may be used with your own consent, if it is added so; then
"mcpauth login NAME" asks you once:

  mcpauth server add tracker https://tracker.example/mcp --mode oauth

Modes: ema (your company decides), oauth (you do), auto (what the authorization
server offers and your organisation allows), client_credentials (the client's own
rights, for scripts), workload (the platform that a script runs on vouches for it).`,
		Args: takes("a name and a URL", 2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.server.Name, o.server.URL = args[0], args[1]
			return addServer(cmd.Context(), a, o)
		},
	}
	f := c.Flags()
	oauth := &o.server.OAuth
	f.StringVar(&oauth.Mode, "mode", "", "who says yes: ema, oauth, auto, client_credentials or workload (default ema)")
	f.StringVar(&oauth.ASClientID, "client-id", "", "the client `ID` at the server's authorization server, or the URL of a client metadata document")
	f.StringVar(&oauth.ClientAuth.Method, "client-auth", "", "the client authentication `method` there (default: by its metadata)")
	f.StringVar(&oauth.ClientAuth.SecretFile, "client-secret-file", "", "the `file` that holds the client secret")
	f.BoolVar(&o.secretStdin, "client-secret-stdin", false, "read the client secret from standard input and keep it")
	f.StringVar(&oauth.ClientAuth.KeyFile, "client-key-file", "", "the private key `file` for private_key_jwt, PEM or JWK")
	f.StringVar(&oauth.ClientAuth.KeyID, "client-key-id", "", "the key `ID` (kid) to name in assertions (default: the JWK's, or its thumbprint)")
	f.StringVar(&oauth.ClientAuth.KeyName, "client-key", "", "the `NAME` of a private key that \"mcpauth keys generate\" made")
	f.StringArrayVar(&oauth.Scopes, "scope", nil, "a `scope` to ask for; may be repeated (default: those that the server lists)")
	f.StringArrayVar(&oauth.MaxScopes, "max-scope", nil, "a `scope` that the server may ask for later; may be repeated (default: any that is granted)")
	f.StringVar(&oauth.Issuer, "issuer", "", "the authorization server's issuer `URL`, if the server names none or several")
	f.BoolVar(&o.noResource, "no-resource", false, "leave out the resource parameter, for servers that cannot take it")
	f.BoolVar(&o.noScope, "no-scope", false, "leave out the scope parameter")
	f.BoolVar(&o.noRegister, "no-registration", false, "never have the authorization server register mcpauth as a new client")
	f.BoolVar(&oauth.LegacyDiscovery, "legacy-discovery", false, "for a server of MCP 2025-03-26, whose own origin is its authorization server")
	f.StringVar(&oauth.DPoP, "dpop", "", "bind tokens to a key: auto, required or off (default auto)")
	f.StringVar(&oauth.RedirectHost, "redirect-host", "", "the loopback `name` in the registered redirect URI (default 127.0.0.1)")
	f.IntVar(&oauth.RedirectPort, "redirect-port", 0, "the `port` in the registered redirect URI (default: any)")
	f.StringVar(&oauth.RedirectPath, "redirect-path", "", "the `path` in the registered redirect URI (default /callback)")
	f.StringVar(&oauth.Workload.TokenFile, "workload-token-file", "", "the `file` with the platform's token, for the mode workload")
	storeFlags(c, &o.store)
	return c
}

func addServer(ctx context.Context, a *app, o serverAddOptions) error {
	s := o.server
	no := false
	if o.noResource {
		s.OAuth.SendResource = &no
	}
	if o.noScope {
		s.OAuth.SendScope = &no
	}
	if o.noRegister {
		s.OAuth.Registration = "off"
	}
	s.Type = "http"
	s.OAuth.IdP = a.flags.IdP
	if o.store != (config.Store{}) {
		a.flags.Store = &o.store
	}
	if err := a.open(); err != nil {
		return err
	}
	if _, err := a.cfg.Server(s.Name); err == nil {
		return &usageError{text: fmt.Sprintf("there is a server %q already", s.Name), hint: "mcpauth server remove " + s.Name}
	}
	mode := s.OAuth.ModeOrDefault()
	needsID := mode == config.ModeClientCredentials || mode == config.ModeWorkload || mode == config.ModeEMA && a.cfg.Client().MetadataURL == ""
	if s.OAuth.ASClientID == "" && needsID {
		add := "mcpauth server add " + s.Name + " " + s.URL
		return &usageError{text: "the server needs --client-id: the client id at its authorization server", hint: "ask the server's owner, then: " + add + " --client-id ID; if your company does not manage it: " + add + " --mode oauth"}
	}
	if err := absolute(&s.OAuth.ClientAuth.SecretFile, &s.OAuth.ClientAuth.KeyFile, &s.OAuth.Workload.TokenFile); err != nil {
		return err
	}
	if s.OAuth.IdP != "" {
		if _, err := a.cfg.IdP(s.OAuth.IdP); err != nil {
			return err
		}
	}
	if err := usable(ctx, s); err != nil {
		return err
	}
	var piped secret.Text
	if o.secretStdin {
		var err error
		if piped, err = readSecret(a.env.Stdin, "--client-secret-stdin"); err != nil {
			return err
		}
	}
	// Where no sign-in comes first, it is here that a configured store begins.
	f, err := a.recorded()
	if err != nil {
		return err
	}
	begins := mode != config.ModeEMA && a.cfg.Store().Kind == "file" && f.Store == nil
	if a.flags.Store != nil || begins {
		if err := a.settle(ctx); err != nil {
			return err
		}
	}
	src, err := a.sourceOf(s)
	if err != nil {
		return err
	}
	place, err := whereIs(ctx, src)
	if err != nil {
		return err
	}
	as, err := src.Metadata(ctx, place.AS)
	if err != nil && s.OAuth.TokenEndpoint == "" {
		return err
	}
	if !piped.IsZero() {
		if err := a.settle(ctx); err != nil {
			return err
		}
		if err := a.keepClientSecret(ctx, place.AS, s.OAuth.ASClientID, piped); err != nil {
			return err
		}
		src.Vault = a.vault
	}
	err = config.Edit(ctx, a.cfg.Path, func(d *config.Doc) error {
		if a.flags.Store != nil {
			if err := d.SetStore(a.cfg.Store()); err != nil {
				return err
			}
		}
		return d.SetServer(s.Name, s)
	})
	if err != nil {
		return err
	}
	a.pointer()
	if err := src.Trust(ctx, place); err != nil {
		return err
	}
	a.introduce(s, place, as)
	return nil
}

// usable checks what a person typed about a server before anybody is asked.
func usable(ctx context.Context, s config.Server) error {
	s.OAuth.IdP = "" // a name of the file, which the caller has looked up
	var broken *config.Error
	if err := config.Validate(s.Name, s); errors.As(err, &broken) { // its place is in no file
		return &usageError{text: fmt.Sprintf("the server %q: %s", s.Name, broken.Why), hint: "mcpauth server add --help"}
	} else if err != nil {
		return err
	}
	// No vault: what is not in a file may still come from there.
	_, err := identity.ClientFrom(ctx, nil, s.OAuth.ClientAuth, s.OAuth.ASClientID, "")
	return err
}

// whereIs finds a server's place. An issuer that the person states stands for a
// server that publishes nothing, and must be among those that it does publish.
func whereIs(ctx context.Context, s *token.Source) (token.Place, error) {
	if s.Server.OAuth.Issuer != "" {
		return s.Locate(ctx, true)
	}
	return s.Look(ctx)
}

func (a *app) introduce(s config.Server, p token.Place, as discover.ServerMetadata) {
	a.say("added %s: %s", s.Name, s.URL)
	if p.Name != "" {
		a.say("it calls itself %q", wire.Clean(p.Name))
	}
	a.say("its tokens come from %q, which is pinned now", p.AS)
	if p.Match == discover.MatchPrefix {
		a.say("its tokens are good for all of %q", p.Resource)
	}
	if s.OAuth.ModeOrDefault() == config.ModeEMA && as.GrantProfiles != nil && !slices.Contains(as.GrantProfiles, idjag.GrantProfile) {
		a.say("warning: that authorization server does not say that it takes enterprise-managed sign-ins")
	}
	next := "token"
	if s.OAuth.ModeOrDefault() == config.ModeOAuth {
		next = "login"
	}
	fmt.Fprintf(a.env.Stderr, "hint: mcpauth %s %s\n", next, s.Name)
}

// absolute makes paths from the command line independent of where it was typed.
func absolute(paths ...*string) (err error) {
	for _, p := range paths {
		if *p != "" {
			if *p, err = filepath.Abs(*p); err != nil {
				return err
			}
		}
	}
	return nil
}
