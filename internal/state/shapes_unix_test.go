//go:build unix

package state_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
)

// Files that mcpauth has not made like this are not believed (rule S20).
var shapes = map[string]struct {
	make func(path string) error
	why  string
}{
	"symbolic link": {func(p string) error { return os.Symlink(elsewhere(p), p) }, "plain file"},
	"dangling link": {func(p string) error { return os.Symlink("/nowhere/at/all", p) }, "plain file"},
	"fifo":          {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "plain file"},
	"folder":        {func(p string) error { return os.Mkdir(p, 0o700) }, "plain file"},
	"full folder":   {func(p string) error { return os.MkdirAll(filepath.Join(p, "x"), 0o700) }, "plain file"},
	"group writes":  {func(p string) error { return writeMode(p, 0o660) }, "others may write"},
	"others write":  {func(p string) error { return writeMode(p, 0o602) }, "others may write"},
}

func elsewhere(p string) string { return filepath.Join(filepath.Dir(p), "elsewhere") }

func writeMode(p string, m fs.FileMode) error {
	if err := os.WriteFile(p, []byte(`{"version":1}`), 0o600); err != nil {
		return err
	}
	return os.Chmod(p, m)
}

func TestShapes(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			d := state.Open(path)
			if err := d.WriteFile("elsewhere", []byte(`{"version":1}`)); err != nil {
				t.Fatal(err)
			}
			if err := shape.make(filepath.Join(path, "state.json")); err != nil {
				t.Fatal(err)
			}
			_, err := d.ReadFile("state.json", 100)
			wantUnusable(t, err, shape.why)

			// The state heals: one warning, then none, then a write works.
			if _, warnings, _ := d.Read(); len(warnings) != 1 {
				t.Errorf("first Read warns %v, want one warning", warnings)
			}
			if _, warnings, _ := d.Read(); len(warnings) != 0 {
				t.Errorf("second Read warns %v", warnings)
			}
			if _, err := os.Lstat(filepath.Join(path, "state.json.bad")); err != nil {
				t.Errorf("not moved aside: %v", err)
			}
			if err := shape.make(filepath.Join(path, "state.json")); err != nil {
				t.Fatal(err)
			}
			if err := addServer(context.Background(), d, "u"); err != nil {
				t.Errorf("Update: %v", err)
			}
			if f, _, _ := d.Read(); len(f.Servers) != 1 {
				t.Errorf("after Update: %+v", f)
			}
			if b, err := d.ReadFile("elsewhere", 100); err != nil || string(b) != `{"version":1}` {
				t.Errorf("the file that a link pointed to was changed: %q, %v", b, err)
			}
		})
	}
}

func TestReadableByOthersIsNoHarm(t *testing.T) {
	d := state.Open(t.TempDir())
	if err := writeMode(filepath.Join(d.Path(), "f"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadFile("f", 100); err != nil {
		t.Error(err)
	}
}

func TestWideFolderIsNarrowedByAWrite(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	if err := d.WriteFile("f", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.Path(), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := d.ReadFile("f", 100)
	wantUnusable(t, err, "others may write")
	if err := d.WriteFile("g", nil); err != nil {
		t.Fatal(err)
	}
	wantMode(t, d.Path(), fs.ModeDir|0o700)
}

// That the folder was open to others costs nothing that is in it: what somebody else
// wrote there belongs to somebody else.
func TestWideFolderCostsNoState(t *testing.T) {
	for name, look := range map[string]func(*state.Dir) error{
		"a reader": func(*state.Dir) error { return nil },
		"a writer": func(d *state.Dir) error { return addServer(t.Context(), d, "v") },
	} {
		d := state.Open(filepath.Join(t.TempDir(), "s"))
		if err := addServer(t.Context(), d, "u"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d.Path(), 0o770); err != nil {
			t.Fatal(err)
		}
		if err := look(d); err != nil {
			t.Error(name, err)
		}
		if f, warnings, _ := d.Read(); f.Servers["u"].URL != "u" || len(warnings) != 0 {
			t.Errorf("%s: %+v, %v", name, f, warnings)
		}
		wantMode(t, d.Path(), fs.ModeDir|0o700)
	}
}

// The mode is right whatever the umask takes away, or is put right by the next who
// cannot use the file (which root always can).
func TestUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		d := state.Open(filepath.Join(t.TempDir(), "above", "state"))
		old := syscall.Umask(mask)
		err := d.WriteFile("sub/f", []byte("x"))
		unlock, lockErr := d.Lock(context.Background(), "l")
		syscall.Umask(old)
		if err != nil || lockErr != nil {
			t.Fatal(err, lockErr)
		}
		unlock()
		if unlock, err = state.Open(d.Path()).Lock(t.Context(), "l"); err != nil {
			t.Fatal(err)
		}
		unlock()
		wantMode(t, filepath.Dir(d.Path()), fs.ModeDir|0o700)
		wantMode(t, d.Path(), fs.ModeDir|0o700)
		wantMode(t, filepath.Join(d.Path(), "sub"), fs.ModeDir|0o700)
		wantMode(t, filepath.Join(d.Path(), "sub", "f"), 0o600)
		if mask != 0o777 || os.Geteuid() != 0 {
			wantMode(t, filepath.Join(d.Path(), "locks", state.Hash("l")+".lock"), 0o600)
		}
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != want {
		t.Errorf("mode of %s is %v, want %v", path, fi.Mode(), want)
	}
}

// What cannot be read for a reason that passes is not taken for nothing: that would
// sign the person out and forget every pin.
func TestTroubleIsNoEmptyState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := addServer(context.Background(), state.Open(path), "u"); err != nil {
		t.Fatal(err)
	}
	for name, trouble := range map[string]func() (over func() error, err error){
		"no folder": func() (func() error, error) { // a plain file is where it was
			err := errors.Join(os.Rename(path, path+" kept"), os.WriteFile(path, nil, 0o600))
			return func() error { return errors.Join(os.Remove(path), os.Rename(path+" kept", path)) }, err
		},
		"no file may be opened": func() (func() error, error) {
			var limit syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				return nil, err
			}
			none := limit
			none.Cur = 0
			return func() error { return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := state.Open(path)
			over, err := trouble()
			if err != nil {
				t.Fatal(err)
			}
			f, warnings, err := d.Read()
			one, _, oneErr := d.ReadServer("u")
			none, _, noneErr := d.ReadIdentities()
			changed := d.Update(context.Background(), func(*state.File) error { t.Error("changed"); return nil })
			if err := over(); err != nil {
				t.Fatal(err)
			}
			if err == nil || len(warnings) != 0 || oneErr == nil || noneErr == nil || changed == nil {
				t.Errorf("Read: %v, %v; ReadServer: %v; ReadIdentities: %v; Update: %v", err, warnings, oneErr, noneErr, changed)
			}
			if f.Version+one.Version+none.Version != 0 {
				t.Errorf("got %+v, %+v and %+v", f, one, none)
			}
			if f, warnings, err := d.Read(); len(f.Servers) != 1 || len(warnings) != 0 || err != nil {
				t.Errorf("when it is over: %+v, %v, %v", f, warnings, err)
			}
		})
	}
}
