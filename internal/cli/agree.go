package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// personTime is how long a program that may ask a person waits for one.
const personTime = 5 * time.Minute

// agreeTo is "mcpauth login SERVER".
func agreeTo(cmd *cobra.Command, a *app, o loginOptions) error {
	ctx := cmd.Context()
	for _, name := range []string{
		"idp", "issuer", "client-id", "client-auth", "client-secret-file", "client-secret-stdin", "client-key-file", "client-key-id", "token-endpoint",
		"acr-values", "max-age", "id-token-stdin", "insecure-skip-id-token-verification",
	} {
		if cmd.Flags().Changed(name) {
			return &usageError{text: "--" + name + " is about the identity provider, not about one server", hint: "mcpauth login " + o.server}
		}
	}
	if o.store != (config.Store{}) {
		a.flags.Store = &o.store
	}
	if err := a.open(); err != nil {
		return err
	}
	if _, err := a.cfg.Server(o.server); err != nil {
		return err
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	s, err := a.source(o.server)
	if err != nil {
		return err
	}
	if o.idp.Prompt != "" {
		s.Server.OAuth.Prompt = o.idp.Prompt
	}
	if cmd.Flags().Changed("redirect-port") {
		s.Server.OAuth.RedirectPort = o.redirectPort
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	t, err := a.consent(ctx, s, o.idp.Scopes, o.noBrowser)
	if err != nil {
		return err
	}
	a.closed(ctx)
	if a.json {
		f, err := a.recorded()
		if err != nil {
			return err
		}
		return writeJSON(a.env.Stdout, struct {
			Version int          `json:"version"`
			Server  serverStatus `json:"server"`
		}{1, serverOf(s.Server, f.Servers[s.Server.URL])})
	}
	scopes := strings.Join(slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return s == consent.Offline }), " ")
	if scopes == "" {
		scopes = "no scope"
	}
	a.say("mcpauth may use %s in your name: %s", s.Server.Name, wire.Clean(scopes))
	return nil
}

// consent is the one place where a person is asked about one server.
func (a *app) consent(ctx context.Context, s *token.Source, scopes []string, noBrowser bool) (token.Token, error) {
	t, err := s.Consent(ctx, scopes, a.opener(noBrowser, "agree to "+s.Server.Name))
	if err != nil {
		return t, err
	}
	for _, w := range t.Warnings {
		a.warn(w)
	}
	return t, nil
}

// askPerson does what the failure to get a token asks a person for. It reports
// whether there was anything to ask, and keeps the failure otherwise.
func (a *app) askPerson(ctx context.Context, s *token.Source, failure error) (asked bool, _ error) {
	var needed *consent.Needed
	var out *identity.SignedOut
	switch {
	case errors.As(failure, &needed):
		_, err := a.consent(ctx, s, needed.Scopes, false)
		if err == nil {
			a.agreed(ctx, s.Server.URL)
		}
		return true, err
	case errors.As(failure, &out) && s.Provider != nil:
		if _, err := s.Provider.SignIn(ctx, a.opener(false, "sign in at "+host(s.Provider.IdP.Issuer))); err != nil {
			return true, err
		}
		a.closed(ctx)
		return true, nil
	}
	return false, failure
}

// takeBack is "mcpauth logout SERVER".
func takeBack(ctx context.Context, a *app, name string, all bool) error {
	if all {
		return &usageError{text: "--all is about everything, not about one server", hint: "mcpauth logout " + name}
	}
	if err := a.open(); err != nil {
		return err
	}
	s, err := a.cfg.Server(name)
	if err != nil {
		return err
	}
	f, err := a.recorded()
	if err != nil {
		return err
	}
	if f.Servers[s.URL].Consent == nil {
		a.say("you have not agreed to %s", s.Name)
		return nil
	}
	return a.forgetConsent(ctx, s)
}

// forgetConsent takes back what a person agreed to, as far as the authorization
// server lets it, and drops the tokens that came of it.
func (a *app) forgetConsent(ctx context.Context, s config.Server) error {
	f, err := a.recorded()
	r := f.Servers[s.URL]
	if err != nil || r.Consent == nil && r.Registration == nil {
		return err
	}
	src, err := a.sourceOf(s)
	if err != nil {
		return err
	}
	revoked := src.Revoke(ctx) // first: afterwards there is nothing to revoke with
	if err := a.consents.Forget(ctx, s.URL); err != nil {
		return err
	}
	if err := token.Drop(ctx, a.state, a.vault, s.URL); err != nil {
		return err
	}
	switch {
	case r.Consent == nil: // there was a registration only
	case errors.Is(revoked, consent.ErrNoRevocation):
		a.say("forgot your consent to %s; its authorization server offers no revocation, so what it issued ends by itself", s.Name)
	case revoked != nil:
		a.say("forgot your consent to %s, which could not be revoked: %s", s.Name, wire.Clean(revoked.Error()))
	default:
		a.say("took back your consent to %s", s.Name)
	}
	return nil
}
