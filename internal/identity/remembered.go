package identity

import (
	"context"
	"sync"
	"time"
)

// remembered is a value that is asked for once. Whoever comes while it is being
// asked for waits as long as its own context lets it, and asks itself if the one
// before it failed or was canceled: nobody's impatience is another one's error.
type remembered[T any] struct {
	mu    sync.Mutex // never held while something can wait
	known bool
	value T
	asked chan struct{} // not nil while somebody asks; closed after
}

func (r *remembered[T]) get(ctx context.Context, ask func() (T, error)) (T, error) {
	r.mu.Lock()
	for !r.known && r.asked != nil {
		asked := r.asked
		r.mu.Unlock()
		select {
		case <-asked:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.known {
		return r.value, nil
	}
	asked := make(chan struct{})
	r.asked = asked
	r.mu.Unlock()
	value, err := ask()
	r.mu.Lock()
	close(asked)
	r.asked = nil
	if err == nil {
		r.known, r.value = true, value
	}
	return value, err
}

// latest is what is remembered for a moment of the one thing that was asked about
// last: as long as fifty servers need that are asked side by side, and not so long
// that what was deleted meanwhile lives on in a program that runs for days.
type latest[T any] struct {
	mu    sync.Mutex
	what  string
	since time.Time
	r     *remembered[T]
}

const aMoment = 3 * time.Second

func (l *latest[T]) of(what string, now time.Time) *remembered[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.since); l.r == nil || l.what != what || age < 0 || age >= aMoment {
		l.what, l.since, l.r = what, now, &remembered[T]{}
	}
	return l.r
}

func (l *latest[T]) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r = nil
}
