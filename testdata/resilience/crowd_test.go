package resilience

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// crowd runs n processes at once; what each does is up to its number.
func (l *laptop) crowd(n int, args func(i int) []string) []done {
	l.t.Helper()
	results := make([]done, n)
	var all sync.WaitGroup
	line := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-line
			results[i] = l.try(args(i)...)
		})
	}
	close(line)
	all.Wait()
	return results
}

// counts compares how often something was asked for.
func (l *laptop) counts(p *idjagtest.Party, what string, want int) {
	l.t.Helper()
	if got := p.Count(what); got != want {
		l.t.Errorf("%d requests for %s, want %d", got, what, want)
	}
}

// One hundred processes that want one token, with nothing known: one of
// everything.
func TestCrowdCold(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	cold := l.keep("signed-in")
	reps := times(3, 50)
	var longest time.Duration
	for rep := range reps {
		cold()
		l.must("version") // the binary is in memory
		l.forget()
		start := time.Now()
		results := l.crowd(100, func(int) []string { return []string{"token", "s0"} })
		longest = max(longest, time.Since(start))
		for i, d := range results {
			if d.exit != 0 || d.out != results[0].out || d.err != "" {
				t.Fatalf("repetition %d, process %d: %v", rep, i, d)
			}
		}
		l.counts(&l.IdP.Party, idjagtest.Exchange, 1)
		l.counts(&l.AS.Party, idjagtest.Redeem, 1)
		for _, p := range l.parties() {
			l.counts(p, idjagtest.Metadata, 1)
		}
		if t.Failed() {
			t.Fatalf("in repetition %d", rep)
		}
	}
	t.Logf("%d repetitions of 100 processes: 1 exchange, 1 redemption, 1 of each document each time; the longest took %v", reps, longest.Round(time.Millisecond))
}

// One hundred processes at a time on ten servers, with a sign-in to renew: ten
// exchanges, ten redemptions, and one renewal, since the identity provider ends
// the sign-in at a second use of a refresh token (attack S30).
func TestCrowdOfServers(t *testing.T) {
	const servers = 10
	l := newLaptop(t, servers)
	for rep := range times(1, 5) {
		l.signIn(true)
		l.must("logout") // and with it every token of the repetition before
		l.signIn(true)
		answers := make([]map[string]bool, servers)
		for i := range answers {
			answers[i] = map[string]bool{}
		}
		for round := range times(2, servers) {
			for i, d := range l.crowd(100, func(i int) []string { return []string{"token", fmt.Sprint("s", (i+round)%servers)} }) {
				if d.exit != 0 {
					t.Fatalf("repetition %d, process %d: %v", rep, i, d)
				}
				answers[(i+round)%servers][d.out] = true
			}
		}
		for i, a := range answers {
			if len(a) != 1 {
				t.Errorf("%d different tokens for s%d", len(a), i)
			}
		}
		l.counts(&l.IdP.Party, idjagtest.Refresh, 1)
		l.counts(&l.IdP.Party, idjagtest.Exchange, servers)
		l.counts(&l.AS.Party, idjagtest.Redeem, servers)
		t.Logf("identity provider metadata: %d, authorization server metadata: %d", l.IdP.Count(idjagtest.Metadata), l.AS.Count(idjagtest.Metadata))
	}
}

// Everything at once: whatever comes first, no refresh token is used twice, no
// exit is undocumented, and in the end a person can sign in and go on.
func TestCrowdRaces(t *testing.T) {
	rounds := times(2, 20)
	seen := map[string]int{}
	for range rounds {
		l := newLaptop(t, 2)
		l.signIn(true)
		for i, d := range l.crowd(30, func(i int) []string {
			switch {
			case i%10 == 7:
				return []string{"logout"}
			case i%10 == 3:
				return []string{"login", "--no-browser", "--timeout", "1s"}
			case i == 11:
				return []string{"login", "--timeout", "30s"}
			case i%10 == 5:
				return []string{"token", "--fresh", "s1"}
			}
			return []string{"token", fmt.Sprint("s", i%2)}
		}) {
			seen[fmt.Sprint("exit ", d.exit)]++
			switch {
			case d.exit == 0, d.exit == 3: // signed out by then, or nobody signed in
			case d.exit == 6 && i%10 == 3: // too little time
			default:
				t.Errorf("process %d: %v", i, d)
			}
			if strings.Contains(d.err, "panic") {
				t.Errorf("process %d: %v", i, d)
			}
		}
		for _, r := range l.IdP.Refusals() {
			if strings.Contains(r.Reason, "used before") {
				t.Errorf("a refresh token was used twice: %v", r)
			}
		}
		l.must("login")
		l.token("s0")
	}
	t.Logf("%d rounds of 30 processes: %v", rounds, seen)
}

// A crowd that is denied asks the identity provider once, and then for a minute
// not again.
func TestCrowdDenied(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	l.IdP.SetFault(idjagtest.Exchange, idjagtest.Fault{Code: "access_denied"})
	for round := range 2 {
		for i, d := range l.crowd(30, func(int) []string { return []string{"token", "s0"} }) {
			if d.exit != 4 || d.out != "" {
				t.Errorf("round %d, process %d: %v", round, i, d)
			}
		}
	}
	l.counts(&l.IdP.Party, idjagtest.Exchange, 1)
	l.IdP.ClearFaults()
	l.token("s0", "--fresh")
}

// A client whose token is refused runs its helper again. However many do so at
// once, one new token a minute is had for it.
func TestCrowdRefused(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	helper := func(int) []string { return []string{"headers", "s0"} }
	first := l.must("headers", "s0")
	for round := range 3 {
		for i, d := range l.crowd(20, helper) {
			if d.exit != 0 {
				t.Errorf("round %d, process %d: %v", round, i, d)
			}
		}
	}
	if last := l.must("headers", "s0"); last == first {
		t.Error("the refused token is still handed out")
	}
	l.counts(&l.IdP.Party, idjagtest.Exchange, 2)
}
