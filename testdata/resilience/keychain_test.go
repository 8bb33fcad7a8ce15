package resilience

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"golang.org/x/sys/unix"
)

// onKeychain is a laptop whose sign-ins are in a keychain that can misbehave.
func onKeychain(t *testing.T) (*laptop, *secretService) {
	t.Helper()
	s := newSecretService(t)
	l := newLaptop(t, 1)
	l.configure(map[string]any{"kind": "keychain"}, "")
	l.env = append(l.env, "DBUS_SESSION_BUS_ADDRESS="+s.address)
	t.Cleanup(l.dropKernelCopy)
	return l, s
}

// dropKernelCopy is what a restart of the computer does.
func (l *laptop) dropKernelCopy() {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", "mcpauth:"+state.Hash(l.state()), 0)
	if err == nil {
		_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
	}
}

// badKeychains are the ways in which a keychain fails, and what is said of each: the
// exit code where nothing can be had without it.
var badKeychains = []struct {
	name  string
	does  misbehaviour
	exit  int
	says  string
	hints string
}{
	{"slow", misbehaviour{Slow: 2 * time.Second}, 6, "no answer in time", "answer the keychain's question, or unlock it"},
	{"never answers", misbehaviour{Slow: time.Hour}, 6, "no answer in time", "answer the keychain's question, or unlock it"},
	{"locked, and nobody answers", misbehaviour{Locked: true}, 6, "no answer in time", "answer the keychain's question, or unlock it"},
	{"dies", misbehaviour{Die: true}, 2, "not available", "--store file"},
	{"of another kind", misbehaviour{Wrong: true}, 2, "wrong form", "--store file"},
}

// Each failure has its own word, and ends within its deadline; a token that is there
// is served through all of them.
func TestFaultsKeychainFails(t *testing.T) {
	for _, bad := range badKeychains {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			l, s := onKeychain(t)
			l.must("login", "--timeout", "30s")
			good := l.must("token", "s0")
			s.behave(bad.does)
			if d := l.try("token", "s0"); d.exit != 0 || d.out != good || d.err != "" {
				t.Errorf("with a valid token: %v", d)
			}
			if n := s.count(); n != 0 {
				t.Errorf("%d calls for a valid token", n)
			}
			for _, args := range [][]string{{"token", "s0", "--fresh"}, {"login", "--timeout", "20s"}} {
				start := time.Now()
				d := l.try(args...)
				if took := time.Since(start); d.exit != bad.exit || d.out != "" || took > 9*time.Second ||
					!strings.Contains(d.err, bad.says) || !strings.Contains(d.err, bad.hints) {
					t.Errorf("mcpauth %v after %v: %v", args, took, d)
				}
			}
			s.behave(misbehaviour{})
			if d := l.try("token", "s0"); d.exit != 0 || d.err != "" {
				t.Errorf("when it is over: %v", d)
			}
			l.token("s0", "--fresh")
		})
	}
}

// The keychain dies, or locks itself, at any of its calls: nothing hangs, what was
// obtained is printed, and when it is back all is as before or needs one sign-in.
func TestFaultsKeychainFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	l, s := onKeychain(t)
	l.must("login", "--timeout", "30s")
	signedIn, kept := l.keep("signed-in"), s.keep()
	again := func() {
		s.behave(misbehaviour{})
		kept()
		signedIn()
		l.dropKernelCopy()
	}
	n, printed := 0, 0
	for _, args := range [][]string{{"token", "s0"}, {"login", "--timeout", "20s"}} {
		for k := 1; ; k += times(3, 1) {
			again()
			l.forget()
			s.behave(misbehaviour{From: k, Die: true})
			d := l.try(args...)
			calls := s.count()
			switch {
			case args[0] == "token" && l.issued(d): // with or without the word that it could not be kept
				printed++
			case args[0] == "login" && d.exit == 0:
			case d.exit == 2 && strings.Contains(d.err, "not available") && d.out == "":
			default:
				t.Errorf("mcpauth %v, dead at call %d: %v", args, k, d)
			}
			if args[0] == "token" && l.AS.Granted("redeem") > 0 && d.out == "" {
				t.Errorf("dead at call %d: a token was obtained and not printed: %v", k, d)
			}
			s.behave(misbehaviour{})
			if d := l.try("token", "s0"); !l.issued(d) {
				t.Errorf("mcpauth %v, dead at call %d, the next time: %v", args, k, d)
			}
			l.must("login", "--timeout", "30s")
			l.token("s0")
			n++
			if calls < k {
				break
			}
		}
	}
	if printed == 0 {
		t.Error("no token was printed in spite of a dead keychain")
	}
	t.Logf("a keychain that died at %d calls; %d tokens were printed all the same", n, printed)
}

// An item that the keychain does not want is kept otherwise, or said to be lost.
func TestFaultsKeychainRefuses(t *testing.T) {
	l, s := onKeychain(t)
	s.behave(misbehaviour{Big: 400}) // no ID token has less
	if d := l.try("login", "--timeout", "30s"); d.exit != 0 || d.err == "" {
		t.Errorf("items too big: %v", d)
	}
	l.token("s0", "--fresh")
	l.IdP.SetIDTokenLifetime(30 * time.Second)
	l.must("login", "--timeout", "30s")
	l.IdP.SetIDTokenLifetime(time.Hour)
	l.dropKernelCopy()
	l.token("s0", "--fresh") // renewed, and kept again
	l.token("s0", "--fresh")
	l.must("logout", "--all")
	if left := s.names(); left != nil {
		t.Errorf("after the sign-out the keychain still has %q", left)
	}
	for says, exit := range map[string]int{"The prompt was dismissed": 2, "Cannot create an item in a locked collection": 6, "something odd": 2} {
		s.behave(misbehaviour{Says: says})
		if d := l.try("login", "--timeout", "30s"); d.exit != exit || d.out != "" || !strings.Contains(d.err, "keep the sign-in") {
			t.Errorf("%s: %v", says, d)
		}
	}
	s.behave(misbehaviour{Drops: true})
	if d := l.try("login", "--timeout", "30s"); d.exit != 2 || !strings.Contains(d.err, "did not keep the item") {
		t.Errorf("a keychain that forgets: %v", d)
	}
}

// A kernel that refuses its keyring, and one that is full, costs time and nothing
// else.
func TestFaultsKernelKeyring(t *testing.T) {
	needs(t, "strace")
	l, s := onKeychain(t)
	l.must("login", "--timeout", "30s")
	l.dropKernelCopy()
	for _, e := range []string{"EPERM", "ENOSYS", "EDQUOT", "EACCES"} {
		run := fmt.Sprintf(`strace -f -qq -o /dev/null -e trace=keyctl,add_key -e inject=keyctl,add_key:error=%s $M token s0`, e)
		first := l.shell(nil, run+" --fresh")
		second := l.shell(nil, run)
		if !l.issued(first) || first.err != "" || second.out != first.out || second.err != "" {
			t.Errorf("%s: %v, then %v", e, first, second)
		}
	}
	before := s.count()
	if l.token("s0"); s.count() == before {
		t.Error("there was a copy of the data key although the kernel takes none")
	}
	before = s.count()
	if l.token("s0"); s.count() != before && os.Getenv("CI") == "" {
		t.Log("this kernel gives no keyring to this user")
	}
}
