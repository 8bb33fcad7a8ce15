package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestSignIn(t *testing.T) {
	l := newLaptop(t)
	id := l.signIn(t)
	if id.Subject != l.Person.Subject || id.Issuer != l.IdP.Issuer || !id.Renewable || id.Imported || id.Unverified || id.Nonce == "" {
		t.Errorf("got %+v", id)
	}
	for _, scope := range []string{"openid", "offline_access"} {
		if !slices.Contains(id.Scopes, scope) {
			t.Errorf("scopes %q lack %q", id.Scopes, scope)
		}
	}
	if known, err := l.provider(t).Current(); err != nil || known.Subject != id.Subject || !known.SignedIn.Equal(id.SignedIn) {
		t.Errorf("on record: %+v, %v", known, err)
	}
	if r := l.Refusals(); len(r) > 0 {
		t.Errorf("refused: %v", r)
	}
	if w := l.warned(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
}

// What goes wrong leaves nobody signed in, and nothing stored.
func TestSignInGoesWrong(t *testing.T) {
	isForged := func(err error) bool { var e *signin.Forged; return errors.As(err, &e) }
	isRefused := func(err error) bool { var e *signin.Refused; return errors.As(err, &e) }
	rule := func(want string) func(error) bool { return func(err error) bool { return ruleOf(err) == want } }
	quirk := func(q ...idjagtest.Quirk) func(*laptop) { return func(l *laptop) { l.IdP.SetQuirks(q...) } }
	for _, row := range []struct {
		name string
		bend func(*laptop)
		is   func(error) bool
	}{
		{"S4 another issuer", quirk(idjagtest.IssWrong("https://evil.example")), isForged},
		{"S4 iss not sent", quirk(idjagtest.IssNotSent()), isForged},
		{"unassigned", func(l *laptop) { l.IdP.AutoApprove = true; l.IdP.RevokePerson(l.Person.Subject) }, isRefused},
		{"T6 replayed ID token", quirk(idjagtest.IDTokenClaim(idjagtest.Code, "nonce", "other")), rule("T6")},
		{"T6 no nonce", quirk(idjagtest.IDTokenClaim(idjagtest.Code, "nonce", nil)), rule("T6")},
		{"T3 issuer", quirk(idjagtest.IDTokenClaim(idjagtest.Code, "iss", "https://evil.example")), rule("T3")},
		{"T4 audience", quirk(idjagtest.IDTokenClaim(idjagtest.Code, "aud", "other")), rule("T4")},
		{"T5 expired", func(l *laptop) { l.IdP.SetIDTokenLifetime(-time.Hour) }, rule("T5")},
		{"T1 no ID token", quirk(idjagtest.Member(idjagtest.Code, "id_token", nil)), rule("T1")},
		{"T7 no fresh sign-in", func(l *laptop) {
			l.p.MaxAge = time.Minute
			l.IdP.SetQuirks(idjagtest.IDTokenClaim(idjagtest.Code, "auth_time", 1))
		}, rule("T7")},
		{"code refused", func(l *laptop) {
			l.IdP.SetFault(idjagtest.Code, idjagtest.Fault{Code: "invalid_grant"})
		}, func(err error) bool { return strings.Contains(err.Error(), "invalid_grant") }},
		{"metadata of another issuer", quirk(idjagtest.WrongIssuer("https://evil.example")), func(err error) bool { return strings.Contains(err.Error(), "evil") }},
		{"what came cannot be stored", func(l *laptop) {
			l.IdP.SetFault(idjagtest.Code, idjagtest.Fault{OnHit: l.block})
		}, func(err error) bool { return strings.Contains(err.Error(), "keep the sign-in") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			row.bend(l)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			id, err := l.p.SignIn(ctx, l.browse)
			if err == nil || !row.is(err) {
				t.Fatalf("got %v; %v", err, l.Refusals())
			}
			l.unblock(t)
			if id.Subject != "" {
				t.Errorf("an identity beside the error: %+v", id)
			}
			if _, err := l.p.Known(); !isSignedOut(err) {
				t.Errorf("somebody is signed in: %v", err)
			}
			if _, err := l.p.Vault.Get(t.Context(), l.p.refreshItem(l.p.configured())); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("a refresh token is stored: %v", err)
			}
		})
	}
}

// Sign-ins that begin while one is under way share its window, unless they want
// another kind of sign-in (T7).
func TestSharedWindow(t *testing.T) {
	l := newLaptop(t)
	var windows atomic.Int32
	var begun, all sync.WaitGroup
	begun.Add(6)
	for i := range 6 {
		p := l.provider(t)
		here := sync.OnceFunc(begun.Done)
		p.Now = func() time.Time { defer here(); return l.Now() } // the first thing that SignIn does
		if i == 0 {
			p.MaxAge = time.Hour
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			id, err := p.SignIn(ctx, func(ctx context.Context, address string) error {
				begun.Wait()
				windows.Add(1)
				return l.browse(ctx, address)
			})
			if err != nil || id.Subject != l.Person.Subject {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
	all.Wait()
	// The demanding one has a window of its own, which the others share if it was
	// the first.
	if n := windows.Load(); n < 1 || n > 2 {
		t.Errorf("%d windows, want one, and one for the demanding sign-in", n)
	}
}

// T7: the sign-in that somebody else made meanwhile will not do for who wants one
// of a certain kind.
func TestDemandingSignInOpensItsOwnWindow(t *testing.T) {
	for _, row := range []struct {
		maxAge  time.Duration
		windows int32
	}{{0, 0}, {time.Hour, 1}} {
		l := newLaptop(t)
		id := l.signIn(t)
		unlock, err := l.p.State.Lock(t.Context(), "sign-in at "+l.p.IdP.Name)
		if err != nil {
			t.Fatal(err)
		}
		p := l.provider(t)
		p.MaxAge = row.maxAge
		asked := make(chan struct{})
		once := sync.OnceFunc(func() { close(asked) })
		p.Now = func() time.Time { defer once(); return l.Now() }
		var windows atomic.Int32
		done := make(chan error, 1)
		go func() {
			_, err := p.SignIn(t.Context(), func(ctx context.Context, a string) error { windows.Add(1); return l.browse(ctx, a) })
			done <- err
		}()
		<-asked
		id.SignedIn = l.Now().Add(time.Second) // as if the other window had ended well
		if err := l.p.State.Update(t.Context(), func(f *state.File) error { f.Identities[l.p.IdP.Name] = id; return nil }); err != nil {
			t.Fatal(err)
		}
		unlock()
		if err := <-done; err != nil || windows.Load() != row.windows {
			t.Errorf("max age %v: %d windows, want %d; %v", row.maxAge, windows.Load(), row.windows, err)
		}
	}
}

func TestDemandingSignInsDoNotShare(t *testing.T) {
	p := &Provider{}
	if p.demanding() {
		t.Error("a plain sign-in is demanding")
	}
	p.MaxAge = time.Second
	if !p.demanding() {
		t.Error("max_age")
	}
	p.MaxAge, p.IdP.Prompt = 0, "select_account"
	if !p.demanding() {
		t.Error("prompt")
	}
	p.IdP.Prompt, p.IdP.ACRValues = "", []string{"mfa"}
	if !p.demanding() {
		t.Error("acr_values")
	}
}

// What an earlier configuration stored does not stay behind for ever.
func TestSignInReplacesTheOneOfAnotherClient(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	old := l.p.itemsOf(mustKnow(t, l.p))
	l.IdPClient.ID = "another-client"
	l.IdP.AddClient(l.IdPClient)
	l.p = l.provider(t)
	if _, err := l.p.Known(); !isSignedOut(err) {
		t.Fatalf("another client's sign-in is taken for ours: %v", err)
	}
	if err := l.p.Vault.Set(t.Context(), ClientSecretItem(l.IdP.Issuer, l.IdPClient.ID), secret.New(l.IdPClient.Secret)); err != nil {
		t.Fatal(err)
	}
	l.signIn(t)
	for _, item := range old {
		if _, err := l.p.Vault.Get(t.Context(), item); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: %v, want it gone", item, err)
		}
	}
	if _, err := l.renewed(t); err != nil {
		t.Errorf("the new sign-in: %v", err)
	}
}

func TestClientAuthenticationAtTheIdP(t *testing.T) {
	for _, method := range []string{idjagtest.AuthBasic, idjagtest.AuthPost, idjagtest.AuthNone} {
		l := newLaptop(t, func(c *idjagtest.Company) {
			c.IdPClient.Method = method
			if method == idjagtest.AuthNone {
				c.IdPClient.Secret = ""
			}
		})
		if method != idjagtest.AuthNone {
			l.p.IdP.ClientAuth.Method = method
		}
		l.signIn(t)
		l.expire()
		if _, err := l.p.Subject(t.Context(), secret.Text{}); err != nil {
			t.Errorf("%s: %v; %v", method, err, l.Refusals())
		}
	}
}

// Nobody is signed out by a state that cannot be read just now, and no sign-in is
// put over another one whose place is not known.
func TestTroubleIsNoSignOut(t *testing.T) {
	l := newLaptop(t)
	before := l.signIn(t)
	over := l.trouble(t)
	var out *SignedOut
	p := l.provider(t)
	_, current := p.Current()
	_, known := p.Known()
	_, renewed := p.Subject(t.Context(), secret.Text{})
	_, kept := p.keep(t.Context(), before, tokens{id: secret.New("id"), refresh: secret.New("refresh")})
	_, forgotten := p.Forget(t.Context())
	for name, err := range map[string]error{"Current": current, "Known": known, "Subject": renewed, "keep": kept, "Forget": forgotten} {
		if err == nil || errors.As(err, &out) {
			t.Errorf("%s: %v", name, err)
		}
	}
	over()
	if id, err := l.provider(t).Current(); err != nil || id.Subject != before.Subject {
		t.Errorf("when it is over: %+v, %v", id, err)
	}
}
