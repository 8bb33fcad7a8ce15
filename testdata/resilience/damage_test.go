package resilience

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// files lists what is in the state folder, by groups that are damaged alike.
func (l *laptop) files() []string {
	l.t.Helper()
	var list []string
	for _, pattern := range []string{"state.json", "sealed/*", "store/*", "metadata/*"} {
		found, err := filepath.Glob(filepath.Join(l.state(), pattern))
		if err != nil || len(found) == 0 {
			l.t.Fatalf("there is no %s: %v", pattern, err)
		}
		list = append(list, found...)
	}
	return list
}

// mutate returns b as a bad disk, a bad copy or a power cut may leave it.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	at := r.IntN(len(b) + 1)
	end := at + r.IntN(len(b)+1-at)
	switch r.IntN(8) {
	case 0, 1:
		at %= len(b)
		b[at] ^= 1 << r.IntN(8)
	case 2:
		b = b[:at]
	case 3:
		clear(b[at:end])
	case 4:
		b = append(b, b[at:]...)
	case 5:
		b = slices.Delete(b, at, end)
	case 6:
		b = slices.Insert(b, at, []byte{byte(r.IntN(256)), byte(r.IntN(256))}...)
	case 7:
		for i := at; i < end; i++ {
			b[i] = byte(r.IntN(256))
		}
	}
	return b
}

// judge runs the command that needs a file which was damaged, and demands a miss:
// a good token from elsewhere, or, without the record of who is signed in, the
// demand to sign in; with at most one warning, and nothing that lasts.
func (l *laptop) judge(what, file string, run func(args ...string) done) {
	l.t.Helper()
	args := []string{"token", "s0"}
	if folder := filepath.Base(filepath.Dir(file)); folder == "store" || folder == "metadata" {
		args = append(args, "--fresh") // the kept token would do
	}
	d := run(args...)
	warnings := strings.Count(d.err, "warning:")
	for _, more := range []string{"the key it was sealed under is gone", "it does not open with the data key"} {
		if strings.Contains(d.err, more) && strings.Contains(file, "/store/") {
			warnings-- // the second half of what is said of a damaged data key
		}
	}
	switch {
	case l.issued(d) && warnings <= 1:
	case d.exit == 3 && warnings <= 1 && filepath.Base(file) == "state.json":
		if d = run("login", "--timeout", "30s"); d.exit != 0 {
			l.t.Errorf("%s: the sign-in after it: %v", what, d)
		}
	default:
		l.t.Errorf("%s: %v", what, d)
	}
	if d := run("token", "s0"); !l.issued(d) || strings.Contains(d.err, "warning:") {
		l.t.Errorf("%s: the next run: %v", what, d)
	}
}

// prepared is a laptop with one of every file.
func prepared(t *testing.T) (l *laptop, back func()) {
	// A kept copy of the state holds the refresh token of then.
	l = newLaptop(t, 1, cacheable, func(c *idjagtest.Company) { c.IdP.NoRotation = true })
	l.signIn(false)
	l.token("s0")
	return l, l.keep("good")
}

// Thousands of random damages to every file are misses, and heal by themselves.
func TestFaultsMutations(t *testing.T) {
	n := 0
	for batch := range times(1, 35) { // the connections of a batch are closed at its end
		t.Run(strconv.Itoa(batch), func(t *testing.T) { n += mutations(t, uint64(batch)) })
	}
	t.Logf("%d damages, each a miss", n)
}

func mutations(t *testing.T, seed uint64) (n int) {
	l, back := prepared(t)
	r := rand.New(rand.NewPCG(5, seed))
	for range 40 {
		for _, file := range l.files() {
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bad := mutate(r, good)
			if bytes.Equal(good, bad) {
				continue
			}
			if err := os.WriteFile(file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(l.state(), file)
			run := func(args ...string) done { return l.inside(0, args...) }
			if n%100 == 0 {
				run = l.try // a process of its own, for a sample
			}
			l.judge(rel, file, run)
			if t.Failed() {
				t.Logf("damage %d of %s: %d bytes became %d: %q", n, rel, len(good), len(bad), bad[:min(len(bad), 400)])
				t.FailNow()
			}
			n++
			back()
		}
	}
	return n
}

// The shapes that a power cut, a restored backup or another user leave behind.
func TestFaultsShapes(t *testing.T) {
	l, back := prepared(t)
	shapes := map[string]func(path string, good []byte) error{
		"empty":       func(p string, _ []byte) error { return os.Truncate(p, 0) },
		"zero-filled": func(p string, b []byte) error { return os.WriteFile(p, make([]byte, len(b)), 0o600) },
		"truncated":   func(p string, b []byte) error { return os.Truncate(p, int64(len(b)/2)) },
		"null":        func(p string, _ []byte) error { return os.WriteFile(p, []byte("null"), 0o600) },
		"old version": func(p string, _ []byte) error { return os.WriteFile(p, []byte(`{"version":0}`), 0o600) },
		"wide mode":   func(p string, _ []byte) error { return os.Chmod(p, 0o666) },
		"symlink": func(p string, b []byte) error {
			to := p + ".elsewhere"
			if err := os.WriteFile(to, b, 0o600); err != nil {
				return err
			}
			_ = os.Remove(p)
			return os.Symlink(to, p)
		},
		"folder": func(p string, _ []byte) error { _ = os.Remove(p); return os.Mkdir(p, 0o700) },
		"FIFO":   func(p string, _ []byte) error { _ = os.Remove(p); return syscall.Mkfifo(p, 0o600) },
		"gone":   func(p string, _ []byte) error { return os.Remove(p) },
	}
	if os.Getuid() == 0 {
		shapes["foreign owner"] = func(p string, _ []byte) error { return os.Chown(p, 4711, 4711) }
	}
	for name, shape := range shapes {
		for _, file := range l.files() {
			good, err := os.ReadFile(file)
			if err == nil {
				err = shape(file, good)
			}
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(l.state(), file)
			l.judge(name+" "+rel, file, func(args ...string) done { return l.inside(0, args...) })
			back()
		}
	}
}
