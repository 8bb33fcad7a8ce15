package state_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
)

// Many goroutines at once: each has its own answer, and what failed is not there.
func TestUpdatesShareAWriting(t *testing.T) {
	d := state.Open(t.TempDir())
	no := errors.New("no")
	var wg sync.WaitGroup
	const n = 100
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			write := d.Update
			if i%2 == 0 {
				write = d.Note
			}
			errs[i] = write(t.Context(), func(f *state.File) error {
				url := fmt.Sprint("https://", i)
				f.Servers[url] = state.Server{URL: url}
				if i%10 == 3 {
					return no
				}
				return nil
			})
		})
	}
	wg.Wait()
	f, _, _ := d.Read()
	for i, err := range errs {
		_, there := f.Servers[fmt.Sprint("https://", i)]
		if bad := i%10 == 3; there == bad || (err != nil) != bad {
			t.Errorf("%d: there %v, error %v", i, there, err)
		}
	}
}

// Who gives up while it waits is told so, changes nothing and stops nobody.
func TestUpdateGivesUp(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := d.Lock(t.Context(), "state.json")
	if err != nil {
		t.Fatal(err)
	}
	add := func(ctx context.Context, url string) error {
		return d.Update(ctx, func(f *state.File) error { f.Servers[url] = state.Server{URL: url}; return nil })
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	var gone [20]error
	for i := range gone {
		wg.Go(func() { gone[i] = add(ctx, fmt.Sprint("gone ", i)) })
	}
	var stays error
	var last sync.WaitGroup
	last.Go(func() { stays = add(t.Context(), "stays") })
	cancel()
	wg.Wait()
	unlock()
	last.Wait()
	for _, err := range gone {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("gave up: %v", err)
		}
	}
	if f, _, _ := d.Read(); stays != nil || len(f.Servers) != 1 {
		t.Errorf("%v, %v", stays, f.Servers)
	}
	if err := add(t.Context(), "next"); err != nil {
		t.Error(err)
	}
}

// What could not be read again is not written, and costs nothing that is there.
func TestStateHasABound(t *testing.T) {
	d := state.Open(t.TempDir())
	if err := addServer(t.Context(), d, "u"); err != nil {
		t.Fatal(err)
	}
	err := d.Update(t.Context(), func(f *state.File) error {
		f.Servers["v"] = state.Server{URL: "v", Scopes: []string{strings.Repeat("x", 5<<20)}}
		return nil
	})
	if err == nil {
		t.Error("no error")
	}
	if err := addServer(t.Context(), d, "w"); err != nil {
		t.Error(err)
	}
	b, err := d.ReadFile("state.json", 1<<20)
	if err != nil || !strings.Contains(string(b), `"u"`) || !strings.Contains(string(b), `"w"`) || strings.Contains(string(b), `"v"`) {
		t.Errorf("%v, %s", err, b)
	}
}
