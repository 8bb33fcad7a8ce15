package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const full = `{
  // what a person at Acme has
  "$schema": "./schema.json",
  "enterpriseManagedAuth": {
    "idp": {
      "issuer": "https://acme.example/",
      "clientId": "laptop",
      "scopes": ["groups", "email"],
      "offlineAccess": false,
      "clientAuth": { "method": "private_key_jwt", "keyFile": "keys/idp.pem", "keyId": "k1" },
    },
    "idps": { "lab.two": { "issuer": "http://127.0.0.1:8080", "clientId": "lab" } },
  },
  "mcpServers": {
    "wiki": {
      "type": "http",
      "url": "https://wiki.example/mcp",
      "oauth": {
        "clientId": "wiki-mcp",
        "idp": "lab.two",
        "scopes": ["read"],
        "sendScope": false,
        "clientAuth": { "secretCommand": ["~/bin/show", "wiki", "hunter2"] },
      },
    },
    "open": { "url": "https://open.example/mcp?x=1", "oauth": { "enterpriseManaged": false } },
  },
  "store": { "kind": "file", "keyFile": "~/key" },
}
`

// home makes a home folder, with text as its configuration file unless empty.
func home(t *testing.T, text string) Paths {
	t.Helper()
	p, err := Locate(t.TempDir(), vars{}.get)
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		write(t, p.Config, text, 0o600)
	}
	return p
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

type vars map[string]string

func (v vars) get(name string) string { return v[name] }

func load(t *testing.T, p Paths, o Overrides, v vars) *Config {
	t.Helper()
	c, err := Load(p, o, v.get)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoad(t *testing.T) {
	p := home(t, full)
	c := load(t, p, Overrides{}, nil)
	no := false
	wantIdP := IdP{Name: "default", Issuer: "https://acme.example/", IdPClientID: "laptop", Scopes: []string{"groups", "email"},
		OfflineAccess: &no, ClientAuth: Auth{Method: "private_key_jwt", KeyFile: filepath.Join(p.Home, ".config/mcpauth/keys/idp.pem"), KeyID: "k1"}}
	if diff := cmp.Diff([]IdP{wantIdP, {Name: "lab.two", Issuer: "http://127.0.0.1:8080", IdPClientID: "lab"}}, c.IdPs()); diff != "" {
		t.Errorf("IdPs (-want +got):\n%s", diff)
	}
	wantServers := []Server{
		{Name: "open", URL: "https://open.example/mcp?x=1", OAuth: OAuth{EnterpriseManaged: &no}},
		{Name: "wiki", Type: "http", URL: "https://wiki.example/mcp", OAuth: OAuth{ASClientID: "wiki-mcp", IdP: "lab.two", Scopes: []string{"read"},
			SendScope: &no, ClientAuth: Auth{SecretCommand: []string{filepath.Join(p.Home, "bin/show"), "wiki", "hunter2"}}}},
	}
	if diff := cmp.Diff(wantServers, c.Servers()); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Store{Kind: "file", KeyFile: filepath.Join(p.Home, "key")}, c.Store()); diff != "" {
		t.Errorf("store (-want +got):\n%s", diff)
	}
	if !c.Found || c.Path != p.Config {
		t.Errorf("Found = %v, Path = %q", c.Found, c.Path)
	}
}

func TestNoFile(t *testing.T) {
	c := load(t, home(t, ""), Overrides{}, nil)
	if c.Found || len(c.Servers()) > 0 || len(c.IdPs()) > 0 || c.Store() != (Store{}) {
		t.Errorf("an absent file configures something: %+v", c)
	}
	for _, o := range []Overrides{{Config: "/nowhere/config.json"}} {
		if _, err := Load(home(t, ""), o, vars{}.get); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a named file that is absent: %v", err)
		}
	}
	if _, err := Load(home(t, ""), Overrides{}, vars{"MCPAUTH_CONFIG": "/nowhere/config.json"}.get); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is absent: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	var p IdP
	if !p.WantsOfflineAccess(true) || p.WantsOfflineAccess(false) || p.RedirectHostOrDefault() != "127.0.0.1" || p.SubjectTokenOrDefault() != "auto" {
		t.Error("the defaults of an IdP are wrong")
	}
	yes, no := true, false
	if p.OfflineAccess = &yes; !p.WantsOfflineAccess(false) {
		t.Error("offlineAccess true is not obeyed")
	}
	if p.OfflineAccess = &no; p.WantsOfflineAccess(true) {
		t.Error("offlineAccess false is not obeyed")
	}
	var o OAuth
	if !o.NeedsIdP() || !o.SendsResource() || !o.SendsScope() || (Store{}).KindOrDefault() != "keychain" {
		t.Error("the defaults of a server are wrong")
	}
	o = OAuth{EnterpriseManaged: &no, SendResource: &no, SendScope: &no}
	if o.NeedsIdP() || o.SendsResource() || o.SendsScope() {
		t.Error("false is not obeyed")
	}
}

// One row per refusal, with the exact place. No row's message may hold the value.
func TestLoadErrors(t *testing.T) {
	idp := func(members string) string {
		return `{"enterpriseManagedAuth": {"idp": {"issuer": "https://i.example", "clientId": "c", ` + members + `}}}`
	}
	oauth := func(members string) string {
		return `{      "mcpServers": {"w": {"url": "https://w.example", "oauth": {"clientId": "c", ` + members + `}}}}`
	}
	const place = 84 // the column where members starts in both; "@5" is five columns on
	for _, tt := range []struct{ name, text, want string }{
		{"not JSON", "{\n  \"store\": canary\n}", `:2:12: invalid literal`},
		{"single backslashes", "{\n  \"caFile\": \"C:\\Users\\ada\\ca.pem\"\n}", `:2:13: invalid literal` + backslash},
		{"a backslash and a letter", `{"caFile": "C:\temp\new.pem"}`, `:1:12: "caFile" holds a control character` + backslash},
		{"cut off", "{\n  \"store\": {", `:2:13: parsing value: unexpected EOF`},
		{"two values", `{} {}`, `:1:4: invalid character '{' after top-level value`},
		{"not UTF-8", "{\n \"caFile\": \"/\xff\"}", `:2:14: not valid UTF-8`},
		{"not an object", `["canary"]`, `:1:1: the file is not an object`},
		{"unknown key", "{\n\t\"mcpServer\": {}}", `:2:2: unknown key "mcpServer", did you mean "mcpServers"?`},
		{"other case", `{"store": {"Kind": "file"}}`, `:1:12: unknown key "Kind", did you mean "kind"?`},
		{"nothing near", `{"zebra": 1}`, `:1:2: unknown key "zebra"`},
		{"columns are characters", `{"mcpServers": /* überall */ {"w": {"url": "https://w.example", "ur": 1}}}`, `:1:65: unknown key "ur", did you mean "url"?`},
		{"twice", "{\"store\": {},\n\"store\": {}}", `:2:1: key "store" stands twice`},
		{"twice, spelled differently", `{"store": {}, "s\u0074ore": {}}`, `:1:15: key "store" stands twice`},
		{"server twice", `{"mcpServers": {"w": {"url": "https://w.example"}, "w": {}}}`, `:1:52: key "w" stands twice`},
		{"secret", idp(`"client_secret": "canary"`), `:1:SECRET`},
		{"token", oauth(`"accessToken": "canary"`), `:1:SECRET`},
		{"headers", `{"mcpServers": {"w": {"headers": {"Authorization": "canary"}}}}`, `:1:SECRET`},
		{"local server", `{"mcpServers": {"w": {"command": "npx"}}}`, `:1:23: key "command" belongs to a local server, which needs no token from mcpauth`},
		{"server name", `{"mcpServers": {"w x": {}}}`, `:1:17: "w x" is not a name: use up to 64 letters, digits, dots, dashes and underscores`},
		{"IdP name", `{"enterpriseManagedAuth": {"idps": {"": {}}}}`, `:1:37: "" is not a name: use up to 64 letters, digits, dots, dashes and underscores`},
		{"string for object", `{"store": "canary"}`, `:1:11: "store" is not an object`},
		{"string for server", `{"mcpServers": {"w.x": "canary"}}`, `:1:24: "w.x" is not an object`},
		{"number for string", `{"caFile": 5}`, `:1:12: "caFile" is not a string`},
		{"null", `{"caFile": null}`, `:1:12: "caFile" is not a string`},
		{"empty", `{"caFile": ""}`, `:1:12: "caFile" is empty`},
		{"string for bool", oauth(`"sendScope": "canary"`), `:1:@13: "sendScope" is not true or false`},
		{"string for list", oauth(`"scopes": "canary"`), `:1:@10: "scopes" is not a list of strings`},
		{"number in list", oauth(`"scopes": ["a", 1]`), `:1:@16: "scopes[1]" is not a string`},
		{"fraction", idp(`"redirectPort": 1.5`), `:1:@16: "redirectPort" is not a whole number`},
		{"port", idp(`"redirectPort": 65536`), `:1:@16: "redirectPort" is not a port number`},
		{"missing issuer", "{\"enterpriseManagedAuth\": {\n\"idp\": {\"clientId\": \"c\"}}}", `:2:8: "issuer" is missing`},
		{"missing clientId", "{\"enterpriseManagedAuth\": {\"idps\": {\n\"a.b\": {\"issuer\": \"https://i.example\"}}}}", `:2:8: "clientId" is missing`},
		{"missing url", "{\"mcpServers\": {\n \"w\": {}}}", `:2:7: "url" is missing`},
		{"missing AS clientId", "{\"mcpServers\": {\"w\": {\"url\": \"https://w.example\",\n\"oauth\": {}}}}", `:2:10: "clientId" is missing`},
		{"http", `{"mcpServers": {"w": {"url": "http://canary.example"}}}`, `:1:30: "url" is not an https URL (http is for loopback addresses only)`},
		{"http to a private address", `{"mcpServers": {"w": {"url": "http://10.0.0.1"}}}`, `:1:30: "url" is not an https URL (http is for loopback addresses only)`},
		{"http to a look-alike", `{"mcpServers": {"w": {"url": "http://localhost.canary.example"}}}`, `:1:30: "url" is not an https URL (http is for loopback addresses only)`},
		{"other scheme", `{"mcpServers": {"w": {"url": "ftp://canary.example"}}}`, `:1:30: "url" is not an https URL (http is for loopback addresses only)`},
		{"relative", `{"mcpServers": {"w": {"url": "canary/mcp"}}}`, `:1:30: "url" is not an absolute URL`},
		{"no host", `{"mcpServers": {"w": {"url": "https://:443/canary"}}}`, `:1:30: "url" is not an absolute URL`},
		{"opaque", `{"mcpServers": {"w": {"url": "https:canary"}}}`, `:1:30: "url" is not an absolute URL`},
		{"space", `{"mcpServers": {"w": {"url": "https://canary.example/a b"}}}`, `:1:30: "url" is not an absolute URL`},
		{"not ASCII", `{"mcpServers": {"w": {"url": "https://canarÿ.example/"}}}`, `:1:30: "url" is not an absolute URL`},
		{"user", `{"mcpServers": {"w": {"url": "https://u:canary@w.example"}}}`, `:1:30: "url" holds a user name or password`},
		{"fragment", `{"mcpServers": {"w": {"url": "https://w.example/#canary"}}}`, `:1:30: "url" holds a fragment`},
		{"empty fragment", `{"mcpServers": {"w": {"url": "https://w.example/#"}}}`, `:1:30: "url" holds a fragment`},
		{"issuer query", oauth(`"issuer": "https://i.example?"`), `:1:@10: "issuer" holds a query, which an issuer cannot have`},
		{"token endpoint", idp(`"tokenEndpoint": "http://i.example/token"`), `:1:@17: "tokenEndpoint" is not an https URL (http is for loopback addresses only)`},
		{"token endpoint of somebody else (S6)", idp(`"tokenEndpoint": "https://evil.example/token"`), `:1:@17: "tokenEndpoint" is not on the issuer's host`},
		{"token endpoint at another port (S6)", idp(`"tokenEndpoint": "https://i.example:8443/token"`), `:1:@17: "tokenEndpoint" is not on the issuer's host`},
		{"AS token endpoint of somebody else (S1)", oauth(`"issuer": "https://as.example", "tokenEndpoint": "https://evil.example/token"`), `:1:@49: "tokenEndpoint" is not on the issuer's host`},
		{"AS token endpoint without an issuer (S1)", oauth(`"tokenEndpoint": "https://as.example/token"`), `:1:@17: "tokenEndpoint" needs the "issuer" that it belongs to`},
		{"resource of another server (S2)", oauth(`"resource": "https://other.example/mcp"`), `:1:@12: "resource" is not on the server's own host: its tokens would be another server's`},
		{"resource", oauth(`"resource": "canary"`), `:1:@12: "resource" is not an absolute URI without a fragment`},
		{"type", `{"mcpServers": {"w": {"type": "canary", "url": "https://w.example"}}}`, `:1:31: "type" is not one of http`},
		{"method", oauth(`"clientAuth": {"method": "canary"}`), `:1:@25: "method" is not one of none, client_secret_basic, client_secret_post, private_key_jwt`},
		{"redirect host", idp(`"redirectHost": "0.0.0.0"`), `:1:@16: "redirectHost" is not one of 127.0.0.1, localhost, [::1]`},
		{"scope", oauth(`"scopes": ["a b"]`), `:1:@10: "scopes" holds something that is not a single word`},
		{"control character", oauth(`"audience": "a\u001bb"`), `:1:@12: "audience" holds a control character`},
		{"client ID", `{"enterpriseManagedAuth": {"idp": {"issuer": "https://i.example", "clientId": "ü"}}}`, `:1:79: "clientId" holds a character that OAuth does not allow in a client ID`},
		{"two secrets", oauth(`"clientAuth": {"secretFile": "a", "secretCommand": ["b"]}`), `:1:@51: "secretCommand" stands beside "secretFile"; one of them is enough`},
		{"no program", oauth(`"clientAuth": {"secretCommand": []}`), `:1:@32: "secretCommand" is an empty list; it needs at least a program`},
		{"no key", oauth(`"clientAuth": {"method": "private_key_jwt"}`), `:1:@14: "keyFile" is missing; private_key_jwt needs it, or "key"`},
		{"two keys", oauth(`"clientAuth": {"keyFile": "a", "key": "b"}`), `:1:@38: "key" stands beside "keyFile"; one of them is enough`},
		{"key for none", oauth(`"clientAuth": {"method": "none", "key": "a"}`), `:1:@25: "method" does not use the secret that stands beside it`},
		{"mode", oauth(`"mode": "canary"`), `:1:@8: "mode" is not one of ema, oauth, auto, client_credentials, workload`},
		{"two modes (S28)", oauth(`"mode": "oauth", "enterpriseManaged": true`), `:1:@38: "enterpriseManaged" contradicts "mode"`},
		{"two modes, the other way", oauth(`"mode": "ema", "enterpriseManaged": false`), `:1:@36: "enterpriseManaged" contradicts "mode"`},
		{"workload without a token", oauth(`"mode": "workload"`), `:1:66: "workload" and the mode workload need each other`},
		{"a token without workload", oauth(`"workload": {"tokenFile": "a"}`), `:1:@12: "workload" and the mode workload need each other`},
		{"two platform tokens", oauth(`"mode": "workload", "workload": {"tokenFile": "a", "tokenCommand": ["b"]}`), `:1:@67: "tokenCommand" stands beside "tokenFile"; one of them is enough`},
		{"managed without discovery", oauth(`"legacyDiscovery": true`), `:1:@19: "legacyDiscovery" is for servers with mode oauth`},
		{"redirect path", oauth(`"redirectPath": "cb?x"`), `:1:@16: "redirectPath" is not a plain path that begins with /`},
		{"metadata document without a path", `{"client": {"metadataUrl": "https://acme.example"}}`, `:1:28: "metadataUrl" is not an https URL with a path, as a client ID has to be`},
		{"metadata document in the clear", `{"client": {"metadataUrl": "http://127.0.0.1/c"}}`, `:1:28: "metadataUrl" is not an https URL with a path, as a client ID has to be`},
		{"secret of a metadata document", `{"client": {"clientAuth": {"method": "client_secret_basic"}}}`, `:1:38: "method" cannot be used with a metadata document, which holds no secret; use none or private_key_jwt`},
		{"one audience for all", `{"client": {"clientAuth": {"method": "private_key_jwt", "keyFile": "k", "assertionAudience": "https://a.example"}}}`, `:1:94: "assertionAudience" would be one for all authorization servers; use issuer or token_endpoint here, and set it for the one server`},
		{"secret for none", oauth(`"clientAuth": {"method": "none", "secretFile": "a"}`), `:1:@25: "method" does not use the secret that stands beside it`},
		{"unknown IdP", oauth(`"idp": "canary"`), `:1:@7: "idp" names an identity provider that the file does not have`},
		{"idps default", `{"enterpriseManagedAuth": {"idps": {"default": {"issuer": "https://i.example", "clientId": "c"}}}}`, `:1:48: "default" is the name of the block "idp"`},
		{"store without key", `{"store": {"kind": "file"}}`, `:1:20: "kind" is file, which needs "keyFile" or "passphraseFile"`},
		{"store without kind", `{"store": {"keyFile": "a"}}`, `:1:11: "kind" is missing; a key file or passphrase file goes with file`},
		{"store with both", `{"store": {"kind": "file", "keyFile": "a", "passphraseFile": "b"}}`, `:1:62: "passphraseFile" stands beside "keyFile"; one of them is enough`},
		{"keychain with key", `{"store": {"kind": "keychain", "keyFile": "a"}}`, `:1:20: "kind" is keychain, which uses no file`},
		{"far too deep", strings.Repeat("[", maxFile), `: more than 20000 objects and lists`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := home(t, tt.text)
			_, err := Load(p, Overrides{}, vars{}.get)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the value: %v", err)
			}
			got := strings.TrimPrefix(err.Error(), p.Config)
			want := columns(t, tt.want, place)
			if strings.HasSuffix(want, "SECRET") {
				if !strings.Contains(got, "secrets do not belong in this file") || !strings.HasPrefix(got, ":1:") {
					t.Errorf("error %q does not say where secrets belong", got)
				}
			} else if got != want {
				t.Errorf("error %q, want %q", got, want)
			}
		})
	}
}

// columns replaces "@5" in a wanted message.
func columns(t *testing.T, want string, place int) string {
	before, rest, ok := strings.Cut(want, "@")
	if !ok {
		return want
	}
	digits, rest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%d:%s", before, place+n, rest)
}
