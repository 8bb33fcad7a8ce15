package state_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

func TestCache(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	d.Now = func() time.Time { return now }
	d.SetCache("https://a.example", []byte("a"))
	d.SetCache("https://b.example", []byte("b"))
	want := func(key string, maxAge time.Duration, want string) {
		t.Helper()
		got, ok := d.Cache(key, maxAge)
		if string(got) != want || ok != (want != "") {
			t.Errorf("Cache(%s) = %q, %v; want %q", key, got, ok, want)
		}
	}
	want("https://a.example", time.Minute, "a")
	want("https://a.example", 0, "")
	want("https://c.example", time.Minute, "")
	now = now.Add(time.Minute)
	want("https://a.example", time.Minute, "")
	want("https://a.example", time.Minute+1, "a")
	now = now.Add(-time.Hour) // the clock was set back
	want("https://a.example", 24*time.Hour, "")
	now = now.Add(time.Hour)

	// A file under another name, or damaged, is a miss and is written over.
	file := func(key string) string { return filepath.Join(d.Path(), "metadata", state.Hash(key)) }
	b, err := os.ReadFile(file("https://a.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{b, b[:len(b)-3], nil, []byte("null"), []byte("{}")} {
		if err := os.WriteFile(file("https://b.example"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		want("https://b.example", time.Hour, "")
	}
	d.SetCache("https://b.example", []byte("b2"))
	want("https://b.example", time.Hour, "b2")

	d.SetCache("big", make([]byte, 1<<20+1))
	if _, ok := d.Cache("big", time.Hour); ok {
		t.Error("more than 1 MiB was kept")
	}
	d.SetCache("fits", make([]byte, 1<<20))
	if b, ok := d.Cache("fits", time.Hour); !ok || len(b) != 1<<20 {
		t.Error("1 MiB was not kept")
	}
	state.Open("/dev/null/x").SetCache("k", nil) // no panic, no error
}

// A cached document of which a bit has flipped is a miss.
func TestCacheSeesEveryChangedByte(t *testing.T) {
	d := state.Open(t.TempDir())
	d.SetCache("k", []byte("a document"))
	files, err := filepath.Glob(filepath.Join(d.Path(), "metadata", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Cache("k", time.Hour); ok && string(got) != "a document" {
			t.Fatalf("byte %d, changed, goes unseen: %q", i, got)
		}
	}
}
