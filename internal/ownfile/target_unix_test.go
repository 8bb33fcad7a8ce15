//go:build unix

package ownfile

import (
	"os"
	"path/filepath"
	"testing"
)

// A file has the same name before it is there, and after.
func TestTargetBelowLink(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "real"), link); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(link, "a", "file")
	if got, _, _, err := ReadTarget(path, 1); err != nil || got != path {
		t.Errorf("below a link to nothing: %q, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, _, _, err := ReadTarget(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(before, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if after, _, _, err := ReadTarget(path, 1); err != nil || after != before {
		t.Errorf("%q, then %q, %v", before, after, err)
	}
}
