package identity

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// ID tokens that an identity provider ends at ten o'clock for a whole company are
// renewed from six minutes before it on, person by person, and always with a minute
// left.
func TestRenewalsOfAllAreSpread(t *testing.T) {
	ten := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	perMinute := map[int]int{}
	for i := range 6000 {
		id := state.Identity{Subject: fmt.Sprint("person ", i), Issued: ten.Add(-time.Hour), Expires: ten}
		perMinute[int(ten.Sub(renewAt(id)).Minutes())]++
	}
	for minute := range 60 {
		n := perMinute[minute]
		if spread := minute >= 1 && minute < 7; spread && (n < 800 || n > 1200) || !spread && n > 0 {
			t.Errorf("%d of 6000 renewals with %d minutes left", n, minute)
		}
	}
	for name, id := range map[string]state.Identity{
		"of an older version": {Subject: "a", Expires: ten},
		"short":               {Subject: "a", Issued: ten.Add(-2 * time.Minute), Expires: ten},
	} {
		if left := ten.Sub(renewAt(id)); left != margin {
			t.Errorf("%s: renewed with %v left", name, left)
		}
	}
}

// The record of a sign-in has what the spread is made of, and a renewal keeps to it.
func TestRenewedAtItsTime(t *testing.T) {
	l := newLaptop(t)
	id := l.signIn(t)
	if id.Issued.IsZero() || id.Issued.After(l.Now()) {
		t.Fatalf("issued %v", id.Issued)
	}
	at := renewAt(id)
	if early := id.Expires.Sub(at); early <= margin || early > 7*time.Minute {
		t.Fatalf("renewed with %v left", early)
	}
	l.Advance(at.Sub(l.Now()) - 2*time.Second)
	if s, err := l.provider(t).Subject(t.Context(), secret.Text{}); err != nil || s.Renewed || s.Type != idjag.TokenTypeIDToken {
		t.Errorf("just before it: %+v, %v", s, err)
	}
	l.Advance(5 * time.Second)
	if s, err := l.provider(t).Subject(t.Context(), secret.Text{}); err != nil || !s.Renewed || !s.Identity.Issued.After(id.Issued) {
		t.Errorf("just after it: %+v, %v", s, err)
	}
	if s, err := l.provider(t).Subject(t.Context(), secret.Text{}); err != nil || s.Renewed {
		t.Errorf("after the renewal: %+v, %v", s, err)
	}
	if n := l.IdP.Count(idjagtest.Refresh); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

// A sign-in shows all processes that the identity provider is in order again.
func TestSignInEndsAPause(t *testing.T) {
	l := newLaptop(t)
	idp := l.p.Pace("wiki")
	for range 3 {
		_ = idp.Ask(pace.Insist(t.Context()), func() error { return &endpoint.Error{Status: 503} })
		l.Advance(10 * time.Millisecond)
	}
	if idp.Held(t.Context()) == nil {
		t.Fatal("nothing is held")
	}
	l.signIn(t)
	if err := idp.Held(t.Context()); err != nil {
		t.Error(err)
	}
}
