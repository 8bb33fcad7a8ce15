package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// laptop runs mcpauth as processes of their own with a home folder of their own.
type laptop struct {
	t       *testing.T
	company *idjagtest.Company
	env     []string
}

func newLaptop(t *testing.T, options ...func(*idjagtest.Company)) laptop {
	t.Helper()
	c := idjagtest.New(t, options...)
	home := t.TempDir()
	l := laptop{t, c, append(os.Environ(), "HOME="+home, "USERPROFILE="+home, "BROWSER=browser", "TRANSCRIPT=", "CLOCK=",
		"XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "PERSON="+c.Person.Email, "PASSWORD="+c.Person.Password)}
	secret := func(name, value string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l.run("login", "--issuer", c.IdP.Issuer, "--client-id", c.IdPClient.ID, "--client-secret-file", secret("idp", c.IdPClient.Secret),
		"--store", "file", "--store-key-file", filepath.Join(home, "key"))
	l.run("server", "add", "wiki", c.MCP.URL(), "--client-id", c.ASClient.ID, "--client-secret-file", secret("as", c.ASClient.Secret))
	for _, forget := range []func(){c.IdP.ForgetRequests, c.AS.ForgetRequests, c.MCP.ForgetRequests} {
		forget()
	}
	return l
}

func (l laptop) command(args ...string) *exec.Cmd {
	cmd := exec.Command("mcpauth", args...)
	cmd.Env = l.env
	return cmd
}

func (l laptop) run(args ...string) {
	l.t.Helper()
	if out, err := l.command(args...).CombinedOutput(); err != nil {
		l.t.Fatalf("mcpauth %v: %v\n%s", args, err, out)
	}
}

// crowd starts so many processes, lets all of them go at once and returns what
// they printed.
func (l laptop) crowd(n int, args ...string) []string {
	l.t.Helper()
	var all sync.WaitGroup
	line := make(chan struct{})
	answers, errs := make([]bytes.Buffer, n), make([]bytes.Buffer, n)
	for i := range n {
		cmd := l.command(args...)
		cmd.Stdout, cmd.Stderr = &answers[i], &errs[i]
		all.Go(func() {
			<-line
			if err := cmd.Run(); err != nil {
				l.t.Errorf("process %d: %v: %s", i, err, errs[i].Bytes())
			}
		})
	}
	close(line)
	all.Wait()
	texts := make([]string, n)
	for i := range n {
		texts[i] = answers[i].String()
	}
	return texts
}

// One hundred processes that want one token make one exchange and one redemption.
func TestOneHundredProcessesMakeOneExchange(t *testing.T) {
	n := 100
	if testing.Short() || slow { // each has to answer within six seconds
		n = 20
	}
	l := newLaptop(t)
	answers := l.crowd(n, "token", "wiki")
	for i, a := range answers {
		if a == "" || a != answers[0] {
			t.Fatalf("process %d has another answer than process 0", i)
		}
	}
	for what, got := range map[string]int{"exchanges": l.company.IdP.Count(idjagtest.Exchange), "redemptions": l.company.AS.Count(idjagtest.Redeem)} {
		if got != 1 {
			t.Errorf("%d %s, want 1", got, what)
		}
	}
}

// So do those that find both the token and the sign-in expired: the refresh token
// is used once, since a second use ends the sign-in (attack S30).
func TestManyProcessesRenewOnce(t *testing.T) {
	l := newLaptop(t)
	l.company.Advance(2 * time.Hour)
	l.env = append(l.env, "CLOCK=2h")
	l.crowd(20, "token", "wiki")
	if got := l.company.IdP.Count(idjagtest.Refresh); got != 1 {
		t.Errorf("%d renewals, want 1", got)
	}
	if got := l.company.IdP.Count(idjagtest.Exchange); got != 1 {
		t.Errorf("%d exchanges, want 1", got)
	}
}
