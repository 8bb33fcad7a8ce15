package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/mcpauth/mcpauth/internal/ownfile"
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
// Where the folder's file system has no locks the lock is kept on a disk of this
// computer, or if need be in this process, and Warn is told.
//
// The kernel frees the lock when its holder dies. Lock files are never deleted:
// a process that waits on a deleted file and one that locks its successor would
// both believe that they are alone.
func (d *Dir) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(name, err)
	}
	l, ok, err := d.tryLock(name, (*flock.Flock).TryLock)
	if ownfile.Lockless(err) {
		return d.solo.lock(ctx, name)
	}
	if err == nil && !ok {
		l, err = d.turns.wait(ctx, l)
	}
	if err != nil {
		return nil, ended(name, err)
	}
	return sync.OnceFunc(func() { l.Unlock() }), nil
}

// TryLock is Lock for callers who do something else when they would have to wait.
// Any trouble counts as that.
func (d *Dir) TryLock(name string) (unlock func(), ok bool) {
	l, ok, err := d.tryLock(name, (*flock.Flock).TryLock)
	if ownfile.Lockless(err) {
		return d.solo.tryLock(name)
	}
	if err != nil || !ok {
		return nil, false
	}
	return sync.OnceFunc(func() { l.Unlock() }), true
}

// LockShared is Lock for callers who may hold the lock together, but not beside one
// who has it from Lock.
func (d *Dir) LockShared(ctx context.Context, name string) (unlock func(), err error) {
	if l, ok, err := d.tryLock(name, (*flock.Flock).TryRLock); err == nil && ok {
		return sync.OnceFunc(func() { l.Unlock() }), nil
	}
	return d.Lock(ctx, name)
}

func (d *Dir) tryLock(name string, take func(*flock.Flock) (bool, error)) (l *flock.Flock, ok bool, err error) {
	folder := filepath.Join(d.path, "locks")
	path := filepath.Join(folder, Hash(name)+".lock")
	if err := d.judge(folder); err != nil {
		return nil, false, err
	}
	l, ok, err = tryFile(path, take)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.makeFolder(folder); err != nil {
			return nil, false, err
		}
		l, ok, err = tryFile(path, take)
	}
	if ownfile.Lockless(err) {
		return d.tryElsewhere(name, take, err)
	}
	return l, ok, err
}

// judge refuses locks in a folder of somebody else's, who could hold them for ever. It
// looks at it once.
func (d *Dir) judge(folder string) error {
	if d.judged.Load() {
		return nil
	}
	fi, err := os.Stat(folder)
	if err != nil {
		return nil // the lock says what is wrong, or it is made
	}
	if why := distrust(fi, os.Geteuid()); why != "" && why != wideMode { // which the next write narrows
		return &Unusable{folder, why}
	}
	d.judged.Store(true)
	return nil
}

// tryFile makes the file if it is not there: fifty servers need a hundred of them.
func tryFile(path string, take func(*flock.Flock) (bool, error)) (l *flock.Flock, ok bool, err error) {
	l = newLock(path)
	ok, err = take(l)
	if !errors.Is(err, fs.ErrPermission) {
		return l, ok, err
	}
	// Perhaps it was made under a umask that takes away the owner's own rights.
	if fi, bad := os.Lstat(path); bad == nil && fi.Mode().IsRegular() && Mine(fi) && os.Chmod(path, 0o600) == nil {
		ok, err = take(l)
	}
	return l, ok, err
}

func newLock(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDONLY|nonBlock|noFollow))
}

// turn is a place in the kernel's queue for a lock.
type turn struct {
	lock *flock.Flock
	file os.FileInfo // which one, since a person may delete the folder
	came chan error  // has room for one
}

// turns are those that nobody waits for any more, by path: the kernel takes none back.
// Who comes next takes such a place over. Otherwise a program that runs for days
// would collect them, each with a thread, while the holder of a lock is stopped.
type turns struct {
	mu   sync.Mutex
	left map[string][]*turn
}

// wait lets the caller sleep in the kernel. If waiters asked again and again
// instead, a hundred of them would take the time that the holder needs.
func (q *turns) wait(ctx context.Context, l *flock.Flock) (*flock.Flock, error) {
	file, err := os.Stat(l.Path())
	if err != nil {
		return nil, err
	}
	t := q.take(l.Path(), file)
	if t == nil {
		t = &turn{l, file, make(chan error, 1)}
		go q.stand(t)
	} else {
		l.Close()
	}
	select {
	case err := <-t.came:
		return t.lock, err
	case <-ctx.Done():
		q.leave(t)
		return nil, ctx.Err()
	}
}

func (q *turns) take(path string, file os.FileInfo) *turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, t := range q.left[path] {
		if os.SameFile(t.file, file) {
			q.drop(path, i)
			return t
		}
	}
	return nil
}

// stand waits for the lock, and gives it back if nobody wants it when it comes.
func (q *turns) stand(t *turn) {
	err := t.lock.Lock()
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.left[t.lock.Path()], t)
	if i < 0 {
		t.came <- err
		return
	}
	q.drop(t.lock.Path(), i)
	if err == nil {
		t.lock.Unlock()
	}
}

func (q *turns) leave(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case err := <-t.came: // at the last moment
		if err == nil {
			t.lock.Unlock()
		}
	default:
		if q.left == nil {
			q.left = map[string][]*turn{}
		}
		q.left[t.lock.Path()] = append(q.left[t.lock.Path()], t)
	}
}

func (q *turns) drop(path string, i int) {
	if q.left[path] = slices.Delete(q.left[path], i, i+1); len(q.left[path]) == 0 {
		delete(q.left, path)
	}
}

func ended(name string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Busy{name, err}
	}
	return fmt.Errorf("lock %q: %w", name, err)
}
