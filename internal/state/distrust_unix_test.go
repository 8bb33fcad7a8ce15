//go:build unix

package state

import (
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
