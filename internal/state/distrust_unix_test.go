//go:build unix

package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A foreign owner, seen from a user that the test cannot be.
func TestForeignOwner(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if why := distrust(fi, os.Geteuid()); why != "" {
		t.Errorf("own file: %q", why)
	}
	if why := distrust(fi, os.Geteuid()+1); !strings.Contains(why, "belongs to user id") {
		t.Errorf("foreign file: %q", why)
	}
	if !Mine(fi) {
		t.Error("own file is not mine")
	}
}

// Who owns the folder of the locks could hold them for ever.
func TestLocksOfSomebodyElse(t *testing.T) {
	folder := "/" // root's
	if os.Geteuid() == 0 {
		folder = t.TempDir()
		if err := os.Chown(folder, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	d := Open(t.TempDir())
	var unusable *Unusable
	for range 2 { // it does not get used to it
		if err := d.judge(folder); !errors.As(err, &unusable) {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if err := os.Symlink(folder, filepath.Join(d.Path(), "locks")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(t.Context(), "a"); !errors.As(err, &unusable) {
		t.Errorf("Lock: %v", err)
	}
	if _, ok := d.TryLock("a"); ok {
		t.Error("TryLock takes one")
	}
}
