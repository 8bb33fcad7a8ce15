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

// poll is how often a waiter asks. A hundred waiters at this pace are served as
// fast as they can read what the first one wrote.
const poll = 10 * time.Millisecond

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
	path := filepath.Join(d.path, "locks", Hash(name)+".lock")
	if err := d.makeLockFile(path); err != nil {
		return nil, fmt.Errorf("lock %q: %w", name, err)
	}
	l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDONLY|nonBlock|noFollow))
	_, err = l.TryLockContext(ctx, poll)
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &Busy{name, err}
	default:
		return nil, fmt.Errorf("lock %q: %w", name, err)
	}
	return sync.OnceFunc(func() { l.Unlock() }), nil
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
