package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// TestMain builds the program, or is the person's browser when that is what it
// was started as.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "browser" {
		if err := browse(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "browser:", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("MCPAUTH_BIN") == "" {
		dir, err := os.MkdirTemp("", "mcpauth-resilience-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		bin := filepath.Join(dir, "mcpauth")
		build := exec.Command("go", "build", "-o", bin, "../../cmd/mcpauth")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are built
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		os.Setenv("MCPAUTH_BIN", bin)
	}
	return m.Run()
}

// full asks for every repetition instead of the sample that CI takes.
func full() bool { return os.Getenv("FULL") != "" }

// times is how often to do something.
func times(sample, all int) int {
	if full() {
		return all
	}
	return sample
}

// browse is a person who signs in, and leaves a line for each window.
func browse(address string) error {
	log, err := os.OpenFile(os.Getenv("WINDOWS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintln(log, "a window")
	log.Close()
	b := idjagtest.Browser{Name: os.Getenv("PERSON"), Password: os.Getenv("PASSWORD")}
	callback, err := b.Approve(context.Background(), address)
	if err != nil {
		return err
	}
	resp, err := http.Get(callback)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// laptop is a person's computer: a home folder, and the company around it. Its
// servers are called s0, s1 and so on.
type laptop struct {
	t testing.TB
	*idjagtest.Company
	servers []*idjagtest.MCPServer
	abroad  []abroad       // servers outside the company
	more    map[string]any // their part of the configuration
	browses *http.Client   // of the person; nil means http.DefaultClient
	home    string
	env     []string
}

// newLaptop has nobody signed in yet.
func newLaptop(t testing.TB, servers int, options ...func(*idjagtest.Company)) *laptop {
	t.Helper()
	l := &laptop{t: t, Company: idjagtest.New(t, options...), home: t.TempDir()}
	l.servers = append(l.servers, l.MCP)
	for i := 1; i < servers; i++ {
		m := &idjagtest.MCPServer{Party: idjagtest.Party{Now: l.Now}, AS: l.AS, Scopes: []string{"read"}}
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		line := l.Connection
		line.Resource = m.Resource
		l.IdP.AddConnection(line)
		l.AS.AddResource(m.Resource, "read", "write")
		l.servers = append(l.servers, m)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "BROWSER=" + self + " browser",
		"WINDOWS=" + filepath.Join(l.home, "windows"), "PERSON=" + l.Person.Email, "PASSWORD=" + l.Person.Password}
	l.configure(map[string]any{"kind": "file", "keyFile": filepath.Join(l.home, "key")}, "")
	return l
}

// configure writes the configuration as an administrator would hand it out.
func (l *laptop) configure(store map[string]any, caFile string) {
	l.t.Helper()
	secret := func(name, value string) any {
		return map[string]string{"secretFile": l.write(name, value)}
	}
	as := secret("as-secret", l.ASClient.Secret)
	servers := map[string]any{}
	for i, m := range l.servers {
		servers[fmt.Sprint("s", i)] = map[string]any{"url": m.Resource, "oauth": map[string]any{"clientId": l.ASClient.ID, "clientAuth": as}}
	}
	maps.Copy(servers, l.more)
	config := map[string]any{
		"enterpriseManagedAuth": map[string]any{"idp": map[string]any{
			"issuer": l.IdP.Issuer, "clientId": l.IdPClient.ID, "clientAuth": secret("idp-secret", l.IdPClient.Secret)}},
		"mcpServers": servers, "store": store,
	}
	if caFile != "" {
		config["caFile"] = caFile
	}
	text, err := json.Marshal(config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(".config/mcpauth/config.json", string(text))
}

// write puts a file into the home.
func (l *laptop) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.home, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600))
	if err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *laptop) state() string { return filepath.Join(l.home, ".local", "state", "mcpauth") }

// done is what came of a process.
type done struct {
	out, err string
	exit     int
}

func (d done) String() string {
	return fmt.Sprintf("exit %d, %d bytes of answer: %s", d.exit, len(d.out), d.err)
}

func (l *laptop) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv("MCPAUTH_BIN"), args...)
	cmd.Env = l.env
	return cmd
}

// try runs a command to its end.
func (l *laptop) try(args ...string) done { return finish(l.command(args...)) }

func finish(cmd *exec.Cmd) done {
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil && cmd.ProcessState == nil {
		return done{exit: -2, err: e.Error()}
	}
	return done{out.String(), err.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed, and returns its answer.
func (l *laptop) must(args ...string) string {
	l.t.Helper()
	d := l.try(args...)
	if d.exit != 0 {
		for _, r := range l.Refusals() {
			l.t.Log("refused: ", r)
		}
		l.t.Fatalf("mcpauth %v: %v", args, d)
	}
	return d.out
}

// token must be one that the authorization server has issued.
func (l *laptop) token(args ...string) string {
	l.t.Helper()
	out := strings.TrimSuffix(l.must(append([]string{"token"}, args...)...), "\n")
	if _, ok := l.AS.Lookup(out); !ok {
		l.t.Fatalf("mcpauth token %v: the answer is no token of the authorization server", args)
	}
	return out
}

// signIn signs in with an ID token that is over already, so that the first token
// needs a renewal, or with one that lasts.
func (l *laptop) signIn(stale bool) {
	l.t.Helper()
	if stale {
		l.IdP.SetIDTokenLifetime(30 * time.Second) // less than what must be left of it
	}
	l.must("login", "--timeout", "30s")
	l.IdP.SetIDTokenLifetime(time.Hour)
	l.forget()
}

func (l *laptop) forget() {
	for _, p := range l.parties() {
		p.ForgetRequests()
	}
}

func (l *laptop) parties() []*idjagtest.Party {
	list := []*idjagtest.Party{&l.IdP.Party, &l.AS.Party}
	for _, m := range l.servers {
		list = append(list, &m.Party)
	}
	for _, a := range l.abroad {
		list = append(list, &a.AS.Party, &a.MCP.Party)
	}
	return list
}

func (l *laptop) windows() int {
	b, err := os.ReadFile(filepath.Join(l.home, "windows"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// keep copies the state aside, and back puts it in place of what is there.
func (l *laptop) keep(name string) (back func()) {
	l.t.Helper()
	kept := filepath.Join(l.home, "kept-"+name)
	l.copyTree(kept, l.state())
	return func() { l.copyTree(l.state(), kept) }
}

func (l *laptop) copyTree(to, from string) {
	l.t.Helper()
	err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from)))
	if err == nil {
		err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		})
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// eventually waits for what another process will do.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
