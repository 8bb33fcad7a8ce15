package bridge

import (
	"errors"
	"io"
	"sync"
)

// maxQueued is how many bytes wait for the write that is under way. It is little:
// a client that reads slowly must be felt by the server.
const maxQueued = 64 << 10

// out writes messages to the client, whole. What comes while a write is under way
// goes out with the next one, all at once. A client that reads slowly makes its
// callers wait, and so the reading from the server.
type out struct {
	w      io.Writer
	broken func() // called when the client reads no more

	mu      sync.Mutex
	room    sync.Cond
	queue   []byte
	spare   []byte // the queue before, to be used again
	writing bool
	err     error
}

func newOut(w io.Writer) *out {
	o := &out{w: w}
	o.room.L = &o.mu
	return o
}

// send writes one message, or leaves it to whoever is writing. The bytes are out's
// from here on.
func (o *out) send(msg []byte) {
	msg = oneLine(msg)
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing && len(o.queue) > 0 && len(o.queue)+len(msg) > maxQueued && o.err == nil {
		o.room.Wait()
	}
	if o.err != nil {
		return
	}
	o.queue = append(append(o.queue, msg...), '\n')
	if o.writing {
		return
	}
	o.writing = true
	for len(o.queue) > 0 && o.err == nil {
		batch := o.queue
		o.queue = o.spare[:0]
		o.mu.Unlock()
		_, err := o.w.Write(batch)
		o.mu.Lock()
		if o.spare = batch; cap(batch) > maxQueued {
			o.spare = nil
		}
		o.room.Broadcast()
		if err != nil {
			o.err = err
			o.broken()
		}
	}
	o.writing = false
}

var errUnread = errors.New("the client does not read")

// abandon has nobody wait any more for a client that does not read. The write that is
// under way goes on.
func (o *out) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errUnread
	o.room.Broadcast()
}
