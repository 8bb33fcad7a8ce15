package clients

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// table is what a reader wants of a run: who got through, and what the others saw.
type table struct{ rows []*row }

type row struct {
	client   string
	form     form
	scenario string
	verdict  string
	took     time.Duration
	asked    int    // how often mcpauth was started
	last     string // answer that the client's user got
}

func (t *table) row(client string, f form, scenario string) *row {
	r := &row{client: client, form: f, scenario: scenario, verdict: "not run"}
	t.rows = append(t.rows, r)
	return r
}

// write puts the table into the file that TABLE names, if it names one.
func (t *table) write(tb testing.TB) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT\tFORM\tSCENARIO\tVERDICT\tSECONDS\tMCPAUTH STARTED\tLAST ANSWER")
	for _, r := range t.rows {
		if r.took == 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\t\t\n", r.client, r.form, r.scenario, r.verdict)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%d\t%s\n", r.client, r.form, r.scenario, r.verdict, r.took.Seconds(), r.asked, oneLine(r.last))
	}
	if err := w.Flush(); err != nil {
		tb.Error(err)
	}
	tb.Log("\n" + b.String())
	if path := os.Getenv("TABLE"); path != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			tb.Error(err)
		}
	}
}

func oneLine(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > 110 {
		return string(runes[:110]) + "…"
	}
	return string(runes)
}
