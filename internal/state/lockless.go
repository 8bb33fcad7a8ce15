package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// A home on a file system without locks is no reason to let processes use one refresh
// token at the same time, which costs the sign-in (attack S30).

// tryElsewhere takes the lock on a disk of this computer. The error is why, about the
// folder's own file system, where no such lock is to be had.
func (d *Dir) tryElsewhere(name string, take func(*flock.Flock) (bool, error), why error) (*flock.Flock, bool, error) {
	path := ownfile.Real(d.path) // the lock is the same for who comes by a link
	folder, err := elsewhere(localDisk)
	var l *flock.Flock
	ok := false
	if err == nil {
		l, ok, err = tryFile(filepath.Join(folder, Hash(path+"\n"+name)+".lock"), take)
	}
	var unusable *Unusable
	switch {
	case err == nil:
		d.warn(why, "other computers that share it are not waited for")
	case ownfile.Lockless(err), errors.As(err, &unusable):
		d.warn(why, "processes cannot take turns")
		err = why
	}
	return l, ok, err
}

func (d *Dir) warn(why error, so string) {
	d.warned.Do(func() {
		if d.Warn != nil {
			d.Warn(fmt.Sprintf("files in %s cannot be locked (%v), so that %s", d.path, why, so))
		}
	})
}

// elsewhere returns the folder of this user in parent, where others may have made
// something by its name.
func elsewhere(parent string) (string, error) {
	path := filepath.Join(parent, fmt.Sprintf("mcpauth-%d", os.Geteuid()))
	if err := mkdir(path); err != nil {
		return "", err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !fi.IsDir() {
		return "", &Unusable{path, "it is not a folder"}
	}
	if why := distrust(fi, os.Geteuid()); why != "" {
		return "", &Unusable{path, why}
	}
	return path, nil
}

// solo are the locks of one process, by name. Its zero value is ready for use.
type solo struct{ held sync.Map }

func (s *solo) of(name string) chan struct{} {
	c, _ := s.held.LoadOrStore(name, make(chan struct{}, 1))
	return c.(chan struct{})
}

func (s *solo) lock(ctx context.Context, name string) (unlock func(), err error) {
	c := s.of(name)
	select {
	case c <- struct{}{}:
		return sync.OnceFunc(func() { <-c }), nil
	case <-ctx.Done():
		return nil, ended(name, ctx.Err())
	}
}

func (s *solo) tryLock(name string) (unlock func(), ok bool) {
	c := s.of(name)
	select {
	case c <- struct{}{}:
		return sync.OnceFunc(func() { <-c }), true
	default:
		return nil, false
	}
}
