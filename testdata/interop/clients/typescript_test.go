package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// typescript is a program that uses the official TypeScript SDK, and stays
// connected: sdk.mjs.
func typescript(t *testing.T, o *office, v visit) report {
	cmd := exec.CommandContext(t.Context(), os.Getenv("NODE"), filepath.Join(os.Getenv("CLIENTS"), "sdk.mjs"), string(v.form), o.wiki.URL)
	cmd.Dir, cmd.Env = o.home, o.env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	do := func(verb string, args map[string]any) (string, error) {
		fmt.Fprintln(in, compact(map[string]any{"verb": verb, "args": args}))
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %w", verb, err)
		}
		var answer struct {
			Result json.RawMessage
			Error  string
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			return "", fmt.Errorf("%s: %w", verb, err)
		}
		if answer.Error != "" {
			return "", errors.New(answer.Error)
		}
		return string(answer.Result), nil
	}
	var r report
	if _, err := do("connect", nil); err != nil {
		r.answers = []string{"error: " + err.Error()}
	} else {
		list, err := do("list", nil)
		r.listed = err == nil && strings.Contains(list, tool)
		r.answers = v.converse(func() (string, error) {
			return do("call", map[string]any{"name": tool, "arguments": searchArguments()})
		})
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	r.said = strings.Join(r.answers, "\n") + "\n" + stderr.String()
	return r
}
