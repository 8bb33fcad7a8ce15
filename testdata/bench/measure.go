package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// program is a process to be started again and again.
type program struct {
	name string
	argv []string
	env  []string

	before func() // not measured
	after  func() // not measured
	took   []time.Duration
	asked  int // requests of the last run
}

// run starts the program and waits for its end: fork to reap. What it prints
// goes nowhere, which costs the same for all.
func (p *program) run(null *os.File) error {
	proc, err := os.StartProcess(p.argv[0], p.argv, &os.ProcAttr{Env: p.env, Files: []*os.File{null, null, os.Stderr}})
	if err != nil {
		return err
	}
	s, err := proc.Wait()
	if err == nil && !s.Success() {
		err = fmt.Errorf("%s: %s", p.name, s)
	}
	return err
}

// interleave runs A B C A B C: what disturbs one round disturbs all of them.
func interleave(e *ends, rounds int, all ...*program) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	e.must(err, "open the null device")
	defer null.Close()
	for round := range rounds + 1 {
		for _, p := range all {
			if p.before != nil {
				p.before()
			}
			start := time.Now()
			err := p.run(null)
			took := time.Since(start)
			e.must(err, "run")
			if p.after != nil {
				p.after()
			}
			if round > 0 { // the first one warms the page cache
				p.took = append(p.took, took)
			}
		}
	}
}

// together starts n of each program at once and waits for the last, in turns.
func together(e *ends, rounds, n int, all ...*program) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	e.must(err, "open the null device")
	defer null.Close()
	for round := range rounds + 1 {
		for _, p := range all {
			errs := make([]error, n)
			var wg sync.WaitGroup
			start := time.Now()
			for i := range n {
				wg.Go(func() { errs[i] = p.run(null) })
			}
			wg.Wait()
			took := time.Since(start)
			for _, err := range errs {
				e.must(err, "run")
			}
			if round > 0 {
				p.took = append(p.took, took)
			}
		}
	}
}

func (p *program) median() time.Duration {
	s := slices.Sorted(slices.Values(p.took))
	return s[len(s)/2]
}

// ratio is that of the medians.
func (p *program) ratio(to *program) float64 {
	return float64(p.median()) / float64(to.median())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
