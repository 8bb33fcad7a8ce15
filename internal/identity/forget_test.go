package identity

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func mustKnow(t *testing.T, p *Provider) state.Identity {
	t.Helper()
	id, err := p.Known()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Whatever the identity provider says, nothing stays here.
func TestForget(t *testing.T) {
	for _, row := range []struct {
		name    string
		bend    func(*laptop)
		revoked bool
		why     string // NotRevoked holds it; "" means nil
	}{
		{"revoked", func(*laptop) {}, true, ""},
		{"no revocation endpoint", func(l *laptop) { l.IdP.SetQuirks(idjagtest.Member(idjagtest.Metadata, "revocation_endpoint", nil)) }, false, ErrNoRevocation.Error()},
		{"out of order", func(l *laptop) { l.IdP.SetFault(idjagtest.Revoke, idjagtest.Fault{Status: 503}) }, false, "503"},
		{"unsupported_token_type", func(l *laptop) { l.IdP.SetFault(idjagtest.Revoke, idjagtest.Fault{Code: "unsupported_token_type"}) }, false, "unsupported_token_type"},
		{"gone from the network", func(l *laptop) { l.IdP.Close() }, false, "identity provider"},
		{"metadata of another issuer", func(l *laptop) { l.IdP.SetQuirks(idjagtest.WrongIssuer("https://evil.example")) }, false, "evil"},
		{"another client configured since", func(l *laptop) { l.IdPClient.ID = "another" }, false, "not configured any more"},
		{"revoked already", func(l *laptop) { l.IdP.RevokeSessions(l.Person.Subject) }, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			id := l.signIn(t)
			items := l.p.itemsOf(id)
			refresh, err := l.p.Vault.Get(t.Context(), l.p.refreshItem(id))
			if err != nil {
				t.Fatal(err)
			}
			row.bend(l)
			p := l.provider(t)
			done, err := p.Forget(t.Context())
			if err != nil || done.Revoked != row.revoked || done.Was.Subject != id.Subject {
				t.Fatalf("got %+v, %v", done, err)
			}
			switch {
			case row.why == "" && done.NotRevoked != nil, row.why != "" && (done.NotRevoked == nil || !strings.Contains(done.NotRevoked.Error(), row.why)):
				t.Errorf("not revoked: %v, want %q", done.NotRevoked, row.why)
			case done.NotRevoked != nil && strings.Contains(done.NotRevoked.Error(), refresh.Reveal()):
				t.Error("the error holds the refresh token")
			}
			for _, item := range items {
				if _, err := p.Vault.Get(t.Context(), item); !errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s: %v, want it gone", item, err)
				}
			}
			if f, _, _ := p.State.Read(); len(f.Identities) != 0 {
				t.Errorf("on record: %+v", f.Identities)
			}
			if _, err := p.Subject(t.Context(), secret.Text{}); !isSignedOut(err) {
				t.Errorf("after it: %v", err)
			}
			if row.name == "revoked" && l.IdP.Requests()[len(l.IdP.Requests())-1].Form.Get("token") != idjagtest.Digest(refresh.Reveal()) {
				t.Error("another token was revoked")
			}
		})
	}
}

func TestForgetNobody(t *testing.T) {
	l := newLaptop(t)
	done, err := l.p.Forget(t.Context())
	if err != nil || done.Revoked || done.NotRevoked != nil {
		t.Errorf("got %+v, %v", done, err)
	}
	if n := len(l.IdP.Requests()); n != 0 {
		t.Errorf("%d requests for nothing", n)
	}
}

// 4.11: what cannot be deleted is an error, and the record stays, so that it can be
// tried again.
func TestForgetSaysWhatIsStillThere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("to this system it is only not there")
	}
	l := newLaptop(t)
	l.signIn(t)
	l.block()
	if _, err := l.p.Forget(t.Context()); err == nil {
		t.Fatal("want an error")
	}
	mustKnow(t, l.p)
	l.unblock(t)
	if _, err := l.p.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.p.Known(); !isSignedOut(err) {
		t.Errorf("got %v", err)
	}
}

// A renewal under way ends before the sign-out, which then finds the rotated token.
func TestForgetDuringRenewal(t *testing.T) {
	l := newLaptop(t)
	l.signIn(t)
	l.expire()
	begun, answer := make(chan struct{}), make(chan struct{})
	l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: func() { close(begun) }, Wait: answer})
	var both sync.WaitGroup
	both.Go(func() { l.renewed(t) })
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.p.Forget(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v: it did not wait for the renewal", err)
	}
	close(answer)
	done, err := l.p.Forget(t.Context())
	both.Wait()
	if err != nil || !done.Revoked {
		t.Fatalf("got %+v, %v", done, err)
	}
	for _, item := range l.p.itemsOf(done.Was) {
		if _, err := l.p.Vault.Get(t.Context(), item); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: %v, want it gone", item, err)
		}
	}
}
