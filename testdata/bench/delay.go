package main

import (
	"io"
	"net"
	"slices"
	"time"
)

// delay forwards connections from l to the address target as if they had a
// round-trip time: each direction takes half of it, and nothing of a new
// connection leaves before its set-up would have taken one.
func delay(l net.Listener, target string, rtt time.Duration) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		ready := time.Now().Add(rtt)
		go func() {
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				return
			}
			go pump(client, server, ready, rtt/2)
			pump(server, client, time.Time{}, rtt/2)
		}()
	}
}

// roundTrip measures the one of a line of delay: the median of many.
func roundTrip(e *ends, rtt time.Duration) time.Duration {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err, "open a port")
	defer echo.Close()
	line, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err, "open a port")
	defer line.Close()
	go func() {
		if c, err := echo.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	go delay(line, echo.Addr().String(), rtt)
	c, err := net.Dial("tcp", line.Addr().String())
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
	way := make(chan piece, 1024)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 32<<10)
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
