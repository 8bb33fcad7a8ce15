package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// chainView is the way to a token, without any of the tokens.
type chainView struct {
	Version int        `json:"version"`
	Server  string     `json:"server"`
	Steps   []stepView `json:"steps"`
	Failed  bool       `json:"failed"`
}

type stepView struct {
	Step  string      `json:"step"`
	Facts [][2]string `json:"facts"`
	Notes []string    `json:"notes,omitempty"`
}

func newExplain(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain SERVER",
		Short: "Show the way to a server's token, step by step and without secrets",
		Long: `Go the whole way to a new token for a server and show each step: who signed in,
what the server says about itself, what the identity provider granted and what
of it was narrowed, and what the authorization server made of it. Tokens are not
shown, and the new one is not kept.`,
		Args:              takes("the name or URL of a server", 1, 1),
		ValidArgsFunction: serverNames(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			return explainServer(ctx, a, args[0])
		},
	}
	c.Flags().BoolVar(&a.json, "json", false, "print as JSON")
	return c
}

func explainServer(ctx context.Context, a *app, name string) error {
	if err := a.open(); err != nil {
		return err
	}
	s, err := a.source(name)
	if err != nil {
		return err
	}
	c, failure := s.Acquire(ctx, token.Ask{Fresh: true, Proves: true})
	v := chainView{Version: 1, Server: s.Server.Name, Failed: failure != nil}
	v.mode(c)
	v.signIn(a, s, c)
	v.resource(s, c)
	v.exchange(c)
	v.redeem(c)
	if a.json {
		err = writeJSON(a.env.Stdout, v)
	} else {
		err = v.print(a.env.Stdout)
	}
	return errors.Join(failure, err)
}

func (v *chainView) add(step string, notes []string, facts ...[2]string) {
	kept := [][2]string{}
	for _, f := range facts {
		if f[1] != "" {
			kept = append(kept, [2]string{f[0], wire.Clean(f[1])})
		}
	}
	if len(kept) == 0 {
		return
	}
	for i := range notes {
		notes[i] = wire.Clean(notes[i])
	}
	v.Steps = append(v.Steps, stepView{step, kept, notes})
}

// mode says who decides, where that is not the company.
func (v *chainView) mode(c token.Chain) {
	if c.Mode != "" && c.Mode != config.ModeEMA {
		v.add("mode", nil, [2]string{"mode", c.Mode}, [2]string{"because", c.ModeWhy})
	}
}

func (v *chainView) signIn(a *app, s *token.Source, c token.Chain) {
	if s.Provider == nil || c.Mode != "" && c.Mode != config.ModeEMA {
		if f, err := a.recorded(); err == nil {
			v.consent(f.Servers[s.Server.URL].Consent)
		}
		return
	}
	id, err := s.Provider.Known()
	if err != nil {
		return
	}
	var notes []string
	if id.Unverified {
		notes = append(notes, "the signature of the ID token was never checked")
	}
	v.add("sign-in", notes,
		[2]string{"identity provider", id.Issuer}, [2]string{"client there", id.ClientID},
		[2]string{"person", who(id)}, [2]string{"subject", id.Subject},
		[2]string{"ID token until", clock(id.Expires)}, [2]string{"renewable", fmt.Sprint(id.Renewable)})
}

func (v *chainView) consent(c *state.Consent) {
	if c == nil {
		return
	}
	v.add("consent", nil, [2]string{"given", clock(c.When)}, [2]string{"client", c.ClientID}, [2]string{"at", c.Issuer},
		[2]string{"scopes", strings.Join(c.Scopes, " ")}, [2]string{"renewable", fmt.Sprint(c.Renewable)})
}

func (v *chainView) resource(s *token.Source, c token.Chain) {
	var notes []string
	if c.Place.Match == "prefix" {
		notes = append(notes, "the resource is a parent of the server's URL; tokens are good for all of it")
	}
	v.add("server", notes,
		[2]string{"url", s.Server.URL}, [2]string{"calls itself", c.Place.Name},
		[2]string{"resource", c.Place.Resource}, [2]string{"authorization server", c.Place.AS},
		[2]string{"token endpoint", c.AS.TokenEndpoint})
}

func (v *chainView) exchange(c token.Chain) {
	g := c.Grant
	if g.Assertion.IsZero() {
		return
	}
	notes := append([]string{}, g.Warnings...)
	for _, scope := range g.Reduced {
		notes = append(notes, "not granted: "+scope)
	}
	v.add("ID-JAG", notes,
		[2]string{"type", g.Claims.Type}, [2]string{"signed with", strings.TrimSpace(g.Claims.Algorithm + " " + g.Claims.KeyID)},
		[2]string{"issuer", g.Claims.Issuer}, [2]string{"subject", g.Claims.Subject},
		[2]string{"audience", strings.Join(g.Claims.Audience, " ")}, [2]string{"client there", g.Claims.ClientID},
		[2]string{"resource", strings.Join(g.Claims.Resource, " ")}, [2]string{"scopes", strings.Join(g.Scopes, " ")},
		[2]string{"until", clock(g.Expires)}, [2]string{"claims", strings.Join(g.Claims.Names, " ")})
}

func (v *chainView) redeem(c token.Chain) {
	t := c.Token
	if t.AccessToken.IsZero() {
		return
	}
	v.add("access token", doubts(t),
		[2]string{"type", t.Type}, [2]string{"from", t.AS}, [2]string{"for", t.Resource},
		[2]string{"scopes", strings.Join(t.Scopes, " ")}, [2]string{"until", clock(t.Expires)})
}

// doubts are what an access token that happens to be a JWT says against itself
// (rule A8). It is between two servers, so that nothing is refused for it.
func doubts(t token.Token) (notes []string) {
	c, err := idjag.Parse(t.AccessToken)
	if err != nil || c.Opaque {
		return nil
	}
	if c.Issuer != "" && c.Issuer != t.AS {
		notes = append(notes, "it names another issuer than its authorization server: "+c.Issuer)
	}
	if len(c.Audience) > 0 && !slices.Contains(c.Audience, t.Resource) {
		notes = append(notes, "it is not for the resource, but for "+strings.Join(c.Audience, " "))
	}
	return notes
}

func (v chainView) print(w io.Writer) error {
	for i, step := range v.Steps {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, step.Step)
		for _, f := range step.Facts {
			fmt.Fprintf(w, "  %-21s %s\n", f[0], f[1])
		}
		for _, note := range step.Notes {
			fmt.Fprintf(w, "  ! %s\n", note)
		}
	}
	return nil
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
