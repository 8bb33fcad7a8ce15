package main

import (
	"io"
	"net"
	"slices"
	"time"
)

// distant is a listener whose connections have a round-trip time: each direction
// takes half of it, and nothing of a new connection arrives before its set-up would
// have taken one.
type distant struct {
	net.Listener
	rtt time.Duration
}

// Accept implements net.Listener.
func (d distant) Accept() (net.Conn, error) {
	far, err := d.Listener.Accept()
	if err != nil || d.rtt == 0 {
		return far, err
	}
	ready := time.Now().Add(d.rtt)
	near, line := net.Pipe()
	go pump(far, line, ready, d.rtt/2)
	go pump(line, far, time.Time{}, d.rtt/2)
	return near, nil
}

// roundTrip measures the one of a distant listener: the median of many.
func roundTrip(e *ends, rtt time.Duration) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err, "open a port")
	defer l.Close()
	go func() {
		if c, err := (distant{l, rtt}).Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	e.must(err, "connect")
	defer c.Close()
	took := make([]time.Duration, 41)
	for i := range took {
		start, b := time.Now(), []byte{0}
		_, err := c.Write(b)
		e.must(err, "send a byte")
		_, err = c.Read(b)
		e.must(err, "get it back")
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// pump carries bytes from one end to the other, each after d. What is read
// before ready counts as sent then. The end of the stream travels like a byte.
func pump(from, to net.Conn, ready time.Time, d time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	way := make(chan piece, 32)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 8<<10)
			n, err := from.Read(b)
			sent := time.Now()
			if sent.Before(ready) {
				sent = ready
			}
			way <- piece{b[:n], sent.Add(d)}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	for range way { // let the reader end
	}
}
