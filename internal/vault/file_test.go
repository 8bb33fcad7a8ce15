package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func newKeyFile(t *testing.T) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "key")
	if err := NewKeyFile(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func mustFile(t *testing.T, d *state.Dir, keyFile, passphraseFile string) *Vault {
	t.Helper()
	v, err := File(d, keyFile, passphraseFile)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNewKeyFile(t *testing.T) {
	p := newKeyFile(t)
	before, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewKeyFile(p); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewKeyFile over a file = %v, want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(p); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestKeySources(t *testing.T) {
	d := state.Open(t.TempDir())
	key := newKeyFile(t)
	pass := writeFile(t, "pass", "x\n")
	for name, c := range map[string]struct {
		key, pass string
		want      error // nil: any error
	}{
		"none":             {"", "", nil},
		"both":             {key, pass, nil},
		"missing":          {"/nowhere/key", "", ErrUnavailable},
		"no key":           {writeFile(t, "k", "AGE-SECRET-KEY-1CANARY"), "", ErrRefused},
		"empty key file":   {writeFile(t, "k", ""), "", ErrRefused},
		"empty passphrase": {"", writeFile(t, "p", "\r\n"), ErrRefused},
		"folder":           {t.TempDir(), "", ErrRefused},
	} {
		v, err := File(d, c.key, c.pass)
		if err == nil || v != nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// The wrong key is refused by name; it never looks like an empty store.
func TestWrongKey(t *testing.T) {
	ctx := context.Background()
	rightKey, wrongKey := newKeyFile(t), newKeyFile(t)
	rightPass, wrongPass := writeFile(t, "right", "correct horse"), writeFile(t, "wrong", "battery")
	for _, c := range []struct{ key, pass, wrongKey, wrongPass, says string }{
		{rightKey, "", wrongKey, "", wrongKey},
		{"", rightPass, "", wrongPass, wrongPass},
		{rightKey, "", "", wrongPass, wrongPass},
		{"", rightPass, wrongKey, "", wrongKey},
	} {
		d := state.Open(filepath.Join(t.TempDir(), "s"))
		right := mustFile(t, d, c.key, c.pass)
		if err := right.Set(ctx, "a", secret.New("x")); err != nil {
			t.Fatal(err)
		}
		mustSeal(t, right, "n", "y")
		wrong := mustFile(t, d, c.wrongKey, c.wrongPass)
		_, getErr := wrong.Get(ctx, "a")
		_, openErr := wrong.Open(ctx, "n")
		for verb, err := range map[string]error{"Get": getErr, "Open": openErr, "Seal": wrong.Seal(ctx, "m", nil)} {
			if !errors.Is(err, ErrRefused) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s with the wrong key = %v, want ErrRefused that names %s", verb, err, c.says)
			}
		}
		if s, err := mustFile(t, d, c.key, c.pass).Get(ctx, "a"); err != nil || s.Reveal() != "x" {
			t.Errorf("with the right key again: %v", err)
		}
		wantSealed(t, mustFile(t, d, c.key, c.pass), "n", "y")
	}
}

// With several identities in the key file, the first seals and each one opens.
func TestKeyRotation(t *testing.T) {
	ctx := context.Background()
	oldKey, newKey := newKeyFile(t), newKeyFile(t)
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	if err := mustFile(t, d, oldKey, "").Set(ctx, "a", secret.New("x")); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(newKey)
	b, _ := os.ReadFile(oldKey)
	v := mustFile(t, d, writeFile(t, "both", string(a)+string(b)), "")
	s, err := v.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Set(ctx, "a", s); err != nil {
		t.Fatal(err)
	}
	if s, err := mustFile(t, d, newKey, "").Get(ctx, "a"); err != nil || s.Reveal() != "x" {
		t.Errorf("not sealed to the first identity: %v", err)
	}
}

func TestDamagedItems(t *testing.T) {
	ctx := context.Background()
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	v := mustFile(t, d, newKeyFile(t), "")
	var warned warnings
	v.Warn = warned.add
	if err := v.Set(ctx, "a", secret.New("for a")); err != nil {
		t.Fatal(err)
	}
	good, err := d.ReadFile(itemPath("a"), maxItemFile)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(good, []byte("for a")) {
		t.Error("the file shows the value")
	}
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Path(), itemPath(name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("b", good) // the file of another item
	if _, err := v.Get(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file under another name: %v, want ErrNotFound", err)
	}
	warned.want(t, 1)
	for _, b := range [][]byte{nil, good[:10], good[:len(good)-1], append(bytes.Clone(good), 'x'), make([]byte, len(good))} {
		put("a", b)
		if _, err := v.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d bytes: %v, want ErrNotFound", len(b), err)
		}
		warned.want(t, 1)
	}
	random := rand.New(rand.NewPCG(7, 8))
	for i := range 200 {
		b := bytes.Clone(good)
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		put("a", b)
		if s, err := v.Get(ctx, "a"); !s.IsZero() || !errors.Is(err, ErrNotFound) {
			t.Fatalf("mutation %d: %v", i, err)
		}
		warned.want(t, 1)
		if _, err := v.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("mutation %d, again: %v", i, err)
		}
		warned.want(t, 0) // it was moved aside
	}
	if err := v.Set(ctx, "a", secret.New("new")); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Get(ctx, "a"); err != nil || s.Reveal() != "new" {
		t.Errorf("stands in the way for ever: %v", err)
	}
}

// A damaged header looks to age like a wrong key, which would stop a person for
// ever. Our own checksum tells them apart. Files from before it are read as well.
func TestDamagedHeaderIsNoWrongKey(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	v := mustFile(t, d, newKeyFile(t), "")
	if err := v.Set(t.Context(), "a", secret.New("x")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.Path(), itemPath("a"))
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[bytes.Index(bad, []byte("X25519 "))+10] ^= 1
	plain := good[bytes.IndexByte(good, '\n')+1:]
	for content, want := range map[string]error{string(bad): ErrNotFound, string(plain): nil, string(good): nil} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Get(t.Context(), "a"); !errors.Is(err, want) {
			t.Errorf("%.60q: got %v, want %v", content, err, want)
		}
	}
}
