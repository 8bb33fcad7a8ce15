package pace

import (
	"context"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
)

// fetchTime is the longest that anybody waits for a document that another process
// fetches. Most come within a round trip. Half of the caller's own time is left for
// what is to be done when that one hangs.
const fetchTime = 5 * time.Second

// Share returns a client that waits for a document which another process is just
// fetching, and takes it from the cache then. Where that is of no use, because the
// fetch fails or the document may not be kept, nobody waits twice. done gives the
// turns back.
func Share(ctx context.Context, d *state.Dir, c *discover.Client) (client *discover.Client, done func()) {
	if c.Cache == nil {
		return c, func() {}
	}
	t := &turns{Cache: c.Cache, ctx: ctx, state: d}
	shared := *c
	shared.Cache = t
	return &shared, t.end
}

// turns is the cache of one question.
type turns struct {
	discover.Cache
	ctx   context.Context // of the question: discover.Cache has none
	state *state.Dir

	mu   sync.Mutex
	held []func()
}

// Get implements discover.Cache.
func (t *turns) Get(url string) ([]byte, bool) {
	if body, ok := t.Cache.Get(url); ok {
		return body, true
	}
	name := "fetch " + url
	if unlock, ok := t.state.TryLock(name); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held = append(t.held, unlock)
		return t.Cache.Get(url) // it may have come since
	}
	patience := fetchTime
	if end, ok := t.ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	if unlock, err := t.state.Lock(ctx, name); err == nil {
		unlock()
	}
	return t.Cache.Get(url)
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, unlock := range t.held {
		unlock()
	}
	t.held = nil
}
