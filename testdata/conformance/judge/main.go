// Command judge reads what the conformance suite wrote and decides.
//
// The suite's exit code is not enough: it is zero when a scenario was skipped,
// and a check that was never reached is not in its report. So every scenario
// named in expected.json must have a report, every check in the report must
// have passed, and every expected check must be there as often as expected. The
// bearer token, for one, is checked at initialize, at the notification after
// it, at tools/list and at tools/call.
//
//	judge expected.json OUTPUT-FOLDER
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// check is one line of a checks.json.
type check struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	Description string `json:"description"`
}

// expected maps a scenario to the checks that must pass in it, and how often.
type expected map[string]map[string]int

func main() {
	failed, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(args []string) (failed int, err error) {
	if len(args) != 2 {
		return 0, errors.New("read arguments: want expected.json and the suite's output folder")
	}
	var want expected
	if err := readJSON(args[0], &want); err != nil {
		return 0, err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	passed, whole := 0, 0
	for _, scenario := range slices.Sorted(maps.Keys(want)) {
		checks, err := report(args[1], scenario)
		if err != nil {
			return 0, err
		}
		p, f := judge(table, scenario, checks, want[scenario])
		passed, failed = passed+p, failed+f
		if f == 0 {
			whole++
		}
	}
	if err := table.Flush(); err != nil {
		return 0, err
	}
	fmt.Printf("%d of %d scenarios\n%d passed, %d failed\n", whole, len(want), passed, failed)
	return failed, nil
}

// report reads the one checks.json that the suite wrote for a scenario. The
// suite adds the time to the folder's name.
func report(out, scenario string) ([]check, error) {
	files, err := filepath.Glob(filepath.Join(out, filepath.FromSlash(scenario)+"-[0-9]*", "checks.json"))
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("read the report of %s: found %d, want 1", scenario, len(files))
	}
	var checks []check
	return checks, readJSON(files[0], &checks)
}

// judge prints a row a check and counts. INFO lines are the suite's log of
// requests, not checks; any status other than SUCCESS is a failure, warnings
// and skips included, unless expected.json names the skip: some checks are about
// what a client of the other era would have sent.
func judge(table *tabwriter.Writer, scenario string, checks []check, want map[string]int) (passed, failed int) {
	got := map[string]int{}
	for _, c := range checks {
		if c.Status == "INFO" {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", scenario, c.Status, c.ID, c.Description)
		if c.Status == "SKIPPED" && want[c.ID+" SKIPPED"] > 0 {
			got[c.ID+" SKIPPED"]++
			continue
		}
		if c.Status != "SUCCESS" {
			failed++
			continue
		}
		passed++
		got[c.ID]++
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] < want[id] {
			fmt.Fprintf(table, "%s\tMISSING\t%s\tpassed %d times, want at least %d\n", scenario, id, got[id], want[id])
			failed++
		}
	}
	return passed, failed
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
