package state_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

func TestLockExcludes(t *testing.T) {
	d := state.Open(t.TempDir())
	var inside atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			unlock, err := d.Lock(context.Background(), "n")
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d goroutines hold the lock", n)
			}
			inside.Add(-1)
		})
	}
	wg.Wait()
	if _, err := os.Stat(filepath.Join(d.Path(), "locks", state.Hash("n")+".lock")); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

func TestLockBusy(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := d.Lock(context.Background(), "renew acme")
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Lock(context.Background(), "another name")
	if err != nil {
		t.Fatalf("names exclude each other: %v", err)
	}
	other()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = d.Lock(ctx, "renew acme")
	var busy *state.Busy
	if !errors.As(err, &busy) || busy.Name != "renew acme" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want *Busy", err)
	}
	if err != nil && !strings.Contains(err.Error(), "renew acme") {
		t.Errorf("%q does not say what was waited for", err)
	}
	unlock()
	unlock() // twice is harmless
	again, err := d.Lock(context.Background(), "renew acme")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestLockObeysCancel(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := d.Lock(context.Background(), "n")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := d.Lock(ctx, "n")
		done <- err
	}()
	cancel()
	var busy *state.Busy
	if err := <-done; !errors.Is(err, context.Canceled) || errors.As(err, &busy) {
		t.Errorf("error is %v, want context.Canceled and not *Busy", err)
	}
}

func TestLockWhereNothingCanBeWritten(t *testing.T) {
	p := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(p).Lock(context.Background(), "n"); err == nil {
		t.Error("Lock works below a plain file")
	}
}

// The lock of a process that was killed is free.
func TestKilledHolder(t *testing.T) {
	d := state.Open(t.TempDir())
	c := process(t, "hold", d.Path(), "n")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var busy *state.Busy
	if _, err := d.Lock(ctx, "n"); !errors.As(err, &busy) {
		t.Errorf("error is %v, want *Busy", err)
	}
	c.Process.Kill()
	c.Wait()
	unlock, err := d.Lock(context.Background(), "n")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A waiter that has given up takes nothing from those who come later.
func TestNoLockForWhoGaveUp(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := d.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { _, err := d.Lock(ctx, "a"); got <- err }()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	unlock()
	again, err := d.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// Waiters that give up one after the other leave nothing behind while the holder is
// stopped, and the one who stays gets the lock.
func TestWaitersWhoGiveUp(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := state.Open(d.Path()).Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := d.Lock(ctx, "a"); err == nil {
			t.Error("two have the lock")
		}
		cancel()
	}
	if n := runtime.NumGoroutine() - before; n > 5 {
		t.Errorf("%d goroutines are left", n)
	}
	got := make(chan func(), 1)
	go func() {
		again, err := d.Lock(context.Background(), "a")
		if err != nil {
			t.Error(err)
		}
		got <- again
	}()
	unlock()
	again := <-got
	if _, ok := state.Open(d.Path()).TryLock("a"); ok {
		t.Error("two have the lock")
	}
	again()
	last, err := state.Open(d.Path()).Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	last()
}

// Who shares a lock waits for who has it alone, and the other way round.
func TestLockShared(t *testing.T) {
	d := state.Open(t.TempDir())
	first, err := d.LockShared(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := state.Open(d.Path()).LockShared(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.TryLock("a"); ok {
		t.Error("one has it alone while two share it")
	}
	first()
	second()
	alone, ok := d.TryLock("a")
	if !ok {
		t.Fatal("nobody shares it, and it is not free")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var busy *state.Busy
	if _, err := d.LockShared(ctx, "a"); !errors.As(err, &busy) {
		t.Errorf("shared beside who has it alone: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := d.LockShared(context.Background(), "a")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	alone()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
