// Package clients proves mcpauth with MCP clients that nobody here wrote. Each of
// them connects to a go-sdk server behind the strict fakes, lists its tools and
// calls one; then its token stops working between two calls; then the person
// loses all access between two calls; then nobody is signed in at all.
//
// The agents among them need a model to tell them what to do. It is played on
// loopback, and nothing beyond this machine can be reached by any of them.
package clients

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const browseVerb = "browse"

// TestMain also makes this program the browser of mcpauth login: the identity
// provider asks nothing, so that following its redirects is all there is to do.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == browseVerb {
		resp, err := http.Get(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		resp.Body.Close()
		return
	}
	for _, name := range []string{"MCPAUTH_BIN", "CLIENTS", "NODE"} {
		if os.Getenv(name) == "" {
			fmt.Fprintln(os.Stderr, name+" is not set: start this with testdata/interop/clients/run")
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// form is how a client gets its credential.
type form string

const (
	headers form = "headers" // mcpauth prints it, the client sends it
	bridge  form = "bridge"  // mcpauth is the server, as far as the client can see
)

// client is an MCP client. Its function has it connect, list the tools and call
// search_pages as often as the visit says.
type client struct {
	name  string
	forms []form
	visit func(*testing.T, *office, visit) report
	// lists is set for a client that can do no more than connect and list.
	lists bool
}

// visit is what a client is to do.
type visit struct {
	form    form
	calls   int
	between func() // runs between the first call and the second
}

// report is what a client did and said.
type report struct {
	listed  bool     // it saw the tool
	answers []string // to each call: the result, or the error that its user gets
	said    string   // its whole output
	sent    string   // everything that it sent to the model
}

// converse calls until enough calls were made.
func (v visit) converse(call func() (string, error)) (answers []string) {
	for i := range v.calls {
		if i == 1 && v.between != nil {
			v.between()
		}
		answer, err := call()
		if err != nil {
			answer = "error: " + err.Error()
		}
		answers = append(answers, answer)
	}
	return answers
}

func everyClient() []client {
	both := []form{headers, bridge}
	return []client{
		{name: "Claude Code", forms: both, visit: claude},
		{name: "Codex", forms: both, visit: codex},
		{name: "MCP Inspector", forms: both, visit: inspector},
		{name: "TypeScript SDK", forms: both, visit: typescript},
		{name: "go-sdk", forms: both, visit: gosdk},
		{name: "curl", forms: []form{headers}, visit: curl},
		{name: "mcp-remote", forms: []form{headers}, visit: remote, lists: true},
	}
}

// found is in the answer to searchArguments.
const found = `Onboarding`

func TestClients(t *testing.T) {
	scenarios := []struct {
		name  string
		calls int
		// before and between change the company's mind.
		before  func(*testing.T, *office)
		between func(*office)
		good    int // calls that must succeed, from the first
	}{
		{name: "calls", calls: 1, good: 1},
		{name: "rotated", calls: 2, good: 2, between: (*office).rotate},
		{name: "revoked", calls: 2, good: 1, between: (*office).revoke},
		{name: "signed out", calls: 1, before: func(t *testing.T, o *office) { o.must(t, "logout") }},
	}
	table := &table{}
	t.Cleanup(func() { table.write(t) })
	bridges := hasBridge(t)
	for _, c := range everyClient() {
		for _, f := range c.forms {
			for _, s := range scenarios {
				row := table.row(c.name, f, s.name)
				if f == bridge && !bridges {
					row.verdict = "mcpauth has no bridge yet"
					continue
				}
				if c.lists && s.between != nil {
					row.verdict = "it cannot be made to call a tool"
					continue
				}
				t.Run(c.name+"/"+string(f)+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					o := open(t)
					if s.before != nil {
						s.before(t, o)
					}
					v := visit{form: f, calls: s.calls}
					if s.between != nil {
						v.between = func() { s.between(o) }
					}
					start := time.Now()
					r := c.visit(t, o, v)
					row.took = time.Since(start)
					row.asked = o.asked()
					row.last = last(r.answers)
					check(t, o, c, r, s.calls, s.good)
					row.verdict = "ok"
					if t.Failed() {
						row.verdict = "FAILED"
						t.Logf("the client said:\n%s", clip(r.said, 6000))
						t.Logf("mcpauth was asked:\n%s", o.read(o.helperLog()))
						t.Logf("the company saw:\n%v", o.Log())
					}
				})
			}
		}
	}
}

// check judges a visit of which the first calls must have succeeded and the rest
// must have ended in an error that the client shows.
func check(t *testing.T, o *office, c client, r report, calls, good int) {
	t.Helper()
	if r.listed != (good > 0) {
		t.Errorf("the tool is listed: %v, want %v", r.listed, good > 0)
	}
	if c.lists {
		good = 0
	}
	for i := range calls {
		answer := ""
		if i < len(r.answers) {
			answer = r.answers[i]
		}
		ok := strings.Contains(answer, found)
		switch {
		case i < good && !ok:
			t.Errorf("call %d was answered %q, want %q in it", i+1, answer, found)
		case i >= good && ok:
			t.Errorf("call %d was answered %q, want an error", i+1, answer)
		case i >= good && good > 0 && answer == "":
			t.Errorf("call %d failed, and the client does not say so", i+1)
		}
	}
	if n := o.calls(); n != good {
		t.Errorf("%d calls reached the server, want %d", n, good)
	}
	for _, sign := range o.consent() {
		t.Errorf("the client began a consent flow: %s", sign)
	}
	for _, host := range o.outside {
		t.Errorf("something tried to leave this machine for %s", host)
	}
	if good == calls && calls > 0 {
		if token := o.must(t, "token", "wiki"); strings.Contains(r.said+r.sent, token) {
			t.Error("the access token is in what the client printed or told the model")
		}
	}
}

// hasBridge reports whether this mcpauth has the bridge; then its rows count.
func hasBridge(t *testing.T) bool {
	t.Helper()
	o := &office{home: t.TempDir(), bin: t.TempDir()}
	o.furnish(t)
	return strings.Contains(o.must(t, "--help"), "\n  bridge ")
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func clip(text string, n int) string {
	if len(text) > n {
		return text[:n] + "…"
	}
	return text
}

// npm is where a package's command is.
func npm(command string) string {
	return filepath.Join(os.Getenv("CLIENTS"), "node_modules", ".bin", command)
}
