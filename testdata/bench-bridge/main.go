// Command bench-bridge measures mcpauth bridge beside mcp-remote, beside the least that
// a bridge can be, and beside calls without a bridge, all in one run on one machine, and
// prints the ratios. No number fails it: machines differ, ratios less so.
//
//	bench-bridge -mcpauth BIN [-plain BIN] [-remote proxy.js] [-node NODE]
//	bench-bridge -mcpauth BIN -soak 1000000
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	bin := flag.String("mcpauth", "", "the mcpauth `binary`")
	plain := flag.String("plain", "", "the least `binary`; empty leaves it out")
	remote := flag.String("remote", "", "the entry `script` of mcp-remote; empty leaves it out")
	node := flag.String("node", "node", "the node `binary`")
	soakCalls := flag.Int("soak", 0, "make so many `calls` and print memory and threads over time instead")
	flag.Parse()
	if err := run(*bin, *plain, *remote, *node, *soakCalls); err != nil {
		fmt.Fprintln(os.Stderr, "bench-bridge:", err)
		os.Exit(1)
	}
}

func run(bin, plain, remote, node string, soakCalls int) error {
	url, stop, err := serve()
	if err != nil {
		return err
	}
	defer stop()
	ours := []string{bin, "bridge", "--no-auth", url}
	if soakCalls > 0 {
		return soak(ours, soakCalls)
	}
	floor, err := measureDirect(url)
	if err != nil {
		return err
	}
	fmt.Printf("%-12s %10s %10s %10s %10s %10s %10s %10s\n", "", "start ms", "p50 ms", "p99 ms", "calls/s", "CPU us", "idle MiB", "after MiB")
	floor.print("direct", result{})
	a, err := measure(ours, 20_000, 100_000)
	if err != nil {
		return fmt.Errorf("mcpauth bridge: %w", err)
	}
	a.print("mcpauth", floor)
	if plain != "" {
		p, err := measure([]string{plain, url}, 20_000, 100_000)
		if err != nil {
			return fmt.Errorf("plain: %w", err)
		}
		p.print("plain", floor)
		a.beside(p, floor)
	}
	if remote == "" {
		return nil
	}
	b, err := measure([]string{node, remote, url, "--allow-http"}, 2_000, 10_000)
	if err != nil {
		return fmt.Errorf("mcp-remote: %w", err)
	}
	b.print("mcp-remote", floor)
	a.beside(b, floor)
	fmt.Println("p50 and p99 are of calls one after the other; their ratios are of what the bridge adds")
	return nil
}

type result struct {
	start, p50, p99 time.Duration
	rate            float64
	cpu             time.Duration // of the bridge, a call
	idle, after     int           // KiB
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r result) print(name string, floor result) {
	fmt.Printf("%-12s %10.1f %10.3f %10.3f %10.0f %10.0f %10.1f %10.1f\n", name, ms(r.start), ms(r.p50), ms(r.p99), r.rate, float64(r.cpu)/1000, float64(r.idle)/1024, float64(r.after)/1024)
	if floor.p50 > 0 {
		fmt.Printf("%-12s %10s %10.3f %10.3f\n", "  adds", "", ms(r.p50-floor.p50), ms(r.p99-floor.p99))
	}
}

// beside prints how many times better r is than other.
func (r result) beside(other, floor result) {
	fmt.Printf("%-12s %9.1fx %9.1fx %9.1fx %9.1fx %9.1fx %9.1fx %9.1fx\n", "better", float64(other.start)/float64(r.start),
		float64(other.p50-floor.p50)/float64(r.p50-floor.p50), float64(other.p99-floor.p99)/float64(r.p99-floor.p99),
		r.rate/other.rate, float64(other.cpu)/float64(r.cpu), float64(other.idle)/float64(r.idle), float64(other.after)/float64(r.after))
}

func measureDirect(url string) (r result, err error) {
	d := newDirect(url)
	if _, _, err = sequential(d, 1000); err != nil {
		return r, err
	}
	if r.p50, r.p99, err = sequential(d, 20_000); err != nil {
		return r, err
	}
	r.rate, err = parallel(d, 100_000, 32)
	return r, err
}

// measure starts a bridge several times, and calls through the last.
func measure(argv []string, calls, burst int) (r result, err error) {
	var starts []time.Duration
	var c *child
	for i := range 7 {
		if c, err = spawn(argv); err != nil {
			return r, err
		}
		starts = append(starts, c.started)
		if i < 6 {
			c.end()
		}
	}
	defer c.end()
	slices.Sort(starts)
	r.start = starts[len(starts)/2]
	time.Sleep(2 * time.Second)
	r.idle = memory(c.cmd.Process.Pid)
	if _, _, err = sequential(c, 500); err != nil {
		return r, err
	}
	if r.p50, r.p99, err = sequential(c, calls); err != nil {
		return r, err
	}
	used := cpu(c.cmd.Process.Pid)
	if r.rate, err = parallel(c, burst, 32); err != nil {
		return r, err
	}
	r.cpu = (cpu(c.cmd.Process.Pid) - used) / time.Duration(burst)
	r.after = memory(c.cmd.Process.Pid)
	return r, nil
}
