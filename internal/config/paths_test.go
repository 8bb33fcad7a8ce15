//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

func TestLocate(t *testing.T) {
	home := t.TempDir()
	pointer := filepath.Join(home, ".config", "mcpauth", "location.json")
	there := filepath.Join(t.TempDir(), "there")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	standard, state := filepath.Join(home, ".config/mcpauth/config.json"), filepath.Join(home, ".local/state/mcpauth")
	for _, tt := range []struct {
		name          string
		pointer       string
		vars          vars
		config, state string
		sources       [2]string
	}{
		{"defaults", "", nil, standard, state, [2]string{"default", "default"}},
		{"variables", "", vars{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c/mcpauth/config.json", "/s/mcpauth", [2]string{"XDG_CONFIG_HOME", "XDG_STATE_HOME"}},
		{"relative variables count as unset", "", vars{"XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s"}, standard, state, [2]string{"default", "default"}},
		{"pointer", `{"config": "` + there + `"}`, nil, there + "/config.json", state, [2]string{pointer, "default"}},
		{"variable over pointer", `{"config": "` + there + `", "state": "` + there + `"}`, vars{"XDG_CONFIG_HOME": "/c"}, "/c/mcpauth/config.json", there, [2]string{"XDG_CONFIG_HOME", pointer}},
		{"pointer to what is gone", `{"config": "/nowhere/mcpauth"}`, nil, standard, state, [2]string{"default", "default"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			os.Remove(pointer)
			if tt.pointer != "" {
				write(t, pointer, tt.pointer, 0o600)
			}
			p, err := Locate(home, tt.vars.get)
			if err != nil {
				t.Fatal(err)
			}
			if p.Config != tt.config || p.State != tt.state {
				t.Errorf("got %s and %s", p.Config, p.State)
			}
			if got := [2]string{p.ConfigSource, p.StateSource}; got != tt.sources {
				t.Errorf("sources %q, want %q", got, tt.sources)
			}
		})
	}
	for _, home := range []string{"", "home"} {
		if _, err := Locate(home, vars{}.get); err == nil {
			t.Errorf("Locate(%q) found a home", home)
		}
	}
}

// Whoever controls the pointer controls where trust is read from (S29).
func TestUnsafePointer(t *testing.T) {
	wide := filepath.Join(t.TempDir(), "wide")
	if err := os.Mkdir(wide, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(wide, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, `{}`, 0o600)
	for _, tt := range []struct {
		name  string
		plant func(t *testing.T, pointer string)
	}{
		{"link", func(t *testing.T, p string) {
			if err := os.Symlink(file, p); err != nil {
				t.Fatal(err)
			}
		}},
		{"FIFO", func(t *testing.T, p string) {
			if err := syscall.Mkfifo(p, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"folder", func(t *testing.T, p string) {
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"writable by others", func(t *testing.T, p string) { write(t, p, `{}`, 0o622) }},
		{"relative", func(t *testing.T, p string) { write(t, p, `{"config": "x"}`, 0o600) }},
		{"unknown key", func(t *testing.T, p string) { write(t, p, `{"idp": "x"}`, 0o600) }},
		{"to a folder anybody can write", func(t *testing.T, p string) { write(t, p, `{"state": "`+wide+`"}`, 0o600) }},
		{"to a file", func(t *testing.T, p string) { write(t, p, `{"state": "`+file+`"}`, 0o600) }},
		{"too long", func(t *testing.T, p string) { write(t, p, string(make([]byte, maxPointer+1)), 0o600) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			pointer := filepath.Join(home, ".config", "mcpauth", "location.json")
			if err := os.MkdirAll(filepath.Dir(pointer), 0o700); err != nil {
				t.Fatal(err)
			}
			tt.plant(t, pointer)
			if p, err := Locate(home, vars{}.get); err == nil {
				t.Errorf("followed it to %+v", p)
			} else if p != (Paths{}) {
				t.Errorf("an error comes with %+v", p)
			}
		})
	}
}

// A sequence of calls with and without variables ends up at the same place.
func TestLeavePointer(t *testing.T) {
	home, moved := t.TempDir(), t.TempDir()
	pointer := filepath.Join(home, ".config", "mcpauth", "location.json")
	leave := func(v vars) Paths {
		t.Helper()
		p, err := Locate(home, v.get)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(p.Config), p.State} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.LeavePointer(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	exists := func() bool { _, err := os.Stat(pointer); return err == nil }

	if leave(nil); exists() {
		t.Error("nothing was moved, and yet there is a pointer")
	}
	want := leave(vars{"XDG_CONFIG_HOME": moved, "XDG_STATE_HOME": moved + "/state"})
	if info, err := os.Stat(pointer); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("pointer: %v, %v", info, err)
	}
	if got := leave(nil); got.Config != want.Config || got.State != want.State {
		t.Errorf("without variables %+v, want %+v", got, want)
	}
	if leave(vars{"XDG_CONFIG_HOME": home + "/.config"}); !exists() {
		t.Error("the state folder is still elsewhere, but the pointer is gone")
	}
	if got := leave(nil); got.Config != filepath.Join(home, ".config/mcpauth/config.json") || got.State != want.State {
		t.Errorf("after one folder came home: %+v", got)
	}
	if leave(vars{"XDG_STATE_HOME": home + "/.local/state"}); exists() {
		t.Error("everything came home, but the pointer is still there")
	}
}

// The file can name a program to run, so nobody else may have written it.
func TestUnsafeConfig(t *testing.T) {
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		p := home(t, "")
		write(t, p.Config, `{}`, mode)
		var unsafe *ownfile.Unsafe
		if _, err := Load(p, Overrides{}, vars{}.get); !errors.As(err, &unsafe) || unsafe.Path != p.Config {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err := Edit(t.Context(), p.Config, func(*Doc) error { return nil }); !errors.As(err, &unsafe) {
			t.Errorf("edit at mode %o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o400, 0o600, 0o644} {
		p := home(t, "")
		write(t, p.Config, `{}`, mode)
		load(t, p, Overrides{}, nil)
	}
	p := home(t, "")
	if err := os.MkdirAll(filepath.Dir(p.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(p.Config, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(p, Overrides{}, vars{}.get); err == nil {
		t.Error("a FIFO was read")
	}
}

// A helper may be started in a folder that is gone.
func TestWorkingFolderGone(t *testing.T) {
	p, gone := home(t, full), t.TempDir()
	t.Chdir(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	load(t, p, Overrides{}, nil)
}
