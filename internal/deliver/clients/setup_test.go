//go:build unix

package clients

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/state"
)

var docs = Server{Name: "docs", URL: "https://docs.example/mcp"}

func editor(t *testing.T) Editor {
	p := place(t, "linux")
	return Editor{Place: p, State: state.Open(filepath.Join(p.Home, "state"))}
}

func setUp(t *testing.T, e Editor, c Client, q Request) Change {
	t.Helper()
	q.Run = run()
	ch, err := e.Setup(t.Context(), c, q)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func tearDown(t *testing.T, e Editor, c Client, servers ...Server) Change {
	t.Helper()
	ch, err := e.Teardown(t.Context(), c, servers, false)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever is in a file, it comes back byte for byte, in one step or in several.
func TestTeardownRestores(t *testing.T) {
	for id, texts := range odd {
		c := client(t, id)
		for _, text := range texts {
			e := editor(t)
			file := c.File(e.Place)
			write(t, file, text, 0o640)
			setUp(t, e, c, Request{Servers: []Server{wiki}})
			setUp(t, e, c, Request{Servers: []Server{docs, wiki}})
			if got := read(t, file+backupSuffix); got != text {
				t.Fatalf("%s: the copy of %q is %q", id, text, got)
			}
			after := read(t, file)
			if ch := setUp(t, e, c, Request{Servers: []Server{wiki, docs}}); ch.Changes() || read(t, file) != after || len(ch.Same) != 2 {
				t.Fatalf("%s: a second time changed %q: %+v", id, after, ch)
			}
			tearDown(t, e, c)
			if got := read(t, file); got != text {
				t.Fatalf("%s: %q came back as %q", id, text, got)
			}
			for _, path := range []string{file + backupSuffix, filepath.Join(e.State.Path(), recordsFile)} {
				if exists(path) {
					t.Errorf("%s is left", path)
				}
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		}
	}
}

// Nothing of what stands in a client's file is in the record: people keep secrets
// there.
func TestRecordHoldsNoText(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	write(t, c.File(e.Place), `{"mcpServers": {"x": {"env": {"KEY": "s3cret"}}}}`, 0o600)
	setUp(t, e, c, Request{Servers: []Server{wiki}})
	if got := read(t, filepath.Join(e.State.Path(), recordsFile)); strings.Contains(got, "s3cret") || strings.Contains(got, "wiki") {
		t.Error(got)
	}
}

// A lost, damaged or lying record costs nothing but blank space.
func TestTeardownWithoutRecord(t *testing.T) {
	for name, spoil := range map[string]func(text string) string{
		"lost":    func(string) string { return "" },
		"damaged": func(string) string { return "{" },
		"lying":   func(s string) string { return strings.Replace(s, `"added": [`, `"added": [[0, 1],`, 1) },
		"created": func(s string) string { return strings.Replace(s, `"before"`, `"x"`, 1) },
	} {
		e, c := editor(t), client(t, "cursor")
		text := "{\n  \"mcpServers\": {\n    \"x\": {}\n  }\n}\n"
		write(t, c.File(e.Place), text, 0o600)
		setUp(t, e, c, Request{Servers: []Server{wiki}})
		records := filepath.Join(e.State.Path(), recordsFile)
		write(t, records, spoil(read(t, records)), 0o600)
		tearDown(t, e, c)
		if got := read(t, c.File(e.Place)); got != text {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What a client or a person adds to an entry is theirs: setup does not fight it,
// and what else they write stays.
func TestEditsByOthers(t *testing.T) {
	e, c := editor(t), client(t, "cline")
	file := c.File(e.Place)
	write(t, file, "{\"mcpServers\":{}}", 0o600)
	setUp(t, e, c, Request{Servers: []Server{wiki}})
	edited := strings.Replace(read(t, file), `"args"`, `"disabled": true, "args"`, 1)
	edited = strings.Replace(edited, "{\"mcp", "{\"y\": 1,\n\"mcp", 1)
	write(t, file, edited, 0o600)
	if ch := setUp(t, e, c, Request{Servers: []Server{wiki}}); ch.Changes() {
		t.Errorf("%q became %q", ch.Before, ch.After)
	}
	tearDown(t, e, c)
	if got := strings.Join(strings.Fields(read(t, file)), ""); got != `{"y":1,"mcpServers":{}}` {
		t.Error(got)
	}
}

// A forced setup loses an entry of somebody's, so each time there is a new copy.
func TestForce(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	file := c.File(e.Place)
	for i, text := range []string{`{"mcpServers":{"wiki":{"url":"https://1.example"}}}`, `{"mcpServers":{"wiki":{"url":"https://2.example"}}}`} {
		write(t, file, text, 0o600)
		_, err := e.Setup(t.Context(), c, Request{Servers: []Server{wiki}, Run: run()})
		var foreign *Foreign
		if !errors.As(err, &foreign) || *foreign != (Foreign{"cursor", "wiki", file, "wiki"}) || read(t, file) != text {
			t.Errorf("without force: %v", err)
		}
		ch := setUp(t, e, c, Request{Servers: []Server{wiki}, Force: true})
		if got := read(t, ch.Backup); got != text || ch.Backup != []string{file + backupSuffix, file + backupSuffix + "-2"}[i] {
			t.Errorf("copy %s: %q", ch.Backup, got)
		}
	}
	tearDown(t, e, c)
	if got := strings.Join(strings.Fields(read(t, file)), ""); got != `{"mcpServers":{}}` {
		t.Error(got)
	}
}

// An entry of ours that is out of date is replaced without asking.
func TestReplace(t *testing.T) {
	for _, id := range []string{"cursor", "codex", "goose", "continue"} {
		e, c := editor(t), client(t, id)
		text := odd[id][len(odd[id])-1]
		write(t, c.File(e.Place), text, 0o600)
		setUp(t, e, c, Request{Servers: []Server{wiki}})
		q := Request{Servers: []Server{wiki}, Run: Run{Program: "/new/mcpauth", OS: "linux"}}
		ch, err := e.Setup(t.Context(), c, q)
		if err != nil || len(ch.Replaced) != 1 || !bytes.Contains(ch.After, []byte("/new/mcpauth")) || bytes.Contains(ch.After, []byte("/opt/bin")) {
			t.Errorf("%s: %q, %v", id, ch.After, err)
		}
		tearDown(t, e, c)
		if got := read(t, c.File(e.Place)); got != text {
			t.Errorf("%s: %q came back as %q", id, text, got)
		}
	}
}

// A file or folder that setup made goes; a folder that has got something else in it
// stays.
func TestCreated(t *testing.T) {
	for _, c := range All() {
		if c.Paste != "" {
			continue
		}
		e := editor(t)
		file := c.File(e.Place)
		setUp(t, e, c, Request{Servers: []Server{wiki}})
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", c.ID, info, err)
		}
		setUp(t, e, c, Request{Servers: []Server{docs}})
		tearDown(t, e, c, wiki)
		if ch := tearDown(t, e, c); ch.After != nil || exists(file) {
			t.Errorf("%s: left %q", c.ID, ch.After)
		}
		entries, err := os.ReadDir(e.Place.Home)
		if err != nil || len(entries) != 1 || entries[0].Name() != "state" {
			t.Errorf("%s: left %v, %v", c.ID, entries, err)
		}
	}
	e, c := editor(t), client(t, "kiro")
	setUp(t, e, c, Request{Servers: []Server{wiki}})
	mine := filepath.Join(e.Place.Home, ".kiro", "mine")
	write(t, mine, "", 0o600)
	tearDown(t, e, c)
	if !exists(mine) || exists(filepath.Join(e.Place.Home, ".kiro", "settings")) {
		t.Error("the wrong folders went")
	}
}

// Once somebody has written to it, a file that setup made is theirs.
func TestCreatedThenEdited(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	file := c.File(e.Place)
	setUp(t, e, c, Request{Servers: []Server{wiki}})
	write(t, file, strings.Replace(read(t, file), "{", "{ // mine", 1), 0o600)
	tearDown(t, e, c)
	if got := strings.Join(strings.Fields(read(t, file)), ""); got != `{//mine"mcpServers":{}}` {
		t.Error(got)
	}
}

// A client that writes its file meanwhile is not overwritten.
func TestFileChangesMeanwhile(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	file := c.File(e.Place)
	write(t, file, `{"a": 1}`, 0o600)
	rounds := 0
	ch, err := e.edit(t.Context(), c, false, func(ch *Change, _ *record) error {
		if rounds++; rounds == 1 {
			write(t, file, `{"a": 2}`, 0o600)
		}
		return c.setUp(ch, Request{Servers: []Server{wiki}, Run: run()})
	})
	if err != nil || rounds != 2 || !strings.Contains(read(t, file), `"a": 2`) || !strings.Contains(read(t, file), "wiki") {
		t.Errorf("%d rounds, %v: %q", rounds, err, ch.After)
	}
}

// Nor is one that writes when everything is ready: the last look comes after the copy
// and right before the file is replaced, and then nothing is left of the try.
func TestFileChangesLate(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	file := c.File(e.Place)
	const text, later = `{"a": 1}`, `{"a": 2}`
	write(t, file, text, 0o600)
	looked := false
	ch := Change{Path: file, Before: []byte(text), After: []byte(`{"a": 1, "b": 1}`)}
	done, err := e.save(c, &ch, e.records(), file, 0o600, func() (bool, error) {
		looked = exists(file + backupSuffix)
		write(t, file, later, 0o600)
		return false, nil
	})
	if done || err != nil || !looked || read(t, file) != later {
		t.Errorf("%v, %v, looked late: %v: %q", done, err, looked, read(t, file))
	}
	if folder, err := os.ReadDir(filepath.Dir(file)); err != nil || len(folder) != 1 {
		t.Errorf("beside it are %v, %v", folder, err)
	}
}

// A file that had nothing in it has nothing in it again, also when nobody remembers
// how it was.
func TestEmptyWithoutRecord(t *testing.T) {
	for _, id := range []string{"codex", "goose", "continue"} {
		e, c := editor(t), client(t, id)
		write(t, c.File(e.Place), "", 0o600)
		setUp(t, e, c, Request{Servers: []Server{wiki}})
		if err := os.Remove(filepath.Join(e.State.Path(), recordsFile)); err != nil {
			t.Fatal(err)
		}
		tearDown(t, e, c)
		if got := read(t, c.File(e.Place)); got != "" {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// What a program is called that was downloaded, and where a person keeps it, makes no
// difference to who wrote an entry.
func TestOwnEntries(t *testing.T) {
	for _, program := range []string{"/x/mcpauth-linux-amd64", "/x/mcpauth_1.2.3", "/home/o'hara's/mcpauth", "/a b/'/mcpauth"} {
		for _, id := range []string{"claude-code", "cursor", "opencode"} {
			r := run()
			r.Program = program
			c := client(t, id)
			for _, q := range []Request{{Run: r}, {Run: r, Bridge: true}} {
				if entry := c.entry(wiki, q).plain(); !isOurs("wiki", entry) {
					t.Errorf("%s: %v", id, entry)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	e, c := editor(t), client(t, "codex")
	file := c.File(e.Place)
	q := Request{Servers: []Server{wiki}, Run: run()}
	for text, want := range map[string]string{
		"mcp_servers = {x = {command = 'x'}}\n": "the result could not be read",
		"a = \n":                                "cannot edit",
		"mcp_servers = 1\n":                     "does not hold entries",
		"[[mcp_servers]]\n":                     "is not an object",
	} {
		write(t, file, text, 0o600)
		_, err := e.Setup(t.Context(), c, q)
		var uneditable *Uneditable
		if !errors.As(err, &uneditable) || !strings.Contains(err.Error(), want) || read(t, file) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
	write(t, file, "", 0o666)
	var unsafe *ownfile.Unsafe
	if _, err := e.Setup(t.Context(), c, q); !errors.As(err, &unsafe) {
		t.Errorf("a file that others write: %v", err)
	}
	write(t, file, "", 0o600)
	q.Servers = []Server{{Name: "a.b", URL: "https://1.example"}, {Name: "a-b", URL: "https://2.example"}}
	if _, err := e.Setup(t.Context(), c, q); err == nil || !strings.Contains(err.Error(), "two servers") {
		t.Error(err)
	}
	var none *NoFile
	if _, err := e.Setup(t.Context(), client(t, "jetbrains"), q); !errors.As(err, &none) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Setup(ctx, c, q); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if read(t, file) != "" {
		t.Error("something was written")
	}
}

// A dry run finds out the same and touches nothing.
func TestDryRun(t *testing.T) {
	e, c := editor(t), client(t, "cursor")
	q := Request{Servers: []Server{wiki}, Run: run(), DryRun: true}
	dry, err := e.Setup(t.Context(), c, q)
	if err != nil || exists(filepath.Dir(c.File(e.Place))) || exists(e.State.Path()) {
		t.Fatal(err, "something was made")
	}
	real := setUp(t, e, c, Request{Servers: []Server{wiki}})
	if diff := cmp.Diff(dry, real, cmp.AllowUnexported(Change{})); diff != "" {
		t.Error(diff)
	}
	if dry, err = e.Teardown(t.Context(), c, nil, true); err != nil || !dry.Changes() || dry.After != nil || !exists(c.File(e.Place)) {
		t.Errorf("%+v, %v", dry, err)
	}
}

// A second entry for the same URL would sign in by itself.
func TestRivals(t *testing.T) {
	e := editor(t)
	c := client(t, "vscode")
	write(t, c.File(e.Place), `{"servers": {"native": {"type": "http", "url": "https://wiki.example/mcp"}, "other": {"url": "https://other.example"}}}`, 0o600)
	if ch := setUp(t, e, c, Request{Servers: []Server{wiki}}); !cmp.Equal(ch.Rivals, []string{"native"}) {
		t.Error(ch.Rivals)
	}
	c = client(t, "cline") // as its own command writes it
	write(t, c.File(e.Place), `{"mcpServers": {"native": {"transport": {"type": "streamableHttp", "url": "https://wiki.example/mcp"}}}}`, 0o600)
	if ch := setUp(t, e, c, Request{Servers: []Server{wiki}}); !cmp.Equal(ch.Rivals, []string{"native"}) {
		t.Error(ch.Rivals)
	}
}
