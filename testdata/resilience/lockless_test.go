package resilience

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// lockless is a wrapper for a home whose file system has no locks: NFS without its
// lock daemon says ENOLCK, others say other things. With paths only these cannot be
// locked.
func lockless(says string, paths ...string) []string {
	wrapper := []string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=" + says}
	for _, path := range paths {
		wrapper = append(wrapper, "-P", path)
	}
	return wrapper
}

// A home without locks costs a word at most, whether this computer's own disk has
// locks or no disk has.
func TestFaultsLockless(t *testing.T) {
	needs(t, "strace")
	for _, says := range []string{"ENOLCK", "EOPNOTSUPP", "ENOSYS"} {
		for _, of := range []string{"home", "all disks"} {
			l := newLaptop(t, 1)
			l.signIn(true)
			l.token("s0")
			home, err := filepath.Glob(filepath.Join(l.state(), "locks", "*"))
			if err != nil || len(home) < 5 {
				t.Fatal(home, err)
			}
			wrapper := lockless(says, home...)
			if of == "all disks" {
				wrapper = lockless(says)
			}
			name := says + " in " + of
			try := func(args string) done {
				start := time.Now()
				d := l.shell(wrapper, "exec $M "+args)
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s: %s took %v", name, args, took)
				}
				return d
			}
			// once is a success with one word about the locks.
			once := func(args string) done {
				d := try(args)
				if d.exit != 0 || strings.Count(d.err, "cannot be locked") != 1 || strings.Count(d.err, "warning:") != 1 {
					t.Errorf("%s: %s: %v", name, args, d)
				}
				return d
			}
			kept := l.token("s0") + "\n"
			if d := try("token s0"); d.out != kept || d.err != "" {
				t.Errorf("%s, with a token that was kept: %v", name, d)
			}
			if d := once("token s0 --fresh"); !l.issued(d) {
				t.Errorf("%s: %v", name, d)
			} else if again := try("token s0"); again.out != d.out || again.err != "" {
				t.Errorf("%s, once more: %v", name, again)
			}
			once("logout")
			l.IdP.SetIDTokenLifetime(30 * time.Second)
			once("login --redirect-port 0 --timeout 20s") // which edits the configuration as well
			l.IdP.SetIDTokenLifetime(time.Hour)
			l.forget()
			if d := once("token s0"); !l.issued(d) || l.IdP.Granted(idjagtest.Refresh) != 1 {
				t.Errorf("%s, with a sign-in to be renewed: %d renewals, %v", name, l.IdP.Granted(idjagtest.Refresh), d)
			}
		}
	}
}

// The processes of one computer take turns all the same: of those that find a
// sign-in to be renewed, one renews it.
func TestFaultsLocklessCrowd(t *testing.T) {
	needs(t, "strace")
	l := newLaptop(t, 1)
	l.signIn(true)
	l.token("s0") // so that every lock file is there
	home, err := filepath.Glob(filepath.Join(l.state(), "locks", "*"))
	if err != nil {
		t.Fatal(err)
	}
	l.try("logout")
	l.signIn(true)
	answers := make(chan done)
	const crowd = 12
	for range crowd {
		wrapper := append(lockless("ENOLCK", home...), "sh", "-c", "exec $M token s0")
		cmd := exec.Command(wrapper[0], wrapper[1:]...)
		cmd.Env = append(l.env, "M="+l.command().Path)
		go func() { answers <- finish(cmd) }()
	}
	for range crowd {
		if d := <-answers; !l.issued(d) {
			t.Error(d)
		}
	}
	l.counts(&l.IdP.Party, idjagtest.Refresh, 1)
	l.counts(&l.IdP.Party, idjagtest.Exchange, 1)
	l.counts(&l.AS.Party, idjagtest.Redeem, 1)
}
