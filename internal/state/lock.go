package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Busy reports that somebody else held a lock until the caller's deadline.
type Busy struct {
	Name string // what was waited for, as given to Lock
	Err  error
}

func (e *Busy) Error() string {
	return fmt.Sprintf("wait for %q: another process is still at it", e.Name)
}
func (e *Busy) Unwrap() error { return e.Err }

// moment is how long a reader waits for a lock that it can do without.
const moment = 10 * time.Millisecond

// Lock waits until this caller alone holds name, among all goroutines and
// processes that use the folder. It returns *Busy when ctx's deadline passes
// and an error that is context.Canceled as soon as ctx is canceled.
//
// Goroutines that share memory need a mutex as well: to Go's memory model a
// file lock is nothing.
//
// The kernel frees the lock when its holder dies. Lock files are never deleted:
// a process that waits on a deleted file and one that locks its successor would
// both believe that they are alone.
func (d *Dir) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(name, err)
	}
	l, ok, err := d.tryLock(name)
	if err == nil && !ok {
		err = wait(ctx, l)
	}
	if err != nil {
		return nil, ended(name, err)
	}
	return sync.OnceFunc(func() { l.Unlock() }), nil
}

// TryLock is Lock for callers who do something else when they would have to wait.
// Any trouble counts as that.
func (d *Dir) TryLock(name string) (unlock func(), ok bool) {
	l, ok, err := d.tryLock(name)
	if err != nil || !ok {
		return nil, false
	}
	return sync.OnceFunc(func() { l.Unlock() }), true
}

func (d *Dir) tryLock(name string) (l *flock.Flock, ok bool, err error) {
	path := filepath.Join(d.path, "locks", Hash(name)+".lock")
	if err := d.makeLockFile(path); err != nil {
		return nil, false, err
	}
	l = flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDONLY|nonBlock|noFollow))
	ok, err = l.TryLock()
	return l, ok, err
}

// wait lets the caller sleep in the kernel. If waiters asked again and again
// instead, a hundred of them would take the time that the holder needs.
func wait(ctx context.Context, l *flock.Flock) error {
	locked := make(chan error, 1)
	go func() { locked <- l.Lock() }()
	select {
	case err := <-locked:
		return err
	case <-ctx.Done():
		go func() { // nobody wants it any more when it comes
			if <-locked == nil {
				l.Unlock()
			}
		}()
		return ctx.Err()
	}
}

func ended(name string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Busy{name, err}
	}
	return fmt.Errorf("lock %q: %w", name, err)
}

// makeLockFile makes the file with a mode that the next process can open,
// whatever the umask is.
func (d *Dir) makeLockFile(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := d.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}
