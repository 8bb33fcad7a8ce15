package consent

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// A person agrees, and what came of it is kept where it belongs.
func TestAsk(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	got := l.consented(t, target)
	if !l.works(got) || got.Type != "Bearer" || !slices.Contains(got.Scopes, "read") || len(got.Reduced) > 0 || len(got.Warnings) > 0 {
		t.Errorf("got %+v", got)
	}
	record := l.k.record(target.url())
	c, r := record.Consent, record.Registration
	if c == nil || r == nil || r.Issuer != l.AS.Issuer || r.Method != "none" || record.URL != target.url() {
		t.Fatalf("on record: %+v", record)
	}
	want := state.Consent{Issuer: l.AS.Issuer, ClientID: r.ClientID, When: c.When, Scopes: []string{"read", "offline_access"}, Asked: []string{"read", "offline_access"}, Renewable: true}
	if diff := cmp.Diff(want, *c); diff != "" || c.When.IsZero() {
		t.Error(diff)
	}
	kept, err := l.k.Vault.Get(t.Context(), refreshItem(target.url(), *c))
	if err != nil || !kept.Equal(got.RefreshToken) {
		t.Errorf("the refresh token: %v", err)
	}
	for what, n := range map[string]int{idjagtest.Register: 1, idjagtest.Authorize: 1, idjagtest.ConsentForm: 1, idjagtest.Code: 1} {
		if l.AS.Granted(what) != n {
			t.Errorf("%s: %d, want %d", what, l.AS.Granted(what), n)
		}
	}
	for _, r := range l.AS.Requests() {
		if r.Error != "" || len(r.Notes) > 0 {
			t.Errorf("%v", r)
		}
	}
	code, asked := l.requests(idjagtest.Code)[0], l.requests(idjagtest.Authorize)[0]
	if code.Form.Get("resource") != target.Resource || asked.Form.Get("resource") != target.Resource || code.Form.Has("scope") {
		t.Errorf("sent %v and %v", asked.Form, code.Form)
	}
	if back := asked.Form.Get("redirect_uri"); !strings.HasPrefix(back, "http://127.0.0.1:") || !strings.HasSuffix(back, r.RedirectPath) || len(r.RedirectPath) < len("/callback/")+32 {
		t.Errorf("redirect_uri is %q, the path of this server %q", back, r.RedirectPath)
	}
	if w := l.warned(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}

	again := l.consented(t, target) // is known there already
	if l.AS.Count(idjagtest.Register) != 1 || !l.works(again) {
		t.Errorf("%d registrations, want 1", l.AS.Count(idjagtest.Register))
	}
}

// S6: what a consent brings goes to the token endpoint of its authorization server,
// and to no other place, that server's own included.
func TestSecretsGoNowhereElse(t *testing.T) {
	l := newLaptop(t)
	l.AS.AuthMethods = []string{"client_secret_post"}
	target := l.target(t)
	l.consented(t, target)
	if _, err := l.k.Renew(bounded(t), target, nil); err != nil {
		t.Fatal(err)
	}
	c := l.k.record(target.url()).Consent
	refresh, err := l.k.Vault.Get(t.Context(), refreshItem(target.url(), *c))
	if err != nil {
		t.Fatal(err)
	}
	l.k.Net.Permit(wire.RefreshToken, refresh, wire.Endpoint(target.AS.TokenEndpoint))
	sec := secret.New(l.AS.Registered()[0].Secret)
	for name, s := range map[string]secret.Text{"refresh_token": refresh, "client_secret": sec} {
		for _, to := range []string{target.AS.RegistrationEndpoint, target.AS.AuthorizationEndpoint, target.AS.TokenEndpoint + "/", target.url()} {
			_, err := endpoint.Post(wire.OnBehalfOf(t.Context(), target.url()), l.k.Net.Client(), endpoint.Request{URL: to, Form: url.Values{name: {s.Reveal()}}})
			var refused *wire.Refusal
			if err == nil || !errors.As(err, &refused) && !strings.Contains(err.Error(), "no client id") {
				t.Errorf("%s to %s: got %v", name, to, err)
			}
		}
	}
	// The registration request has no secret in it, and no proof of a client.
	if r := l.requests(idjagtest.Register)[0]; r.AuthMethod != "" || r.Form.Has("client_secret") {
		t.Errorf("registered with %v", r.Form)
	}
}

// What goes wrong leaves nothing behind but the registration.
func TestAskGoesWrong(t *testing.T) {
	isForged := func(err error) bool { var e *signin.Forged; return errors.As(err, &e) }
	isRefused := func(err error) bool { var e *signin.Refused; return errors.As(err, &e) }
	isUnfit := func(security bool) func(error) bool {
		return func(err error) bool { var e *Unfit; return errors.As(err, &e) && e.Security == security }
	}
	code := func(want string) func(error) bool {
		return func(err error) bool { var e *endpoint.Error; return errors.As(err, &e) && e.Code == want }
	}
	rule := func(want string) func(error) bool {
		return func(err error) bool { var e *endpoint.CheckError; return errors.As(err, &e) && e.Rule == want }
	}
	quirk := func(q ...idjagtest.Quirk) func(*laptop) { return func(l *laptop) { l.AS.SetQuirks(q...) } }
	for _, row := range []struct {
		name   string
		bend   func(*laptop)
		change func(*Target)
		person func(*idjagtest.Browser)
		is     func(error) bool
		closed bool // no browser is opened
	}{
		{name: "S4 another issuer", bend: quirk(idjagtest.IssWrong("https://evil.example")), is: isForged},
		{name: "S4 iss not sent", bend: quirk(idjagtest.IssNotSent()), is: isForged},
		{name: "S4 iss wrong though not promised", bend: quirk(idjagtest.IssNotAnnounced(), idjagtest.IssWrong("https://evil.example")), is: isForged},
		{name: "S4 another issuer beside an error", bend: quirk(idjagtest.IssWrong("https://evil.example")),
			person: func(b *idjagtest.Browser) { b.Decline = true }, is: isForged},
		{name: "S4 metadata of another than was found", change: func(t *Target) { t.Parties.AS += "/" }, is: isUnfit(true), closed: true},
		{name: "PKCE not listed", bend: quirk(idjagtest.NoPKCEMetadata()), is: isUnfit(true), closed: true},
		{name: "PKCE plain only", bend: quirk(idjagtest.Member(idjagtest.Metadata, "code_challenge_methods_supported", []string{"plain"})), is: isUnfit(true), closed: true},
		{name: "no authorization endpoint", bend: quirk(idjagtest.Member(idjagtest.Metadata, "authorization_endpoint", nil)), is: isUnfit(false), closed: true},
		{name: "S14 authorization endpoint", change: func(t *Target) { t.AS.AuthorizationEndpoint = "javascript:alert(1)" },
			is: func(err error) bool { return strings.Contains(err.Error(), "is not an https address") }, closed: true},
		{name: "S37 authorization endpoint", change: func(t *Target) { t.AS.AuthorizationEndpoint += "?redirect_uri=x" },
			is: func(err error) bool { return strings.Contains(err.Error(), "ours to say") }, closed: true},
		{name: "declined", person: func(b *idjagtest.Browser) { b.Decline = true }, is: isRefused},
		{name: "not signed in", person: func(b *idjagtest.Browser) { b.Deny = true }, is: isRefused},
		{name: "code refused", bend: func(l *laptop) { l.AS.SetFault(idjagtest.Code, idjagtest.Fault{Code: "invalid_grant"}) }, is: code("invalid_grant")},
		{name: "A1 no token", bend: quirk(idjagtest.Member(idjagtest.Code, "access_token", nil)), is: rule("A1")},
		{name: "A2 unknown type", bend: quirk(idjagtest.Member(idjagtest.Code, "token_type", "N_A")), is: rule("A2")},
		{name: "A7 another resource", bend: quirk(idjagtest.Member(idjagtest.Code, "resource", "https://other.example")), is: rule("A7")},
		{name: "scope not offered", change: func(t *Target) { t.Scopes = []string{"admin"} }, is: isRefused},
		{name: "resource not known", change: func(t *Target) { t.Resource = "https://other.example/mcp" }, is: isRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			if row.bend != nil {
				row.bend(l)
			}
			target := l.target(t)
			if row.change != nil {
				row.change(&target)
			}
			b := l.Browser()
			if row.person != nil {
				row.person(&b)
			}
			open := func(_ context.Context, address string) error {
				go b.SignIn(context.Background(), address)
				return nil
			}
			if row.closed {
				open = noBrowser(t)
			}
			got, err := l.k.Ask(bounded(t), target, open)
			if err == nil || !row.is(err) {
				t.Fatalf("got %v; %v", err, l.Refusals())
			}
			if !got.AccessToken.IsZero() || strings.Contains(err.Error(), "evil") {
				t.Errorf("got %+v, %v", got, err)
			}
			if c := l.k.record(target.url()).Consent; c != nil {
				t.Errorf("a consent is on record: %+v", c)
			}
			if _, err := l.k.Renew(bounded(t), l.target(t), nil); !isNeeded(err) {
				t.Errorf("renew after that: %v", err)
			}
		})
	}
}

func isNeeded(err error) bool {
	var n *Needed
	return errors.As(err, &n)
}

// Scopes that were granted, or not, and what the next window asks for (5.6, S27).
func TestScopesAddUp(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	asked := func() []string {
		rs := l.requests(idjagtest.Authorize)
		return strings.Fields(rs[len(rs)-1].Form.Get("scope"))
	}

	var need *Needed
	if _, err := l.k.Renew(bounded(t), target, []string{"write"}); !errors.As(err, &need) || !slices.Contains(need.Scopes, "write") || !slices.Contains(need.Scopes, "read") {
		t.Fatalf("got %v, %+v", err, need)
	}
	if l.AS.Count(idjagtest.Refresh) != 0 {
		t.Error("a refresh token was spent on what cannot be had")
	}
	step := target
	step.Scopes = []string{"write"}
	got := l.consented(t, step)
	if want := []string{"write", "read", "offline_access"}; !slices.Equal(asked(), want) || lacks(got.Scopes, want) {
		t.Errorf("asked for %q, got %q, want %q", asked(), got.Scopes, want)
	}
	if _, err := l.k.Renew(bounded(t), target, []string{"write"}); err != nil {
		t.Errorf("got %v", err)
	}

	// What is not allowed any more is not asked for again.
	step.Scopes, step.Server.OAuth.MaxScopes = []string{"read"}, []string{}
	l.consented(t, step)
	if want := []string{"read", "offline_access"}; !slices.Equal(asked(), want) {
		t.Errorf("asked for %q, want %q", asked(), want)
	}

	off := false
	step.Server.OAuth.SendScope, step.Server.OAuth.SendResource = &off, &off
	l.AS.DefaultResource = target.Resource
	l.consented(t, step)
	if last := l.requests(idjagtest.Authorize); len(asked()) > 0 || last[len(last)-1].Form.Has("resource") {
		t.Errorf("sent %v", last[len(last)-1].Form)
	}

	// A server that grants less: said once, and not asked for in vain by renewals.
	less := newLaptop(t)
	less.AS.SetQuirks(idjagtest.Member(idjagtest.Code, "scope", "read"))
	target = less.target(t)
	target.Scopes = []string{"read", "write"}
	if got := less.consented(t, target); !slices.Equal(got.Reduced, []string{"write"}) {
		t.Errorf("reduced by %q, want write", got.Reduced)
	}
	if _, err := less.k.Renew(bounded(t), target, []string{"write"}); !isNeeded(err) || !strings.Contains(err.Error(), "not granted") {
		t.Errorf("got %v", err)
	}

	// offline_access is asked for where it is listed, and is not said to be lacking.
	plain := newLaptop(t, func(c *idjagtest.Company) { c.AS.OfflineAccess = false })
	plain.consented(t, plain.target(t))
	if scope := plain.requests(idjagtest.Authorize)[0].Form.Get("scope"); scope != "read" {
		t.Errorf("asked for %q", scope)
	}
	if c := plain.k.record(plain.MCP.Resource).Consent; c.Renewable {
		t.Error("said to be renewable without a refresh token")
	}
	if _, err := plain.k.Renew(bounded(t), plain.target(t), nil); !isNeeded(err) {
		t.Errorf("got %v", err)
	}
}

// Who asks while a window is open waits for it and shares the answer; a renewal
// that comes meanwhile is no answer.
func TestOneWindow(t *testing.T) {
	for _, offline := range []bool{true, false} {
		l := newLaptop(t, func(c *idjagtest.Company) { c.AS.OfflineAccess = offline })
		target := l.target(t)
		var windows atomic.Int32
		var begun, all sync.WaitGroup
		begun.Add(6)
		for i := range 6 {
			k := l.keeper(t)
			here := sync.OnceFunc(begun.Done)
			k.Now = func() time.Time { defer here(); return l.Now() } // the first thing that Ask does
			mine := target
			if i == 0 {
				mine.Scopes = []string{"read", "write"} // which the others' window need not cover
			}
			all.Go(func() {
				got, err := k.Ask(bounded(t), mine, func(_ context.Context, address string) error {
					begun.Wait()
					windows.Add(1)
					return l.browse(t.Context(), address)
				})
				if err != nil || lacks(got.Scopes, mine.Scopes) || !l.works(got) {
					t.Errorf("got %+v, %v; %v", got, err, l.Refusals())
				}
			})
		}
		all.Wait()
		if n := windows.Load(); n != 1 && n != 2 {
			t.Errorf("%d windows, want 1, or 2 when the wider one came last", n)
		}
		if n := l.AS.Count(idjagtest.Register); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
		l.consented(t, target) // asked for later, it is another window
		if n := l.AS.Granted(idjagtest.ConsentForm); n != int(windows.Load())+1 {
			t.Errorf("%d consents, want %d", n, windows.Load()+1)
		}
	}
}

// Our own choice of a port is a wish; what is configured is not.
func TestRedirectPortTaken(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	wish := target.redirectOf(Registered)
	taken, err := listenAt(wish.port)
	if err != nil {
		t.Skip("somebody else has the port of this test")
	}
	defer taken.Close()
	l.consented(t, target)
	if back, _ := url.Parse(l.requests(idjagtest.Authorize)[0].Form.Get("redirect_uri")); back.Port() == portText(wish) {
		t.Errorf("sent back to a port that is another's: %s", back)
	}
	fixed := target
	fixed.Server.OAuth.RedirectPort = wish.port
	var busy *signin.PortBusy
	if _, err := l.k.Ask(bounded(t), fixed, noBrowser(t)); !errors.As(err, &busy) {
		t.Errorf("got %v", err)
	}
}

// A token that was had and cannot be kept is handed out, and the person told.
func TestConsentCannotBeKept(t *testing.T) {
	l := newLaptop(t)
	if err := l.k.Vault.Set(t.Context(), "x", secret.New("x")); err != nil { // makes the folder
		t.Fatal(err)
	}
	l.AS.SetFault(idjagtest.Code, idjagtest.Fault{Times: 1, OnHit: l.block})
	got := l.consented(t, l.target(t))
	l.unblock()
	if w := strings.Join(l.warned(), " "); !l.works(got) || !strings.Contains(w, "agree again") || strings.Contains(w, got.RefreshToken.Reveal()) {
		t.Errorf("got %+v; warnings %q", got, w)
	}
	if _, err := l.k.Renew(bounded(t), l.target(t), nil); !isNeeded(err) {
		t.Errorf("got %v", err)
	}
}

// A consent in place of another one leaves nothing of it.
func TestConsentReplacesTheOneBefore(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	before := *l.k.record(target.url()).Consent
	configured := target
	configured.Server.OAuth.ASClientID = l.ASClient.ID
	l.setSecret(t)
	l.consented(t, configured)
	if _, err := l.k.Vault.Get(t.Context(), refreshItem(target.url(), before)); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("the refresh token of the consent before is still stored: %v", err)
	}
	if c := l.k.record(target.url()).Consent; c.ClientID != l.ASClient.ID || !c.Renewable {
		t.Errorf("on record: %+v", c)
	}
	// S31: nor is a token of it given to who waits.
	if _, ok := l.k.latest(t.Context(), configured); !ok {
		t.Error("who waits is not given the token")
	}
	err := l.k.update(t.Context(), target.url(), func(s *state.Server) { s.Consent.When = s.Consent.When.Add(time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.k.latest(t.Context(), configured); ok {
		t.Error("who waits is given a token of another consent")
	}
	if back := l.requests(idjagtest.Authorize)[1].Form.Get("redirect_uri"); !strings.HasSuffix(back, "/callback") {
		t.Errorf("redirect_uri is %q", back)
	}
}
