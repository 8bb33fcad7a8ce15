package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/internal/cli"
)

// A script is a story about one company of fakes, started anew for each. Beside
// what testscript has, it knows these commands:
//
//	company OPTION…      start over with another company (companyOptions)
//	configure KEY=V…     write the configuration that most scripts start with
//	begin [FLAG…]        sign in, with these flags as well, and add the server "wiki"
//	exit CODE CMD…       run a command that must end so; a failure prints no answer,
//	                     and what its hints say to type must exist
//	count WHAT N         so many requests of a kind since the last forget; "idp.token"
//	                     looks at one party only, "all" at everything
//	forget               empty the fakes' record of requests
//	cold                 drop mcpauth's cache of metadata
//	clock DURATION       let time pass, for mcpauth and for the company
//	within DURATION CMD… like exec, with a limit
//	interrupt CODE CMD…  press Ctrl-C after the command's first line; it must end so
//	killed CMD…          kill the command then; nothing of it may be left
//	busy VAR, free VAR   a port of this computer that is taken, or not
//	expand FROM TO       copy a file, with variables
//	replace FILE OLD NEW change a text in a file
//	install              put mcpauth into the PATH, where nothing else is before it;
//	                     PROGRAM is its path
//	idp, as, as2, mcp …  change a party (parties_test.go)
//	proxy, through       run mcpauth proxy, and call a server through it (proxy_test.go)
//	publish              a web host with https for the folder www (publish_test.go)
//	host FLAG…           run mcpauth cimd serve, until the end of the script
//	nosecrets            the end of every script
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"company": companyCmd, "configure": configureCmd, "begin": beginCmd, "exit": exitCmd, "count": countCmd, "forget": forgetCmd,
			"cold": coldCmd, "clock": clockCmd, "within": withinCmd, "interrupt": interruptCmd, "killed": killedCmd, "damage": change(damage), "empty": change(func(p string) error { return os.Truncate(p, 0) }), "busy": busyCmd, "free": freeCmd, "expand": expandCmd, "replace": replaceCmd, "install": installCmd, "nosecrets": noSecrets,
			"proxy": proxyCmd, "through": through, "publish": publishCmd, "host": hostCmd,
			"idp": party("idp"), "idp2": party("idp2"), "as": party("as"), "as2": party("as2"), "mcp": party("mcp"),
		},
	})
}

// setUp gives every script its own company, a home of its own, and a person who
// signs in by herself.
func setUp(env *testscript.Env) error {
	o := &office{}
	env.Values[officeKey{}], env.Values[runningKey{}] = o, &running{}
	home, transcript := filepath.Join(env.WorkDir, "home"), filepath.Join(env.WorkDir, "transcript")
	for _, d := range []string{home, transcript} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	env.Vars = append(env.Vars,
		"HOME="+home, "USERPROFILE="+home, "APPDATA="+filepath.Join(home, ".config"), "BROWSER=browser", "TRANSCRIPT="+transcript,
		"STATE="+filepath.Join(home, ".local", "state", "mcpauth"), "CONFIG="+filepath.Join(home, ".config", "mcpauth", "config.json"))
	return o.open(env.WorkDir, env, env.Setenv)
}

func must0(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

// beginCmd is what most scripts start with.
func beginCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	work := ts.Getenv("WORK")
	login := append([]string{"login", "--issuer", ts.Getenv("IDP"), "--client-id", ts.Getenv("IDP_CLIENT"),
		"--client-secret-file", filepath.Join(work, "idp-secret"), "--store", "file", "--store-key-file", filepath.Join(work, "home", "key")}, args...)
	ts.Check(ts.Exec("mcpauth", login...))
	ts.Check(ts.Exec("mcpauth", "server", "add", "wiki", ts.Getenv("MCP"), "--client-id", ts.Getenv("AS_CLIENT"),
		"--client-secret-file", filepath.Join(work, "as-secret")))
	forgetCmd(ts, false, nil)
}

var (
	exitStatus = regexp.MustCompile(`exit status (\d+)`)
	toType     = regexp.MustCompile(`(?m)^hint: (?:.*: )?(mcpauth .*)$`)
)

func exitCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		m := exitStatus.FindStringSubmatch(err.Error())
		if m == nil {
			ts.Fatalf("%v", err)
		}
		got, _ = strconv.Atoi(m[1])
	}
	if got != want {
		for _, r := range theOffice(ts).Refusals() {
			ts.Logf("refused: %+v", r)
		}
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	answers := slices.Contains(args, "explain") || slices.Contains(args, "lint") // also about what is wrong
	if out := ts.ReadFile("stdout"); got != 0 && out != "" && !answers {
		ts.Fatalf("a failure printed on standard output: %q", out)
	}
	for _, m := range toType.FindAllStringSubmatch(ts.ReadFile("stderr"), -1) {
		mustExist(ts, m[1])
	}
}

// mustExist demands that a hint names a command, and flags, that there are.
func mustExist(ts *testscript.TestScript, hint string) {
	words := strings.Fields(strings.NewReplacer("'", "", "…", "", "PORT", "8400").Replace(hint))
	var out bytes.Buffer
	code := cli.Main(context.Background(), cli.Env{
		Args: append(words[1:], "--help"), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		Getenv: func(string) string { return "" }, Home: ts.Getenv("WORK"),
	})
	if code != 0 {
		ts.Fatalf("the hint %q cannot be typed: %s", hint, out.String())
	}
}

// withinCmd is for what must end by itself.
func withinCmd(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	start := time.Now()
	if args[1] == "exit" {
		exitCmd(ts, neg, args[2:])
	} else if (ts.Exec(args[1], args[2:]...) != nil) != neg {
		ts.Fatalf("unexpected end")
	}
	if took := time.Since(start); took > limit {
		ts.Fatalf("it took %v", took)
	}
}

func interruptCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	c, _ := upToFirstLine(ts, args[1:])
	ts.Check(exec.Command(program(ts, "child"), "interrupt", strconv.Itoa(c.Process.Pid)).Run())
	_ = c.Wait()
	if want, _ := strconv.Atoi(args[0]); c.ProcessState.ExitCode() != want {
		ts.Fatalf("%v, want exit code %d", c.ProcessState, want)
	}
}

func killedCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	c, out := upToFirstLine(ts, args)
	ts.Check(c.Process.Kill())
	_, err := io.Copy(io.Discard, out) // ends when nobody has its other end any more
	ts.Check(err)
	_ = c.Wait()
}

func upToFirstLine(ts *testscript.TestScript, args []string) (*exec.Cmd, io.Reader) {
	c := exec.Command(program(ts, args[0]), args[1:]...)
	c.Env, c.SysProcAttr = environment(ts), apart
	out, err := c.StdoutPipe()
	ts.Check(err)
	ts.Check(c.Start())
	ts.Defer(func() { c.Process.Kill() })
	r := bufio.NewReader(out)
	_, err = r.ReadString('\n')
	ts.Check(err)
	return c, r
}

func coldCmd(ts *testscript.TestScript, neg bool, _ []string) {
	must0(ts, neg)
	folder := filepath.Join(ts.Getenv("STATE"), "metadata")
	_, err := os.Stat(folder)
	ts.Check(err) // or the script would pass for want of a cache
	ts.Check(os.RemoveAll(folder))
}

func clockCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	o := theOffice(ts)
	o.Advance(d)
	o.ahead += d
	ts.Setenv("CLOCK", o.ahead.String())
}

// jwt is the shape of a token, and of a part of one; other base64 may begin like
// it. A secret of the fakes is looked for as it is.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.|eyJ[A-Za-z0-9_-]{60,}`)

// privateKey is the shape of the private half of a JWK, and of a PEM file.
var privateKey = regexp.MustCompile(`"d":\s*"[A-Za-z0-9_-]{40,}|-BEGIN [A-Z ]*PRIVATE KEY-`)

// noSecrets ends every script: nothing that looks like a token, and no secret of
// the company, stands in the conversation or in the clear in any file. Files
// whose name starts with a dot are the script's own.
func noSecrets(ts *testscript.TestScript, neg bool, _ []string) {
	must0(ts, neg)
	o := theOffice(ts)
	secrets := []string{o.IdPClient.Secret, o.ASClient.Secret, o.Person.Password, bob}
	given := []string{"idp-secret", "as-secret", "id-token", "platform-token", "old-platform-token"}
	dir := ts.Getenv("WORK")
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || slices.Contains(given, rel) || strings.HasPrefix(rel, ".") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		if jwt.Match(b) {
			ts.Fatalf("%s holds something that looks like a token", rel)
		}
		if privateKey.Match(b) {
			ts.Fatalf("%s holds a private key", rel)
		}
		for _, s := range secrets {
			if len(s) > 6 && bytes.Contains(b, []byte(s)) {
				ts.Fatalf("%s holds a secret", rel)
			}
		}
		return nil
	})
	ts.Check(err)
	if seen == 0 {
		ts.Fatalf("there was nothing to look at")
	}
}

// busyCmd names a port of this computer that is taken, freeCmd one that is not.
func busyCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	ts.Setenv(args[0], port(ts, ts.Defer))
}

func freeCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	ts.Setenv(args[0], port(ts, func(end func()) { end() }))
}

func port(ts *testscript.TestScript, when func(func())) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	when(func() { l.Close() })
	_, number, _ := net.SplitHostPort(l.Addr().String())
	return number
}

// expandCmd copies a file and puts variables in, as JSON and TOML have their text
// between quotes, or as mcpauth writes YAML: expand FROM TO.
func expandCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		value := ts.Getenv(name)
		if escaped := strings.ReplaceAll(value, `\`, `\\`); escaped != value && filepath.Ext(args[0]) == ".yaml" {
			return `"` + escaped + `"`
		} else {
			return escaped
		}
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func replaceCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not have %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// environment is what a program of the scripts needs to know.
func environment(ts *testscript.TestScript) (list []string) {
	for _, name := range []string{"PATH", "HOME", "USERPROFILE", "TRANSCRIPT", "CLOCK", "SystemRoot", "BROWSER", "PERSON", "PASSWORD"} {
		list = append(list, name+"="+ts.Getenv(name))
	}
	return list
}

// program is the path of a program of the scripts.
func program(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no %s", name)
	return ""
}

func installCmd(ts *testscript.TestScript, neg bool, _ []string) {
	must0(ts, neg)
	from, dir := program(ts, "mcpauth"), ts.MkAbs(".bin")
	ts.Check(os.Mkdir(dir, 0o700))
	to := filepath.Join(dir, filepath.Base(from))
	ts.Check(os.Link(from, to))
	ts.Setenv("PATH", dir+string(filepath.ListSeparator)+ts.Getenv("PATH"))
	ts.Setenv("PROGRAM", to)
}

// change rewrites every file in a folder: damage DIR, empty DIR; remove DIR drops it.
func change(how func(path string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		must0(ts, neg)
		files, err := filepath.Glob(filepath.Join(args[0], "*"))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("there is nothing in %s", args[0])
		}
		for _, f := range files {
			ts.Check(how(f))
		}
	}
}

func damage(path string) error {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}
