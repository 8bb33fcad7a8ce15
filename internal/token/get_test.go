package token

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// Requests are what a call costs. The keys of the identity
// provider are fetched at sign-in only.
func TestRequestCounts(t *testing.T) {
	l := newLaptop(t)
	l.cacheable = true
	s := l.source(t)
	check := func(what string, want int, ask func()) {
		t.Helper()
		for _, p := range []interface{ ForgetRequests() }{l.IdP, l.AS, l.MCP} {
			p.ForgetRequests()
		}
		ask()
		if got := l.requests(); len(got) != want {
			t.Errorf("%s: %d requests, want %d: %v", what, len(got), want, got)
		}
	}
	check("nothing known", 5, func() { l.mustGet(t, s, Ask{}) })
	check("token cached", 0, func() {
		if tok := l.mustGet(t, l.source(t), Ask{}); !tok.Cached {
			t.Error("it does not say that it is cached")
		}
	})
	check("metadata cached", 2, func() {
		l.Advance(15 * time.Minute)
		l.mustGet(t, l.source(t), Ask{})
	})
	l.forget()
	check("issuer and resource configured", 4, func() {
		s := l.source(t)
		s.Server.OAuth.Issuer, s.Server.OAuth.Resource = l.AS.Issuer, l.MCP.Resource
		l.Advance(15 * time.Minute)
		l.mustGet(t, s, Ask{})
	})
	if r := l.Refusals(); len(r) > 0 {
		t.Errorf("refused: %v", r)
	}
}

func TestOneFlight(t *testing.T) {
	for name, a := range map[string]Ask{"plain": {}, "longer than any token lasts": {MinTTL: 12 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			if a.MinTTL > 0 {
				l.mustGet(t, l.source(t), Ask{}) // known places, so that waiters look where the token comes
				l.forget()
			}
			var begun, all sync.WaitGroup
			begun.Add(50)
			l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{OnHit: begun.Wait})
			for range 50 {
				s := l.source(t)
				here := sync.OnceFunc(begun.Done)
				s.Now = func() time.Time { defer here(); return l.Now() } // asked for at the latest now
				all.Go(func() { l.get(t, s, a) })
			}
			all.Wait()
			if x, r := l.IdP.Count(idjagtest.Exchange), l.AS.Count(idjagtest.Redeem); x != 1 || r != 1 {
				t.Errorf("%d exchanges and %d redemptions, want one of each; %v", x, r, l.Refusals())
			}
		})
	}
}

// While the weather is bad a token is good until it expires; a decision is one.
func TestWeather(t *testing.T) {
	for _, row := range []struct {
		name   string
		bend   func(*laptop)
		served bool
	}{
		{"IdP out of order", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 503}) }, true},
		{"IdP gone", func(l *laptop) { l.IdP.Close() }, true},
		{"IdP resets", func(l *laptop) { l.IdP.SetFault(idjagtest.Token, idjagtest.Fault{Reset: true}) }, true},
		{"a web page in between", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.HTML()) }, true},
		{"a web page for metadata", func(l *laptop) { l.MCP.SetFault(idjagtest.Metadata, idjagtest.HTML()) }, true},
		{"AS out of order", func(l *laptop) { l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Status: 500}) }, true},
		{"too many requests", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 429, RetryAfter: "60"}) }, true},
		{unreadable, func(l *laptop) { l.breakStore(t) }, true},
		{"refused", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"}) }, false},
		{"refused with a server's status", func(l *laptop) {
			l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied", Status: 500})
		}, false},
		{"no longer known", func(l *laptop) { l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Code: "invalid_client"}) }, false},
		{"S1 metadata of another issuer", func(l *laptop) { l.AS.SetQuirks(idjagtest.WrongIssuer("https://evil.example")) }, false},
		{"S23 an access token for an ID-JAG", func(l *laptop) { l.IdP.SetQuirks(idjagtest.WrongIssuedTokenType()) }, false},
		{"S3 another authorization server", func(l *laptop) { l.MCP.PublishedAS = []string{"https://evil.example"} }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			skipAbsent(t, row.name)
			l := newLaptop(t)
			had := l.mustGet(t, l.source(t), Ask{})
			l.Advance(14*time.Minute + 30*time.Second) // of 15: not good enough any more, and not expired
			l.forget()
			row.bend(l)
			tok, err := l.get(t, l.source(t), Ask{})
			if (err == nil) != row.served {
				t.Fatalf("got %v", err)
			}
			if row.served && (!tok.AccessToken.Equal(had.AccessToken) || len(tok.Warnings) != 1) {
				t.Errorf("got another token, or warnings %q", tok.Warnings)
			}
			if _, err := l.get(t, l.source(t), Ask{Fresh: true}); err == nil {
				t.Error("a fresh one was asked for, and an old one came")
			}
			l.Advance(time.Minute)
			if _, err := l.get(t, l.source(t), Ask{}); err == nil {
				t.Error("an expired token was served")
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if f, _, _ := l.source(t).State.Read(); f.Servers[l.MCP.URL()].LastError == nil {
				t.Error("the failure is not on record")
			}
		})
	}
}

const unreadable = "the store cannot be read"

// skipAbsent leaves out what is an absent store on Windows: one below a plain file.
func skipAbsent(t *testing.T, name string) {
	if name == unreadable && runtime.GOOS == "windows" {
		t.Skip("to this system it is only not there")
	}
}

// breakStore makes the sign-in unreadable, and leaves the tokens that were had with it.
func (l *laptop) breakStore(t *testing.T) {
	t.Helper()
	store := filepath.Join(l.dir, "state", "store")
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Helpers that start together look like one whose token was refused: what cannot be
// replaced for a reason that says nothing about it is served to all of them.
func TestHelpersInBadWeather(t *testing.T) {
	for _, row := range []struct {
		name   string
		bend   func(*laptop)
		served bool
	}{
		{"IdP out of order", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 503}) }, true},
		{"no answer that can be read", func(l *laptop) {
			half := "{"
			l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Body: &half})
		}, true},
		{unreadable, func(l *laptop) { l.breakStore(t) }, true},
		{"refused", func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"}) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			skipAbsent(t, row.name)
			l := newLaptop(t)
			had := l.mustGet(t, l.source(t), Ask{})
			row.bend(l)
			for i := range 3 {
				tok, err := l.source(t).GetForHelper(t.Context(), Ask{})
				if i == 0 || row.served {
					if err != nil || !tok.AccessToken.Equal(had.AccessToken) {
						t.Errorf("helper %d: %v", i, err)
					}
				} else if err == nil {
					t.Errorf("helper %d was served", i)
				}
			}
		})
	}
}

// S31: nobody is served, or leaves behind, a token of who was signed in before.
func TestS31AnotherPerson(t *testing.T) {
	l := newLaptop(t)
	bob := idjagtest.Person{Subject: "bob", Email: "bob@acme.example", Groups: l.Person.Groups}
	l.IdP.AddPerson(bob)
	alice := l.mustGet(t, l.source(t), Ask{})
	l.signIn(t, "bob")
	tok := l.mustGet(t, l.source(t), Ask{})
	if at, _ := l.AS.Lookup(tok.AccessToken.Reveal()); at.Subject != "bob" || tok.AccessToken.Equal(alice.AccessToken) {
		t.Fatalf("got a token of %q", at.Subject)
	}

	// Alice signs in while Bob's call is on its way: what it brings is Alice's, and
	// must not be kept under Bob's name.
	l.Advance(15 * time.Minute)
	l.MCP.SetFault(idjagtest.Metadata, idjagtest.Fault{Times: 1, OnHit: func() { l.signIn(t, l.Person.Subject) }})
	l.mustGet(t, l.source(t), Ask{})
	l.signIn(t, "bob")
	tok = l.mustGet(t, l.source(t), Ask{})
	if at, _ := l.AS.Lookup(tok.AccessToken.Reveal()); at.Subject != "bob" || tok.Cached {
		t.Errorf("Bob got a token of %q, cached: %v", at.Subject, tok.Cached)
	}
}

// Who waited behind the lock looks again who is signed in.
func TestS31WhileWaiting(t *testing.T) {
	l := newLaptop(t)
	l.IdP.AddPerson(idjagtest.Person{Subject: "bob"})
	l.mustGet(t, l.source(t), Ask{})
	s := l.source(t)
	unlock, err := s.State.Lock(t.Context(), lockName(s.Server.URL))
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	s.Now = func() time.Time { once(); return l.Now() }
	got := make(chan Token, 1)
	go func() {
		tok, err := l.get(t, s, Ask{MinTTL: 24 * time.Hour}) // has to wait
		if err != nil {
			t.Errorf("got %v", err)
		}
		got <- tok
	}()
	<-asked
	l.signIn(t, "bob")
	unlock()
	if at, _ := l.AS.Lookup((<-got).AccessToken.Reveal()); at.Subject != "bob" {
		t.Errorf("got a token of %q", at.Subject)
	}
}

// A sign-out finds everything: what is on its way when it begins is not stored
// behind it.
func TestSignOutWhileATokenIsOnItsWay(t *testing.T) {
	l := newLaptop(t)
	l.mustGet(t, l.source(t), Ask{})
	l.Advance(15 * time.Minute)
	var dropped sync.WaitGroup
	l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Times: 1, OnHit: func() {
		s := l.source(t)
		if _, err := s.Provider.Forget(context.Background()); err != nil {
			t.Errorf("sign out: %v", err)
		}
		dropped.Go(func() {
			if err := Drop(context.Background(), s.State, s.Vault, s.Server.URL); err != nil {
				t.Errorf("drop: %v", err)
			}
		})
	}})
	l.mustGet(t, l.source(t), Ask{}) // it was asked for before
	dropped.Wait()
	if n := l.sealedFiles(t); n != 0 {
		t.Errorf("%d sealed files are left", n)
	}
	f, _, _ := l.source(t).State.Read()
	r := f.Servers[l.MCP.URL()]
	if len(r.Sealed) != 0 || !r.Expires.IsZero() || r.Issuer != l.AS.Issuer {
		t.Errorf("on record: %+v", r)
	}
	var out *identity.SignedOut
	if _, err := l.get(t, l.source(t), Ask{}); !errors.As(err, &out) {
		t.Errorf("after it: %v", err)
	}
}

// The first token of a server leaves nothing behind either.
func TestNothingIsStoredBehindASignOut(t *testing.T) {
	l := newLaptop(t)
	l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Times: 1, OnHit: func() {
		if _, err := l.source(t).Provider.Forget(context.Background()); err != nil {
			t.Errorf("sign out: %v", err)
		}
	}})
	l.mustGet(t, l.source(t), Ask{})
	if n := l.sealedFiles(t); n != 0 {
		t.Errorf("%d sealed files", n)
	}
}

// A token that cannot be kept is handed out all the same, and nothing is stored
// that no record names.
func TestTokenThatCannotBeKept(t *testing.T) {
	l := newLaptop(t)
	l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{OnHit: func() {
		d := l.source(t).State
		if err := d.Update(context.Background(), func(f *state.File) error { return nil }); err != nil {
			t.Error(err)
		}
		if err := d.WriteFile("state.json", []byte(`{"version": 99}`)); err != nil {
			t.Error(err)
		}
	}})
	tok, err := l.get(t, l.source(t), Ask{})
	if err != nil || tok.AccessToken.IsZero() {
		t.Fatalf("got %v", err)
	}
	if n := l.sealedFiles(t); n != 0 {
		t.Errorf("%d sealed files that no record names", n)
	}
}

func TestRequiredScopes(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	s.Server.OAuth.Scopes = []string{"read"}
	l.mustGet(t, s, Ask{})
	s.Server.OAuth.RequireScopes = []string{"read"}
	if tok := l.mustGet(t, s, Ask{}); !tok.Cached {
		t.Error("the cached token has the scope, and yet another one was had")
	}
	s.Server.OAuth.RequireScopes = []string{"write"}
	var check *idjag.CheckError
	if _, err := l.get(t, s, Ask{}); !errors.As(err, &check) || check.Rule != "X11" {
		t.Errorf("the IdP grants less: got %v", err)
	}
	s.Server.OAuth.Scopes = []string{"read", "write"}
	l.AS.SetQuirks(idjagtest.Member(idjagtest.Redeem, "scope", "read"))
	if _, err := l.get(t, s, Ask{}); !errors.As(err, &check) || check.Rule != "A5" {
		t.Errorf("the authorization server grants less: got %v", err)
	}
}

// A subject token that the identity provider refuses is renewed once, by rule 2.4.
func TestRefusedIdentityIsNotAskedForEver(t *testing.T) {
	l := newLaptop(t)
	l.IdP.RevokeSessions(l.Person.Subject)
	var out *identity.SignedOut
	if _, err := l.get(t, l.source(t), Ask{}); !errors.As(err, &out) {
		t.Errorf("got %v", err)
	}
	if n := l.IdP.Count(idjagtest.Exchange); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	l := newLaptop(t)
	for _, f := range []idjagtest.Fault{idjagtest.Poisoned("access_denied"), {Status: 500, Body: idjagtest.Text(l.ASClient.Secret)}, idjagtest.Malformed()} {
		l.AS.SetFault(idjagtest.Redeem, f)
		_, err := l.get(t, l.source(t), Ask{})
		var e *endpoint.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if text := err.Error(); strings.Contains(text, l.ASClient.Secret) || strings.Contains(text, "eyJ") || strings.Contains(text, "\x1b") {
			t.Errorf("the error holds what it must not: %q", text)
		}
		f, _, _ := l.source(t).State.Read()
		if last := f.Servers[l.MCP.URL()].LastError; last == nil || strings.ContainsAny(last.Message, "\x1b\n") {
			t.Errorf("on record: %+v", last)
		}
	}
}
