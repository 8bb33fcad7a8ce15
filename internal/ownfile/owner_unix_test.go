//go:build unix

package ownfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A file that another account owns is refused; the administrator's is not.
func TestForeignOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if why := WritableByOthers(foreign{info, 4711}); why != "it belongs to another account (uid 4711)" {
		t.Errorf("foreign owner: %q", why)
	}
	if why := WritableByOthers(foreign{info, 0}); why != "" {
		t.Errorf("administrator: %q", why)
	}
	if why := readableByOthers(foreign{info, 4711}); why != "" {
		t.Errorf("mode 0600: %q", why)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if why := readableByOthers(foreign{info, 4711}); why != "other accounts can read it (mode 0644)" {
		t.Errorf("mode 0644: %q", why)
	}
	if why := readableByOthers(foreign{info, 0}); why != "" {
		t.Errorf("a mounted secret: %q", why)
	}
}

// foreign is a file of another owner, without needing to be root to make one.
type foreign struct {
	os.FileInfo
	uid uint32
}

func (f foreign) Sys() any {
	st := *f.FileInfo.Sys().(*syscall.Stat_t)
	st.Uid = f.uid
	return &st
}
