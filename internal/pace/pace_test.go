package pace

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// clock is one that all processes share.
type clock struct{ now time.Time }

// party is what another process has.
func (c *clock) party(dir, about string) Party {
	d := state.Open(dir)
	d.Now = func() time.Time { return c.now }
	return Party{State: d, Name: "https://idp.example", About: about, Now: d.Now}
}

func failing() error { return &endpoint.Error{Status: 503, MaxAge: -1} }

// ask reports whether the party was asked.
func ask(p Party, ctx context.Context, answer error) (asked bool, err error) {
	err = p.Ask(ctx, func() error { asked = true; return answer })
	return asked, err
}

func TestProcessesShareAPause(t *testing.T) {
	c, dir := &clock{noon}, t.TempDir()
	asks := 0
	for range 900 { // a quarter of an hour, each second another process
		c.now = c.now.Add(time.Second)
		if asked, _ := ask(c.party(dir, "wiki"), t.Context(), failing()); asked {
			asks++
		}
	}
	if asks < 10 || asks > 18 {
		t.Errorf("asked %d times in a quarter of an hour", asks)
	}
	_, err := ask(c.party(dir, "wiki"), t.Context(), nil)
	var held *Held
	var looks *endpoint.Error
	if !errors.As(err, &held) || held.Left <= 0 || held.Left > longest || !strings.Contains(err.Error(), "is not asked again before "+held.Until.Local().Format(time.TimeOnly)) {
		t.Fatalf("got %v", err)
	}
	if !errors.As(err, &looks) || !looks.Temporary() || looks.RetryAfter != held.Left {
		t.Errorf("it looks like %+v", looks)
	}
	if asked, _ := ask(c.party(dir, "wiki"), Insist(t.Context()), failing()); !asked {
		t.Error("a person was not let through")
	}
	if asked, _ := ask(c.party(dir, "wiki"), Insist(t.Context()), nil); !asked {
		t.Error("a person was not let through the second time")
	}
	for range 2 { // the success has ended it: the next failure is a first one
		if asked, _ := ask(c.party(dir, "wiki"), t.Context(), failing()); !asked {
			t.Error("still held after a success")
		}
		c.now = c.now.Add(time.Second / 2)
	}
	if asked, _ := ask(c.party(dir, "wiki"), t.Context(), nil); asked {
		t.Error("a second failure in a row holds nobody")
	}
	c.party(dir, "").Works()
	if asked, _ := ask(c.party(dir, "wiki"), t.Context(), nil); !asked {
		t.Error("held although it was seen to work")
	}
}

// What works may have come from a cache, and says nothing.
func TestNoteTellsOfFailuresOnly(t *testing.T) {
	c, dir := &clock{noon}, t.TempDir()
	p := c.party(dir, "")
	for range 3 {
		_ = p.Note(failing)
		c.now = c.now.Add(100 * time.Millisecond)
	}
	if err := p.Note(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if asked, _ := ask(c.party(dir, "wiki"), t.Context(), nil); asked {
		t.Error("metadata failed, and the party was asked")
	}
}

func TestStatedPauseIsKeptByPersonsToo(t *testing.T) {
	c, dir := &clock{noon}, t.TempDir()
	_, _ = ask(c.party(dir, "wiki"), t.Context(), &endpoint.Error{Status: 429, RetryAfter: time.Minute, MaxAge: -1})
	if asked, _ := ask(c.party(dir, "other"), Insist(t.Context()), nil); asked {
		t.Error("asked within the pause that it wanted")
	}
	c.now = c.now.Add(61 * time.Second)
	if asked, _ := ask(c.party(dir, "other"), t.Context(), nil); !asked {
		t.Error("held after it")
	}
}

// Who gave no answer may be reached from another network, as when a VPN is on.
func TestAnotherNetwork(t *testing.T) {
	c, dir := &clock{noon}, t.TempDir()
	p := c.party(dir, "wiki")
	for range 3 {
		_, _ = ask(p, Insist(t.Context()), &mute{})
		c.now = c.now.Add(100 * time.Millisecond)
	}
	asked, err := ask(p, t.Context(), nil)
	if asked || wire.Classify(err) != wire.Timeout || !strings.Contains(err.Error(), "gave no answer") {
		t.Fatalf("asked: %v, %v", asked, err)
	}
	text, _ := p.State.Cache(p.key(), memory)
	p.State.SetCache(p.key(), []byte(strings.Replace(string(text), network(), "another", 1)))
	if asked, _ := ask(p, t.Context(), nil); !asked {
		t.Error("held in another network")
	}
}

type mute struct{ timeout }

// A folder that cannot be written, and records that nobody wrote, hold nobody.
func TestRecordsThatAreOfNoUse(t *testing.T) {
	c := &clock{noon}
	for _, dir := range []string{"/dev/null/x", t.TempDir()} {
		p := c.party(dir, "wiki")
		for range 3 {
			p.State.SetCache(p.key(), []byte(`{"until":"x"}`))
			if asked, _ := ask(p, t.Context(), failing()); !asked {
				t.Errorf("%s: not asked", dir)
			}
		}
	}
}

// pages is a cache of documents in memory.
type pages struct{ sync.Map }

func (p *pages) Get(url string) ([]byte, bool) {
	v, ok := p.Load(url)
	if !ok {
		return nil, false
	}
	return v.([]byte), true
}
func (p *pages) Put(url string, body []byte, _ time.Duration) { p.Store(url, body) }

// Whoever comes while a document is fetched takes it from the cache, and nobody
// waits for one that may not be kept.
func TestTurns(t *testing.T) {
	for name, kept := range map[string]bool{"kept": true, "not kept": false} {
		t.Run(name, func(t *testing.T) {
			dir, cache := t.TempDir(), &pages{}
			var fetched atomic.Int32
			var all, begun sync.WaitGroup
			begun.Add(20)
			for range 20 {
				all.Go(func() {
					turn := &turns{Cache: cache, ctx: t.Context(), state: state.Open(dir)}
					defer turn.end()
					begun.Done()
					begun.Wait()
					if _, ok := turn.Get("https://idp.example/doc"); !ok {
						fetched.Add(1)
						if kept {
							turn.Put("https://idp.example/doc", []byte("{}"), time.Hour)
						}
					}
				})
			}
			all.Wait()
			if n := fetched.Load(); kept && n != 1 || !kept && n != 20 {
				t.Errorf("%d of 20 have fetched", n)
			}
		})
	}
}

// Whoever has come meanwhile waits for what is fetched.
func TestTurnsWait(t *testing.T) {
	const url = "https://idp.example/doc"
	dir, cache := state.Open(t.TempDir()), &pages{}
	fetching := &turns{Cache: cache, ctx: t.Context(), state: dir}
	if _, ok := fetching.Get(url); ok {
		t.Fatal("found")
	}
	looked := make(chan struct{})
	once := sync.OnceFunc(func() { close(looked) })
	found := make(chan bool)
	go func() {
		second := &turns{Cache: seen{cache, once}, ctx: t.Context(), state: dir}
		_, ok := second.Get(url)
		second.end()
		found <- ok
	}()
	<-looked // in vain
	fetching.Put(url, []byte("{}"), time.Hour)
	fetching.end()
	if !<-found {
		t.Error("the document would have been fetched twice")
	}
}

// seen tells of each look into the cache.
type seen struct {
	*pages
	looked func()
}

func (s seen) Get(url string) ([]byte, bool) {
	body, ok := s.pages.Get(url)
	s.looked()
	return body, ok
}

// A holder that hangs costs half of the caller's own time.
func TestTurnsLeaveTime(t *testing.T) {
	dir := state.Open(t.TempDir())
	unlock, ok := dir.TryLock("fetch https://idp.example/doc")
	if !ok {
		t.Fatal("no lock")
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	turn := &turns{Cache: &pages{}, ctx: ctx, state: dir}
	if _, ok := turn.Get("https://idp.example/doc"); ok || ctx.Err() != nil {
		t.Errorf("found %v, and the time is over: %v", ok, ctx.Err())
	}
	turn.end()
}

// A holder that hangs is not waited for beyond the caller's own time.
func TestTurnsObeyTheCaller(t *testing.T) {
	dir := state.Open(t.TempDir())
	unlock, ok := dir.TryLock("fetch https://idp.example/doc")
	if !ok {
		t.Fatal("no lock")
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	turn := &turns{Cache: &pages{}, ctx: ctx, state: dir}
	start := time.Now()
	if _, ok := turn.Get("https://idp.example/doc"); ok || time.Since(start) > fetchTime/2 {
		t.Errorf("found %v after %v", ok, time.Since(start))
	}
	turn.end()
}
