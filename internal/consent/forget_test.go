package consent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// stored lists the names of what the vault and the sealed files hold, and where in
// the folder a text stands in clear.
func (l *laptop) files(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(l.dir, "state"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(path, "locks") && filepath.Base(path) != "state.json" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// After Forget nothing is stored any more.
func TestForget(t *testing.T) {
	l := newLaptop(t)
	l.AS.AuthMethods = []string{"client_secret_basic"}
	before := "" // the data key, which is not of this consent
	if err := l.k.Vault.Seal(t.Context(), "x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	before = strings.Join(l.files(t), "\n")
	target := l.target(t)
	got := l.consented(t, target)
	r := *l.k.record(target.url()).Registration
	if len(l.files(t)) != strings.Count(before, "\n")+1+3 {
		t.Errorf("stored are %q", l.files(t))
	}
	for _, name := range append(l.files(t), filepath.Join(l.dir, "state", "state.json")) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{got.RefreshToken.Reveal(), got.AccessToken.Reveal(), l.AS.Registered()[0].Secret} {
			if strings.Contains(string(b), s) {
				t.Errorf("%s holds a secret in clear", name)
			}
		}
	}
	if err := l.k.Forget(t.Context(), target.url()); err != nil {
		t.Fatal(err)
	}
	if after := strings.Join(l.files(t), "\n"); after != before {
		t.Errorf("still stored: %s", after)
	}
	if record := l.k.record(target.url()); record.Consent != nil || record.Registration != nil || record.URL == "" {
		t.Errorf("on record: %+v", record)
	}
	if _, err := l.k.Vault.Get(t.Context(), secretItem(target.url(), r)); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("the client secret: %v", err)
	}
	if _, err := l.renewed(t, target); !isNeeded(err) {
		t.Errorf("renew: %v", err)
	}
	if err := l.k.Forget(t.Context(), target.url()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := l.k.Forget(t.Context(), "https://unknown.example/"); err != nil || l.k.record("https://unknown.example/").URL != "" {
		t.Errorf("a server that nobody knows: %v", err)
	}
}

// It waits for a renewal that is under way, which would otherwise store what it got.
func TestForgetDuringRenewal(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	c := *l.k.record(target.url()).Consent
	begun, answer := make(chan struct{}), make(chan struct{})
	l.AS.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: func() { close(begun) }, Wait: answer})
	var both sync.WaitGroup
	both.Go(func() { l.renewed(t, target) })
	<-begun
	both.Go(func() {
		if err := l.keeper(t).Forget(t.Context(), target.url()); err != nil {
			t.Error(err)
		}
	})
	close(answer)
	both.Wait()
	if !l.refreshToken(t, c).IsZero() || l.k.record(target.url()).Consent != nil {
		t.Error("something is stored")
	}
	if _, ok := l.k.latestOf(t.Context(), target.url(), c); ok {
		t.Error("an access token is stored")
	}
}

// Somebody who agrees after the sign-out has a token, and nothing is stored of it.
func TestForgetDuringAsking(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	got, err := l.k.Ask(bounded(t), target, func(ctx context.Context, address string) error {
		if err := l.keeper(t).Forget(ctx, target.url()); err != nil {
			return err
		}
		return l.browse(ctx, address)
	})
	if err != nil || !l.works(got) || l.k.record(target.url()).Consent != nil || len(l.warned()) != 1 {
		t.Errorf("got %v; %+v; warnings %q", err, l.k.record(target.url()), l.warned())
	}
	for _, name := range l.files(t) {
		t.Errorf("%s is stored", name)
	}
}

// What cannot be deleted stays on record, so that it can be deleted later.
func TestForgetFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("to this system it is only not there")
	}
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	c := *l.k.record(target.url()).Consent
	l.block()
	err := l.k.Forget(t.Context(), target.url())
	l.unblock()
	if err == nil || l.k.record(target.url()).Consent == nil {
		t.Fatalf("got %v", err)
	}
	if err := l.k.Forget(t.Context(), target.url()); err != nil || !l.refreshToken(t, c).IsZero() {
		t.Errorf("got %v", err)
	}
}

// RFC 7009, with the client that the consent was given to, and to its own server.
func TestRevoke(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	if err := l.k.Revoke(t.Context(), target); err != nil {
		t.Errorf("nothing to revoke: %v", err)
	}
	got := l.consented(t, target)
	bare := target // as a caller knows it that only signs out
	bare.Resource, bare.Scopes = "", nil
	if err := l.k.Revoke(t.Context(), bare); err != nil {
		t.Fatalf("%v; %v", err, l.Refusals())
	}
	rs := l.requests(idjagtest.Revoke)
	if len(rs) != 2 || rs[0].Form.Get("token_type_hint") != "refresh_token" || rs[1].Form.Get("token_type_hint") != "access_token" || l.works(got) {
		t.Errorf("revoked with %v", rs)
	}
	if _, err := l.renewed(t, target); !isNeeded(err) {
		t.Errorf("renew: %v", err)
	}
	if err := l.k.Revoke(t.Context(), target); err != nil || l.AS.Count(idjagtest.Revoke) != 3 { // only the access token is left
		t.Errorf("again: %v, %d requests", err, l.AS.Count(idjagtest.Revoke))
	}

	l.consented(t, target)
	for name, row := range map[string]struct {
		change func(*Target)
		is     func(error) bool
	}{
		"no endpoint":       {func(t *Target) { t.AS.RevocationEndpoint = "" }, func(err error) bool { return errors.Is(err, ErrNoRevocation) }},
		"another client":    {func(t *Target) { t.Server.OAuth.ASClientID = "other" }, func(err error) bool { return strings.Contains(err.Error(), "another client") }},
		"another issuer":    {func(t *Target) { t.AS.Issuer += "x"; t.Parties.AS += "x" }, func(err error) bool { return strings.Contains(err.Error(), "not the server's") }},
		"metadata mistaken": {func(t *Target) { t.AS.Issuer += "x" }, func(err error) bool { var e *Unfit; return errors.As(err, &e) }},
	} {
		l.AS.ForgetRequests()
		changed := target
		row.change(&changed)
		if err := l.k.Revoke(t.Context(), changed); err == nil || !row.is(err) || l.AS.Count(idjagtest.Revoke) != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// A server whose access tokens stand for themselves has ended the consent all the same.
	l.AS.SetFault(idjagtest.Revoke, idjagtest.Fault{Times: 1, OnHit: func() {
		l.AS.SetFault(idjagtest.Revoke, idjagtest.Fault{Code: "unsupported_token_type"})
	}})
	if err := l.k.Revoke(t.Context(), target); err != nil || l.AS.Count(idjagtest.Revoke) != 2 {
		t.Errorf("an access token that cannot be revoked: %v, %d requests", err, l.AS.Count(idjagtest.Revoke))
	}
	var e *endpoint.Error
	if err := l.k.Revoke(t.Context(), target); !errors.As(err, &e) || e.Code != "unsupported_token_type" {
		t.Errorf("refused: got %v", err)
	}
}
