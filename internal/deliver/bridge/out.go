package bridge

import (
	"io"
	"sync"
)

// out writes messages to the client, whole and one at a time. A client that reads
// slowly makes its callers wait, and so the reading from the server.
type out struct {
	w      io.Writer
	broken func() // called when the client reads no more
	mu     sync.Mutex
	err    error
}

// send writes one message. The bytes are out's from here on.
func (o *out) send(msg []byte) {
	msg = append(oneLine(msg), '\n')
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if _, o.err = o.w.Write(msg); o.err != nil {
		o.broken()
	}
}
