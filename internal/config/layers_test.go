package config

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Flags win over variables, variables over the file, and each value knows it.
func TestSettings(t *testing.T) {
	p := home(t, "{\n \"caFile\": \"ca.pem\",\n \"enterpriseManagedAuth\": {\"idp\": {\n  \"issuer\": \"https://i.example\",\n  \"clientId\": \"c\",\n  \"scopes\": [\"a\", \"b\"]}},\n \"mcpServers\": {\"w.1\": {\"url\": \"https://w.example\", \"oauth\": {\"clientId\": \"w\",\n  \"clientAuth\": {\"secretCommand\": [\"show\", \"hunter2\"]}}}}}")
	port := 8123
	c := load(t, p, Overrides{CAFile: "/flag.pem", RedirectPort: &port}, vars{"MCPAUTH_CA_FILE": "/var.pem", "MCPAUTH_STORE_KEY_FILE": "/k//."})
	root, err := filepath.Abs("/") // of a drive, where there are drives
	if err != nil {
		t.Fatal(err)
	}
	at := func(place string) string { return p.Config + ":" + place }
	idp, server := "enterpriseManagedAuth.idp.", `mcpServers["w.1"].`
	want := []Setting{
		{"config", p.Config, "default"},
		{"state", p.State, "default"},
		{idp + "issuer", "https://i.example", at("4:13")},
		{idp + "clientId", "c", at("5:15")},
		{idp + "clientAuth.basicEncoding", "form", "default"},
		{idp + "scopes", "a b", at("6:13")},
		{idp + "redirectHost", "127.0.0.1", "default"},
		{idp + "redirectPort", "8123", "--redirect-port"},
		{idp + "subjectToken", "auto", "default"},
		{"enterpriseManagedAuth.allowFallback", "false", "default"},
		{server + "url", "https://w.example", at("7:32")},
		{server + "oauth.mode", "ema", "default"},
		{server + "oauth.clientId", "w", at("7:75")},
		{server + "oauth.clientAuth.secretCommand", "show", at("8:35")},
		{server + "oauth.clientAuth.basicEncoding", "form", "default"},
		{server + "oauth.sendResource", "true", "default"},
		{server + "oauth.sendScope", "true", "default"},
		{server + "oauth.registration", "auto", "default"},
		{server + "oauth.legacyDiscovery", "false", "default"},
		{server + "oauth.dpop", "auto", "default"},
		{server + "oauth.redirectHost", "127.0.0.1", "default"},
		{server + "oauth.redirectPort", "0", "default"},
		{server + "oauth.redirectPath", "/callback", "default"},
		{"store.kind", "file", "MCPAUTH_STORE"},
		{"store.keyFile", root + "k", "MCPAUTH_STORE_KEY_FILE"},
		{"client.clientAuth.basicEncoding", "form", "default"},
		{"caFile", root + "flag.pem", "--ca-file"},
	}
	if diff := cmp.Diff(want, c.Settings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A block comes whole from one layer.
func TestBlocksDoNotMix(t *testing.T) {
	p := home(t, full)
	for _, tt := range []struct {
		name  string
		flags Overrides
		vars  vars
		want  IdP
		from  string
	}{
		{"variables", Overrides{}, vars{"MCPAUTH_ISSUER": "https://v.example", "MCPAUTH_CLIENT_ID": "v"},
			IdP{Name: "default", Issuer: "https://v.example", IdPClientID: "v"}, "MCPAUTH_ISSUER"},
		{"flags over variables", Overrides{Block: &IdP{Issuer: "https://f.example", IdPClientID: "f"}}, vars{"MCPAUTH_ISSUER": "https://v.example", "MCPAUTH_CLIENT_ID": "v"},
			IdP{Name: "default", Issuer: "https://f.example", IdPClientID: "f"}, "--issuer"},
		{"a block under the name of another", Overrides{IdP: "lab.two", Block: &IdP{Issuer: "https://f.example", IdPClientID: "f"}}, nil,
			IdP{Name: "lab.two", Issuer: "https://f.example", IdPClientID: "f"}, "--issuer"},
		{"a name alone selects", Overrides{IdP: "lab.two"}, vars{"MCPAUTH_IDP": "default"},
			IdP{Name: "lab.two", Issuer: "http://127.0.0.1:8080", IdPClientID: "lab"}, p.Config + ":12:38"},
		{"a variable selects", Overrides{}, vars{"MCPAUTH_IDP": "lab.two"},
			IdP{Name: "lab.two", Issuer: "http://127.0.0.1:8080", IdPClientID: "lab"}, p.Config + ":12:38"},
		{"the port goes with any block", Overrides{}, vars{"MCPAUTH_IDP": "lab.two", "MCPAUTH_REDIRECT_PORT": "7000"},
			IdP{Name: "lab.two", Issuer: "http://127.0.0.1:8080", IdPClientID: "lab", RedirectPort: 7000}, p.Config + ":12:38"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, p, tt.flags, tt.vars)
			got, err := c.IdP("")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			from := ""
			for _, s := range c.Settings() {
				if s.Value == tt.want.Issuer {
					from = s.Source
				}
			}
			if from != tt.from {
				t.Errorf("issuer from %q, want %q", from, tt.from)
			}
		})
	}
}

// One file over another, as an administrator's will be: what the lower one said
// about a replaced block is forgotten, values and places alike.
func TestFileOverFile(t *testing.T) {
	lower, err := fileLayer("low", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	upper, err := fileLayer("up", []byte(`{"enterpriseManagedAuth": {"idp": {"issuer": "https://up.example", "clientId": "u"}},
		"mcpServers": {"wiki": {"url": "https://up.example"}, "new": {"url": "https://new.example"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !lower.overlay(upper) || lower.overlay(layer{}) {
		t.Error("overlay reports changes wrongly")
	}
	want := IdP{Name: "default", Issuer: "https://up.example", IdPClientID: "u"}
	if diff := cmp.Diff(&want, lower.file.Managed.IdP); diff != "" {
		t.Errorf("IdP (-want +got):\n%s", diff)
	}
	if len(lower.file.Servers) != 3 || lower.file.Servers["wiki"].OAuth.ASClientID != "" || len(lower.file.Managed.IdPs) != 1 {
		t.Errorf("servers %+v", lower.file.Servers)
	}
	for key, want := range map[string]string{
		"enterpriseManagedAuth.idp.issuer":             "up:1:46",
		"enterpriseManagedAuth.idp.scopes[0]":          "",
		"mcpServers.wiki.oauth.clientId":               "",
		"mcpServers.open.url":                          "low:26:22",
		`enterpriseManagedAuth.idps["lab.two"].issuer`: "low:12:38",
	} {
		if got := lower.at[key]; got != want {
			t.Errorf("%s is from %q, want %q", key, got, want)
		}
	}
}

func TestOverrideErrors(t *testing.T) {
	bad := -1
	for _, tt := range []struct {
		name  string
		flags Overrides
		vars  vars
		want  string
	}{
		{"client ID alone", Overrides{Block: &IdP{IdPClientID: "c"}}, nil, `--issuer: "issuer" is missing`},
		{"issuer alone", Overrides{Block: &IdP{Issuer: "https://i.example"}}, nil, `--client-id: "clientId" is missing`},
		{"issuer variable alone", Overrides{}, vars{"MCPAUTH_ISSUER": "https://i.example"}, `MCPAUTH_CLIENT_ID: "clientId" is missing`},
		{"issuer over http", Overrides{Block: &IdP{Issuer: "http://i.example", IdPClientID: "c"}}, nil, `--issuer: "issuer" is not an https URL (http is for loopback addresses only)`},
		{"named block", Overrides{IdP: "a.b", Block: &IdP{Issuer: "x", IdPClientID: "c"}}, nil, `--issuer: "issuer" is not an absolute URL`},
		{"client authentication", Overrides{Block: &IdP{Issuer: "https://i.example", IdPClientID: "c", ClientAuth: Auth{Method: "x"}}}, nil,
			`--client-auth: "method" is not one of none, client_secret_basic, client_secret_post, private_key_jwt`},
		{"a field without a flag", Overrides{Block: &IdP{Issuer: "https://i.example", IdPClientID: "c", RedirectHost: "x"}}, nil,
			`--issuer: "redirectHost" is not one of 127.0.0.1, localhost, [::1]`},
		{"store", Overrides{Store: &Store{Kind: "x"}}, nil, `--store: "kind" is not one of keychain, file`},
		{"store with two files", Overrides{}, vars{"MCPAUTH_STORE_KEY_FILE": "a", "MCPAUTH_STORE_PASSPHRASE_FILE": "b"},
			`MCPAUTH_STORE_PASSPHRASE_FILE: "passphraseFile" stands beside "keyFile"; one of them is enough`},
		{"IdP name", Overrides{IdP: "a/b"}, nil, `--idp: "a/b" is not a name: use up to 64 letters, digits, dots, dashes and underscores`},
		{"port", Overrides{RedirectPort: &bad}, nil, `--redirect-port: "redirectPort" is not a port number`},
		{"port variable", Overrides{}, vars{"MCPAUTH_REDIRECT_PORT": "any"}, `MCPAUTH_REDIRECT_PORT: not a port number`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(home(t, full), tt.flags, tt.vars.get)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// Paths of flags start at the working folder, and the caller's own values stay.
func TestPathsOfFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	flags := Overrides{CAFile: "ca.pem", Block: &IdP{Issuer: "https://i.example", IdPClientID: "c", ClientAuth: Auth{SecretCommand: []string{"./show"}}}}
	c := load(t, home(t, ""), flags, nil)
	want, err := filepath.Abs("ca.pem")
	if err != nil || c.CAFile() != want {
		t.Errorf("CA file %q, want %q", c.CAFile(), want)
	}
	p, err := c.IdP("")
	if err != nil || !filepath.IsAbs(p.ClientAuth.SecretCommand[0]) {
		t.Errorf("program %v, %v", p.ClientAuth.SecretCommand, err)
	}
	if got := flags.Block.ClientAuth.SecretCommand[0]; got != "./show" {
		t.Errorf("Load changed the caller's slice to %q", got)
	}
}

func TestServer(t *testing.T) {
	c := load(t, home(t, `{"mcpServers": {
		"wiki": {"url": "https://Wiki.example/mcp?a=1"}, "root": {"url": "https://r.example:443"},
		"six": {"url": "http://[::1]:80/x"}, "t1": {"url": "https://two.example"}, "t2": {"url": "https://two.example/"}}}`), Overrides{}, nil)
	for _, tt := range []struct{ ask, want string }{
		{"wiki", "wiki"},
		{"https://Wiki.example/mcp?a=1", "wiki"},
		{"HTTPS://wiki.EXAMPLE:443/mcp?a=1", "wiki"},
		{"https://r.example", "root"},
		{"https://r.example/", "root"},
		{"http://[::1]/x", "six"},
		{"Wiki", `no server "Wiki" is configured, did you mean "wiki"?`},
		{"zebra", `no server "zebra" is configured`},
		{"https://wiki.example/mcp", `no server is configured for "https://wiki.example/mcp"`},
		{"https://wiki.example/mcp?a=2", `no server is configured for "https://wiki.example/mcp"`},
		{"https://wiki.example/mcp/?a=1", `no server is configured for "https://wiki.example/mcp/"`},
		{"https://wiki.example/MCP?a=1", `no server is configured for "https://wiki.example/MCP"`},
		{"https://wiki.example/%6Dcp?a=1", `no server is configured for "https://wiki.example/%6Dcp"`},
		{"http://wiki.example/mcp?a=1", `no server is configured for "http://wiki.example/mcp"`},
		{"https://wiki.example:8443/mcp?a=1", `no server is configured for "https://wiki.example:8443/mcp"`},
		{"https://u:p@wiki.example/mcp?a=1", `no server is configured for "https://wiki.example/mcp"`},
		{"https://wiki.example/mcp?a=1#", `no server is configured for "https://wiki.example/mcp"`},
		{"https://wiki.example.evil.example/mcp?a=1", `no server is configured for "https://wiki.example.evil.example/mcp"`},
		{"https://two.example", `"https://two.example" is the URL of several servers: t1, t2`},
	} {
		s, err := c.Server(tt.ask)
		got := s.Name
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Server(%q) = %s, want %s", tt.ask, got, tt.want)
		}
	}
	var unknown *UnknownServer
	if _, err := c.Server("Wiki"); !errors.As(err, &unknown) || *unknown != (UnknownServer{"Wiki", "wiki"}) {
		t.Errorf("error %#v", err)
	}
	var unconfigured *UnconfiguredURL
	if _, err := c.Server("https://new.example/mcp?q"); !errors.As(err, &unconfigured) || unconfigured.URL != "https://new.example/mcp?q" {
		t.Errorf("error %#v", err)
	}
}

func TestIdP(t *testing.T) {
	block := `{"issuer": "https://i.example", "clientId": "c"}`
	for _, tt := range []struct{ name, managed, ask, want string }{
		{"none", `{}`, "", "no identity provider is configured"},
		{"the block", `{"idp": ` + block + `, "idps": {"lab": ` + block + `}}`, "", "default"},
		{"the block by name", `{"idp": ` + block + `}`, "default", "default"},
		{"another", `{"idp": ` + block + `, "idps": {"lab": ` + block + `}}`, "lab", "lab"},
		{"the only one", `{"idps": {"lab": ` + block + `}}`, "", "lab"},
		{"several", `{"idps": {"lab": ` + block + `, "corp": ` + block + `}}`, "", "several identity providers are configured and none is the default: corp, lab"},
		{"misspelled", `{"idps": {"lab": ` + block + `}}`, "lap", `no identity provider "lap" is configured, did you mean "lab"?`},
		{"unknown in an empty file", `{}`, "lab", `no identity provider "lab" is configured`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, home(t, `{"enterpriseManagedAuth": `+tt.managed+`}`), Overrides{}, nil)
			p, err := c.IdP(tt.ask)
			got := p.Name
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("IdP(%q) = %s, want %s", tt.ask, got, tt.want)
			}
		})
	}
}
