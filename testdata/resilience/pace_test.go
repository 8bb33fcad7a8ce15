package resilience

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/cli"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// One hundred processes on ten servers with nothing known: one fetch of each
// document, and ten exchanges and redemptions. Servers of one authorization server
// share its metadata.
func TestCrowdFetchesOnce(t *testing.T) {
	const servers = 10
	l := newLaptop(t, servers, cacheable)
	l.signIn(false)
	if err := os.RemoveAll(filepath.Join(l.state(), "metadata")); err != nil { // which the sign-in has brought
		t.Fatal(err)
	}
	cold := l.keep("signed-in")
	for rep := range times(2, 20) {
		cold()
		l.forget()
		for i, d := range l.crowd(100, func(i int) []string { return []string{"token", fmt.Sprint("s", i%servers)} }) {
			if d.exit != 0 {
				t.Fatalf("repetition %d, process %d: %v", rep, i, d)
			}
		}
		l.counts(&l.IdP.Party, idjagtest.Exchange, servers)
		l.counts(&l.AS.Party, idjagtest.Redeem, servers)
		l.counts(&l.IdP.Party, idjagtest.Metadata, 1)
		l.counts(&l.AS.Party, idjagtest.Metadata, 1)
	}
}

// A crowd whose identity provider is out of order asks it a few times, and a person
// at a terminal, or with --fresh, asks it all the same.
func TestCrowdHoldsOff(t *testing.T) {
	for name, fault := range map[string]idjagtest.Fault{"503": {Status: 503}, "reset": {Reset: true}, "429 after 60": {Status: 429, RetryAfter: "60"}} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t, 2)
			l.signIn(false)
			kept := l.token("s1")
			l.forget()
			l.IdP.SetFault(idjagtest.Exchange, fault)
			var last done
			for round := range 3 {
				for i, d := range l.crowd(30, func(i int) []string { return []string{"token", "s0"} }) {
					if d.exit != 6 || d.out != "" {
						t.Errorf("round %d, process %d: %v", round, i, d)
					}
					last = d
				}
			}
			most := 12 // in a few seconds
			if fault.RetryAfter != "" {
				most = 1
			}
			asked := l.IdP.Count(idjagtest.Exchange)
			if asked > most {
				t.Errorf("90 processes have asked %d times, want at most %d", asked, most)
			}
			t.Logf("90 processes have asked %d times; the last was told: %s", asked, last.err)
			if got := l.token("s1"); got != kept {
				t.Error("a token that is good was not served")
			}
			if fault.RetryAfter != "" {
				return
			}
			l.IdP.ClearFaults()
			if name == "503" {
				l.token("s0", "--fresh")
			} else if d := l.typed("token", "s0"); !l.issued(d) {
				t.Errorf("a person at a terminal: %v", d)
			}
			l.token("s0")
		})
	}
}

// typed is what a person at a terminal gets.
func (l *laptop) typed(args ...string) done {
	var out, err bytes.Buffer
	exit := cli.Main(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Home: l.home,
		Getenv: func(string) string { return "" }, Terminal: true,
		Now: time.Now,
	})
	return done{out.String(), err.String(), exit}
}
