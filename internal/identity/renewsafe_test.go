package identity

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// A disk that is full, or a keychain that takes nothing, does not cost the sign-in:
// the refresh token is not used where the next one could not be kept.
func TestRenewalIsNotBegunWhereItCannotBeKept(t *testing.T) {
	l := newLaptop(t)
	id := l.signIn(t)
	l.expire()
	// The item can be read, and whoever writes it has no place to take turns.
	lock := filepath.Join(l.dir, "state", "locks", state.Hash("item file "+l.p.refreshItem(id))+".lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.renewed(t); err == nil || isSignedOut(err) || !strings.Contains(err.Error(), "could not be kept") {
			t.Errorf("got %v", err)
		}
	}
	if n := l.IdP.Count(idjagtest.Refresh); n != 0 {
		t.Errorf("%d requests", n)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if s, err := l.renewed(t); err != nil || !s.Renewed {
		t.Errorf("when it is over: %v; %v", err, l.Refusals())
	}
}

// An ID token is renewed ahead of its end. Until then it is used, whatever becomes of
// the renewal, unless that says that the sign-in has ended.
func TestRenewalAheadOfTheEndCanWait(t *testing.T) {
	l := newLaptop(t)
	id := l.signIn(t)
	old, err := l.p.Vault.Get(t.Context(), l.p.idTokenItem(id))
	if err != nil {
		t.Fatal(err)
	}
	for id.Expires.Add(-margin).Sub(renewAt(id)) < 10*time.Second { // for some it is hardly ahead
		id.Issued = id.Issued.Add(-time.Second)
	}
	err = l.p.State.Update(t.Context(), func(f *state.File) error { f.Identities[l.p.IdP.Name] = id; return nil })
	if err != nil {
		t.Fatal(err)
	}
	l.Advance(renewAt(id).Sub(l.Now()) + time.Second)
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Status: 503})
	for range 3 { // the last of which is held back
		if s, err := l.renewed(t); err != nil || s.Renewed || !s.Token.Equal(old) {
			t.Errorf("%v before its end: %v", id.Expires.Sub(l.Now()), err)
		}
	}
	if len(l.warned()) == 0 {
		t.Error("nobody is told")
	}
	if _, err := l.provider(t).Subject(t.Context(), old); err == nil {
		t.Error("the one that was refused came again")
	}
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Code: "invalid_grant", Times: 1})
	l.Advance(time.Second)
	l.p.Pace("").Works()
	if _, err := l.renewed(t); !isSignedOut(err) {
		t.Errorf("the sign-in has ended: got %v", err)
	}
}

// A sign-in without a refresh token is replaced by the next one while somebody reads
// it: nobody is told to sign in.
func TestSignInIsReplacedWhileItIsRead(t *testing.T) {
	l := newLaptop(t)
	signIn := func() {
		raw, err := l.IdP.MintIDToken(l.Person.Subject, l.IdPClient.ID, nil)
		if err == nil {
			_, err = l.provider(t).Import(t.Context(), secret.New(raw), false)
		}
		if err != nil {
			t.Error(err)
		}
	}
	signIn()
	p := l.provider(t)
	var once sync.Once
	p.Now = func() time.Time { // is asked between the record and the token
		once.Do(signIn)
		return l.Now()
	}
	if _, err := p.Subject(t.Context(), secret.Text{}); err != nil {
		t.Error(err)
	}
}
