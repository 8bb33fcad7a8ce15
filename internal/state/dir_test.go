package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

func TestOpenTouchesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "yet")
	d := state.Open(path)
	if _, warnings, _ := d.Read(); len(warnings) != 0 {
		t.Errorf("Read warns about a missing folder: %v", warnings)
	}
	if _, err := d.ReadFile("x", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile = %v, want fs.ErrNotExist", err)
	}
	if err := d.Remove("x"); err != nil {
		t.Errorf("Remove of nothing = %v", err)
	}
	if _, ok := d.Cache("k", time.Hour); ok {
		t.Error("Cache hit in a missing folder")
	}
	if _, err := os.Lstat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the folder: %v", err)
	}
}

func TestWriteThenRead(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "a", "b"))
	for _, content := range []string{"one", "", strings.Repeat("x", 1<<16)} {
		if err := d.WriteFile("sub/f", []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := d.ReadFile("sub/f", 1<<16)
		if err != nil || string(got) != content {
			t.Errorf("ReadFile = %d bytes, %v; want %d bytes", len(got), err, len(content))
		}
	}
	if err := d.Remove("sub/f"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadFile("sub/f", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestNamesStayInside(t *testing.T) {
	d := state.Open(t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../x"} {
		if _, err := d.ReadFile(name, 10); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadFile(%q) = %v", name, err)
		}
		if err := d.WriteFile(name, nil); err == nil {
			t.Errorf("WriteFile(%q) works", name)
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("Remove(%q) works", name)
		}
		if err := d.RemoveFolder(name); err == nil {
			t.Errorf("RemoveFolder(%q) works", name)
		}
	}
	if err := state.Open("").WriteFile("x", nil); err == nil {
		t.Error("a Dir without a path writes into the working directory")
	}
}

func TestTooBig(t *testing.T) {
	d := state.Open(t.TempDir())
	if err := d.WriteFile("f", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadFile("f", 5); err != nil {
		t.Errorf("exactly max: %v", err)
	}
	_, err := d.ReadFile("f", 4)
	wantUnusable(t, err, "more than 4 bytes")
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	path := t.TempDir()
	d := state.Open(path)
	if err := os.MkdirAll(filepath.Join(path, "f", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	// A folder would stand in the way for ever. Whatever is in it is kept.
	if err := d.WriteFile("f", []byte("x")); err != nil {
		t.Error(err)
	}
	if aside, _ := filepath.Glob(filepath.Join(path, "f.bad.*", "full")); len(aside) != 1 {
		t.Errorf("the folder was not moved aside: %q", aside)
	}
	if err := os.WriteFile(filepath.Join(path, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("plain/f", []byte("x")); err == nil {
		t.Error("WriteFile below a plain file works")
	}
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.Name() != "f" && e.Name() != "plain" && !strings.HasPrefix(e.Name(), "f.bad.") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestSweepOfOldTempFiles(t *testing.T) {
	path := t.TempDir()
	for name, age := range map[string]time.Duration{".tmp-old": 2 * time.Hour, ".tmp-new": time.Minute, "old": 2 * time.Hour} {
		p := filepath.Join(path, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Open(path).WriteFile("f", nil); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != ".tmp-new f old" {
		t.Errorf("left: %s", got)
	}
}

func wantUnusable(t *testing.T, err error, why string) {
	t.Helper()
	var u *state.Unusable
	if !errors.As(err, &u) {
		t.Errorf("error is %v, want *Unusable", err)
	} else if !strings.Contains(u.Why, why) {
		t.Errorf("Why = %q, want it to contain %q", u.Why, why)
	}
}
