package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Place is what a server calls itself and who issues tokens for it.
type Place struct {
	Resource string
	Match    string // discover.MatchExact or MatchPrefix; empty when configured
	AS       string // issuer
	Scopes   []string
	Name     string // what the server calls itself, not cleaned

	DPoPRequired bool // tokens must be bound to a key

	// Remembered is true when the server itself was not asked just now.
	Remembered bool
}

// Changed says that a server names another authorization server than the one it
// is pinned to (attacks S3, S5). Nothing is sent to either until a person agrees. One
// that was asked for its first token while another process pinned the server got no
// more than what was made for it, and its token is dropped.
type Changed struct {
	Server, Pinned string
	Now            []string
	ByConfig       bool // the pin stands in the configuration
}

func (e *Changed) Error() string {
	return fmt.Sprintf("the server %q now names another authorization server: it was %q, it is %q", e.Server, e.Pinned, strings.Join(e.Now, " "))
}

// Undecided says that a server names several authorization servers and nothing
// tells which one to use.
type Undecided struct {
	Server string
	AS     []string
}

func (e *Undecided) Error() string {
	return fmt.Sprintf("the server %q names several authorization servers: %s", e.Server, strings.Join(quoted(e.AS), ", "))
}

// Locate finds the server's place and checks it against the pin. With fresh the
// server itself is asked, whatever was heard from it a while ago.
func (s *Source) Locate(ctx context.Context, fresh bool) (Place, error) { return s.locate(ctx, fresh) }

func (s *Source) locate(ctx context.Context, fresh bool) (Place, error) {
	o := s.Server.OAuth
	if o.Resource != "" && o.Issuer != "" {
		r, err := s.known()
		return Place{Resource: o.Resource, AS: o.Issuer, DPoPRequired: r.DPoP}, err
	}
	return s.find(ctx, fresh, false)
}

// challenged is locate by way of the server's challenge, whose scopes are those
// that the person should be asked about (MCP 2026-07-28, Scope Selection Strategy).
func (s *Source) challenged(ctx context.Context, _ bool) (Place, error) {
	return s.find(ctx, true, true)
}

func (s *Source) find(ctx context.Context, fresh, challenge bool) (Place, error) {
	o := s.Server.OAuth
	if o.LegacyDiscovery {
		as, err := s.Metadata(ctx, "")
		record, bad := s.known()
		return Place{Resource: s.Server.URL, AS: as.Issuer, DPoPRequired: record.DPoP}, errors.Join(err, bad)
	}
	res, heard, err := s.resource(ctx, fresh, challenge)
	record, bad := s.known()
	if bad != nil { // what it is pinned to is not known
		return Place{}, bad
	}
	var none *discover.NotFound
	switch {
	case errors.As(err, &none) && o.Issuer != "":
		// A server without metadata, whose authorization server the person knows.
		return Place{Resource: s.Server.URL, AS: o.Issuer, DPoPRequired: record.DPoP}, nil
	case err != nil:
		return Place{}, stage.At(stage.ResourceMetadata, s.parties(), err)
	}
	p := Place{Resource: res.Identifier, Match: res.Match, Name: res.Name, Scopes: s.wanted(res), Remembered: !heard}
	p.DPoPRequired = res.DPoPRequired || res.DPoPChallenge || record.DPoP
	if o.Resource != "" {
		p.Resource, p.Match = o.Resource, ""
	}
	pinned, byConfig := o.Issuer, o.Issuer != ""
	if !byConfig {
		pinned = record.Issuer
	}
	if pinned != "" {
		p.AS = pinned
		if !slices.Contains(res.AuthorizationServers, pinned) {
			return p, &Changed{Server: s.Server.Name, Pinned: pinned, Now: res.AuthorizationServers, ByConfig: byConfig}
		}
		return p, nil
	}
	p.AS, err = s.choose(ctx, res.AuthorizationServers)
	return p, err
}

// resource asks for the server's metadata. heard is whether it came from the
// server, not from the cache.
func (s *Source) resource(ctx context.Context, fresh, challenge bool) (res discover.Resource, heard bool, err error) {
	d := *s.Discover
	d.ChallengeFirst = challenge
	watch := &watched{Cache: d.Cache, blind: fresh}
	d.Cache = watch
	res, err = d.Resource(wire.OnBehalfOf(ctx, s.Server.URL), s.Server.URL)
	return res, !watch.hit, err
}

// choose picks the only authorization server, or the only one that says it
// redeems ID-JAGs. It never tries them out with one.
func (s *Source) choose(ctx context.Context, issuers []string) (string, error) {
	if len(issuers) == 1 {
		return issuers[0], nil
	}
	const most = 4
	var able []string
	for _, issuer := range issuers[:min(len(issuers), most)] {
		as, err := s.Discover.AuthorizationServer(wire.OnBehalfOf(ctx, s.Server.URL), issuer)
		if err == nil && slices.Contains(as.GrantProfiles, idjag.GrantProfile) {
			able = append(able, issuer)
		}
	}
	if len(able) == 1 && len(issuers) <= most {
		return able[0], nil
	}
	return "", &Undecided{Server: s.Server.Name, AS: issuers}
}

// wanted are the scopes to ask for when nobody says which: those of the server's
// challenge, else all that it lists (MCP 2026-07-28, Scope Selection Strategy), of
// which a cap can be configured (attack S27). offline_access is nothing that an
// ID-JAG could give.
func (s *Source) wanted(r discover.Resource) []string {
	list := r.ChallengeScopes
	if list == nil {
		list = r.ScopesSupported
	}
	most := s.Server.OAuth.MaxScopes
	list = slices.DeleteFunc(slices.Clone(list), func(scope string) bool {
		return scope == consent.Offline || most != nil && !slices.Contains(most, scope)
	})
	if len(joined(list)) > maxWanted {
		return nil
	}
	return list
}

// maxWanted bounds the scopes that a server can have us ask for, and keep, in bytes.
// More than that nobody means.
const maxWanted = 16 << 10

// pin remembers the authorization server on first use (attack S3). A pin is never moved here: see Trust. Whoever comes second with
// another authorization server is told so, however close behind.
func (s *Source) pin(ctx context.Context, p Place) error {
	r, err := s.known()
	if err != nil {
		return err
	}
	if r.Resource == p.Resource && r.Issuer == p.AS {
		return nil
	}
	pinned := p.AS
	// Patiently: what is not pinned is not found in the cache by whoever waits for it.
	err = s.change(ctx, crowded, s.State.Update, func(r *state.Server) {
		if r.Issuer != p.AS && (r.Issuer == "" || s.Server.OAuth.Issuer != "") {
			r.Issuer, r.Pinned = p.AS, s.now()
		}
		if pinned = r.Issuer; pinned == p.AS {
			r.Resource, r.ResourceMatch = p.Resource, p.Match
		}
	})
	if err != nil {
		s.unwritten("the server's authorization server could not be remembered", err)
	}
	if pinned != p.AS {
		return &Changed{Server: s.Server.Name, Pinned: pinned, Now: []string{p.AS}}
	}
	return nil
}

// Trust pins the server to the authorization server that it names now, after a
// person has agreed, and forgets the tokens of the one before.
func (s *Source) Trust(ctx context.Context, p Place) error {
	unlock, err := s.State.Lock(ctx, lockName(s.Server.URL))
	if err != nil {
		return err
	}
	defer unlock()
	r, err := s.known()
	if err == nil {
		err = Discard(s.Vault, r)
	}
	if err != nil {
		return err
	}
	return s.State.Update(ctx, func(f *state.File) error {
		r := f.Servers[s.Server.URL] // another name may stand for the same URL
		f.Servers[s.Server.URL] = state.Server{
			URL: s.Server.URL, Resource: p.Resource, ResourceMatch: p.Match, Issuer: p.AS, Pinned: s.now(), Client: s.Server.OAuth.ASClientID,
			// Who decides is another question (attack S28), and what the record names is
			// stored, and would be found by nobody else.
			Managed: r.Managed, Consent: r.Consent, Registration: r.Registration,
		}
		return nil
	})
}

// BoundToIssuer reports whether the configured client was given to us by one
// authorization server and is nothing to another (protocol rule 5.5). What the
// identity provider maps, and a metadata document, are portable.
func (s *Source) BoundToIssuer() bool {
	o := s.Server.OAuth
	return o.ASClientID != "" && !o.NeedsIdP() && !strings.HasPrefix(o.ASClientID, "https://")
}

// Look finds the server's place as if it had never been seen.
func (s *Source) Look(ctx context.Context) (Place, error) {
	if s.Server.OAuth.LegacyDiscovery {
		return s.find(ctx, true, false)
	}
	res, _, err := s.resource(ctx, true, false)
	if err != nil {
		return Place{}, stage.At(stage.ResourceMetadata, s.parties(), err)
	}
	p := Place{Resource: res.Identifier, Match: res.Match, Name: res.Name, Scopes: s.wanted(res)}
	p.AS, err = s.choose(ctx, res.AuthorizationServers)
	return p, err
}

func quoted(list []string) []string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return q
}
