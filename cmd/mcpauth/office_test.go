package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// office is the company of a script: the strict fakes, and around them a second
// authorization server that the identity provider knows as well, a second
// identity provider, and a second person.
type office struct {
	*idjagtest.Company
	AS2   *idjagtest.AS
	IdP2  *idjagtest.IdP
	ahead time.Duration
	held  map[string]*hold
}

type officeKey struct{}

func theOffice(ts *testscript.TestScript) *office { return ts.Value(officeKey{}).(*office) }

// bob's password is no secret of anybody's; it is long enough to be looked for.
const bob = "bob-has-a-long-password"

// testingT is what the fakes need of a test; a script is one without a testing.T.
type testingT struct{ deferrer interface{ Defer(func()) } }

func (testingT) Helper()                        {}
func (t testingT) Cleanup(f func())             { t.deferrer.Defer(f) }
func (t testingT) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// companyOptions are the words of the company command.
var companyOptions = map[string]func(c *idjagtest.Company, value string){
	"no-refresh-id-token": func(c *idjagtest.Company, _ string) { c.IdP.NoRefreshIDToken = true },
	"no-refresh-subject":  func(c *idjagtest.Company, _ string) { c.IdP.NoRefreshSubject = true },
	"expired-subject":     func(c *idjagtest.Company, v string) { c.IdP.ExpiredSubject = v },
	"resource-optional":   func(c *idjagtest.Company, _ string) { c.IdP.ResourceOptional = true },
	"strict-scopes":       func(c *idjagtest.Company, _ string) { c.Connection.StrictScopes = true },
	"groups":              func(c *idjagtest.Company, v string) { c.Connection.Groups = []string{v} },
	"refusal":             func(c *idjagtest.Company, v string) { c.Connection.Refusal = v },
	"acr":                 func(c *idjagtest.Company, v string) { c.Connection.ACR = v },
	"as-path":             func(c *idjagtest.Company, v string) { c.AS.Path = v },
	"refresh-tokens":      func(c *idjagtest.Company, _ string) { c.AS.RefreshTokens = true },
	"redirect":            func(c *idjagtest.Company, v string) { c.IdPClient.RedirectURIs = []string{v} },
	"no-metadata":         func(c *idjagtest.Company, _ string) { c.MCP.Form = idjagtest.NoMetadata },
	"root-metadata":       func(c *idjagtest.Company, _ string) { c.MCP.Form = idjagtest.RootMetadata },
	"published":           func(c *idjagtest.Company, v string) { c.MCP.Published = v },
	"grant-lifetime":      func(c *idjagtest.Company, v string) { c.IdP.GrantLifetime, _ = time.ParseDuration(v) },
	"standard":            func(c *idjagtest.Company, _ string) { idjagtest.Standard(c) },
	"both":                func(c *idjagtest.Company, _ string) { idjagtest.Standard(c); c.AS.NoIDJAG = false },
	"legacy":              func(c *idjagtest.Company, _ string) { idjagtest.Legacy(c) },
	"always-refresh":      func(c *idjagtest.Company, _ string) { c.AS.AlwaysRefresh = true },
	"no-as-metadata":      func(c *idjagtest.Company, _ string) { c.AS.NoMetadata = true },
	"programs": func(c *idjagtest.Company, _ string) {
		c.ASClient.Grants = []string{"client_credentials", idjagtest.GrantJWTBearer}
	},
	"dpop":            func(c *idjagtest.Company, v string) { bound(c, v) },
	"no-registration": func(c *idjagtest.Company, _ string) { c.AS.Registration = false },
	"cimd":            trustDocuments,
	"no-offline":      func(c *idjagtest.Company, _ string) { c.AS.OfflineAccess = false },
	"cacheable":       func(c *idjagtest.Company, _ string) { cacheable(c) },
	"method":          func(c *idjagtest.Company, v string) { c.IdPClient.Method, c.ASClient.Method = v, v },
}

// companyCmd replaces the company. What mcpauth remembers of the first is nothing
// when this is the first command.
func companyCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	var options []func(*idjagtest.Company)
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		option := companyOptions[name]
		if option == nil {
			ts.Fatalf("unknown option %q; there are %q", name, slices.Sorted(maps.Keys(companyOptions)))
		}
		options = append(options, func(c *idjagtest.Company) { option(c, value) })
	}
	theOffice(ts).ahead = 0
	ts.Setenv("CLOCK", "")
	ts.Check(theOffice(ts).open(ts.Getenv("WORK"), ts, ts.Setenv, options...))
}

// cacheable puts a server in front of each party that lets its metadata be kept,
// which the fakes themselves forbid.
func cacheable(c *idjagtest.Company) {
	front := func(h http.Handler) string {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			if strings.Contains(r.URL.Path, "/.well-known/") {
				w.Header().Set("Cache-Control", "max-age=3600")
			}
			w.WriteHeader(answer.Code)
			w.Write(answer.Body.Bytes())
		})).URL
	}
	c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = front(c.IdP), front(c.AS), front(c.MCP)+"/mcp"
}

// bound has the parties bind tokens to a key: everybody for "all", all but the
// identity provider for "outside".
func bound(c *idjagtest.Company, who string) {
	policy := idjagtest.DPoPPolicy{Require: true, Nonce: true}
	c.AS.DPoP, c.MCP.DPoP = policy, policy
	if who == "all" {
		c.IdP.DPoP = policy
	}
}

// open starts a company and tells the script where everybody is.
func (o *office) open(work string, d interface{ Defer(func()) }, setenv func(k, v string), options ...func(*idjagtest.Company)) error {
	t := testingT{d}
	options = append([]func(*idjagtest.Company){func(c *idjagtest.Company) { c.AS.JWT = true }}, options...)
	o.Company = idjagtest.New(t, options...)
	o.IdP.AddPerson(idjagtest.Person{Subject: "bob", Name: "Bob Example", Email: "bob@acme.example", Password: bob, Groups: []string{"engineering"}})
	o.AS2, o.IdP2 = &idjagtest.AS{Party: idjagtest.Party{Now: o.Now}, JWT: true}, &idjagtest.IdP{Party: idjagtest.Party{Now: o.Now}}
	for _, start := range []func() error{o.AS2.Start, o.IdP2.Start} {
		if err := start(); err != nil {
			return err
		}
	}
	t.Cleanup(func() { o.AS2.Close(); o.IdP2.Close() })
	o.AS2.AddClient(o.ASClient)
	o.AS2.AddResource(o.MCP.Resource, "read", "write")
	o.AS2.TrustIdP(o.IdP)
	line := o.Connection
	line.Audience = o.AS2.Issuer
	o.IdP.AddConnection(line)
	o.IdP2.AddPerson(o.Person)
	o.IdP2.AddClient(o.IdPClient)
	o.held = map[string]*hold{}
	for k, v := range map[string]string{
		"PERSON": o.Person.Email, "PASSWORD": o.Person.Password, "BOB": "bob@acme.example", "BOB_PASSWORD": bob,
		"IDP": o.IdP.Issuer, "IDP2": o.IdP2.Issuer, "IDP_CLIENT": o.IdPClient.ID,
		"AS": o.AS.Issuer, "AS2": o.AS2.Issuer, "AS_CLIENT": o.ASClient.ID,
		"MCP": o.MCP.Resource, "MCP_ORIGIN": strings.TrimSuffix(o.MCP.Resource, "/mcp"), "RESOURCE": o.Connection.Resource,
	} {
		setenv(k, v)
	}
	if o.IdPClient.Key != nil {
		setenv("IDP_KEY", o.IdPClient.Key.ID)
		setenv("AS_KEY", o.ASClient.Key.ID)
	}
	files := map[string]string{
		"idp-secret": o.IdPClient.Secret + "\n", "as-secret": o.ASClient.Secret + "\n", "id-token": o.MintIDToken(nil),
	}
	if o.IdPClient.Key != nil {
		files[".idp-key"], files[".as-key"] = string(o.IdPClient.Key.PEM()), string(o.ASClient.Key.PEM())
	}
	if o.ASClient.Grants != nil { // a server that trusts a platform says that it takes JWT bearer grants
		platform := o.Platform("https://builds.example")
		for name, life := range map[string]time.Duration{"platform-token": time.Hour, "old-platform-token": -time.Hour} {
			jwt, err := platform.Mint("build-7", o.AS.Issuer, func(_, claims map[string]any) { claims["exp"] = o.Now().Add(life).Unix() })
			if err != nil {
				return err
			}
			files[name] = jwt
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// parties lists the fakes by their names in scripts.
func (o *office) parties() map[string]*idjagtest.Party {
	return map[string]*idjagtest.Party{
		"idp": &o.IdP.Party, "idp2": &o.IdP2.Party, "as": &o.AS.Party, "as2": &o.AS2.Party, "mcp": &o.MCP.Party,
	}
}

func countCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	only, what, ok := strings.Cut(args[0], ".")
	if !ok {
		only, what = "", args[0]
	}
	got, log := 0, []string{}
	for name, p := range theOffice(ts).parties() {
		if only != "" && only != name {
			continue
		}
		if what == "all" {
			got += len(p.Requests())
		} else {
			got += p.Count(what)
		}
		for _, r := range p.Requests() {
			log = append(log, name+" "+r.String())
		}
	}
	if got != want {
		ts.Fatalf("%d requests for %s, want %d:\n%s", got, args[0], want, strings.Join(log, "\n"))
	}
}

func forgetCmd(ts *testscript.TestScript, neg bool, _ []string) {
	must0(ts, neg)
	for _, p := range theOffice(ts).parties() {
		p.ForgetRequests()
	}
}

// configureCmd writes the configuration file, as an administrator would hand it
// out: the identity provider, the file store and the server "wiki". Arguments
// add to the blocks: idp.KEY=VALUE and wiki.KEY=VALUE.
func configureCmd(ts *testscript.TestScript, neg bool, args []string) {
	must0(ts, neg)
	o := theOffice(ts)
	secret := func(name string) map[string]any {
		return map[string]any{"secretFile": filepath.Join(ts.Getenv("WORK"), name)}
	}
	blocks := map[string]map[string]any{
		"idp":  {"issuer": o.IdP.Issuer, "clientId": o.IdPClient.ID, "clientAuth": secret("idp-secret")},
		"wiki": {"clientId": o.ASClient.ID, "clientAuth": secret("as-secret")},
	}
	for _, arg := range args {
		where, v, _ := strings.Cut(arg, "=")
		block, key, _ := strings.Cut(where, ".")
		blocks[block][key] = value(o, v)
	}
	file, err := json.MarshalIndent(map[string]any{
		"enterpriseManagedAuth": map[string]any{"idp": blocks["idp"]},
		"mcpServers":            map[string]any{"wiki": map[string]any{"url": o.MCP.Resource, "oauth": blocks["wiki"]}},
		"store":                 map[string]any{"kind": "file", "keyFile": filepath.Join(ts.Getenv("HOME"), "key")},
	}, "", "  ")
	ts.Check(err)
	path := ts.Getenv("CONFIG")
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	ts.Check(os.WriteFile(path, file, 0o600))
}
