package identity

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/mcpauth/mcpauth/internal/wire"
)

// Lasting is work that goes on when its caller has gone: the answer to a refresh grant
// may hold the only refresh token that is still good (attack S30). The zero value is
// ready for use.
type Lasting struct{ running sync.WaitGroup }

// Outlive starts work and waits for it while ctx lets it. The work gets the values of
// ctx, and not its end.
func Outlive[T any](ctx context.Context, l *Lasting, work func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	l.running.Go(func() {
		value, err := work(context.WithoutCancel(ctx))
		done <- outcome{value, err}
	})
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Settle waits for work whose callers have gone. A program that is about to end calls
// it after it has given its answer.
func (l *Lasting) Settle(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// WriteDown stores what is lost otherwise, such as the refresh token that stands in
// place of a spent one. While too many files are open it closes the connections that
// nobody uses, and tries again.
func WriteDown(ctx context.Context, n *wire.Net, store func() error) error {
	for {
		err := store()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return err
		}
		n.CloseIdle()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
