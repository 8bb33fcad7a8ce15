package identity

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// renewed asks as a process of its own would.
func (l *laptop) renewed(t *testing.T) (Subject, error) {
	t.Helper()
	return l.provider(t).Subject(t.Context(), secret.Text{})
}

// block puts a file where the folder of the store is, so that nothing can be
// stored: permissions do not stop an administrator, and this does.
func (l *laptop) block() {
	store := filepath.Join(l.dir, "state", "store")
	err := os.Rename(store, store+".away")
	if err == nil {
		err = os.WriteFile(store, nil, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// unblock puts the folder back, if it is away.
func (l *laptop) unblock(t *testing.T) {
	t.Helper()
	store := filepath.Join(l.dir, "state", "store")
	if _, err := os.Lstat(store + ".away"); err != nil {
		return
	}
	if err := os.Remove(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(store+".away", store); err != nil {
		t.Fatal(err)
	}
}

func isSignedOut(err error) bool {
	var out *SignedOut
	return errors.As(err, &out)
}

// What a renewal meets, and whether the sign-in survives it.
func TestRenewal(t *testing.T) {
	faulty := func(f idjagtest.Fault) func(*laptop) {
		return func(l *laptop) { f.Times = 1; l.IdP.SetFault(idjagtest.Refresh, f) }
	}
	quirk := func(q idjagtest.Quirk) func(*laptop) { return func(l *laptop) { l.IdP.SetQuirks(q) } }
	for _, row := range []struct {
		name    string
		company func(*idjagtest.Company)
		bend    func(*laptop)
		wantErr bool
		rule    string
		warns   bool
		over    bool // and the next call finds the sign-in ended
		again   int  // requests that the next call makes
	}{
		{name: "rotation"},
		{name: "no rotation", company: func(c *idjagtest.Company) { c.IdP.NoRotation = true }},
		{name: "T6 no nonce in it", bend: quirk(idjagtest.IDTokenClaim(idjagtest.Refresh, "nonce", nil))},
		{name: "connection reset", bend: faulty(idjagtest.Fault{Reset: true}), wantErr: true, again: 1},
		{name: "out of order", bend: faulty(idjagtest.Fault{Status: 503}), wantErr: true, again: 1},
		{name: "web page", bend: faulty(idjagtest.HTML()), wantErr: true, again: 1},
		{name: "invalid_client", bend: faulty(idjagtest.Fault{Code: "invalid_client"}), wantErr: true, again: 1},
		{name: "invalid_grant", bend: faulty(idjagtest.Fault{Code: "invalid_grant"}), wantErr: true, over: true},
		{name: "person gone", bend: func(l *laptop) { l.IdP.RevokePerson(l.Person.Subject) }, wantErr: true, over: true},
		{name: "bad member beside the rotated token", bend: quirk(idjagtest.Member(idjagtest.Refresh, "scope", 7)), wantErr: true, again: 1},
		{name: "bad ID token beside the rotated token", bend: quirk(idjagtest.Member(idjagtest.Refresh, "id_token", "x")), wantErr: true, rule: "T1", again: 1},
		{name: "keys out of reach", bend: func(l *laptop) { l.IdP.SetFault(idjagtest.JWKS, idjagtest.Fault{Reset: true}) }, wantErr: true, rule: "?", again: 1},
		{name: "T9 another person", bend: quirk(idjagtest.IDTokenClaim(idjagtest.Refresh, "sub", "mallory")), wantErr: true, rule: "T9", again: 1},
		{name: "T9 another sign-in", bend: quirk(idjagtest.IDTokenClaim(idjagtest.Refresh, "auth_time", 1)), wantErr: true, rule: "T9", again: 1},
		{name: "T6 another nonce", bend: quirk(idjagtest.IDTokenClaim(idjagtest.Refresh, "nonce", "x")), wantErr: true, rule: "T6", again: 1},
		{name: "T3 another issuer", bend: quirk(idjagtest.IDTokenClaim(idjagtest.Refresh, "iss", "x")), wantErr: true, rule: "T3", again: 1},
		{name: "ID token cannot be stored", company: func(c *idjagtest.Company) { c.IdP.NoRotation = true }, bend: func(l *laptop) {
			l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: l.block})
		}, warns: true, again: 1},
		{name: "record cannot be written", bend: func(l *laptop) {
			l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: func() {
				if err := l.p.State.WriteFile("state.json", []byte(`{"version":99}`)); err != nil {
					panic(err)
				}
			}})
		}, warns: true, over: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var options []func(*idjagtest.Company)
			if row.company != nil {
				options = append(options, row.company)
			}
			l := newLaptop(t, options...)
			id := l.signIn(t)
			l.expire()
			if row.bend != nil {
				row.bend(l)
			}
			s, err := l.renewed(t)
			if (err != nil) != row.wantErr || row.rule != "" && ruleOf(err) != row.rule {
				t.Fatalf("got %v; %v", err, l.Refusals())
			}
			if isSignedOut(err) != (row.over && row.wantErr) {
				t.Errorf("got %v", err)
			}
			if err == nil && (!s.Renewed || s.Type != idjag.TokenTypeIDToken || s.Identity.Subject != id.Subject || !s.Identity.Expires.After(l.Now())) {
				t.Errorf("got %+v", s)
			}
			if w := l.warned(); (len(w) > 0) != row.warns {
				t.Errorf("warnings: %q", w)
			}
			if l.IdP.Count(idjagtest.Refresh) != 1 {
				t.Errorf("%d refreshes, want 1", l.IdP.Count(idjagtest.Refresh))
			}

			l.IdP.ForgetRequests()
			l.IdP.ClearFaults()
			l.IdP.SetQuirks()
			l.unblock(t)
			s, err = l.renewed(t)
			if isSignedOut(err) != row.over || err != nil && !row.over {
				t.Fatalf("the next time: got %v; %v", err, l.Refusals())
			}
			if n := l.IdP.Count(idjagtest.Refresh); n != row.again {
				t.Errorf("the next time: %d refreshes, want %d", n, row.again)
			}
			if r := l.IdP.Refusals(); len(r) > 0 {
				t.Errorf("refused: %v", r)
			}
		})
	}
}

// A refresh token that cannot be stored is used, and said to be lost.
func TestRotatedTokenCannotBeStored(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: l.block})
	s, err := l.renewed(t)
	if err != nil || s.Token.IsZero() {
		t.Fatalf("got %v", err)
	}
	if w := strings.Join(l.warned(), " "); !strings.Contains(w, "sign in again") || strings.Contains(w, s.Token.Reveal()) {
		t.Errorf("warnings: %q", w)
	}
}

func TestRenewalWithoutIDToken(t *testing.T) {
	l := newLaptop(t, func(c *idjagtest.Company) { c.IdP.NoRefreshIDToken = true })
	l.signIn(t)
	l.expire()
	for range 2 { // the rotated one is what is presented, and what is kept
		s, err := l.renewed(t)
		kept, _ := l.p.Vault.Get(t.Context(), l.p.refreshItem(mustKnow(t, l.p)))
		if err != nil || s.Type != idjag.TokenTypeRefreshToken || !s.Token.Equal(kept) {
			t.Fatalf("got %+v, %v; %v", s, err, l.Refusals())
		}
	}
	p := l.provider(t)
	p.IdP.SubjectToken = "id_token"
	if _, err := p.Subject(t.Context(), secret.Text{}); !isSignedOut(err) {
		t.Errorf("with ID tokens only: got %v", err)
	}
	p.IdP.SubjectToken = "refresh_token"
	s, err := p.Subject(t.Context(), secret.Text{})
	if err != nil || s.Type != idjag.TokenTypeRefreshToken {
		t.Fatalf("with refresh tokens only: got %+v, %v", s, err)
	}
	if _, err := p.Subject(t.Context(), s.Token); !isSignedOut(err) {
		t.Errorf("a refused refresh token is presented again: %v", err)
	}
}

// While it is good the ID token at hand is used, and nobody is asked; the one that
// was refused is not used again.
func TestSubjectAtHand(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	s, err := l.renewed(t)
	if err != nil || s.Renewed || l.IdP.Count(idjagtest.Refresh) != 0 {
		t.Fatalf("got %+v, %v", s, err)
	}
	fresh, err := l.p.Subject(t.Context(), s.Token)
	if err != nil || !fresh.Renewed || fresh.Token.Equal(s.Token) || l.IdP.Count(idjagtest.Refresh) != 1 {
		t.Fatalf("got %+v, %v", fresh, err)
	}
	winner, err := l.provider(t).Subject(t.Context(), s.Token)
	if err != nil || !winner.Token.Equal(fresh.Token) || l.IdP.Count(idjagtest.Refresh) != 1 {
		t.Errorf("the token that somebody else has had renewed is not taken: %v", err)
	}
}

// S31: a stored ID token must be about the person on record, and still be one.
func TestStoredTokenIsLookedAtAgain(t *testing.T) {
	for rule, bend := range map[string]func(h, c map[string]any){
		"T9": func(_, c map[string]any) { c["sub"] = "mallory" },
		"T4": func(_, c map[string]any) { c["aud"] = "other" },
		"T3": func(_, c map[string]any) { c["iss"] = "https://evil.example" },
		"T5": func(_, c map[string]any) { c["exp"] = 1 },
	} {
		l := newLaptop(t)
		id := l.signIn(t)
		planted := l.MintIDToken(func(h, c map[string]any) { c["auth_time"] = id.AuthTime.Unix(); bend(h, c) })
		if err := l.p.Vault.Set(t.Context(), l.p.idTokenItem(id), secret.New(planted)); err != nil {
			t.Fatal(err)
		}
		if s, err := l.renewed(t); ruleOf(err) != rule || !s.Token.IsZero() {
			t.Errorf("%s: got %v", rule, err)
		}
	}
}

// The keychain is asked for the ID token once, as long as it is of the sign-in on
// record, passes its checks and was not refused.
func TestStoredTokenIsReadOnce(t *testing.T) {
	l := newLaptop(t)
	id := l.signIn(t)
	first, err := l.p.Subject(t.Context(), secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	plant := func(bend func(h, c map[string]any)) secret.Text {
		token := secret.New(l.MintIDToken(func(h, c map[string]any) { c["auth_time"] = id.AuthTime.Unix(); bend(h, c) }))
		if err := l.p.Vault.Set(t.Context(), l.p.idTokenItem(id), token); err != nil {
			t.Fatal(err)
		}
		return token
	}
	wantToken := func(want, spent secret.Text) {
		t.Helper()
		if s, err := l.p.Subject(t.Context(), spent); err != nil || !s.Token.Equal(want) {
			t.Errorf("%v", err)
		}
	}
	second := plant(func(_, c map[string]any) { c["jti"] = "2" })
	wantToken(first.Token, secret.Text{})
	wantToken(second, first.Token) // refused
	wantToken(second, secret.Text{})
	third := plant(func(_, c map[string]any) { c["jti"] = "3" })
	id.Expires = id.Expires.Add(-time.Second)
	if err := l.p.State.Update(t.Context(), func(f *state.File) error { f.Identities[l.p.IdP.Name] = id; return nil }); err != nil {
		t.Fatal(err)
	}
	wantToken(third, secret.Text{}) // another record
	l.Advance(aMoment)
	if err := l.p.Vault.Delete(t.Context(), l.p.idTokenItem(id)); err != nil {
		t.Fatal(err)
	}
	if s, err := l.p.Subject(t.Context(), secret.Text{}); err == nil && s.Token.Equal(third) {
		t.Error("what was deleted lives on")
	}

	fresh := l.provider(t)
	plant(func(_, c map[string]any) { c["aud"] = "other" })
	if _, err := fresh.Subject(t.Context(), secret.Text{}); ruleOf(err) != "T4" {
		t.Errorf("%v", err)
	}
	fourth := plant(func(_, c map[string]any) { c["jti"] = "4" })
	if s, err := fresh.Subject(t.Context(), secret.Text{}); err != nil || !s.Token.Equal(fourth) {
		t.Errorf("after one that failed its checks: %v", err)
	}
}

func TestFiftyRenewalsAreOne(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	var all sync.WaitGroup
	for i := range 50 {
		p := l.p
		if i%5 == 0 {
			p = l.provider(t)
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if s, err := p.Subject(ctx, secret.Text{}); err != nil || s.Type != idjag.TokenTypeIDToken {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	all.Wait()
	if n := l.IdP.Count(idjagtest.Refresh); n != 1 {
		t.Errorf("%d refreshes, want 1; %v", n, l.Refusals())
	}
}

func TestProcessesRenewOnce(t *testing.T) {
	l := newLaptop(t)
	l.IdP.SetIDTokenLifetime(30 * time.Second)
	l.signIn(t)
	l.IdP.SetIDTokenLifetime(0)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], l.IdP.Issuer, l.IdPClient.ID)
			c.Env = append(os.Environ(), "MCPAUTH_IDENTITY_TEST_DIR="+l.dir)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	if n := l.IdP.Count(idjagtest.Refresh); n != 1 || len(l.IdP.Refusals()) > 0 {
		t.Errorf("%d refreshes, want 1; %v", n, l.Refusals())
	}
}

// S30: a renewal that has begun goes on when its caller has gone.
func TestRenewalOutlivesItsCaller(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan struct{})
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: cancel, Wait: answer})
	if _, err := l.p.Subject(ctx, secret.Text{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the caller's own end", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	l.p.Settle(gone) // does not wait longer than it may
	close(answer)
	l.p.Settle(t.Context())
	s, err := l.renewed(t)
	if err != nil || s.Renewed || l.IdP.Count(idjagtest.Refresh) != 1 {
		t.Fatalf("got %+v, %v; %v", s, err, l.Refusals())
	}
}

// What cannot end in time is not begun: it would use up the refresh token.
func TestRenewalIsNotBegunTooLate(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	ctx, cancel := context.WithTimeout(t.Context(), leastTime-time.Millisecond)
	defer cancel()
	if _, err := l.p.Subject(ctx, secret.Text{}); !errors.Is(err, context.DeadlineExceeded) || isSignedOut(err) {
		t.Errorf("got %v", err)
	}
	if n := l.IdP.Count(idjagtest.Refresh); n != 0 {
		t.Errorf("%d refreshes, want none", n)
	}
}

// Another person signs in while the sign-in before is being renewed: what is
// stored in the end is theirs alone.
func TestSignInDuringRenewal(t *testing.T) {
	l := newLaptop(t)
	bob := idjagtest.Person{Subject: "bob", Email: "bob@acme.example", Password: "x-" + l.Person.Password}
	l.IdP.AddPerson(bob)
	l.signIn(t)
	l.expire()
	begun, spent := make(chan struct{}), make(chan struct{})
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: func() { close(begun) }, Wait: spent})
	l.IdP.SetFault(idjagtest.Code, idjagtest.Fault{Times: 1, OnHit: func() { close(spent) }})
	var both sync.WaitGroup
	both.Go(func() { l.renewed(t) })
	<-begun
	l.Person = bob
	l.signIn(t)
	both.Wait()
	s, err := l.renewed(t)
	if err != nil || s.Identity.Subject != "bob" {
		t.Fatalf("got %+v, %v", s.Identity, err)
	}
	l.expire()
	if s, err = l.renewed(t); err != nil || !s.Renewed || s.Identity.Subject != "bob" {
		t.Fatalf("renewed: got %+v, %v; %v", s.Identity, err, l.Refusals())
	}
}
