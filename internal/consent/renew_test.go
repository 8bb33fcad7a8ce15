package consent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// renewed asks as a process of its own would.
func (l *laptop) renewed(t *testing.T, target Target, need ...string) (endpoint.Token, error) {
	t.Helper()
	return l.keeper(t).Renew(bounded(t), target, need)
}

// refreshToken is the one that is stored, zero when none is.
func (l *laptop) refreshToken(t *testing.T, c state.Consent) secret.Text {
	t.Helper()
	s, err := l.k.Vault.Get(t.Context(), refreshItem(l.MCP.Resource, c))
	if err != nil && !errors.Is(err, vault.ErrNotFound) {
		t.Fatal(err)
	}
	return s
}

// What a renewal meets, and whether the consent survives it.
func TestRenew(t *testing.T) {
	fault := func(f idjagtest.Fault) func(*laptop) {
		return func(l *laptop) { f.Times = 1; l.AS.SetFault(idjagtest.Refresh, f) }
	}
	quirk := func(q idjagtest.Quirk) func(*laptop) { return func(l *laptop) { l.AS.SetQuirks(q) } }
	for _, row := range []struct {
		name    string
		company func(*idjagtest.Company)
		bend    func(*laptop)
		need    []string
		wantErr bool
		needed  bool // and so is it the next time
		unknown bool // nothing is on record any more
		silent  bool // nobody is asked
		warns   bool
		over    bool // only the next time
	}{
		{name: "rotation"},
		{name: "no rotation", company: func(c *idjagtest.Company) { c.AS.NoRotation = true }},
		{name: "scope not stated", bend: quirk(idjagtest.NoScope(idjagtest.Refresh)), need: []string{"read"}},
		{name: "what was granted", need: []string{"read"}},
		{name: "more than was granted", need: []string{"write"}, wantErr: true, needed: true, silent: true},
		{name: "less than before", bend: quirk(idjagtest.Member(idjagtest.Refresh, "scope", "other")), need: []string{"read"}, wantErr: true, needed: true},
		{name: "connection reset", bend: fault(idjagtest.Fault{Reset: true}), wantErr: true},
		{name: "out of order", bend: fault(idjagtest.Fault{Status: 503}), wantErr: true},
		{name: "web page", bend: fault(idjagtest.HTML()), wantErr: true},
		{name: "invalid_grant", bend: fault(idjagtest.Fault{Code: "invalid_grant"}), wantErr: true, needed: true},
		{name: "the person took it back", bend: func(l *laptop) { l.AS.RevokeConsents(l.Person.Subject) }, wantErr: true, needed: true},
		{name: "answer lost after rotation", bend: fault(idjagtest.Fault{LoseReply: true}), wantErr: true, over: true},
		{name: "unusable answer beside the next refresh token", bend: quirk(idjagtest.NoTokenType(idjagtest.Refresh)), wantErr: true},
		{name: "registration gone", bend: func(l *laptop) { l.AS.RemoveClient(l.AS.Registered()[0].ID) }, wantErr: true, needed: true, unknown: true},
		{name: "refresh token gone", bend: func(l *laptop) {
			l.k.Vault.Delete(context.Background(), refreshItem(l.MCP.Resource, *l.k.record(l.MCP.Resource).Consent))
		}, wantErr: true, needed: true, silent: true},
		{name: "rotated token cannot be stored", bend: func(l *laptop) {
			l.AS.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: l.block})
		}, warns: true, over: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var options []func(*idjagtest.Company)
			if row.company != nil {
				options = append(options, row.company)
			}
			l := newLaptop(t, options...)
			target := l.target(t)
			first := l.consented(t, target)
			if row.bend != nil {
				row.bend(l)
			}
			got, err := l.renewed(t, target, row.need...)
			if (err != nil) != row.wantErr || isNeeded(err) != row.needed || err != nil && !got.AccessToken.IsZero() {
				t.Fatalf("got %+v, %v; %v", got, err, l.Refusals())
			}
			if err == nil && (!l.works(got) || got.AccessToken.Equal(first.AccessToken)) {
				t.Errorf("got %+v", got)
			}
			if asked := l.AS.Count(idjagtest.Refresh) > 0; asked == row.silent {
				t.Errorf("the authorization server was asked: %v", asked)
			}
			if w := strings.Join(l.warned(), " "); (w != "") != row.warns || strings.Contains(w, first.RefreshToken.Reveal()) {
				t.Errorf("warnings: %q", w)
			}
			if _, err := os.Lstat(l.dir + "/state/store.away"); err == nil {
				l.unblock()
			}
			l.AS.ClearFaults()
			l.AS.SetQuirks()
			if record := l.k.record(target.url()); (record.Registration == nil) != row.unknown || (record.Consent == nil) != row.unknown {
				t.Errorf("on record: %+v", record)
			}
			if _, err = l.renewed(t, target, row.need...); isNeeded(err) != (row.needed || row.over) || (err != nil) != (row.needed || row.over) {
				t.Errorf("the next time: got %v; %v", err, l.Refusals())
			}
		})
	}
}

// S30: a token that may be spent is not shown again.
func TestSpentTokenIsNotShownAgain(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	l.AS.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: l.block})
	if got, err := l.renewed(t, target); err != nil || !l.works(got) {
		t.Fatalf("got %v", err)
	}
	l.unblock() // with the spent token in it
	if l.refreshToken(t, *l.k.record(target.url()).Consent).IsZero() {
		t.Fatal("the store that could not be written has changed")
	}
	l.AS.ForgetRequests()
	if _, err := l.renewed(t, target); !isNeeded(err) || l.AS.Count(idjagtest.Refresh) != 0 {
		t.Errorf("got %v; %v", err, l.AS.Requests())
	}
}

// A disk that is full does not cost the consent: the refresh token is not used where
// the next one could not be kept.
func TestRenewalIsNotBegunWhereItCannotBeKept(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	// The item can be read, and whoever writes it has no place to take turns.
	item := refreshItem(target.url(), *l.k.record(target.url()).Consent)
	lock := filepath.Join(l.dir, "state", "locks", state.Hash("item file "+item)+".lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	l.AS.ForgetRequests()
	if _, err := l.renewed(t, target); err == nil || isNeeded(err) || l.AS.Count(idjagtest.Refresh) != 0 {
		t.Errorf("got %v; %v", err, l.AS.Requests())
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if got, err := l.renewed(t, target); err != nil || !l.works(got) {
		t.Errorf("when it is over: %v", err)
	}
}

// A state that cannot be read just now takes no consent away, nor a registration.
func TestTroubleIsNoWantOfConsent(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	over := l.trouble(t)
	l.AS.ForgetRequests()
	_, renewed := l.renewed(t, target)
	_, _, asking := l.k.clientForAsking(t.Context(), target)
	_, scopes := l.k.scopes(target, clientauth.Client{})
	for name, err := range map[string]error{"Renew": renewed, "Ask": asking, "scopes": scopes, "Revoke": l.k.Revoke(t.Context(), target), "Forget": l.k.Forget(t.Context(), target.url())} {
		if err == nil || isNeeded(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(l.AS.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	over()
	if got, err := l.renewed(t, target); err != nil || !l.works(got) {
		t.Errorf("when it is over: %v", err)
	}
}

// S30: many renewals of one consent are one, in this process and among several.
func TestManyRenewalsAreOne(t *testing.T) {
	const here, elsewhere = 40, 3
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	var begun, all sync.WaitGroup
	begun.Add(here + elsewhere)
	answer := make(chan struct{})
	l.AS.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, Wait: answer})
	tokens := make(chan string, here)
	for i := range here {
		k := l.k
		if i%4 == 0 {
			k = l.keeper(t)
		}
		all.Go(func() {
			got, err := renewAs(k, begun.Done, bounded(t), target)
			if err != nil || !l.works(got) {
				t.Errorf("got %v; %v", err, l.Refusals())
			}
			tokens <- got.AccessToken.Reveal()
		})
	}
	for range elsewhere {
		all.Go(func() {
			c := exec.CommandContext(bounded(t), os.Args[0], target.url(), l.AS.Issuer)
			c.Env = append(os.Environ(), "MCPAUTH_CONSENT_TEST_DIR="+l.dir)
			out, err := c.StdoutPipe()
			if err == nil {
				err = c.Start()
			}
			if err != nil {
				t.Error(err)
				begun.Done()
				return
			}
			lines := bufio.NewReader(out)
			first, _ := lines.ReadString('\n')
			begun.Done()
			rest, _ := io.ReadAll(lines)
			if err := c.Wait(); err != nil || first != "begun\n" {
				t.Errorf("%v: %s%s", err, first, rest)
			}
		})
	}
	begun.Wait()
	close(answer)
	all.Wait()
	close(tokens)
	one := <-tokens
	for other := range tokens {
		if other != one {
			t.Error("callers were given different tokens")
		}
	}
	if n := l.AS.Count(idjagtest.Refresh); n != 1 {
		t.Errorf("%d refreshes, want 1; %v", n, l.Refusals())
	}
	if _, err := l.renewed(t, target); err != nil || len(l.AS.Refusals()) > 0 { // the family lives
		t.Errorf("got %v; %v", err, l.AS.Refusals())
	}
}

// renewAs tells when the renewal has noted the time, after which all that comes is
// good for it.
func renewAs(k *Keeper, begun func(), ctx context.Context, target Target) (endpoint.Token, error) {
	other := &Keeper{Net: k.Net, State: k.State, Vault: k.Vault, Warn: k.Warn}
	once := sync.OnceFunc(begun)
	other.Now = func() time.Time { defer once(); return k.Now() }
	return other.Renew(ctx, target, nil)
}

// One after the other, each shows the token that the one before it was given.
func TestRenewalsOneAfterTheOther(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 3 {
				if got, err := l.renewed(t, target); err != nil || !l.works(got) {
					t.Errorf("got %v; %v", err, l.Refusals())
				}
			}
		})
	}
	all.Wait()
	if r := l.AS.Refusals(); len(r) > 0 {
		t.Errorf("refused: %v", r)
	}
}

// S30: a renewal that has begun goes on when its caller has gone.
func TestRenewalOutlivesItsCaller(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	first := l.consented(t, target)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan struct{})
	l.AS.SetFault(idjagtest.Refresh, idjagtest.Fault{Times: 1, OnHit: cancel, Wait: answer})
	if _, err := l.k.Renew(ctx, target, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the caller's own end", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	l.k.Settle(gone) // does not wait longer than it may
	close(answer)
	l.k.Settle(t.Context())
	if kept := l.refreshToken(t, *l.k.record(target.url()).Consent); kept.IsZero() || kept.Equal(first.RefreshToken) {
		t.Error("the rotated refresh token was not kept")
	}
	if got, err := l.renewed(t, target); err != nil || !l.works(got) || len(l.AS.Refusals()) > 0 {
		t.Errorf("got %v; %v", err, l.Refusals())
	}
}

// What cannot end in time is not begun: it would use up the refresh token.
func TestRenewalIsNotBegunTooLate(t *testing.T) {
	l := newLaptop(t)
	target := l.target(t)
	l.consented(t, target)
	ctx, cancel := context.WithTimeout(t.Context(), leastTime-time.Millisecond)
	defer cancel()
	if _, err := l.k.Renew(ctx, target, nil); !errors.Is(err, context.DeadlineExceeded) || isNeeded(err) || l.AS.Count(idjagtest.Refresh) != 0 {
		t.Errorf("got %v", err)
	}
}

// A consent is good at the issuer that it was given at, and for the client that it
// was given to. Elsewhere it is dropped, and nothing of it is sent.
func TestConsentIsBound(t *testing.T) {
	for name, move := range map[string]func(*laptop, *Target){
		"another issuer": func(l *laptop, t *Target) {
			other := &idjagtest.AS{Consent: true, Registration: true}
			if err := other.Start(); err != nil {
				panic(err)
			}
			d := discover.Client{HTTP: l.k.Net.Client()}
			l.k.Net.Configured(other.Issuer)
			as, err := d.AuthorizationServer(context.Background(), other.Issuer)
			if err != nil {
				panic(err)
			}
			t.AS, t.Parties.AS, l.AS = as, other.Issuer, other
		},
		"another client": func(l *laptop, t *Target) { t.Server.OAuth.ASClientID = l.ASClient.ID },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			target := l.target(t)
			l.consented(t, target)
			c := *l.k.record(target.url()).Consent
			move(l, &target)
			t.Cleanup(l.AS.Close)
			l.AS.ForgetRequests()
			if _, err := l.renewed(t, target); !isNeeded(err) {
				t.Fatalf("got %v", err)
			}
			if !l.refreshToken(t, c).IsZero() || l.k.record(target.url()).Consent != nil {
				t.Error("the consent is still stored")
			}
			if n := l.AS.Count(idjagtest.Token); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Even if the record were changed to say so, no secret is found for another issuer.
func TestSecretsAreFoundByIssuer(t *testing.T) {
	l := newLaptop(t)
	l.AS.AuthMethods = []string{"client_secret_basic"}
	target := l.target(t)
	l.consented(t, target)
	const evil = "https://evil.example"
	err := l.k.update(t.Context(), target.url(), func(s *state.Server) { s.Consent.Issuer, s.Registration.Issuer = evil, evil })
	if err != nil {
		t.Fatal(err)
	}
	target.Parties.AS, target.AS.Issuer = evil, evil
	target.AS.TokenEndpoint = evil + "/token"
	if _, err := l.renewed(t, target); !isNeeded(err) {
		t.Errorf("got %v", err)
	}
}
