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
	"runtime"
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
	// listsOnly is set for a client that cannot be made to call a tool.
	listsOnly bool
	// slow is set for a client that takes ten seconds to start. Without FULL it lives
	// through the scenario that has the most in it, and no other.
	slow bool
	// complaint is what an agent prints when it cannot use a server at all. The
	// others answer each call with an error.
	complaint map[form]string
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
	list := []client{
		{name: "Claude Code", forms: both, visit: claude,
			complaint: map[form]string{headers: `"name":"wiki","status":"failed"`, bridge: `"name":"wiki","status":"failed"`}},
		{name: "Codex", forms: both, visit: codex,
			complaint: map[form]string{headers: "headers helper exited with status exit status: 3", bridge: "mcpauth login"}},
		{name: "Continue", forms: []form{bridge}, visit: continueCLI, slow: true,
			complaint: map[form]string{bridge: "wiki: MCP error -32010: mcpauth: you are not signed in (mcpauth login)"}},
		{name: "MCP Inspector", forms: both, visit: inspector},
		{name: "TypeScript SDK", forms: both, visit: typescript},
		{name: "go-sdk", forms: both, visit: gosdk},
		{name: "curl", forms: []form{headers}, visit: curl},
		{name: "mcp-remote", forms: []form{headers}, visit: remote, listsOnly: true},
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" { // the only system whose Cline is pinned
		list = append(list, client{name: "Cline", forms: []form{bridge}, visit: cline, slow: true,
			complaint: map[form]string{bridge: `Failed to load tools from MCP server \"wiki\", skipping`}})
	}
	return list
}

// scenario is what happens at the company while a client is at work.
type scenario struct {
	name    string
	calls   int
	before  func(*testing.T, *office)
	between func(*office) // the first call and the second
	good    int           // calls that must succeed, from the first
}

func everyScenario() []scenario {
	return []scenario{
		{name: "calls", calls: 1, good: 1},
		{name: "rotated", calls: 2, good: 2, between: (*office).rotate},
		{name: "revoked", calls: 2, good: 1, between: (*office).revoke},
		{name: "signed out", calls: 1, before: func(t *testing.T, o *office) { o.must(t, "logout") }},
	}
}

func TestClients(t *testing.T) {
	table := &table{}
	t.Cleanup(func() { table.write(t) })
	for _, c := range everyClient() {
		for _, f := range c.forms {
			for _, s := range everyScenario() {
				if c.listsOnly && s.name != "calls" || c.slow && s.name != "revoked" && os.Getenv("FULL") == "" {
					continue
				}
				row := table.row(c.name, f, s.name)
				t.Run(c.name+"/"+string(f)+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					try(t, c, f, s, row)
				})
			}
		}
	}
}

// try lets one client live through one scenario and fills in the row.
func try(t *testing.T, c client, f form, s scenario, row *row) {
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
	row.took, row.asked = time.Since(start), o.asked()
	if len(r.answers) > 0 {
		row.last = r.answers[len(r.answers)-1]
	}
	problems := append(o.judge(t, c, f, s, r), o.misconduct()...)
	row.verdict = "ok"
	if len(problems) > 0 || t.Failed() {
		row.verdict = "FAILED"
		t.Errorf("%s\n\nthe client said:\n%s\n\nmcpauth was asked:\n%s\nthe company saw:\n%s",
			strings.Join(problems, "\n"), clip(r.said), o.read(o.helperLog())+o.read(o.bridgeLog()), o.story())
	}
}

// clip keeps both ends of what an agent says; the middle is long.
func clip(text string) string {
	const end = 3000
	if len(text) <= 2*end {
		return text
	}
	return text[:end] + "\n…\n" + text[len(text)-end:]
}

// npm is where a package's command is.
func npm(command string) string {
	return filepath.Join(os.Getenv("CLIENTS"), "node_modules", ".bin", command)
}
