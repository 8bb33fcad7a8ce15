package state_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/state"
)

// A process that reads again and again gets what is there now, and less of it where
// it wants less, whatever it and others did before.
func TestReadAgainAndAgain(t *testing.T) {
	ctx, d := context.Background(), state.Open(t.TempDir())
	other := state.Open(d.Path())
	want := full()
	want.Servers["https://mail.example/mcp"] = state.Server{URL: "https://mail.example/mcp"}
	if err := d.Update(ctx, set(want)); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for range 3 { // the first and the second are ways of their own
			if f, _, _ := d.ReadServer("https://mail.example/mcp"); f.Servers["https://mail.example/mcp"].URL == "" {
				t.Error("ReadServer does not find it")
			}
			if f, _, _ := d.ReadIdentities(); !cmp.Equal(f.Identities, want.Identities) {
				t.Error(cmp.Diff(want.Identities, f.Identities))
			}
			if f, _, _ := d.Read(); !cmp.Equal(f, want) {
				t.Error(cmp.Diff(want, f))
			}
		}
	}
	check()
	// A change that comes to nothing is nobody's.
	no := errors.New("no")
	err := d.Update(ctx, func(f *state.File) error {
		clear(f.Servers)
		f.Identities["x"] = state.Identity{}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	check()
	// Nor does anybody miss one.
	want.Identities["b"] = state.Identity{Subject: "bob"}
	err = other.Update(ctx, func(f *state.File) error { f.Identities["b"] = want.Identities["b"]; return nil })
	if err != nil {
		t.Fatal(err)
	}
	check()
}
