package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
)

func newLogout(a *app) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Sign out: revoke what can be revoked, forget the rest, and say what is which",
		Long: `Sign out at the identity provider: revoke what can be revoked, forget the rest, and
say what is which. With a SERVER take back only the consent that you gave to it.`,
		Args:              takes("the name of a server, or nothing", 0, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			if len(args) == 1 {
				return takeBack(ctx, a, args[0], all)
			}
			return runLogout(ctx, a, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "sign out at every identity provider, and drop the store's own key")
	return c
}

func runLogout(ctx context.Context, a *app, all bool) error {
	if err := a.open(); err != nil {
		return err
	}
	idps, err := a.leaving(all)
	if err != nil {
		return err
	}
	var errs []error
	for _, idp := range idps {
		errs = append(errs, a.signOut(ctx, idp))
	}
	if all {
		f, err := a.recorded()
		errs = append(errs, err)
		for url, r := range f.Servers {
			if r.Consent != nil || r.Registration != nil {
				errs = append(errs, a.forgetConsent(ctx, a.known(url)))
			}
		}
		errs = append(errs, a.dropStore(ctx))
	}
	return errors.Join(errs...)
}

// leaving lists the sign-ins to end, with all those that are no longer configured.
func (a *app) leaving(all bool) ([]config.IdP, error) {
	if !all {
		idp, err := a.cfg.IdP("")
		return []config.IdP{idp}, err
	}
	f, err := a.recorded()
	if err != nil {
		return nil, err
	}
	var idps []config.IdP
	for name, id := range f.Identities {
		idp, err := a.cfg.IdP(name)
		if err != nil || idp.Issuer != id.Issuer || idp.IdPClientID != id.ClientID {
			idp = config.IdP{Name: name, Issuer: id.Issuer, IdPClientID: id.ClientID}
		}
		idps = append(idps, idp)
	}
	return idps, nil
}

// known is the server with a URL, or, if it was taken out of the configuration, as
// much of it as it takes to forget it.
func (a *app) known(url string) config.Server {
	for _, s := range a.cfg.Servers() {
		if s.URL == url {
			return s
		}
	}
	return config.Server{Name: bare(url), URL: url, OAuth: config.OAuth{Mode: config.ModeOAuth}}
}

func (a *app) signOut(ctx context.Context, idp config.IdP) error {
	f, err := a.recorded()
	if err != nil {
		return err
	}
	if _, known := f.Identities[idp.Name]; !known {
		a.say("you are not signed in at %s", host(idp.Issuer))
		return nil
	}
	p, err := a.providerOf(idp)
	if err != nil {
		return err
	}
	a.net.Configured(idp.Issuer)
	done, err := p.Forget(ctx)
	if err != nil {
		return err
	}
	a.say("signed out %s at %s", who(done.Was), host(idp.Issuer))
	a.tellRevocation(done)
	return a.dropTokens(ctx, idp)
}

func (a *app) tellRevocation(done identity.Forgotten) {
	switch {
	case done.Revoked:
		a.say("the sign-in is revoked at the identity provider as well")
	case errors.Is(done.NotRevoked, identity.ErrNoRevocation):
		a.say("the sign-in could not be revoked: the identity provider offers no revocation; it ends by itself")
	case done.NotRevoked != nil:
		a.say("the sign-in could not be revoked at the identity provider: %s", wire.Clean(done.NotRevoked.Error()))
	}
}

// dropTokens forgets the access tokens that were had with a sign-in, and says
// which of them live on elsewhere.
func (a *app) dropTokens(ctx context.Context, idp config.IdP) error {
	var last time.Time
	var errs []error
	f, err := a.recorded()
	if err != nil {
		return err
	}
	for _, s := range a.cfg.Servers() {
		if of, err := a.cfg.IdP(s.OAuth.IdP); err != nil || of.Name != idp.Name {
			continue
		}
		if end := f.Servers[s.URL].Expires; end.After(last) {
			last = end
		}
		errs = append(errs, token.Drop(ctx, a.state, a.vault, s.URL))
	}
	if last.After(a.env.now()) {
		a.say("access tokens that were handed out already stay good until %s at the latest", last.Local().Format(time.DateTime))
	}
	return errors.Join(errs...)
}

func (a *app) dropStore(ctx context.Context) error {
	v, err := a.store()
	if err != nil {
		return err
	}
	if err := v.Forget(ctx); err != nil {
		return fmt.Errorf("drop the store's key: %w", err)
	}
	return a.state.Update(ctx, func(f *state.File) error { f.Store = nil; return nil })
}
