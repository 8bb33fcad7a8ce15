package browser_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// row is one line of the table that the run script prints at the end.
type row struct {
	t     *testing.T
	begun time.Time
	steps string
}

// newRow begins a line, which is written when the test ends.
func newRow(t *testing.T) *row {
	r := &row{t: t, begun: time.Now()}
	t.Cleanup(r.write)
	return r
}

// step says what is tried next.
func (r *row) step(name string) {
	if r.steps != "" {
		r.steps += ", "
	}
	r.steps += name
}

// write appends the line to the file that TABLE names, if it names one.
func (r *row) write() {
	path := os.Getenv("TABLE")
	if path == "" {
		return
	}
	verdict := "passed"
	if r.t.Failed() {
		verdict = "FAILED"
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\t%s\t%.1f s\t%s\n", verdict, r.t.Name(), time.Since(r.begun).Seconds(), r.steps)
}
