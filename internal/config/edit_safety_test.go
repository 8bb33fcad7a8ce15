//go:build unix

package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What goes in comes out of Load, from an empty file and over an old value.
func TestEditThenLoad(t *testing.T) {
	p := home(t, "")
	no := false
	server := Server{Name: "w.1", URL: "https://w.example/?a=1&b=<2>", OAuth: OAuth{ASClientID: `a"b\c`, IdP: "lab", Scopes: []string{"a", "b"}, SendScope: &no,
		ClientAuth: Auth{SecretCommand: []string{"show", "wiki secret"}}}}
	lab := IdP{Name: "lab", Issuer: "https://lab.example", IdPClientID: "l", OfflineAccess: &no, RedirectPort: 99}
	main := IdP{Name: "default", Issuer: "https://main.example/", IdPClientID: "m"}
	store := Store{Kind: "file", PassphraseFile: "/p"}
	for _, round := range []string{"new", "changed", "same"} {
		if round == "changed" {
			server.OAuth.ClientAuth = Auth{SecretFile: "/s"}
			server.OAuth.SendScope, lab.RedirectPort, main.IdPClientID = nil, 0, "M"
			store = Store{Kind: "keychain"}
		}
		before := ""
		if round == "same" {
			before = read(t, p.Config)
		}
		err := Edit(t.Context(), p.Config, func(d *Doc) error {
			return errors.Join(d.SetIdP("", main), d.SetIdP("lab", lab), d.SetServer("w.1", server), d.SetStore(store))
		})
		if err != nil {
			t.Fatal(err)
		}
		c := load(t, p, Overrides{}, nil)
		if diff := cmp.Diff([]Server{server}, c.Servers()); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", round, diff)
		}
		if diff := cmp.Diff([]IdP{main, lab}, c.IdPs()); diff != "" {
			t.Errorf("%s: IdPs (-want +got):\n%s", round, diff)
		}
		if diff := cmp.Diff(store, c.Store()); diff != "" {
			t.Errorf("%s: store (-want +got):\n%s", round, diff)
		}
		if before != "" && before != read(t, p.Config) {
			t.Errorf("setting what is there changed the file:\n%s", cmp.Diff(before, read(t, p.Config)))
		}
	}
	for path, want := range map[string]os.FileMode{p.Config: 0o600, filepath.Dir(p.Config): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s: %v, %v; want %o", path, info.Mode(), err, want)
		}
	}
}

// Whatever goes wrong, the file stays as it was and nothing is left beside it.
func TestEditKeepsTheOldFile(t *testing.T) {
	mine := errors.New("mine")
	good := `{"mcpServers": {"a": {"url": "https://a.example"}}} // good`
	for _, tt := range []struct {
		name, before string
		change       func(*Doc) error
		want         string
	}{
		{"change fails", good, func(d *Doc) error { return errors.Join(d.SetServer("wiki", wiki()), mine) }, "mine"},
		{"result would not load", good, func(d *Doc) error { return d.SetServer("w", Server{URL: "http://w.example"}) }, "the result would not load, nothing was changed: "},
		{"IdP that is not there", good, func(d *Doc) error {
			return d.SetServer("w", Server{URL: "https://w.example", OAuth: OAuth{ASClientID: "c", IdP: "lab"}})
		}, "names an identity provider that the file does not have"},
		{"bad server name", good, func(d *Doc) error { return d.SetServer("a b", wiki()) }, "is not a name"},
		{"bad IdP name", good, func(d *Doc) error { return d.SetIdP("a b", IdP{}) }, "is not a name"},
		{"unknown server", good, func(d *Doc) error { return d.RemoveServer("A") }, `no server "A" is configured, did you mean "a"?`},
		{"unknown server, no servers", `{}`, func(d *Doc) error { return d.RemoveServer("A") }, `no server "A" is configured`},
		{"broken before", `{"mcpServers": {`, func(d *Doc) error { return d.SetServer("wiki", wiki()) }, ":1:17: parsing value"},
		{"wrong before", `{"mcpServers": []}`, func(d *Doc) error { return d.SetServer("wiki", wiki()) }, `"mcpServers" is not an object`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := home(t, tt.before)
			err := Edit(t.Context(), p.Config, tt.change)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if got := read(t, p.Config); got != tt.before {
				t.Errorf("the file is now %q", got)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(p.Config), ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// Dotfile managers link the file to where they keep it.
func TestEditWritesThroughLinks(t *testing.T) {
	p := home(t, "")
	target := filepath.Join(t.TempDir(), "dotfiles", "mcpauth.json")
	write(t, target, `{}`, 0o644)
	if err := os.MkdirAll(filepath.Dir(p.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, p.Config); err != nil {
		t.Fatal(err)
	}
	add := func(d *Doc) error { return d.SetServer("wiki", wiki()) }
	if err := Edit(t.Context(), p.Config, add); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(p.Config); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o644 || !strings.Contains(read(t, target), "wiki") {
		t.Errorf("target: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), "*")); len(left) != 1 {
		t.Errorf("left beside the target: %q", left)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := Edit(t.Context(), p.Config, add); err == nil {
		t.Error("a link to nothing was replaced")
	}
}

func TestEditUnderAnyUmask(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		p := home(t, "")
		if err := os.MkdirAll(filepath.Dir(p.Config), 0o700); err != nil {
			t.Fatal(err)
		}
		old := syscall.Umask(mask)
		err := Edit(t.Context(), p.Config, func(*Doc) error { return nil })
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(p.Config); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("umask %o: %v, %v", mask, info, err)
		}
	}
}

func TestEditsWaitForEachOther(t *testing.T) {
	p := home(t, "{ // start\n}\n")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := Edit(t.Context(), p.Config, func(d *Doc) error { return d.SetServer(fmt.Sprint("s", i), wiki()) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c := load(t, p, Overrides{}, nil); len(c.Servers()) != 20 {
		t.Errorf("%d servers were kept, want 20", len(c.Servers()))
	}
}

func TestEditObeysContext(t *testing.T) {
	p := home(t, "{}")
	lock := flock.New(p.Config + ".lock")
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := Edit(ctx, p.Config, func(*Doc) error { return errors.New("went in") })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "config.json.lock") {
		t.Errorf("error %v", err)
	}
}

// An editor does not take our lock. What it saves while we work stays.
func TestEditSeesAnEditorsSave(t *testing.T) {
	p := home(t, "{}")
	calls := 0
	err := Edit(t.Context(), p.Config, func(d *Doc) error {
		if calls++; calls == 1 {
			write(t, p.Config, "{\n  \"caFile\": \"/saved-meanwhile\"\n}\n", 0o600)
		}
		return d.SetServer("wiki", wiki())
	})
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, p, Overrides{}, nil)
	if _, err := c.Server("wiki"); err != nil || c.CAFile() != "/saved-meanwhile" || calls != 2 {
		t.Errorf("after %d calls: %v, CA file %q", calls, err, c.CAFile())
	}
}
