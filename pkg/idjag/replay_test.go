package idjag_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjag"
)

func TestMemoryReplay(t *testing.T) {
	now := epoch
	m := &idjag.MemoryReplay{Now: func() time.Time { return now }}
	use := func(issuer, jti string, life time.Duration) bool {
		err := m.Use(context.Background(), issuer, jti, now.Add(life))
		if err != nil && !errors.Is(err, idjag.ErrReplayed) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !use("a", "1", time.Minute) || use("a", "1", time.Minute) {
		t.Error("not exactly the first use of a/1 counts")
	}
	if !use("b", "1", time.Minute) || !use("a", "2", time.Minute) || !use("", "a1", time.Minute) || !use("a1", "", time.Minute) {
		t.Error("one issuer's identifiers block another's")
	}
	now = epoch.Add(time.Minute) // its last instant
	if use("a", "1", time.Minute) {
		t.Error("forgotten at the instant it ends, when a Verifier may still take it")
	}
	now = now.Add(time.Nanosecond)
	if !use("a", "1", time.Minute) || use("a", "1", time.Minute) {
		t.Error("after its end an identifier is a new one, once")
	}
}

func TestMemoryReplayLimit(t *testing.T) {
	now := epoch
	m := &idjag.MemoryReplay{Limit: 3, Now: func() time.Time { return now }}
	use := func(jti string, end time.Time) error { return m.Use(context.Background(), "i", jti, end) }
	for i := range 3 {
		if err := use(fmt.Sprint(i), epoch.Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	// A full store refuses new ones; it forgets none to make room.
	if err := use("new", epoch.Add(time.Hour)); err == nil || errors.Is(err, idjag.ErrReplayed) {
		t.Errorf("the fourth: %v", err)
	}
	if err := use("0", epoch.Add(time.Hour)); !errors.Is(err, idjag.ErrReplayed) {
		t.Errorf("the first again, in a full store: %v", err)
	}
	now = epoch.Add(1500 * time.Millisecond) // the first has ended, the next sweep is due much later
	if err := use("new", epoch.Add(time.Hour)); err != nil {
		t.Errorf("after the end of one: %v", err)
	}
	if err := use("1", epoch.Add(time.Hour)); !errors.Is(err, idjag.ErrReplayed) {
		t.Errorf("the sweep forgot one that is still good: %v", err)
	}
	if err := use("newer", epoch.Add(time.Hour)); err == nil {
		t.Error("the limit is exceeded")
	}
}

// Run with -race: of all goroutines, one uses each identifier.
func TestMemoryReplayConcurrently(t *testing.T) {
	m := &idjag.MemoryReplay{Now: atEpoch}
	var wg sync.WaitGroup
	var won atomic.Int32
	start := make(chan struct{})
	for range 100 {
		wg.Go(func() {
			<-start
			for i := range 100 {
				if m.Use(context.Background(), "i", fmt.Sprint(i), epoch.Add(time.Minute)) == nil {
					won.Add(1)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	if won.Load() != 100 {
		t.Errorf("%d uses of 100 identifiers were taken", won.Load())
	}
}

func TestMemoryReplayZero(t *testing.T) {
	var m idjag.MemoryReplay
	end := time.Now().Add(time.Hour)
	if err := m.Use(context.Background(), "i", "j", end); err != nil {
		t.Error(err)
	}
	if err := m.Use(context.Background(), "i", "j", end); !errors.Is(err, idjag.ErrReplayed) {
		t.Errorf("second use: %v", err)
	}
}
