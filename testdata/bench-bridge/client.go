package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// caller makes calls and waits for their answers.
type caller interface {
	call(msg []byte) ([]byte, error)
}

// request is a tools/call of about a hundred bytes.
func request(id int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789"}}}`, id)
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`

// direct calls the server without anything in between.
type direct struct {
	url  string
	http *http.Client
}

func newDirect(url string) *direct {
	return &direct{url, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (d *direct) call(msg []byte) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, d.url, bytes.NewReader(msg))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// child is a bridge: a program that speaks MCP over its standard streams.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	started time.Duration // until initialize was answered
	said    bytes.Buffer  // on standard error; not to be read before it has ended

	mu      sync.Mutex
	waiting map[int]chan []byte
}

func spawn(argv []string) (*child, error) {
	began := time.Now()
	c := &child{cmd: exec.Command(argv[0], argv[1:]...), waiting: map[int]chan []byte{}}
	c.cmd.Stderr = &c.said
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.read(out)
	if _, err := c.call([]byte(initialize)); err != nil {
		return nil, err
	}
	c.started = time.Since(began)
	_, err = io.WriteString(c.in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n")
	return c, err
}

func (c *child) read(out io.Reader) {
	in := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		id, ok := idOf(line)
		if !ok {
			continue
		}
		c.mu.Lock()
		answer := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if answer != nil {
			answer <- line
		}
	}
}

// idOf finds the id of one of our own messages, wherever a bridge has put it.
func idOf(line []byte) (int, bool) {
	i := bytes.Index(line, []byte(`"id":`))
	if i < 0 {
		return 0, false
	}
	digits := line[i+5:]
	end := bytes.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return 0, false
	}
	id, err := strconv.Atoi(string(digits[:end]))
	return id, err == nil
}

func (c *child) call(msg []byte) ([]byte, error) {
	id, _ := idOf(msg)
	answer := make(chan []byte, 1)
	c.mu.Lock()
	c.waiting[id] = answer
	_, err := c.in.Write(append(msg, '\n'))
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case line := <-answer:
		return line, nil
	case <-time.After(30 * time.Second):
		return nil, errors.New("no answer for 30 s")
	}
}

func (c *child) end() {
	c.in.Close()
	ended := make(chan struct{})
	go func() { c.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		c.cmd.Process.Kill()
		<-ended
	}
}

// memory returns the resident set of a process and its children in KiB. Linux only.
func memory(pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for field := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(field); err == nil {
			kib += memory(n)
		}
	}
	return kib
}

// cpu returns the processor time that a process has used, in ticks of 10 ms. Linux only.
func cpu(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if err != nil || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// sequential makes calls one after the other: p50 and p99 of n.
func sequential(c caller, n int) (p50, p99 time.Duration, err error) {
	took := make([]time.Duration, n)
	for i := range n {
		began := time.Now()
		if _, err := c.call(request(i + 1)); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100], nil
}

// parallel makes n calls with so many in flight and returns how many a second.
func parallel(c caller, n, flight int) (float64, error) {
	ids := make(chan int)
	failed := make(chan error, flight)
	var wg sync.WaitGroup
	began := time.Now()
	for range flight {
		wg.Go(func() {
			for id := range ids {
				if _, err := c.call(request(id)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case ids <- i + 1:
		case err := <-failed:
			return 0, err
		}
	}
	close(ids)
	wg.Wait()
	return float64(n) / time.Since(began).Seconds(), nil
}
