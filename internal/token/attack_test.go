package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// stranger is an authorization server that claims to be whom it likes.
type stranger struct {
	*httptest.Server
	posts atomic.Int32
}

func newStranger(t *testing.T, metadata func(base string) map[string]any) *stranger {
	s := &stranger{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.posts.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(metadata(s.URL))
	}))
	t.Cleanup(s.Close)
	return s
}

// S1: a malicious MCP server names the attacker's authorization server, whose
// metadata claims to be the honest one, with a token endpoint of its own.
func TestS1MetadataOfAnotherIssuer(t *testing.T) {
	l := newLaptop(t)
	evil := newStranger(t, func(base string) map[string]any {
		return map[string]any{"issuer": l.AS.Issuer, "token_endpoint": base + "/token"}
	})
	l.MCP.PublishedAS = []string{evil.URL}
	_, err := l.get(t, l.source(t), Ask{})
	var refused *discover.IssuerMismatch
	if !errors.As(err, &refused) && !strings.Contains(err.Error(), "invalid_target") {
		t.Errorf("got %v", err)
	}
	if n := evil.posts.Load(); n != 0 {
		t.Errorf("the attacker was sent %d forms", n)
	}
	if n := l.AS.Count(idjagtest.Redeem); n != 0 {
		t.Errorf("%d redemptions", n)
	}
	if f, _, _ := l.source(t).State.Read(); f.Servers[l.MCP.URL()].Issuer != "" {
		t.Errorf("pinned to %q", f.Servers[l.MCP.URL()].Issuer)
	}
}

// S1, from the other side: the honest issuer's own metadata has a token endpoint on
// another site, as some products do. It is used, and a word is said.
func TestS1ForeignTokenEndpoint(t *testing.T) {
	l := newLaptop(t)
	foreign := strings.Replace(l.AS.TokenEndpoint(), "127.0.0.1", "localhost", 1)
	l.AS.SetQuirks(idjagtest.Member(idjagtest.Metadata, "token_endpoint", foreign))
	tok := l.mustGet(t, l.source(t), Ask{})
	if w := strings.Join(tok.Warnings, "\n"); !strings.Contains(w, foreign) || !strings.Contains(w, "elsewhere") {
		t.Errorf("warnings: %q", tok.Warnings)
	}
}

// S1: nothing is redeemed before the metadata has confirmed the issuer, however
// early the ID-JAG is there; and the metadata does not wait for the exchange.
func TestNothingIsRedeemedBeforeTheMetadata(t *testing.T) {
	for _, row := range []struct {
		name   string
		issuer string
	}{{"right", ""}, {"wrong", "https://evil.example"}} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			exchanged, asked := make(chan struct{}), make(chan struct{})
			l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Times: 1, Wait: asked})
			l.AS.SetFault(idjagtest.Metadata, idjagtest.Fault{Times: 1, OnHit: func() { close(asked) }, Wait: exchanged})
			if row.issuer != "" {
				l.AS.SetQuirks(idjagtest.WrongIssuer(row.issuer))
			}
			done := make(chan error, 1)
			go func() { _, err := l.get(t, l.source(t), Ask{}); done <- err }()
			<-asked
			for l.IdP.Granted(idjagtest.Exchange) == 0 { // the fake knows no other way to tell
				if t.Context().Err() != nil || len(done) > 0 {
					t.Fatal("no exchange")
				}
				runtime.Gosched()
			}
			if n := l.AS.Count(idjagtest.Redeem); n != 0 {
				t.Fatalf("%d redemptions before the metadata was there", n)
			}
			close(exchanged)
			err := <-done
			if (err == nil) != (row.issuer == "") {
				t.Errorf("got %v", err)
			}
			if n := l.AS.Count(idjagtest.Redeem); (n == 1) != (row.issuer == "") {
				t.Errorf("%d redemptions", n)
			}
		})
	}
}

// S2: a server that says to be another resource gets no token for that one.
func TestS2AnotherResource(t *testing.T) {
	l := newLaptop(t, func(c *idjagtest.Company) { c.MCP.Published = "https://payroll.example/mcp" })
	var refused *discover.ResourceMismatch
	if _, err := l.get(t, l.source(t), Ask{}); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
	if n := l.IdP.Count(idjagtest.Exchange); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}

// S3, S5: a server that names another authorization server than before is stopped
// before anything is sent to anybody, and stays so until a person agrees.
func TestS5AnotherAuthorizationServer(t *testing.T) {
	l := newLaptop(t)
	l.mustGet(t, l.source(t), Ask{})
	second := &idjagtest.AS{Party: idjagtest.Party{Now: l.Now}}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	l.MCP.PublishedAS = []string{second.Issuer}
	l.forget()
	for _, fresh := range []bool{false, true} {
		l.Advance(15 * time.Minute)
		l.signIn(t, l.Person.Subject)
		_, err := l.get(t, l.source(t), Ask{Fresh: fresh})
		var changed *Changed
		if !errors.As(err, &changed) {
			t.Fatalf("got %v", err)
		}
		want := &Changed{Server: "wiki", Pinned: l.AS.Issuer, Now: []string{second.Issuer}}
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Error(diff)
		}
	}
	if n := len(second.Requests()) + l.IdP.Count(idjagtest.Exchange) + len(l.AS.Requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	s := l.source(t)
	place, err := s.Look(t.Context())
	if err != nil || place.AS != second.Issuer {
		t.Fatalf("got %+v, %v", place, err)
	}
	if err := s.Trust(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	if n := l.sealedFiles(t); n != 0 {
		t.Errorf("%d tokens of the authorization server before are left", n)
	}
	if p, err := s.Locate(t.Context(), true); err != nil || p.AS != second.Issuer {
		t.Errorf("after trust: %+v, %v", p, err)
	}
}

// S5: whoever comes second with another authorization server is told so.
func TestPinIsNotMoved(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	first := Place{Resource: l.MCP.Resource, AS: "https://one.example", Match: discover.MatchExact}
	if err := s.pin(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	wide := strings.TrimSuffix(l.MCP.Resource, "/mcp")
	var changed *Changed
	if err := s.pin(t.Context(), Place{Resource: wide, AS: "https://two.example", Match: discover.MatchPrefix}); !errors.As(err, &changed) {
		t.Errorf("got %v", err)
	}
	if r := s.record(); r.Issuer != first.AS || r.Resource != first.Resource || r.ResourceMatch != first.Match {
		t.Errorf("on record: %+v", r)
	}
	s.Server.OAuth.Issuer = "https://two.example" // a person wrote it down
	if err := s.pin(t.Context(), Place{Resource: l.MCP.Resource, AS: "https://two.example"}); err != nil || s.record().Issuer != "https://two.example" {
		t.Errorf("got %v, on record: %+v", err, s.record())
	}
}

// S5: also when somebody else pins the server while its first token is on its way,
// which is then nobody's, and when it is an ID-JAG that is asked for.
func TestPinnedMeanwhile(t *testing.T) {
	for name, ask := range map[string]func(s *Source) (string, error){
		"token": func(s *Source) (string, error) {
			k, err := s.Get(t.Context(), Ask{})
			return k.AccessToken.Reveal(), err
		},
		"ID-JAG": func(s *Source) (string, error) { _, err := s.Grant(t.Context(), Ask{}); return "", err },
	} {
		l := newLaptop(t)
		s := l.source(t)
		l.IdP.SetQuirks(idjagtest.Quirk{On: idjagtest.Exchange, Body: func(map[string]any) { pinTo(s, "https://two.example") }})
		var changed *Changed
		if token, err := ask(s); !errors.As(err, &changed) || token != "" {
			t.Errorf("%s: %v", name, err)
		}
		if r := s.record(); r.Issuer != "https://two.example" || l.sealedFiles(t) != 0 {
			t.Errorf("%s: on record: %+v, and %d tokens", name, r, l.sealedFiles(t))
		}
	}
}

// S5: that a server was never seen is not concluded from a state that cannot be read
// just now, nor that its tokens are not the company's business (S28).
func TestPinIsKnownOrNothingIs(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	l.mustGet(t, s, Ask{})
	l.forget()
	l.trouble(t)
	var out *identity.SignedOut
	_, got := l.get(t, s, Ask{Fresh: true})
	_, acquired := s.Acquire(t.Context(), Ask{})
	_, found := s.Locate(t.Context(), true)
	for name, err := range map[string]error{
		"Get": got, "Acquire": acquired, "Locate": found, "pin": s.pin(t.Context(), Place{Resource: l.MCP.Resource, AS: "https://two.example"}),
	} {
		if err == nil || errors.As(err, &out) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(l.IdP.Requests()) + len(l.AS.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// What a server calls itself and who issues its tokens.
func TestLocate(t *testing.T) {
	const other = "https://other.example"
	able := func(base string) map[string]any {
		return map[string]any{"issuer": base, "token_endpoint": base + "/token", "authorization_grant_profiles_supported": []string{idjagtest.ProfileIDJAG}}
	}
	mute := func(base string) map[string]any {
		return map[string]any{"issuer": base, "token_endpoint": base + "/token"}
	}
	for _, row := range []struct {
		name string
		bend func(*laptop, *Source)
		want func(*laptop) Place
		err  string
		none bool // no request to the server
	}{
		{name: "first use", want: func(l *laptop) Place {
			return Place{Resource: l.MCP.Resource, Match: discover.MatchExact, AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
		{name: "configured", none: true, bend: func(l *laptop, s *Source) {
			s.Server.OAuth.Resource, s.Server.OAuth.Issuer = "urn:wiki", other
		}, want: func(*laptop) Place { return Place{Resource: "urn:wiki", AS: other} }},
		{name: "resource configured", bend: func(l *laptop, s *Source) { s.Server.OAuth.Resource = "urn:wiki" }, want: func(l *laptop) Place {
			return Place{Resource: "urn:wiki", AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
		{name: "issuer configured", bend: func(l *laptop, s *Source) {
			s.Server.OAuth.Issuer = l.AS.Issuer
			l.MCP.PublishedAS = []string{other, l.AS.Issuer}
		}, want: func(l *laptop) Place {
			return Place{Resource: l.MCP.Resource, Match: discover.MatchExact, AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
		{name: "issuer configured and changed", bend: func(l *laptop, s *Source) { s.Server.OAuth.Issuer = other }, err: "another authorization server"},
		{name: "pinned among several", bend: func(l *laptop, s *Source) {
			l.MCP.PublishedAS = []string{other, l.AS.Issuer}
			pinTo(s, l.AS.Issuer)
		}, want: func(l *laptop) Place {
			return Place{Resource: l.MCP.Resource, Match: discover.MatchExact, AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
		{name: "pinned and gone", bend: func(l *laptop, s *Source) { pinTo(s, other) }, err: "another authorization server"},
		{name: "pinned with a slash more", bend: func(l *laptop, s *Source) { pinTo(s, l.AS.Issuer+"/") }, err: "another authorization server"},
		{name: "prefix", bend: func(l *laptop, s *Source) { l.MCP.Published = strings.TrimSuffix(l.MCP.URL(), "/mcp") }, want: func(l *laptop) Place {
			return Place{Resource: strings.TrimSuffix(l.MCP.URL(), "/mcp"), Match: discover.MatchPrefix, AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
		{name: "no metadata", bend: func(l *laptop, s *Source) { l.MCP.Form = idjagtest.NoMetadata }, err: "no metadata"},
		{name: "no metadata, issuer configured", bend: func(l *laptop, s *Source) { l.MCP.Form = idjagtest.NoMetadata; s.Server.OAuth.Issuer = other }, want: func(l *laptop) Place {
			return Place{Resource: l.MCP.URL(), AS: other}
		}},
		{name: "server out of order, issuer configured", bend: func(l *laptop, s *Source) {
			l.MCP.SetFault(idjagtest.Metadata, idjagtest.Fault{Status: 503})
			s.Server.OAuth.Issuer = other
		}, err: "503"},
		{name: "offline_access is not asked for", bend: func(l *laptop, s *Source) { l.MCP.Scopes = []string{"offline_access", "read"} }, want: func(l *laptop) Place {
			return Place{Resource: l.MCP.Resource, Match: discover.MatchExact, AS: l.AS.Issuer, Scopes: []string{"read"}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			s := l.source(t)
			if row.bend != nil {
				row.bend(l, s)
			}
			p, err := s.Locate(t.Context(), false)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("got %+v, %v", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want(l), p); diff != "" {
				t.Error(diff)
			}
			if n := len(l.MCP.Requests()); (n == 0) != row.none {
				t.Errorf("%d requests to the server", n)
			}
		})
	}

	t.Run("several", func(t *testing.T) {
		l := newLaptop(t)
		s := l.source(t)
		a, b, c := newStranger(t, able), newStranger(t, mute), newStranger(t, able)
		l.MCP.PublishedAS = []string{b.URL, a.URL}
		if p, err := s.Locate(t.Context(), false); err != nil || p.AS != a.URL {
			t.Errorf("one can: got %+v, %v", p, err)
		}
		for what, list := range map[string][]string{"none can": {b.URL, b.URL}, "two can": {a.URL, b.URL, c.URL}, "too many to ask": {a.URL, b.URL, b.URL, b.URL, b.URL}} {
			l.MCP.PublishedAS = list
			_, err := s.Locate(t.Context(), false)
			var undecided *Undecided
			if !errors.As(err, &undecided) || len(undecided.AS) != len(list) {
				t.Errorf("%s: got %v", what, err)
			}
		}
		if n := a.posts.Load() + b.posts.Load() + c.posts.Load() + int32(l.IdP.Count(idjagtest.Exchange)); n != 0 {
			t.Errorf("%d of them were tried out", n)
		}
	})
}

func pinTo(s *Source, issuer string) {
	err := s.update(context.Background(), func(r *state.Server) { r.Issuer = issuer })
	if err != nil {
		panic(err)
	}
}

// Protocol rule 1.1.6: what was learnt a while ago may be why a server refuses.
func TestBetterReason(t *testing.T) {
	for _, code := range []string{"invalid_client", "invalid_target", "invalid_grant", "access_denied"} {
		l := newLaptop(t)
		l.cacheable = true
		l.mustGet(t, l.source(t), Ask{})
		l.Advance(15 * time.Minute)
		l.MCP.PublishedAS = []string{"https://moved.example"}
		l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Code: code})
		_, err := l.get(t, l.source(t), Ask{})
		var changed *Changed
		if errors.As(err, &changed) != (code != "access_denied") {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

// The ID-JAG and the client's secret go to the authorization server's token
// endpoint, the ID token to the identity provider's, and nothing anywhere else (S6).
func TestS6WhoSeesWhat(t *testing.T) {
	l := newLaptop(t)
	l.mustGet(t, l.source(t), Ask{})
	for _, r := range l.requests() {
		for _, name := range []string{"subject_token", "assertion", "client_secret", "refresh_token", "code"} {
			want := map[string]string{"subject_token": idjagtest.Exchange, "assertion": idjagtest.Redeem}[name]
			if r.Form.Has(name) && r.What != want {
				t.Errorf("%s in %v", name, r)
			}
		}
		if u, err := url.ParseRequestURI(r.Path); err != nil || u.RawQuery != "" {
			t.Errorf("query in %v", r)
		}
		if resource := r.Form.Get("resource"); (r.What == idjagtest.Exchange || r.What == idjagtest.Redeem) && resource != l.MCP.Resource {
			t.Errorf("resource %q in %v", resource, fmt.Sprint(r))
		}
	}
}
