package proxy

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func gateTo(t testing.TB, servers map[string]string) *gate {
	g := &gate{routes: map[string]*route{}}
	for name, raw := range servers {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		g.routes[name] = &route{url: u}
	}
	return g
}

var shapes = map[string]string{
	"wiki": "https://h.example/mcp", "slash": "https://h.example/mcp/", "root": "https://h.example", "rootslash": "https://h.example/",
	"deep": "https://h.example/a/b%20c", "query": "https://h.example/mcp?tenant=1", "wiki.v2": "https://h.example/v2",
}

func TestFind(t *testing.T) {
	g := gateTo(t, shapes)
	for target, want := range map[string]string{
		"/wiki":               "https://h.example/mcp",
		"/wiki/":              "https://h.example/mcp/",
		"/wiki/x":             "https://h.example/mcp/x",
		"/wiki/x/y/":          "https://h.example/mcp/x/y/",
		"/wiki/x?a=1&b=%2F":   "https://h.example/mcp/x?a=1&b=%2F",
		"/wiki?a=/../b":       "https://h.example/mcp?a=/../b",
		"/wiki?":              "https://h.example/mcp?",
		"/wiki/a%20b":         "https://h.example/mcp/a%20b",
		"/wiki/a:b@c!d;e=f,g": "https://h.example/mcp/a:b@c!d;e=f,g",
		"/wiki/%C3%A4":        "https://h.example/mcp/%C3%A4",
		"/wiki/...":           "https://h.example/mcp/...",
		"/wiki/.well-known/x": "https://h.example/mcp/.well-known/x",
		"/slash":              "https://h.example/mcp/",
		"/slash/":             "https://h.example/mcp/",
		"/slash/x":            "https://h.example/mcp/x",
		"/root":               "https://h.example",
		"/root/":              "https://h.example/",
		"/root/x":             "https://h.example/x",
		"/rootslash/x":        "https://h.example/x",
		"/deep/x":             "https://h.example/a/b%20c/x",
		"/query":              "https://h.example/mcp?tenant=1",
		"/query/x":            "https://h.example/mcp/x?tenant=1",
		"/wiki.v2/x":          "https://h.example/v2/x",
	} {
		_, u, err := g.find(target)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v, want %s", target, u, err, want)
		}
	}
	for _, target := range []string{"/query?tenant=2", "/query?", "*", "wiki", "", "/wiki/%", "/wiki/%zz", "/wiki/%2", "/wiki/a\"b", "/wiki/ä"} {
		if _, u, err := g.find(target); err == nil {
			t.Errorf("%s: %s", target, u)
		}
	}
}

// Whatever a client writes, the request stays inside of the server's URL, even
// for a server that decodes a path several times and then cleans it.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"/wiki", "/wiki/../x", "/wiki/%2e%2e/x", "/wiki/%252e%252e", "/wiki//x", "/slash/..;/x", "/root/\\..", "/deep/x?y#z", "/query?a", "/wiki/%c0%ae"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		g := gateTo(t, shapes)
		to, u, err := g.find(target)
		if err != nil {
			if to != nil || u != nil {
				t.Fatalf("%q: an error with a value", target)
			}
			return
		}
		sent, err := url.ParseRequestURI(u.String())
		if err != nil {
			t.Fatalf("%q: %q cannot be read again: %v", target, u, err)
		}
		if sent.Scheme != to.url.Scheme || sent.Host != to.url.Host || sent.User != nil || sent.Fragment != "" {
			t.Fatalf("%q leaves the origin: %q", target, u)
		}
		if to.url.RawQuery != "" && sent.RawQuery != to.url.RawQuery {
			t.Fatalf("%q changes the query: %q", target, u)
		}
		for seen := sent.EscapedPath(); ; {
			clean := path.Clean("/" + strings.ReplaceAll(seen, `\`, "/"))
			if !inside(clean, to.url.Path) && !inside(clean, to.url.EscapedPath()) {
				t.Fatalf("%q goes to %q, outside of %q", target, clean, to.url)
			}
			next, err := url.PathUnescape(seen)
			if err != nil || next == seen {
				break
			}
			seen = next
		}
	})
}

func inside(clean, base string) bool {
	base = strings.TrimSuffix(base, "/")
	return base == "" || clean == base || strings.HasPrefix(clean, base+"/")
}
