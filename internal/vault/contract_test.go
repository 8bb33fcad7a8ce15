package vault

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Every store keeps the same promises.
func TestContract(t *testing.T) {
	for name, open := range vaults(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("items", func(t *testing.T) { testItems(t, open) })
			t.Run("sealed", func(t *testing.T) { testSealed(t, open) })
			t.Run("forget", func(t *testing.T) { testForget(t, open) })
			t.Run("canceled", func(t *testing.T) { testCanceled(t, open) })
		})
	}
}

func testItems(t *testing.T, open func(string) *Vault) {
	ctx, folder := context.Background(), filepath.Join(t.TempDir(), "s")
	var warned warnings
	again := func() *Vault { v := open(folder); v.Warn = warned.add; return v }
	want := func(name, value string) {
		t.Helper()
		got, err := again().Get(ctx, name)
		if value == "" && (!errors.Is(err, ErrNotFound) || !got.IsZero()) {
			t.Errorf("Get(%q) = %v, want ErrNotFound", name, err)
		} else if value != "" && (err != nil || got.Reveal() != value) {
			t.Errorf("Get(%q): %v, or a wrong value", name, err)
		}
	}
	set := func(name, value string) {
		t.Helper()
		if err := again().Set(ctx, name, secret.New(value)); err != nil {
			t.Fatal(err)
		}
		want(name, value)
	}
	remove := func(name string) {
		t.Helper()
		if err := again().Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		want(name, "")
	}
	want("a", "")
	remove("a")
	set("a", "small")
	set("b", "other")
	set("a", strings.Repeat("big ", 40_000))
	set("a", strings.Repeat("also big ", 1000))
	set("a", "small again")
	set("a", strings.Repeat("big ", 500))
	remove("a")
	remove("a")
	want("b", "other")
	for _, value := range []string{" spaces ", "two\nlines\n", "nul\x00byte", "ünï ‮ code", "'\"$(x)`\\", inFile, "go-keyring-base64:x"} {
		set("odd/name with spaces 'and' \"quotes\" ü", value)
	}
	remove("odd/name with spaces 'and' \"quotes\" ü")
	remove("b")
	for _, name := range []string{"", "a\nb", "a\x00", keyName} {
		if err := again().Set(ctx, name, secret.New("x")); err == nil {
			t.Errorf("Set(%q) works", name)
		}
		if _, err := again().Get(ctx, name); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q) = %v", name, err)
		}
	}
	if err := again().Set(ctx, "a", secret.Text{}); err == nil {
		t.Error("an empty secret is kept")
	}
	warned.want(t, 0)
	if err := again().Forget(ctx); err != nil {
		t.Error(err)
	}
}

func testSealed(t *testing.T, open func(string) *Vault) {
	ctx, folder := context.Background(), filepath.Join(t.TempDir(), "s")
	want := func(name, value string) {
		t.Helper()
		got, err := open(folder).Open(ctx, name)
		if value == "" && (!errors.Is(err, ErrNotFound) || got != nil) {
			t.Errorf("Open(%q) = %v, want ErrNotFound", name, err)
		} else if value != "" && (err != nil || string(got) != value) {
			t.Errorf("Open(%q): %v, or a wrong value", name, err)
		}
	}
	want("n", "")
	for _, value := range []string{"one", "two", strings.Repeat("x", maxSealed)} {
		if err := open(folder).Seal(ctx, "n", []byte(value)); err != nil {
			t.Fatal(err)
		}
		want("n", value)
	}
	if err := open(folder).Seal(ctx, "n", make([]byte, maxSealed+1)); err == nil {
		t.Error("more than the limit is sealed")
	}
	if err := open(folder).Seal(ctx, "item\nn", nil); err == nil {
		t.Error("a sealed name may be that of an item")
	}
	for range 2 {
		if err := open(folder).Discard("n"); err != nil {
			t.Error(err)
		}
		want("n", "")
	}
	if err := open(folder).Forget(ctx); err != nil {
		t.Error(err)
	}
}

func testForget(t *testing.T, open func(string) *Vault) {
	ctx, folder := context.Background(), filepath.Join(t.TempDir(), "s")
	v := open(folder)
	if err := v.Forget(ctx); err != nil {
		t.Fatalf("with nothing there: %v", err)
	}
	if err := v.Seal(ctx, "n", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := v.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := v.store.get(ctx, keyName); !errors.Is(err, ErrNotFound) {
		t.Errorf("the data key is still there: %v", err)
	}
	if !v.copyOfKey().IsZero() || !open(folder).copyOfKey().IsZero() {
		t.Error("a copy of the data key is still there")
	}
	if _, err := v.Open(ctx, "n"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open = %v, want ErrNotFound", err)
	}
	if err := v.Seal(ctx, "n", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := open(folder).Open(ctx, "n"); err != nil || !bytes.Equal(got, []byte("new")) {
		t.Errorf("Open = %q, %v", got, err)
	}
	if err := v.Forget(ctx); err != nil {
		t.Fatal(err)
	}
}

func testCanceled(t *testing.T, open func(string) *Vault) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v := open(filepath.Join(t.TempDir(), "s"))
	_, getErr := v.Get(ctx, "a")
	for verb, err := range map[string]error{
		"Get": getErr, "Set": v.Set(ctx, "a", secret.New("x")), "Delete": v.Delete(ctx, "a"), "Seal": v.Seal(ctx, "n", nil),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s = %v, want context.Canceled alone", verb, err)
		}
	}
}
