package idjag

import (
	"context"
	"errors"
	"sync"
	"time"
)

// MemoryReplay is a Replay for an authorization server that is one process. It
// forgets with the process: an ID-JAG is then good once per run for the minutes
// it lives. The zero value is ready; it is safe for concurrent use.
type MemoryReplay struct {
	// Limit is how many unexpired ID-JAGs are remembered; more are refused. Zero
	// means 100,000.
	Limit int

	Now func() time.Time // nil means time.Now

	mu   sync.Mutex
	used map[[2]string]time.Time
	next time.Time // of the next sweep
}

var _ Replay = (*MemoryReplay)(nil)

// Use implements Replay.
func (m *MemoryReplay) Use(_ context.Context, issuer, jti string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, limit := clock(m.Now), m.Limit
	if limit == 0 {
		limit = 100_000
	}
	if m.used == nil {
		m.used = map[[2]string]time.Time{}
	}
	if len(m.used) >= limit || now.After(m.next) {
		for key, end := range m.used {
			if end.Before(now) {
				delete(m.used, key)
			}
		}
		m.next = now.Add(time.Minute)
	}
	key := [2]string{issuer, jti}
	if end, seen := m.used[key]; seen && !end.Before(now) {
		return ErrReplayed
	}
	if len(m.used) >= limit {
		return errors.New("too many ID-JAGs in use")
	}
	m.used[key] = until
	return nil
}
