package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
)

// With a key file the second process opens sealed files without age.
func TestKeyFileCopy(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	key := newKeyFile(t)
	mustSeal(t, mustFile(t, d, key, ""), "n", "value")
	copied := filepath.Join(d.Path(), filepath.FromSlash(copyFile))
	good, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	item := filepath.Join(d.Path(), itemPath(keyName))
	kept, err := os.ReadFile(item)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(item); err != nil {
		t.Fatal(err)
	}
	v := mustFile(t, d, key, "")
	wantSealed(t, v, "n", "value")
	if bytes.Contains(good, []byte(v.key.Reveal())) {
		t.Error("the copy holds the key in the clear")
	}
	if err := os.WriteFile(item, kept, 0o600); err != nil {
		t.Fatal(err)
	}

	// What is damaged is no copy, and is replaced without a word.
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(copied, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		v, warned := mustFile(t, d, key, ""), warnings{}
		v.Warn = warned.add
		if !v.copyOfKey().IsZero() {
			t.Fatalf("byte %d, changed, goes unseen", i)
		}
		if i%20 == 0 {
			wantSealed(t, v, "n", "value")
			warned.want(t, 0)
			if v = mustFile(t, d, key, ""); v.copyOfKey().IsZero() {
				t.Error("the copy was not replaced")
			}
		}
	}

	if v, err := File(d, newKeyFile(t), ""); err != nil || !v.copyOfKey().IsZero() {
		t.Errorf("another key file: %v, or it opens the copy", err)
	}
	if err := mustFile(t, d, key, "").Forget(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(copied); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("forgotten, and still there: %v", err)
	}
}

// A passphrase may be guessed; nothing may make that faster.
func TestNoCopyUnderPassphrase(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	pass := writeFile(t, "pass", "correct horse")
	mustSeal(t, mustFile(t, d, "", pass), "n", "value")
	wantSealed(t, mustFile(t, d, "", pass), "n", "value")
	if _, err := os.Lstat(filepath.Join(d.Path(), filepath.FromSlash(copyFile))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a copy: %v", err)
	}
}
