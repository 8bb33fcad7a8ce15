package state

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
)

// Update changes the state: it locks, reads, calls change and writes. Nothing
// is written when change fails or changes nothing. The maps of the File are
// never nil. A damaged file is moved aside without a word, which Read has had
// the occasion to say. Update returns *Busy when ctx ends before the lock is free, and *Newer
// rather than overwrite what a later version wrote.
//
// Goroutines that want changes at the same time share one reading and one writing:
// with fifty servers these would otherwise take longer than getting their tokens.
// So change may run in another goroutine, and again when a change before it failed.
func (d *Dir) Update(ctx context.Context, change func(*File) error) error {
	return d.update(ctx, durable, change)
}

// Note is Update for what can be had again: after a power cut the state may be the
// one before the change, and nothing else.
func (d *Dir) Note(ctx context.Context, change func(*File) error) error {
	return d.update(ctx, untorn, change)
}

func (d *Dir) update(ctx context.Context, c care, change func(*File) error) error {
	u := &update{change: change, care: c, turn: make(chan struct{}, 1), done: make(chan struct{})}
	if d.updates.leads(u) {
		return d.lead(ctx, u)
	}
	select {
	case <-u.done:
		return u.err
	case <-u.turn:
		return d.lead(ctx, u)
	case <-ctx.Done():
	}
	if d.updates.leave(u) {
		return ended(fileName, ctx.Err())
	}
	select { // too late to leave
	case <-u.done:
		return u.err
	case <-u.turn:
		d.updates.next()
		return ended(fileName, ctx.Err())
	}
}

// update is one change that waits for its turn. Either done is closed, or turn says
// that its goroutine has to go to work.
type update struct {
	change func(*File) error
	care   care
	err    error
	turn   chan struct{}
	done   chan struct{}
}

// updates are those of one process that wait for the one at work.
type updates struct {
	mu      sync.Mutex
	working bool
	waiting []*update
}

// leads reports whether nobody is at work, and else lets u wait.
func (q *updates) leads(u *update) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.working {
		q.working = true
		return true
	}
	q.waiting = append(q.waiting, u)
	return false
}

// leave reports whether u was still waiting, and lets it wait no more.
func (q *updates) leave(u *update) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, u)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// all takes everybody who waits.
func (q *updates) all() []*update {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting
	q.waiting = nil
	return list
}

// next has the first who waits go to work.
func (q *updates) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.working = false
		return
	}
	q.waiting[0].turn <- struct{}{}
	q.waiting = q.waiting[1:]
}

// lead makes the change of u and of all who came while it waited for the lock.
func (d *Dir) lead(ctx context.Context, u *update) error {
	defer d.updates.next()
	unlock, err := d.Lock(ctx, fileName)
	if err != nil {
		return err
	}
	defer unlock()
	others := d.updates.all()
	list := append([]*update{u}, others...)
	if failed, err := d.make(list); !failed || len(list) == 1 {
		for _, u := range list {
			u.err = err
		}
	} else { // each on its own, so that no other has to suffer
		for _, u := range list {
			_, u.err = d.make([]*update{u})
		}
	}
	for _, u := range others {
		close(u.done)
	}
	return u.err
}

// make reads, makes the changes and writes. failed says that one of the changes did,
// and that nothing was written. The lock is held.
func (d *Dir) make(list []*update) (failed bool, err error) {
	before, err := d.text()
	if damaged(err) && d.makeFolder(d.path) == nil { // narrows it: what is in it may be good
		before, err = d.text()
	}
	var f File
	if err == nil && before != nil {
		var known bool
		if f, known = d.memo.of(before); known {
			f = f.clone()
		} else {
			f, err = d.decode(before, every)
		}
	}
	if damaged(err) {
		d.Aside(fileName)
		before = nil
	} else if err != nil {
		return false, err
	}
	if before == nil { // which is as good as an empty one
		if before, err = encode(File{Version: Version}); err != nil {
			return false, err
		}
	}
	if f.Identities == nil {
		f.Identities = map[string]Identity{}
	}
	if f.Servers == nil {
		f.Servers = map[string]Server{}
	}
	most := spare
	for _, u := range list {
		most = max(most, u.care)
		if err := u.change(&f); err != nil {
			return true, err
		}
	}
	f.Version = Version // not for callers to change
	after, err := encode(f)
	if err != nil || bytes.Equal(before, after) {
		return false, err
	}
	if len(after) > maxFile { // nobody could read it, and all that is in it would be lost
		return true, fmt.Errorf("write %s: %d bytes are more than the %d that it may have", filepath.Join(d.path, fileName), len(after), maxFile)
	}
	if err := d.replaceFile(fileName, after, most); err != nil {
		return false, err
	}
	d.memo.wrote(after)
	return false, nil
}
