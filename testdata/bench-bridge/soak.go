package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// soak makes many calls in ten parts and prints what is left after each. Memory
// must level off, and threads and open files must not grow. Goroutines can be counted
// at the end of a process only, so that another one makes one part and no more.
func soak(argv []string, calls int) error {
	first, err := spawn(argv)
	if err != nil {
		return err
	}
	defer first.end()
	if _, err := parallel(first, calls/10, 32); err != nil {
		return err
	}
	few, err := first.goroutines()
	if err != nil {
		return err
	}
	c, err := spawn(argv)
	if err != nil {
		return err
	}
	defer c.end()
	pid := c.cmd.Process.Pid
	fmt.Printf("%10s %10s %10s %10s %10s\n", "calls", "calls/s", "RSS MiB", "threads", "files")
	show := func(done int, rate float64) {
		fmt.Printf("%10d %10.0f %10.1f %10d %10d\n", done, rate, float64(memory(pid))/1024, entries(pid, "task"), entries(pid, "fd"))
	}
	show(0, 0)
	for part := range 10 {
		rate, err := parallel(c, calls/10, 32)
		if err != nil {
			return err
		}
		show((part+1)*calls/10, rate)
	}
	time.Sleep(time.Second)
	show(calls, 0)
	many, err := c.goroutines()
	if err != nil {
		return err
	}
	fmt.Printf("goroutines: %d after %d calls, %d after %d\n", few, calls/10, many, calls)
	if many > few+maxMore {
		return errors.New("goroutines are left behind")
	}
	return nil
}

// maxMore is by how many two idle processes may differ: a connection has two, and of
// those there are as many as calls were under way at a time.
const maxMore = 64

// goroutines ends a bridge the way in which it tells of all its goroutines.
func (c *child) goroutines() (int, error) {
	time.Sleep(time.Second) // what the last calls needed is done
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	c.cmd.Wait() // which is an error, as such an end is
	n := bytes.Count(c.said.Bytes(), []byte("\ngoroutine "))
	if n == 0 {
		return 0, errors.New("the bridge did not tell of its goroutines")
	}
	return n, nil
}

func entries(pid int, of string) int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, of))
	if err != nil {
		return 0
	}
	return len(list)
}
