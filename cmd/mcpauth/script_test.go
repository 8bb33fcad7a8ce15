package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/internal/cli"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// TestMain makes this test binary the programs of the scripts: every mcpauth in a
// script is a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mcpauth": recorded, "browser": browser})
}

// recorded is main, with everything that goes to the streams written down as well
// so that the end of the script can look for secrets in it.
func recorded() {
	env := cli.OS()
	if dir := os.Getenv("TRANSCRIPT"); dir != "" {
		log, err := os.OpenFile(filepath.Join(dir, "stderr"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(log, "$ mcpauth", strings.Join(env.Args, " "))
		env.Stderr = io.MultiWriter(env.Stderr, log)
		if len(env.Args) == 0 || !slices.Contains([]string{"token", "headers", "id-jag"}, env.Args[0]) {
			env.Stdout = io.MultiWriter(env.Stdout, log)
		}
	}
	os.Exit(cli.Main(context.Background(), env))
}

// browser is the person: it signs in at the address and comes back.
func browser() {
	b := idjagtest.Browser{Name: os.Getenv("PERSON"), Password: os.Getenv("PASSWORD"), Deny: os.Getenv("DENY") != ""}
	fmt.Println("browser chatter") // must not reach anybody's standard output
	if _, err := b.SignIn(context.Background(), os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"idp": idpCmd, "as": asCmd, "mcp": mcpCmd, "count": countCmd, "exit": exitCmd, "nosecrets": noSecrets,
		},
	})
}

type companyKey struct{}

// testingT is what the fakes need of a test; a script is one without a testing.T.
type testingT struct{ env *testscript.Env }

func (testingT) Helper()                        {}
func (t testingT) Cleanup(f func())             { t.env.Defer(f) }
func (t testingT) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// setUp gives every script its own company, a home of its own, and a person who
// signs in by herself.
func setUp(env *testscript.Env) error {
	c := idjagtest.New(testingT{env}, func(c *idjagtest.Company) { c.AS.JWT = true })
	env.Values[companyKey{}] = c
	dir := env.WorkDir
	home := filepath.Join(dir, "home")
	for name, content := range map[string]string{
		"idp-secret": c.IdPClient.Secret + "\n",
		"as-secret":  c.ASClient.Secret + "\n",
		"id-token":   c.MintIDToken(nil),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, d := range []string{home, filepath.Join(dir, "transcript")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	env.Vars = append(env.Vars,
		"HOME="+home, "USERPROFILE="+home, "BROWSER=browser", "TRANSCRIPT="+filepath.Join(dir, "transcript"),
		"PERSON="+c.Person.Email, "PASSWORD="+c.Person.Password,
		"IDP="+c.IdP.Issuer, "IDP_CLIENT="+c.IdPClient.ID, "AS="+c.AS.Issuer, "AS_CLIENT="+c.ASClient.ID,
		"MCP="+c.MCP.URL(), "RESOURCE="+c.Connection.Resource,
	)
	return nil
}

func company(ts *testscript.TestScript) *idjagtest.Company {
	return ts.Value(companyKey{}).(*idjagtest.Company)
}

func noNeg(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

// exit CODE COMMAND… runs a command that must end with this exit code.
func exitCmd(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		m := regexp.MustCompile(`exit status (\d+)`).FindStringSubmatch(err.Error())
		if m == nil {
			ts.Fatalf("%v", err)
		}
		got, _ = strconv.Atoi(m[1])
	}
	if got != want {
		for _, r := range company(ts).Refusals() {
			ts.Logf("refused: %+v", r)
		}
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// count WHAT N demands that so many requests of a kind have come since the last
// look at it.
func countCmd(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	c := company(ts)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	got := c.IdP.Count(args[0]) + c.AS.Count(args[0]) + c.MCP.Count(args[0])
	if args[0] == "all" {
		got = len(c.IdP.Requests()) + len(c.AS.Requests()) + len(c.MCP.Requests())
	}
	if got != want {
		for _, r := range slices.Concat(c.IdP.Requests(), c.AS.Requests(), c.MCP.Requests()) {
			ts.Logf("%s %s", r.What, r.Path)
		}
		ts.Fatalf("%d requests for %s, want %d", got, args[0], want)
	}
}

// jwt is the shape of a token; a secret of the fakes is looked for as it is.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}`)

// nosecrets ends every script: nothing that looks like a token, and no secret of
// the company, stands in the conversation or in the clear in any file.
func noSecrets(ts *testscript.TestScript, neg bool, _ []string) {
	noNeg(ts, neg)
	c := company(ts)
	secrets := []string{c.IdPClient.Secret, c.ASClient.Secret, c.Person.Password}
	given := map[string]bool{"idp-secret": true, "as-secret": true, "id-token": true}
	dir := ts.Getenv("WORK")
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || given[rel] || strings.HasPrefix(rel, ".") {
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

// idp COMMAND … changes the identity provider in the middle of a script.
func idpCmd(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	c := company(ts)
	switch args[0] {
	case "fault":
		c.IdP.SetFault(args[1], faultOf(ts, args[2:]))
	case "quirk":
		c.IdP.SetQuirks(quirkOf(ts, args[1:]))
	case "revoke-sessions":
		c.IdP.RevokeSessions(c.Person.Subject)
	case "revoke-person":
		c.IdP.RevokePerson(c.Person.Subject)
	case "revoke-connection":
		c.IdP.RevokeConnection(c.Connection.Resource)
	case "id-token-lifetime":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		c.IdP.SetIDTokenLifetime(d)
	case "mint-id-token": // FILE [claim=value …]
		raw := c.MintIDToken(func(_, claims map[string]any) {
			for _, kv := range args[2:] {
				k, v, _ := strings.Cut(kv, "=")
				claims[k] = v
			}
		})
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(raw), 0o600))
	default:
		ts.Fatalf("idp: unknown command %q", args[0])
	}
}

func asCmd(ts *testscript.TestScript, neg bool, args []string) {
	noNeg(ts, neg)
	c := company(ts)
	switch args[0] {
	case "fault":
		c.AS.SetFault(args[1], faultOf(ts, args[2:]))
	case "quirk":
		c.AS.SetQuirks(quirkOf(ts, args[1:]))
	case "expires-in":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		c.AS.SetQuirks(idjagtest.Member(idjagtest.Redeem, "expires_in", n))
	default:
		ts.Fatalf("as: unknown command %q", args[0])
	}
}

func mcpCmd(ts *testscript.TestScript, neg bool, args []string) {
	c := company(ts)
	switch args[0] {
	case "fault":
		c.MCP.SetFault(args[1], faultOf(ts, args[2:]))
	case "authorization-server": // the server now names another one
		c.MCP.SetQuirks(idjagtest.Member(idjagtest.Metadata, "authorization_servers", args[1:]))
	case "call": // with the token that the last command printed
		status, err := call(c.MCP.URL(), strings.TrimSpace(ts.ReadFile("stdout")))
		ts.Check(err)
		if (status == http.StatusOK) == neg {
			ts.Fatalf("the MCP server answered %d", status)
		}
		return
	default:
		ts.Fatalf("mcp: unknown command %q", args[0])
	}
	noNeg(ts, neg)
}

func call(url, token string) (int, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// quirkOf reads the name of a quirk and its arguments.
func quirkOf(ts *testscript.TestScript, args []string) idjagtest.Quirk {
	switch arg := append(args, "")[1]; args[0] {
	case "wrong-audience":
		return idjagtest.Claim("aud", arg)
	case "slash-audience":
		return idjagtest.SlashAudience()
	case "wrong-client":
		return idjagtest.Claim("client_id", arg)
	case "wrong-type":
		return idjagtest.WrongType("JWT")
	case "access-token-instead":
		return idjagtest.WrongIssuedTokenType()
	case "wrong-issuer":
		return idjagtest.WrongIssuer(arg)
	case "iss-wrong":
		return idjagtest.IssWrong(arg)
	case "iss-not-sent":
		return idjagtest.IssNotSent()
	case "state-wrong":
		return idjagtest.StateWrong()
	case "bound":
		return idjagtest.Bound()
	}
	ts.Fatalf("unknown quirk %q", args[0])
	return idjagtest.Quirk{}
}

// faultOf reads a fault: an OAuth code, or one of a few words, and options.
func faultOf(ts *testscript.TestScript, args []string) (f idjagtest.Fault) {
	for i, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch {
		case i == 0 && arg == "html":
			f = idjagtest.HTML()
		case i == 0 && arg == "hang":
			f.Hang = true
		case i == 0 && arg == "reset":
			f.Reset = true
		case i == 0 && arg == "redirect":
			f.Redirect = "https://elsewhere.example/token"
		case i == 0 && arg == "poisoned":
			f = idjagtest.Poisoned("invalid_request")
		case i == 0 && arg == "none":
		case i == 0:
			f.Code = arg
		case key == "status":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			f.Status = n
		case key == "times":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			f.Times = n
		case key == "description":
			f.Description = value
		case key == "retry-after":
			f.RetryAfter = value
		default:
			ts.Fatalf("unknown fault option %q", arg)
		}
	}
	return f
}
