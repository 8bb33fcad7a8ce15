package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
)

type statusOptions struct{ check bool }

// statusView is what the status command prints as JSON.
type statusView struct {
	Version  int              `json:"version"`
	SignIns  []whoStatus      `json:"signIns"`
	Servers  []serverStatus   `json:"servers"`
	Store    *state.Store     `json:"store,omitempty"`
	Settings []config.Setting `json:"settings,omitempty"`
}

type whoStatus struct {
	IdP        string    `json:"idp"`
	Issuer     string    `json:"issuer"`
	ClientID   string    `json:"clientId"`
	SignedIn   bool      `json:"signedIn"` // usable, or renewable
	Subject    string    `json:"subject,omitempty"`
	Name       string    `json:"name,omitempty"`
	Email      string    `json:"email,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Expires    time.Time `json:"expires,omitzero"` // of the ID token
	Renewable  bool      `json:"renewable"`
	Imported   bool      `json:"imported,omitempty"`
	Unverified bool      `json:"unverified,omitempty"`
}

type serverStatus struct {
	Name      string         `json:"name"`
	URL       string         `json:"url"`
	IdP       string         `json:"idp,omitempty"`
	ClientID  string         `json:"clientId,omitempty"`
	Resource  string         `json:"resource,omitempty"`
	Match     string         `json:"match,omitempty"`
	AS        string         `json:"authorizationServer,omitempty"`
	Pinned    string         `json:"pinned,omitempty"` // "configuration" or "first use"
	Expires   time.Time      `json:"expires,omitzero"` // of the latest access token
	Scopes    []string       `json:"scopes,omitempty"`
	Mode      string         `json:"mode"`              // who says yes: ema, oauth, auto, client_credentials, workload
	ModeWhy   string         `json:"modeWhy,omitempty"` // why it is that one
	Bound     bool           `json:"bound,omitempty"`   // its tokens are bound to a key (DPoP)
	Consent   *state.Consent `json:"consent,omitempty"`
	LastOK    time.Time      `json:"lastOk,omitzero"`
	LastError *state.Failure `json:"lastError,omitempty"`
}

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show who is signed in, each server, what expires when, and the last error",
		Long: `Show who is signed in and what is known of each server. Nobody is asked.

With --check nothing is printed on standard output; the exit code is 0 when the
sign-in can be used or renewed, and 3 when you have to sign in.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.check, "check", false, "for scripts: print nothing, exit with 3 if a sign-in is needed")
	c.Flags().BoolVar(&a.json, "json", false, "print as JSON")
	return c
}

func runStatus(_ context.Context, a *app, o statusOptions) error {
	if err := a.open(); err != nil {
		return err
	}
	f, err := a.recorded()
	if err != nil {
		return err
	}
	if o.check {
		return a.check(f)
	}
	view := statusView{Version: 1, SignIns: []whoStatus{}, Servers: []serverStatus{}, Store: f.Store}
	for _, idp := range a.cfg.IdPs() {
		id, known := f.Identities[idp.Name]
		view.SignIns = append(view.SignIns, whoOf(idp, id, known && a.usable(idp, id)))
	}
	for _, s := range a.cfg.Servers() {
		view.Servers = append(view.Servers, serverOf(s, f.Servers[s.URL]))
	}
	if a.verbose {
		view.Settings = a.cfg.Settings()
	}
	if a.json {
		return writeJSON(a.env.Stdout, view)
	}
	return a.show(view)
}

// check is status for scripts: the one selected sign-in, or every configured one.
func (a *app) check(f state.File) error {
	idps := a.cfg.IdPs()
	if a.flags.IdP != "" || len(idps) == 0 {
		idp, err := a.cfg.IdP("")
		if err != nil {
			return err
		}
		idps = []config.IdP{idp}
	}
	for _, idp := range idps {
		if id, known := f.Identities[idp.Name]; !known || !a.usable(idp, id) {
			return &identity.SignedOut{IdP: idp.Name, Why: "you are not signed in at " + host(idp.Issuer)}
		}
	}
	return nil
}

func (a *app) usable(idp config.IdP, id state.Identity) bool {
	return id.Issuer == idp.Issuer && id.ClientID == idp.IdPClientID && (id.Renewable || id.Expires.After(a.env.now()))
}

func whoOf(idp config.IdP, id state.Identity, usable bool) whoStatus {
	return whoStatus{
		IdP: idp.Name, Issuer: idp.Issuer, ClientID: idp.IdPClientID, SignedIn: usable,
		Subject: id.Subject, Name: id.Name, Email: id.Email, Since: id.SignedIn, Expires: id.Expires,
		Renewable: id.Renewable, Imported: id.Imported, Unverified: id.Unverified,
	}
}

func serverOf(s config.Server, r state.Server) serverStatus {
	v := serverStatus{
		Name: s.Name, URL: s.URL, IdP: s.OAuth.IdP, ClientID: s.OAuth.ASClientID,
		Resource: s.OAuth.Resource, Match: r.ResourceMatch, AS: s.OAuth.Issuer,
		Expires: r.Expires, Scopes: r.Scopes, LastOK: r.LastOK, LastError: r.LastError,
		Mode: s.OAuth.ModeOrDefault(), ModeWhy: r.ModeWhy, Bound: r.DPoP, Consent: r.Consent,
	}
	if v.ClientID == "" && r.Registration != nil {
		v.ClientID = r.Registration.ClientID
	}
	if v.Mode == config.ModeAuto && r.Mode != "" {
		v.Mode = r.Mode
	} else {
		v.ModeWhy = "configured"
		if s.OAuth.Mode == "" && s.OAuth.EnterpriseManaged == nil {
			v.ModeWhy = "default"
		}
	}
	if v.Resource == "" {
		v.Resource = r.Resource
	}
	if v.AS != "" {
		v.Pinned = "configuration"
	} else if r.Issuer != "" {
		v.AS, v.Pinned = r.Issuer, "first use"
	}
	return v
}

func (a *app) show(v statusView) error {
	w := a.env.Stdout
	managed := func(s serverStatus) bool { return s.Mode == config.ModeEMA }
	if len(v.SignIns) == 0 && (len(v.Servers) == 0 || slices.ContainsFunc(v.Servers, managed)) {
		fmt.Fprintln(w, "no identity provider is configured")
		fmt.Fprintln(a.env.Stderr, "hint: mcpauth login --issuer https://your-company.example --client-id ID")
	}
	for _, s := range v.SignIns {
		fmt.Fprintln(w, a.sentence(s))
	}
	if len(v.Servers) > 0 {
		if len(v.SignIns) > 0 {
			fmt.Fprintln(w)
		}
		if err := a.table(w, v.Servers); err != nil {
			return err
		}
		for _, s := range v.Servers {
			if s.ModeWhy != "configured" && s.ModeWhy != "default" && s.ModeWhy != "" {
				fmt.Fprintf(w, "\n%s has the mode %s: %s\n", s.Name, s.Mode, s.ModeWhy)
			}
		}
	}
	if v.Settings != nil {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "SETTING\tVALUE\tFROM")
		for _, s := range v.Settings {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Key, wire.Clean(s.Value), s.Source)
		}
		return tw.Flush()
	}
	return nil
}

func (a *app) sentence(s whoStatus) string {
	at := host(s.Issuer)
	if s.IdP != config.DefaultIdP {
		at += " (" + s.IdP + ")"
	}
	id := state.Identity{Name: s.Name, Email: s.Email, Subject: s.Subject}
	switch {
	case s.Subject == "":
		return "not signed in at " + at
	case !s.SignedIn:
		return fmt.Sprintf("no longer signed in at %s: the sign-in of %s is over", at, who(id))
	}
	text := fmt.Sprintf("signed in at %s as %s", at, who(id))
	if s.Renewable {
		text += ", renewed by itself"
	} else {
		text += ", for another " + left(s.Expires.Sub(a.env.now()))
	}
	if s.Unverified {
		text += ", imported without checking the signature"
	} else if s.Imported {
		text += ", imported"
	}
	return text
}

func (a *app) table(w io.Writer, servers []serverStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SERVER\tMODE\tTOKEN\tAUTHORIZATION SERVER\tSCOPES\tLAST ERROR")
	for _, s := range servers {
		tok, fault := "none yet", "-"
		if s.Mode == config.ModeOAuth && s.Consent == nil {
			tok = "needs your consent"
		}
		if now := a.env.now(); s.Expires.After(now) {
			tok = left(s.Expires.Sub(now))
		} else if !s.Expires.IsZero() {
			tok = "expired"
		}
		if s.LastError != nil {
			fault = wire.Clean(s.LastError.Stage + " " + s.LastError.Code)
			if s.LastError.Code == "" {
				fault = wire.Clean(s.LastError.Message)
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Mode, tok, dash(s.AS), dash(wire.Clean(strings.Join(s.Scopes, " "))), fault)
	}
	return tw.Flush()
}

// left is a length of time as people say it.
func left(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
