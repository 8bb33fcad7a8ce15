package clients

import (
	"bytes"
	"testing"
)

// odd are texts that people have, by the format of the client that edits them.
var odd = map[string][]string{
	"cursor": {
		"", " \n", "{}", "{}\n", "{ }", "// only this", "/* a */ {} // b", "{\"mcpServers\": {}}", "{\"mcpServers\":{\"x\":{\"url\":\"https://x.example\"}}}",
		"{\n  // the servers\n  \"mcpServers\": {\n    \"x\": {\"command\": \"x\"}, // behind x\n    /* last */\n  },\n  \"y\": [1, 2.50, 1e9,],\n}",
		"{\r\n\t\"mcpServers\"/*1*/:/*2*/{\r\n\t\t// c\r\n\t\t\"x\": {}\r\n\t}\r\n}", "\ufeff{\n\t\"a\": \"\u00e9\\u00e9\"\n}\n", "{\"a\":1}\n\n\n",
		"{\n    \"mcpServers\": {\n        \"x\": {\n            \"args\": [\n                \"1\"\n            ]\n        }\n    }\n}\n",
	},
	"codex": {
		"", "\n", "# only this", "model = \"o\"", "model = \"o\" # here\n\n[mcp_servers.x]\ncommand = \"x\"\n# end", "[mcp_servers]\n", "[mcp_servers]\nx.command = \"x\"\r\n",
		"\ufeffa = 1\r\n\r\n[b]\r\nc = \"\"\"\r\nd\r\n\"\"\"\r\n", "[[a]]\n[[a]]\nb = [\n  1, # one\n  2,\n]\n\n\n", "mcp_servers.x.command = 'x'\n", "a = 1979-05-27T07:32:00Z\nb = 1.50\n[mcp_servers.\"q.r\".env]\nK = 'v'\n\t",
	},
	"goose": {
		"", "\n", "# only this", "---\n", "extensions:\n", "extensions: {}\n", "extensions:  # mine\n  # first\n  developer:\n    enabled: true\n\n# last\nGOOSE_MODEL: x\n",
		"GOOSE_MODEL: x", "\ufeffextensions:\r\n    developer:\r\n        enabled: true\r\n", "{extensions: {a: {b: c}}}", "a: |\n  text\n  more\nextensions:\n  d: {e: f}", "---\nextensions:\n  d: {e: f}\n",
		"a: &a\n  b: 1\nextensions:\n  c: *a\n", "a: \"x\n  y\"\n",
	},
	"continue": {
		"", "name: mine\nversion: 1.0.0\nmodels:\n  - name: m\n    # why\n    apiKey: ${{ secrets.K }}\n", "mcpServers:\n- name: x\n  command: x\n", "mcpServers:\n    # first\n    -   name: x\n        args:\n        - a\n\n        - b\n# end",
		"mcpServers: []\n", "mcpServers: [{name: x}]\r\nname: \u00e9\r\n", "mcpServers:\nname: x\n", "mcpServers:\n  - x\n  - name: y\n",
	},
}

var wiki = Server{Name: "wiki", URL: "https://wiki.example/mcp"}

func run() Run { return Run{Program: "/opt/bin/mcpauth", OS: "linux"} }

func client(t testing.TB, id string) Client {
	c, ok := Find(id)
	if !ok {
		t.Fatal("no client", id)
	}
	return c
}

// checkEdit holds for every text that can be edited at all: an entry goes in
// without moving a byte, taking it out gives the same bytes by record and the same
// meaning without, and a second time changes nothing.
func checkEdit(t *testing.T, c Client, text []byte) bool {
	have, err := c.entries(text)
	if err != nil {
		return false
	}
	if _, there := have["wiki"]; there {
		return false
	}
	q := Request{Servers: []Server{wiki}, Run: run()}
	ch := Change{Before: text, After: text}
	if err := c.setUp(&ch, q); err != nil {
		return false
	}
	if !c.hasOurs(ch.After) {
		t.Fatalf("%q became %q, where mcpauth is not found", text, ch.After)
	}
	r := (*record)(nil).after(text, ch.After, true)
	if got, ok := r.original(ch.After); !ok || !bytes.Equal(got, text) {
		t.Fatalf("%q became %q and then %q (%v)", text, ch.After, got, ok)
	}
	again := Change{Before: ch.After, After: ch.After}
	if err := c.setUp(&again, q); err != nil || again.Changes() {
		t.Fatalf("%q became %q the second time: %v", ch.After, again.After, err)
	}
	out, err := c.remove(ch.After, "wiki")
	if err != nil {
		return true // refused: it says so, and changes nothing
	}
	if _, ok := added(out, ch.After); !ok {
		t.Fatalf("removing from %q left %q", ch.After, out)
	}
	list, rest, err := meaning(c, out)
	wantList, wantRest, err2 := meaning(c, text)
	if err != nil || err2 != nil || !same(wantList, list) || !equal(wantRest, rest) {
		t.Fatalf("%q came back as %q: %v", text, out, err)
	}
	return true
}

func meaning(c Client, text []byte) (map[string]any, any, error) {
	root, err := c.format.plain(bytes.TrimPrefix(text, mark))
	if err != nil {
		return nil, nil, err
	}
	return c.split(root)
}

func TestOddFiles(t *testing.T) {
	for id, texts := range odd {
		for _, text := range texts {
			if !checkEdit(t, client(t, id), []byte(text)) {
				t.Errorf("%s: %q cannot be edited", id, text)
			}
		}
	}
}

func fuzz(f *testing.F, id string) {
	for _, text := range odd[id] {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkEdit(t, client(t, id), text) })
}

func FuzzJSON(f *testing.F)     { fuzz(f, "cursor") }
func FuzzTOML(f *testing.F)     { fuzz(f, "codex") }
func FuzzYAML(f *testing.F)     { fuzz(f, "goose") }
func FuzzYAMLList(f *testing.F) { fuzz(f, "continue") }
