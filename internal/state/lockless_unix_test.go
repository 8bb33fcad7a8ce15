//go:build unix

package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Where no file can be locked the goroutines of one process take turns all the same.
func TestSolo(t *testing.T) {
	var s solo
	var inside atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			unlock, ok := s.tryLock("n")
			if i%2 == 0 || !ok {
				var err error
				if ok {
					unlock()
				}
				if unlock, err = s.lock(t.Context(), "n"); err != nil {
					t.Error(err)
					return
				}
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d goroutines hold the lock", n)
			}
			inside.Add(-1)
			unlock()
			unlock() // twice is harmless
		})
	}
	wg.Wait()
	unlock, ok := s.tryLock("n")
	if _, again := s.tryLock("n"); !ok || again {
		t.Fatalf("free: %v, and free again: %v", ok, again)
	}
	if other, ok := s.tryLock("another name"); !ok {
		t.Error("names exclude each other")
	} else {
		other()
	}
	var busy *Busy
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := s.lock(late, "n"); !errors.As(err, &busy) {
		t.Errorf("late: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.lock(gone, "n"); !errors.Is(err, context.Canceled) || errors.As(err, &busy) {
		t.Errorf("gone: %v", err)
	}
	unlock()
}

// Everybody may write where the locks of a folder without locks are kept: what is
// there by the user's name is believed only if it is the user's own folder.
func TestElsewhere(t *testing.T) {
	for name, bend := range map[string]func(path string) error{
		"nothing":         func(string) error { return nil },
		"our folder":      func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":          func(path string) error { return os.Symlink(filepath.Dir(path), path) },
		"a dangling link": func(path string) error { return os.Symlink(filepath.Join(path, "nowhere"), path) },
		"a file":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"open to others":  func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
	} {
		parent := t.TempDir()
		path := filepath.Join(parent, fmt.Sprintf("mcpauth-%d", os.Geteuid()))
		if err := bend(path); err != nil {
			t.Fatal(err)
		}
		got, err := elsewhere(parent)
		if good := name == "nothing" || name == "our folder"; good != (err == nil && got == path) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if fi, err := os.Stat(path); name == "nothing" && (err != nil || fi.Mode().Perm() != 0o700) {
			t.Errorf("made as %v, %v", fi, err)
		}
	}
}
