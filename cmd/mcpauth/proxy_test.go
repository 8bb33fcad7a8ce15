package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// running is the mcpauth proxy of a script.
type running struct {
	cmd    *exec.Cmd
	stderr *strings.Builder

	URL     string
	Socket  string
	Headers map[string]string
	Servers map[string]string
}

type runningKey struct{}

// proxyCmd starts and ends the proxy of a script:
//
//	proxy start [FLAG…]   until the end of the script, or
//	proxy stop            as a person interrupts it; what it said is in .proxy
func proxyCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	r, _ := ts.Value(runningKey{}).(*running)
	switch args[0] {
	case "start":
		ts.Check(r.start(ts, args[1:]))
	case "stop":
		ts.Check(exec.Command(program(ts, "child"), "interrupt", strconv.Itoa(r.cmd.Process.Pid)).Run())
		err := r.cmd.Wait()
		ts.Check(os.WriteFile(ts.MkAbs(".proxy"), []byte(r.stderr.String()), 0o600))
		if err != nil {
			ts.Fatalf("the proxy ended with %v\n%s", err, r.stderr)
		}
	}
}

// start waits for what the proxy prints: from then on it answers.
func (r *running) start(ts *testscript.TestScript, flags []string) error {
	*r = running{cmd: exec.Command(program(ts, "mcpauth"), append([]string{"proxy", "--json"}, flags...)...), stderr: &strings.Builder{}}
	r.cmd.Dir, r.cmd.Stderr = ts.MkAbs("."), r.stderr
	r.cmd.Env, r.cmd.SysProcAttr = environment(ts), apart
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	ts.Defer(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
	if err := json.NewDecoder(out).Decode(r); err != nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		ts.Fatalf("the proxy did not start: %v\n%s", err, r.stderr)
	}
	return nil
}

// through calls a tool through the proxy, as a client does that was given its URL
// and its header, and leaves the answer in .answer:
//
//	through SERVER STATUS [HEADER:VALUE…]
func through(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	r, _ := ts.Value(runningKey{}).(*running)
	req, err := http.NewRequest(http.MethodPost, r.URL+"/"+args[0], strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, ":")
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if r.Socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", r.Socket)
		}
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(".answer"), body, 0o600))
	if want, _ := strconv.Atoi(args[1]); resp.StatusCode != want {
		ts.Fatalf("the proxy answered %d: %s\n%s", resp.StatusCode, body, r.stderr)
	}
}
