package wire

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestPrefix(t *testing.T) {
	for _, tt := range []struct {
		prefix, url string
		want        bool
	}{
		{"https://mcp.example/mcp", "https://mcp.example/mcp", true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp?x=y", true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/", true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a/b%20c", true},
		{"https://mcp.example/mcp", "https://MCP.example:443/mcp", true},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a..b", true},
		{"https://mcp.example/mcp/", "https://mcp.example/mcp/a", true},
		{"https://mcp.example", "https://mcp.example", true},
		{"https://mcp.example", "https://mcp.example/any/where", true},
		{"https://mcp.example/", "https://mcp.example", true},
		{"http://[::1]:8080/mcp", "http://[::1]:8080/mcp", true},
		{"https://mcp.example/mcp?tenant=a", "https://mcp.example/mcp?tenant=a", true},

		{"https://mcp.example/mcp?tenant=a", "https://mcp.example/mcp?tenant=b", false},
		{"https://mcp.example/mcp?tenant=a", "https://mcp.example/mcp", false},
		{"https://mcp.example/mcp/", "https://mcp.example/mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcpx", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp;x=y", false},
		{"https://mcp.example/mcp", "https://mcp.example/MCP", false},
		{"https://mcp.example/mcp", "https://mcp.example/%6dcp", false},
		{"https://mcp.example/mcp", "https://mcp.example//mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example/", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/../x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/./x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%2e%2e/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/.%2E/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%252e%252e/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..%2fx", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp%2f..%2fx", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a%2Fb", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a%252Fb", false},
		{"https://mcp.example/mcp", `https://mcp.example/mcp/..\x`, false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..%5cx", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..;/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/..%3bv=1/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%c0%ae%c0%ae/x", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a%00b", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/a%0d%0ab", false},
		{"https://mcp.example/mcp", "https://mcp.example/mcp/%2525252525252e", false},
		{"https://mcp.example/mcp", "http://mcp.example/mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example:444/mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example./mcp", false},
		{"https://mcp.example/mcp", "https://x.mcp.example/mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example.evil.example/mcp", false},
		{"https://mcp.example/mcp", "https://mcp.example@evil.example/mcp", false},
		{"https://mcp.example/mcp", "ftp://mcp.example/mcp", false},
		{"https://mcp.example/a/../mcp", "https://mcp.example/a/../mcp", false},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if got := Prefix(tt.prefix).covers(method, u); got != tt.want {
				t.Errorf("Prefix(%q) covers %s %q: %t, want %t", tt.prefix, method, tt.url, got, tt.want)
			}
		}
	}
}

// A destination that cannot be understood is nowhere, also to itself.
func TestNowhere(t *testing.T) {
	for _, s := range []string{"", "/token", "as.example/token", "https://", "https:///token", "https:as.example", "file:///etc/passwd",
		"javascript:alert(1)", "https://user@as.example/token", "https://as.example/token#x", "https://as.example/%zz", "https://as.example:bad/"} {
		for _, d := range []Destination{Endpoint(s), Prefix(s), {}} {
			if d != (Destination{}) {
				t.Errorf("%q became a destination: %+v", s, d)
			}
			if u, err := url.Parse(s); err == nil && d.covers(http.MethodPost, u) {
				t.Errorf("%q covers itself", s)
			}
		}
	}
}

// What a prefix lets pass is still inside after dot segments are resolved and
// everything is decoded, as often as one likes.
func FuzzPrefix(f *testing.F) {
	for _, s := range []string{"/mcp", "/mcp/x", "/mcp/../x", "/mcp/%2e%2e/x", "/mcp/%252e%252e%252fx", "/mcp;/..", "/mcpx", `/mcp/..\x`, "/mcp/..;a/", "//evil/mcp", "@evil.example/mcp", "/mcp?../x#/.."} {
		f.Add(s)
	}
	base, _ := url.Parse("https://mcp.example/")
	d := Prefix("https://mcp.example/mcp")
	f.Fuzz(func(t *testing.T, rest string) {
		u, err := url.Parse("https://mcp.example" + rest)
		if err != nil || !d.covers("GET", u) {
			return
		}
		resolved := base.ResolveReference(u)
		if resolved.Scheme != "https" || resolved.Hostname() != "mcp.example" {
			t.Fatalf("%q goes to %q", rest, resolved)
		}
		for _, p := range []string{u.Path, u.EscapedPath(), resolved.Path, u.RequestURI()} {
			p, _, _ = strings.Cut(p, "?")
			for i := 0; ; i++ {
				clean := path.Clean(strings.ReplaceAll(p, `\`, "/"))
				if clean != "/mcp" && !strings.HasPrefix(clean, "/mcp/") {
					t.Fatalf("%q is outside after %d times of decoding: %q", rest, i, clean)
				}
				next, err := url.PathUnescape(p)
				if err != nil || next == p {
					break
				}
				p = next
			}
		}
	})
}
