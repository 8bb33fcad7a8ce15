//go:build unix

package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Something that is no plain file of ours in place of a sealed file is a miss,
// does not hang, and does not stand in the way (rule S20).
func TestSealedShapes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for name, put := range map[string]func(path string, good []byte) error{
		"link to a good file": func(p string, good []byte) error {
			other := filepath.Join(t.TempDir(), "other")
			if err := os.WriteFile(other, good, 0o600); err != nil {
				return err
			}
			return os.Symlink(other, p)
		},
		"fifo":   func(p string, _ []byte) error { return syscall.Mkfifo(p, 0o600) },
		"folder": func(p string, _ []byte) error { return os.Mkdir(p, 0o700) },
		"wide": func(p string, good []byte) error { // under the umask of this test, others may write
			return os.WriteFile(p, good, 0o666)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, _, warned := newMemoryVault(t)
			good := mustSeal(t, v, "n", "x")
			if fi, err := os.Stat(v.file("n")); err != nil || fi.Mode() != 0o600 {
				t.Errorf("mode is %v, %v; want 0600", fi.Mode(), err)
			}
			if err := os.Remove(v.file("n")); err != nil {
				t.Fatal(err)
			}
			if err := put(v.file("n"), good); err != nil {
				t.Fatal(err)
			}
			wantMiss(t, v, "n")
			warned.want(t, 1)
			mustSeal(t, v, "n", "y")
			wantSealed(t, v, "n", "y")
		})
	}
}

func TestNewKeyFileThroughLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "target"), link); err != nil {
		t.Fatal(err)
	}
	if err := NewKeyFile(link); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewKeyFile through a link = %v, want fs.ErrExist", err)
	}
}

// The items of a folder have the same names by way of a link, also before it is there.
func TestItemsByWayOfALink(t *testing.T) {
	home := t.TempDir()
	if err := os.Symlink(home, filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "later", "much/later"} {
		straight, by := &keychain{folder: filepath.Join(home, name)}, &keychain{folder: filepath.Join(home, "link", name)}
		if straight.item("a") != by.item("a") {
			t.Errorf("%s: %q, and by way of a link %q", name, straight.item("a"), by.item("a"))
		}
	}
}
