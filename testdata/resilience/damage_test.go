package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
)

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

// need is a command that needs a file, and what a person has to do when that file
// was the only place of something.
type need struct {
	args, remedy []string
	issued       func(done) bool
}

// needs lists what is to work whatever becomes of a file.
func (e everything) needs(f opened) []need {
	is := func(text string) bool { return strings.HasPrefix(f.name, text) }
	ok := func(d done) bool { return d.exit == 0 }
	var company, tracker, vault, keys = need{[]string{"token", "s0"}, []string{"login", "--timeout", "30s"}, e.issued},
		need{[]string{"token", "tracker"}, []string{"login", "tracker", "--timeout", "30s"}, e.tracker.issued},
		need{[]string{"explain", "vault"}, []string{"login", "vault", "--timeout", "30s"}, ok},
		need{[]string{"keys", "jwks", "acme"}, []string{"keys", "generate", "acme"}, ok}
	fresh := func(n need) need { n.args = append(n.args, "--fresh"); return n }
	switch {
	case is("client key"), is("next client key"):
		return []need{keys}
	case is("names of client keys"): // without them no key is listed; each is found by its name
		return []need{keys, {[]string{"keys", "list"}, nil, ok}}
	case is("data-key"), is("sealed/"):
		return []need{company, tracker, vault, keys}
	case f.rel == "state.json":
		return []need{company, tracker, vault}
	}
	return []need{fresh(company), fresh(tracker), vault} // the kept tokens would do
}

// judge runs the commands that need a file which was damaged, and demands a miss: a
// good answer from elsewhere, or the demand for the person; with at most one
// warning each, and nothing that lasts.
func (e everything) judge(what string, f opened, run func(args ...string) done) {
	e.t.Helper()
	for _, n := range e.needs(f) {
		d := run(n.args...)
		warnings := strings.Count(d.err, "warning:")
		switch {
		case n.issued(d) && warnings <= 1:
		case (d.exit == 3 || d.exit == 2 && n.args[0] == "keys") && warnings <= 1 && n.remedy != nil:
			if d := run(n.remedy...); d.exit != 0 {
				e.t.Errorf("%s: mcpauth %v after it: %v", what, n.remedy, d)
			}
		default:
			e.t.Errorf("%s: mcpauth %v: %v", what, n.args, d)
		}
		if d := run(n.args...); !n.issued(d) || strings.Contains(d.err, "warning:") {
			e.t.Errorf("%s: mcpauth %v, the next time: %v", what, n.args, d)
		}
	}
}

// reading is how the program reads one file: what it takes for its content, "" for
// nothing, and what it says about it.
type reading func() (value string, warnings []string)

// reading of a file in a folder that is a copy of the laptop's.
func (e everything) reading(folder string, f opened, sealed map[string]string) reading {
	d := state.Open(folder)
	inVault := func(get func(*vault.Vault) (string, error)) reading {
		return func() (value string, warnings []string) {
			v, err := vault.File(d, filepath.Join(e.home, "key"), "")
			if err != nil {
				e.t.Fatal(err)
			}
			v.Warn = func(text string) { warnings = append(warnings, text) }
			if value, err = get(v); err != nil && !errors.Is(err, vault.ErrNotFound) {
				e.t.Errorf("%s: %v is no miss", f.name, err)
			}
			return value, warnings
		}
	}
	ctx := context.Background()
	switch kind, hash, _ := strings.Cut(f.rel, "/"); {
	case kind == "state.json":
		return func() (value string, warnings []string) {
			s, said, err := d.Read()
			if err != nil {
				e.t.Error(err)
			}
			for _, w := range said {
				warnings = append(warnings, w.String())
			}
			if s.Version == 0 && s.Store == nil && s.Identities == nil && s.Servers == nil {
				return "", warnings
			}
			b, err := json.Marshal(s)
			if err != nil {
				e.t.Fatal(err)
			}
			return string(b), warnings
		}
	case kind == "metadata":
		return func() (string, []string) {
			b, _ := d.Cache(f.name, 24*time.Hour)
			return string(b), nil
		}
	case kind == "sealed":
		return inVault(func(v *vault.Vault) (string, error) { b, err := v.Open(ctx, sealed[hash]); return string(b), err })
	case f.name == "data-key", f.rel == "data-key.copy": // not read but through what is sealed under it
		for _, name := range sealed {
			return inVault(func(v *vault.Vault) (string, error) { b, err := v.Open(ctx, name); return string(b), err })
		}
	}
	return inVault(func(v *vault.Vault) (string, error) { t, err := v.Get(ctx, f.name); return t.Reveal(), err })
}

// sealedNames are the names of the sealed files, by their hashes.
func (e everything) sealedNames() map[string]string {
	s, _, err := state.Open(e.state()).Read()
	if err != nil {
		e.t.Fatal(err)
	}
	names := map[string]string{}
	for url, server := range s.Servers {
		for _, name := range append(server.Sealed, "latest token by consent "+state.Hash(url)) {
			if _, err := os.Stat(filepath.Join(e.state(), "sealed", state.Hash(name))); err == nil {
				names[state.Hash(name)] = name
			}
		}
	}
	return names
}

// Ten thousand random damages to every file: what is read is what was kept, or
// nothing, with one warning where there is somebody to tell.
func TestFaultsEveryFile(t *testing.T) {
	t.Parallel()
	e := newEverything(t)
	good := t.TempDir()
	e.copyTree(good, e.state())
	sealed := e.sealedNames()
	each, n, misses := times(50, 10_000), 0, 0
	for _, f := range e.files() {
		content, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		e.copyTree(folder, good)
		path := filepath.Join(folder, f.rel)
		read := e.reading(folder, f, sealed)
		want, said := read()
		if want == "" || said != nil {
			t.Fatalf("%s: read %q, %q", f.name, want, said)
		}
		r := rand.New(rand.NewPCG(5, uint64(len(content))))
		for range each {
			bad := mutate(r, content)
			for bytes.Equal(content, bad) {
				bad = mutate(r, content)
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			got, said := read()
			switch {
			case got == want && said == nil: // the damage is in a part that says nothing
			case got == "" && (len(said) == 1 || len(said) == 0 && strings.HasPrefix(f.rel, "metadata/")):
				misses++
			default:
				t.Errorf("%s: %d bytes became %d: read %.300q, said %q", f.name, len(content), len(bad), got, said)
			}
			if t.Failed() {
				t.Fatalf("the bytes: %.2000q", bad)
			}
			n++
			if f.name == "data-key" { // what it opened was dropped
				e.copyTree(filepath.Join(folder, "sealed"), filepath.Join(good, "sealed"))
			}
		}
		t.Logf("%-70.70s %d damages", f.name, each)
	}
	t.Logf("%d damages of %d files, %d of them misses, no wrong value", n, len(e.files()), misses)
}

// A sample of them through the whole program, which has to go on by itself or with
// one command, and some of those in a process of its own.
func TestFaultsMutations(t *testing.T) {
	t.Parallel()
	n := 0
	for batch := range times(1, 20) { // the connections of a batch are closed at its end
		t.Run(strconv.Itoa(batch), func(t *testing.T) { n += mutations(t, uint64(batch), times(2, 10)) })
	}
	t.Logf("%d damages, each a miss", n)
}

func mutations(t *testing.T, seed uint64, rounds int) (n int) {
	e := newEverything(t)
	back := e.keep("good")
	r := rand.New(rand.NewPCG(5, seed))
	for range rounds {
		for _, f := range e.files() {
			good, err := os.ReadFile(f.path)
			if err != nil {
				t.Fatal(err)
			}
			bad := mutate(r, good)
			if bytes.Equal(good, bad) {
				continue
			}
			if err := os.WriteFile(f.path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) done { return e.inside(0, args...) }
			if n%40 == 0 {
				run = e.try // a process of its own, for a sample
			}
			e.judge(f.name, f, run)
			if t.Failed() {
				t.Logf("damage %d of %s: %d bytes became %d: %q", n, f.name, len(good), len(bad), bad[:min(len(bad), 400)])
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
	t.Parallel()
	e := newEverything(t)
	back := e.keep("good")
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
	n, turn := 0, 0
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		shape := shapes[name]
		for _, f := range e.files() {
			if turn++; turn%times(5, 1) != 0 {
				continue
			}
			good, err := os.ReadFile(f.path)
			if err == nil {
				err = shape(f.path, good)
			}
			if err != nil {
				t.Fatal(err)
			}
			e.judge(name+" "+f.name, f, func(args ...string) done { return e.inside(0, args...) })
			n++
			back()
		}
	}
	t.Logf("%d shapes of files", n)
}
