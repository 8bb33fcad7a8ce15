package token

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// both is an option for an authorization server that takes ID-JAGs and asks people.
func both(c *idjagtest.Company) {
	idjagtest.Standard(c)
	c.AS.NoIDJAG = false
}

// auto is a source for a server with mode auto, of an organisation that lets people
// agree by themselves.
func (l *laptop) auto(t testing.TB) *Source {
	s := l.source(t)
	s.Server.OAuth.Mode, s.AllowFallback = config.ModeAuto, true
	s.Consents = &consent.Keeper{Net: s.Net, State: s.State, Vault: s.Vault, Now: s.Now, Warn: s.Warn}
	return s
}

// unmanaged has the authorization server take the sign of EMA down.
func (l *laptop) unmanaged() {
	l.AS.SetQuirks(
		idjagtest.Member(idjagtest.Metadata, "authorization_grant_profiles_supported", nil),
		idjagtest.Member(idjagtest.Metadata, "grant_types_supported", []string{"authorization_code", "refresh_token"}))
	l.forget()
}

// What the company has said no to is not asked of the person instead, whatever the
// authorization server says about itself from then on (attack S28).
func TestS28RefusalIsNoPrompt(t *testing.T) {
	for _, code := range []string{"access_denied", "invalid_target"} {
		l := newLaptop(t, both)
		l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: code})
		if _, err := l.get(t, l.auto(t), Ask{}); err == nil {
			t.Fatal("no error")
		}
		l.unmanaged()
		l.Advance(2 * memory)
		var needed *consent.Needed
		if _, err := l.get(t, l.auto(t), Ask{}); err == nil || errors.As(err, &needed) {
			t.Errorf("%s: got %v", code, err)
		}
		_, err := l.auto(t).Consent(t.Context(), nil, func(context.Context, string) error { return errors.New("a browser was opened") })
		var none *NoConsent
		if !errors.As(err, &none) {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

// A server that comes to be managed is so from then on, also when a person had
// agreed to it before, and its tokens are kept.
func TestS28FromConsentToManaged(t *testing.T) {
	l := newLaptop(t, both)
	l.unmanaged()
	s := l.auto(t)
	browse := func(_ context.Context, address string) error {
		go l.Browser().SignIn(context.Background(), address)
		return nil
	}
	if _, err := s.Consent(t.Context(), nil, browse); err != nil {
		t.Fatalf("%v; %v", err, l.Refusals())
	}
	l.AS.SetQuirks()
	l.forget()
	l.mustGet(t, l.auto(t), Ask{Fresh: true})
	if r := s.record(); !r.Managed || r.Mode != config.ModeEMA || l.IdP.Count(idjagtest.Exchange) != 1 {
		t.Errorf("on record: %+v", r)
	}
	if got := l.mustGet(t, l.auto(t), Ask{}); !got.Cached {
		t.Error("the token was not kept")
	}
}

// That a person trusts another authorization server is no word about who decides.
func TestTrustKeepsWhatWasManaged(t *testing.T) {
	l := newLaptop(t, both)
	s := l.auto(t)
	l.mustGet(t, s, Ask{})
	kept := state.Consent{Issuer: l.AS.Issuer, ClientID: "c"}
	if err := s.update(t.Context(), func(r *state.Server) { r.Consent = &kept }); err != nil {
		t.Fatal(err)
	}
	if err := s.Trust(t.Context(), Place{Resource: l.MCP.Resource, AS: "https://other.example", Match: discover.MatchExact}); err != nil {
		t.Fatal(err)
	}
	switch r := s.record(); {
	case !r.Managed || r.Issuer != "https://other.example" || r.Sealed != nil:
		t.Errorf("on record: %+v", r)
	case r.Consent == nil: // the name of a secret that is still stored
		t.Error("the consent is stored, and nobody knows")
	}
}

// A token that was had before keys were required is not used any more (rule A3).
func TestRequiredKeyIsNotInTheCache(t *testing.T) {
	l := newLaptop(t)
	l.mustGet(t, l.source(t), Ask{})
	s := l.source(t)
	s.Server.OAuth.DPoP = "required"
	if tok, err := l.get(t, s, Ask{Proves: true}); err == nil && tok.Type != "DPoP" {
		t.Errorf("got a %s token, cached: %v", tok.Type, tok.Cached)
	}
	var bound *Bound
	if _, err := l.get(t, s, Ask{}); !errors.As(err, &bound) {
		t.Errorf("got %v", err)
	}
}

// A server whose tokens were bound to a key, and that takes its metadata down, is
// not given unbound ones (rule A3).
func TestBoundWithoutMetadata(t *testing.T) {
	l := newLaptop(t, func(c *idjagtest.Company) { c.MCP.Form = idjagtest.NoMetadata })
	s := l.source(t)
	s.Server.OAuth.Issuer = l.AS.Issuer
	if err := s.update(t.Context(), func(r *state.Server) { r.DPoP = true }); err != nil {
		t.Fatal(err)
	}
	p, err := s.Locate(t.Context(), true)
	if err != nil || !p.DPoPRequired {
		t.Errorf("got %+v, %v", p, err)
	}
}

// The scopes that a server names by itself are those that it may make us ask for
// (attack S27).
func TestS27ServersOwnScopes(t *testing.T) {
	l := newLaptop(t)
	l.MCP.Scopes = []string{"read", "write", "offline_access"}
	s := l.source(t)
	s.Server.OAuth.MaxScopes = []string{"read"}
	p, err := s.Look(t.Context())
	if err != nil || len(p.Scopes) != 1 || p.Scopes[0] != "read" {
		t.Errorf("got %v, %v", p.Scopes, err)
	}
	s.Server.OAuth.MaxScopes = nil
	l.MCP.Scopes = strings.Fields(strings.Repeat("a ", 10_000)) // nothing that anybody means
	if p, err := s.Look(t.Context()); err != nil || len(p.Scopes) != 0 {
		t.Errorf("got %d, %v", len(p.Scopes), err)
	}
}

// S31: what an agreement before this one gave is not served, should it still be there:
// another person may have agreed since, and a process can die before it has stored
// what came of that.
func TestS31AnotherAgreement(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	s.Server.OAuth.Mode = config.ModeOAuth
	agree := func() state.File {
		t.Helper()
		l.Advance(time.Minute)
		f := state.File{Servers: map[string]state.Server{s.Server.URL: {
			URL: s.Server.URL, Resource: s.Server.URL, Issuer: l.AS.Issuer,
			Consent: &state.Consent{Issuer: l.AS.Issuer, ClientID: "c", When: l.Now()},
		}}}
		return f
	}
	f := agree()
	_, k, _, _, err := s.look(t.Context(), f, Ask{})
	if err != nil {
		t.Fatal(err)
	}
	l.Advance(time.Second)
	s.store(t.Context(), k, Chain{Mode: config.ModeOAuth, Token: Token{AccessToken: secret.New("t"), Expires: l.Now().Add(time.Hour)}})
	if _, _, _, ok, err := s.look(t.Context(), f, Ask{}); !ok || err != nil {
		t.Errorf("the token of this agreement is not found: %v", err)
	}
	if _, _, _, ok, _ := s.look(t.Context(), agree(), Ask{}); ok {
		t.Error("the token of the agreement before is served")
	}
}
