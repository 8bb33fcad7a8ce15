package config

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tailscale/hujson"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

func seed(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("// only this"))
	f.Add([]byte(`{"mcpServers": {"a": {"url": "https://a.example"} /* x */, /* y */ "b": {"url": "https://b.example"},/**/}}`))
	f.Add([]byte("{\r\n\t\"mcpServers\"/*1*/:/*2*/{\r\n\t\t// c\r\n}/*3*/,// d\r\n}//"))
	paths, err := filepath.Glob("testdata/*/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

func same(a, b File) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty())
}

// A file that loads, saved with one more server and loaded again, is equal
// apart from that server. An error comes with nothing.
func FuzzLoad(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := fileLayer("c", text)
		if err != nil {
			if len(before.at) > 0 || same(before.file, File{}) != "" {
				t.Fatalf("error %v comes with %+v", err, before)
			}
			return
		}
		d := newDoc("c", bytes.Clone(text))
		if err := d.SetServer("fuzz.er", wiki()); err != nil {
			t.Fatalf("add to %q: %v", text, err)
		}
		after, err := fileLayer("c", d.text.Bytes())
		if err != nil {
			t.Fatalf("%q became %q: %v", text, d.text.Bytes(), err)
		}
		want := wiki()
		want.Name = "fuzz.er"
		if diff := cmp.Diff(want, after.file.Servers["fuzz.er"]); diff != "" {
			t.Errorf("the server (-want +got):\n%s", diff)
		}
		delete(before.file.Servers, "fuzz.er")
		delete(after.file.Servers, "fuzz.er")
		if diff := same(before.file, after.file); diff != "" {
			t.Errorf("%q became %q (-before +after):\n%s", text, d.text.Bytes(), diff)
		}
	})
}

// Bytes outside the edited member stay: adding only inserts, removing only cuts
// and keeps every comment outside, and changing touches nothing on either side.
func FuzzEdit(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if before, err := fileLayer("c", text); err == nil {
			editEverything(t, text, before)
		}
	})
}

// The fuzzer seldom hits on a comment in an odd place, so put them everywhere.
func TestEditAnyLayout(t *testing.T) {
	tokens := regexp.MustCompile(`"[^"]*"|[a-z]+|.`).FindAllString(strings.Join(strings.Fields(`
		{"caFile":"/ca","mcpServers":{"a":{"url":"https://a.example"},"b":{"url":"https://b.example",
		"oauth":{"scopes":["x","y"],"clientId":"b"}},"c":{"url":"https://c.example"}},"store":{}}`), ""), -1)
	between := []string{"", "", "", " ", "\n", "\n\n  ", "\t", "\r\n", "// line\n", " // line\r\n\t", "/* block */", "/*\n*/", "/*/ , } */"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var text strings.Builder
		for i, token := range tokens {
			if token == "}" && tokens[i-1] != "{" && random.IntN(3) == 0 {
				text.WriteString(",")
			}
			text.WriteString(between[random.IntN(len(between))])
			text.WriteString(token)
			text.WriteString(between[random.IntN(len(between))])
		}
		before, err := fileLayer("c", []byte(text.String()))
		if err != nil {
			t.Fatalf("%q: %v", text.String(), err)
		}
		editEverything(t, []byte(text.String()), before)
	}
}

func editEverything(t *testing.T, text []byte, before layer) {
	d := newDoc("c", bytes.Clone(text))
	start := bytes.Clone(d.text.Bytes())
	if before.file.Servers["fuzz.er"].URL == "" {
		if err := d.SetServer("fuzz.er", wiki()); err != nil {
			t.Fatal(err)
		}
		if !subsequence(start, d.text.Bytes()) {
			t.Fatalf("adding to %q lost something: %q", start, d.text.Bytes())
		}
		if diff := cmp.Diff(comments(t, start), comments(t, d.text.Bytes())); diff != "" {
			t.Fatalf("adding to %q changed comments:\n%s", start, diff)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.file.Servers)) {
		d := newDoc("c", start)
		root, _ := jsonedit.Parse(start)
		old := jsonedit.Member(jsonedit.Member(&root, "mcpServers"), name)
		if err := d.SetServer(name, wiki()); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(d.text.Bytes(), start[:old.StartOffset]) || !bytes.HasSuffix(d.text.Bytes(), start[old.EndOffset:]) {
			t.Fatalf("changing %q in %q touched more: %q", name, start, d.text.Bytes())
		}
		changed, err := fileLayer("c", d.text.Bytes())
		want := wiki()
		want.Name = name
		if diff := cmp.Diff(want, changed.file.Servers[name]); err != nil || diff != "" {
			t.Fatalf("changing %q in %q gave %q: %v\n%s", name, start, d.text.Bytes(), err, diff)
		}
		d = newDoc("c", start)
		if err := d.RemoveServer(name); err != nil {
			t.Fatal(err)
		}
		if !subsequence(d.text.Bytes(), start) {
			t.Fatalf("removing %q from %q added something: %q", name, start, d.text.Bytes())
		}
		after, err := fileLayer("c", d.text.Bytes())
		if err != nil {
			t.Fatalf("%q without %q is %q: %v", start, name, d.text.Bytes(), err)
		}
		rest := maps.Clone(before.file.Servers)
		delete(rest, name)
		if diff := cmp.Diff(rest, after.file.Servers, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("removing %q changed others:\n%s", name, diff)
		}
		// Cut the member out by hand, with what stands before its comma.
		bare := slices.Concat(start[:nameStart(&root, name)], []byte(`"x":1`), start[old.EndOffset+len(old.AfterExtra):])
		if diff := cmp.Diff(comments(t, bare), comments(t, d.text.Bytes())); diff != "" {
			t.Fatalf("removing %q from %q changed comments:\n%s", name, start, diff)
		}
	}
}

func nameStart(root *hujson.Value, name string) int {
	for _, m := range jsonedit.Member(root, "mcpServers").Value.(*hujson.Object).Members {
		if jsonedit.NameOf(m) == name {
			return m.Name.StartOffset
		}
	}
	return -1
}

func subsequence(short, long []byte) bool {
	for _, c := range long {
		if len(short) > 0 && short[0] == c {
			short = short[1:]
		}
	}
	return len(short) == 0
}

// comments lists the comments of a text, sorted.
func comments(t *testing.T, text []byte) (list []string) {
	root, err := jsonedit.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	extra := func(e hujson.Extra) {
		for e = bytes.TrimSpace(e); len(e) > 0; e = bytes.TrimSpace(e) {
			end := bytes.IndexByte(e, '\n')
			if bytes.HasPrefix(e, []byte("/*")) {
				end = bytes.Index(e, []byte("*/")) + 2
				if end < 4 { // the star of "/*/" does not close it
					end = bytes.Index(e[2:], []byte("*/")) + 4
				}
			}
			if end < 0 {
				end = len(e)
			}
			list = append(list, string(bytes.TrimSpace(e[:end])))
			e = e[end:]
		}
	}
	for v := range root.All() {
		extra(v.BeforeExtra)
		extra(v.AfterExtra)
		switch x := v.Value.(type) {
		case *hujson.Object:
			extra(x.AfterExtra)
		case *hujson.Array:
			extra(x.AfterExtra)
		}
	}
	slices.Sort(list)
	return list
}
