package token

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// loop is a client that runs its helper every five seconds, for five minutes.
func (l *laptop) loop(t *testing.T, a Ask) (last error) {
	for range 5 * 60 / 5 {
		l.Advance(5 * time.Second)
		_, last = l.get(t, l.source(t), a)
	}
	return last
}

// Whatever is out of order is asked a few times in five minutes, not sixty
// times, and nobody else is asked for its sake.
func TestOutOfOrder(t *testing.T) {
	const most = 12
	type row struct {
		name    string
		bend    func(*laptop)
		asked   func(*laptop) int
		spared  func(*laptop) int
		renewal bool
	}
	exchanges := func(l *laptop) int { return l.IdP.Count(idjagtest.Exchange) }
	redemptions := func(l *laptop) int { return l.AS.Count(idjagtest.Redeem) }
	for _, row := range []row{
		{name: "IdP", bend: func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 503}) }, asked: exchanges, spared: redemptions},
		{name: "IdP resets", bend: func(l *laptop) { l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Reset: true}) }, asked: exchanges, spared: redemptions},
		{name: "IdP wants a pause", bend: func(l *laptop) {
			l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 429, RetryAfter: "60"})
		}, asked: exchanges, spared: redemptions},
		{name: "IdP metadata", bend: func(l *laptop) { l.IdP.SetFault(idjagtest.Metadata, idjagtest.Fault{Status: 500}) },
			asked: func(l *laptop) int { return l.IdP.Count(idjagtest.Metadata) }, spared: exchanges},
		{name: "AS", bend: func(l *laptop) { l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Status: 500}) }, asked: redemptions,
			spared: func(l *laptop) int { return max(exchanges(l)-redemptions(l), 0) }},
		{name: "AS wants a pause", bend: func(l *laptop) {
			l.AS.SetFault(idjagtest.Redeem, idjagtest.Fault{Status: 503, RetryAfter: "60"})
		}, asked: exchanges, spared: func(l *laptop) int { return max(exchanges(l)-redemptions(l), 0) }},
		{name: "AS metadata", bend: func(l *laptop) { l.AS.SetFault(idjagtest.Metadata, idjagtest.Fault{Status: 500}) },
			asked: func(l *laptop) int { return l.AS.Count(idjagtest.Metadata) }, spared: func(l *laptop) int { return max(exchanges(l)-most, 0) }},
		{name: "renewal", renewal: true, bend: func(l *laptop) { l.IdP.SetFault(idjagtest.Refresh, idjagtest.Fault{Status: 502}) },
			asked: func(l *laptop) int { return l.IdP.Count(idjagtest.Refresh) }, spared: exchanges},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			if row.renewal {
				l.renewable(t)
			}
			row.bend(l)
			err := l.loop(t, Ask{})
			if n := row.asked(l); n < 5 || n > most {
				t.Errorf("asked %d times", n)
			}
			if n := row.spared(l); n > 0 {
				t.Errorf("%d requests to somebody else were of no use", n)
			}
			var held *pace.Held
			if !errors.As(err, &held) || !temporary(err) {
				t.Fatalf("got %v", err)
			}
			l.IdP.ClearFaults()
			l.AS.ClearFaults()
			if strings.Contains(row.name, "pause") {
				l.Advance(5 * time.Minute)
			} else {
				before := row.asked(l)
				l.mustGet(t, l.source(t), Ask{Fresh: true}) // a person
				if row.asked(l) == before {
					t.Error("nobody was asked")
				}
			}
			l.mustGet(t, l.source(t), Ask{})
			if _, err := l.get(t, l.source(t), Ask{Scopes: []string{"read"}}); err != nil {
				t.Errorf("still held after a success: %v", err)
			}
		})
	}
}

// renewable makes the sign-in one that was made in the browser, and that has to be
// renewed.
func (l *laptop) renewable(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := l.source(t).Provider.SignIn(ctx, func(_ context.Context, address string) error {
		go l.Browser().SignIn(context.Background(), address)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Advance(61 * time.Minute)
	l.forget()
}

// A single failure costs nobody a pause: the next one who asks is served.
func TestOneFailureIsForgotten(t *testing.T) {
	l := newLaptop(t)
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 503, Times: 1})
	if _, err := l.get(t, l.source(t), Ask{}); err == nil {
		t.Fatal("no failure")
	}
	l.mustGet(t, l.source(t), Ask{})
}

// One server whose connection is broken at the identity provider stops no other.
func TestOneBrokenConnection(t *testing.T) {
	l := newLaptop(t)
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 500})
	var held *pace.Held
	if err := l.loop(t, Ask{}); !errors.As(err, &held) {
		t.Fatalf("got %v", err)
	}
	l.IdP.ClearFaults()
	s := l.source(t)
	s.Server.Name = "other"
	l.mustGet(t, s, Ask{})
}

// A cached token is served while the identity provider is left alone, until its end.
func TestHeldServesWhatIsGood(t *testing.T) {
	l := newLaptop(t)
	had := l.mustGet(t, l.source(t), Ask{})
	l.Advance(14*time.Minute + 10*time.Second) // of 15
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Status: 503})
	for range 9 {
		l.Advance(5 * time.Second)
		tok, err := l.get(t, l.source(t), Ask{})
		if err != nil || !tok.AccessToken.Equal(had.AccessToken) {
			t.Fatalf("%v before its end: %v", had.Expires.Sub(l.Now()), err)
		}
	}
	if n := l.IdP.Count(idjagtest.Exchange) - 1; n > 7 {
		t.Errorf("asked %d times in 45 seconds", n)
	}
	l.Advance(10 * time.Second)
	if _, err := l.get(t, l.source(t), Ask{}); err == nil {
		t.Error("an expired token was served")
	}
}

// Servers outside enterprise-managed authorization: the authorization server alone.
func TestOutOfOrderOutside(t *testing.T) {
	l := newLaptop(t)
	l.AS.SetFault(idjagtest.Token, idjagtest.Fault{Status: 503})
	var err error
	for range 5 * 60 / 5 {
		l.Advance(5 * time.Second)
		s := l.source(t)
		s.Server.OAuth.Mode = config.ModeClientCredentials
		_, err = l.get(t, s, Ask{})
	}
	var held *pace.Held
	if !errors.As(err, &held) {
		t.Errorf("got %v", err)
	}
	n := 0
	for _, r := range l.AS.Requests() {
		if r.Method == "POST" {
			n++
		}
	}
	if n < 5 || n > 12 {
		t.Errorf("asked %d times", n)
	}
}

// Whoever waits for the lock until the end of its time finds what was brought
// meanwhile, even if the lock is still held, as by a process that was stopped.
func TestWaiterLooksOnceMore(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	unlock, err := s.State.Lock(t.Context(), lockName(s.Server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	waits := make(chan struct{})
	waiter := l.source(t)
	waiter.Prepare = func() error { close(waits); return nil }
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got := make(chan Token, 1)
	go func() {
		tok, err := waiter.Get(ctx, Ask{})
		if err != nil {
			t.Errorf("got %v", err)
		}
		got <- tok
	}()
	<-waits
	record, _, _ := s.State.Read()
	h, err := s.holder(config.ModeEMA, record)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := s.Acquire(t.Context(), Ask{})
	if err != nil {
		t.Fatal(err)
	}
	s.store(t.Context(), s.key(record, h, config.ModeEMA, Ask{}).at(chain), chain)
	if tok := <-got; !tok.AccessToken.Equal(chain.Token.AccessToken) {
		t.Error("the waiter has another token or none")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.source(t).Get(gone, Ask{MinTTL: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
}

// skewed is a process on this laptop whose clock is wrong.
func (l *laptop) skewed(t *testing.T, ahead time.Duration) *Source {
	s := l.source(t)
	now := func() time.Time { return l.Now().Add(ahead) }
	s.Now, s.State.Now, s.Provider.Now = now, now, now
	return s
}

// A clock that is ten minutes wrong costs a warning; one that is a day wrong a clear
// word, and no more than one exchange a minute. What the identity provider itself
// counts as expired is refused by any clock.
func TestWrongClock(t *testing.T) {
	for _, row := range []struct {
		name  string
		ahead time.Duration
		quirk func(now time.Time) idjagtest.Quirk
		says  string // of the error; empty: there is none
		warns string
	}{
		{name: "right"},
		{name: "ahead", ahead: 10 * time.Minute, warns: "this computer's clock is 10m0s ahead of the identity provider's"},
		{name: "behind", ahead: -10 * time.Minute, warns: "this computer's clock is 10m0s behind the identity provider's"},
		{name: "far ahead", ahead: 50 * time.Minute, says: "had already expired when it came; compare the clocks; this computer's clock is 50m0s ahead"},
		{name: "far behind", ahead: -50 * time.Minute, says: "is from the future; compare the clocks; this computer's clock is 50m0s behind"},
		{name: "expired", quirk: lifetime(-time.Second), says: "had expired by the identity provider's own clock"},
		{name: "expired, and behind", ahead: -10 * time.Minute, quirk: lifetime(-2 * time.Minute), says: "had already expired when it came"},
		{name: "expired, and far behind", ahead: -50 * time.Minute, quirk: lifetime(-2 * time.Minute), says: "this computer's clock is 50m0s behind"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLaptop(t)
			if row.ahead < -4*time.Minute {
				l.backdate(t)
			}
			if row.quirk != nil {
				l.IdP.SetQuirks(row.quirk(l.Now()))
			}
			var err error
			for range 10 {
				if _, err = l.get(t, l.skewed(t, row.ahead), Ask{}); err != nil && row.says == "" {
					t.Fatal(err)
				}
			}
			if n := l.IdP.Count(idjagtest.Exchange); n != 1 {
				t.Errorf("%d exchanges", n)
			}
			if row.says == "" {
				if row.warns != "" && !strings.Contains(strings.Join(l.warnings, "\n"), row.warns) || row.warns == "" && len(l.warnings) > 0 {
					t.Errorf("warned %q, want %q", l.warnings, row.warns)
				}
				return
			}
			var check *idjag.CheckError
			if !errors.As(err, &check) || check.Rule != "X9" || !strings.Contains(check.What, row.says) {
				t.Fatalf("got %v", err)
			}
			l.Advance(time.Minute)
			l.IdP.SetQuirks()
			_, err = l.get(t, l.source(t), Ask{}) // the clock was set right
			if err != nil {
				t.Errorf("with the right clock: %v", err)
			}
		})
	}
}

// lifetime has the identity provider issue ID-JAGs that end so long after now.
func lifetime(d time.Duration) func(time.Time) idjagtest.Quirk {
	return func(now time.Time) idjagtest.Quirk { return idjagtest.Claim("exp", now.Add(d).Unix()) }
}

// backdate imports an ID token that is old enough for a clock that is behind.
func (l *laptop) backdate(t *testing.T) {
	t.Helper()
	now := l.Now()
	raw, err := l.IdP.MintIDToken(l.Person.Subject, l.IdPClient.ID, func(_, c map[string]any) { c["iat"] = now.Add(-time.Hour).Unix() })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.source(t).Provider.Import(t.Context(), secret.New(raw), false); err != nil {
		t.Fatal(err)
	}
	l.forget()
}

// A renewal whose ID token is refused for its times is not repeated each time: every
// one uses up a refresh token.
func TestWrongClockAtRenewal(t *testing.T) {
	l := newLaptop(t)
	l.renewable(t)
	var err error
	for range 10 {
		_, err = l.get(t, l.skewed(t, 2*time.Hour), Ask{})
	}
	var untrusted *identity.Untrusted
	if !errors.As(err, &untrusted) || untrusted.Rule != "T5" || !strings.Contains(untrusted.What, "this computer's clock is 2h0m0s ahead") {
		t.Errorf("got %v", err)
	}
	if n := l.IdP.Count(idjagtest.Refresh); n != 1 {
		t.Errorf("%d renewals", n)
	}
	l.mustGet(t, l.source(t), Ask{}) // the clock was set right
}

// A token that was had before the clock was set back is not taken for one that came
// just now: whoever wants another one gets it.
func TestClockSetBack(t *testing.T) {
	l := newLaptop(t)
	l.backdate(t)
	had := l.mustGet(t, l.source(t), Ask{})
	for name, a := range map[string]Ask{"fresh": {Fresh: true}, "refused": {Refused: had.AccessToken}} {
		s := l.skewed(t, -10*time.Minute)
		if tok, err := s.Get(t.Context(), a); err != nil || tok.AccessToken.Equal(had.AccessToken) {
			t.Errorf("%s: %v, and the same token: %v", name, err, tok.AccessToken.Equal(had.AccessToken))
		}
	}
}
