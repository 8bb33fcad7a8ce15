package main

import (
	"fmt"
	"os"
	"time"
)

// soak makes many calls in ten parts and prints what is left after each. Memory
// must level off, and threads and open files must not grow.
func soak(argv []string, calls int) error {
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
	return nil
}

func entries(pid int, of string) int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, of))
	if err != nil {
		return 0
	}
	return len(list)
}
