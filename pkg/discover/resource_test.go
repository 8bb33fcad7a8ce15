package discover

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

const wiki = "https://wiki.example/team/mcp"

func TestMatchResource(t *testing.T) {
	for _, test := range []struct{ name, server, published, want string }{
		{"same bytes", wiki, wiki, MatchExact},
		{"origin", wiki, "https://wiki.example", MatchPrefix},
		{"origin with slash", wiki, "https://wiki.example/", MatchPrefix},
		{"parent path", wiki, "https://wiki.example/team", MatchPrefix},
		{"parent path with slash", wiki, "https://wiki.example/team/", MatchPrefix},
		{"slash too many", wiki, wiki + "/", MatchPrefix},
		{"slash too few", wiki + "/", wiki, MatchPrefix},
		{"host in upper case", wiki, "https://WIKI.example/team/mcp", MatchPrefix},
		{"default port", wiki, "https://wiki.example:443/team/mcp", MatchPrefix},
		{"same query", wiki + "?a=1", wiki + "?a=1", MatchExact},
		{"without the query", wiki + "?a=1", wiki, MatchPrefix},
		{"same escapes", "https://wiki.example/a%2Fb/c", "https://wiki.example/a%2Fb", MatchPrefix},

		{"half a segment", wiki, "https://wiki.example/te", ""},
		{"half the last segment", wiki, "https://wiki.example/team/mc", ""},
		{"child", wiki, wiki + "/admin", ""},
		{"sibling", wiki, "https://wiki.example/team/other", ""},
		{"path in upper case", wiki, "https://wiki.example/TEAM/mcp", ""},
		{"another query", wiki + "?a=1", wiki + "?a=2", ""},
		{"query added", wiki, wiki + "?a=1", ""},
		{"empty query added", wiki, wiki + "?", ""},
		{"escape decoded", "https://wiki.example/a%2Fb/c", "https://wiki.example/a/b", ""},
		{"another host", wiki, "https://evil.example/team/mcp", ""},
		{"parent domain", wiki, "https://example/team/mcp", ""},
		{"host as prefix", wiki, "https://wiki.example.evil.example/", ""},
		{"another port", wiki, "https://wiki.example:8443/team/mcp", ""},
		{"another scheme", wiki, "http://wiki.example/team/mcp", ""},
		{"user name", wiki, "https://x@wiki.example/team/mcp", ""},
		{"fragment", wiki, wiki + "#x", ""},
		{"empty fragment", wiki, wiki + "#", ""},
		{"dot segments", wiki, "https://wiki.example/team/x/..", ""},
		{"escaped dot segments", wiki, "https://wiki.example/team/%2e%2e", ""},
		{"backslash", wiki, `https://wiki.example\team`, ""},
		{"space around", wiki, " " + wiki, ""},
		{"relative", wiki, "/team/mcp", ""},
		{"not a URL", wiki, "wiki", ""},
		{"urn", wiki, "urn:wiki", ""},
	} {
		if got := matchResource(test.server, test.published); got != test.want {
			t.Errorf("%s: matchResource(%q, %q) = %q, want %q", test.name, test.server, test.published, got, test.want)
		}
	}
}

func TestStrict(t *testing.T) {
	const from = "https://wiki.example/.well-known/oauth-protected-resource"
	body := []byte(`{"resource":"https://wiki.example","authorization_servers":["https://as.example"]}`)
	if r, err := parseResource(wiki, from, body, false); err != nil || r.Match != MatchPrefix {
		t.Errorf("parseResource = %+v, %v", r, err)
	}
	_, err := parseResource(wiki, from, body, true)
	var other *ResourceMismatch
	if !errors.As(err, &other) || *other != (ResourceMismatch{Server: wiki, Published: "https://wiki.example"}) {
		t.Errorf("strict: error = %v", err)
	}
	if _, err := parseResource("https://wiki.example", from, body, true); err != nil {
		t.Errorf("strict and exact: error = %v", err)
	}
}

func TestResourceFields(t *testing.T) {
	r, err := parseResource(wiki, wiki, []byte(`{"resource":"`+wiki+`","authorization_servers":["https://a.example","https://b.example/t"],
		"scopes_supported":["read"],"bearer_methods_supported":[],"resource_name":"Wiki","extra":{"a":1},
		"dpop_bound_access_tokens_required":true,"dpop_signing_alg_values_supported":["ES256"],"tls_client_certificate_bound_access_tokens":true}`), true)
	if err != nil || len(r.AuthorizationServers) != 2 || r.ScopesSupported[0] != "read" || r.Name != "Wiki" || !r.DPoPRequired || !r.MTLSRequired || len(r.DPoPSigningAlgs) != 1 || r.DPoPSigningAlgs[0] != "ES256" {
		t.Errorf("parseResource = %+v, %v", r, err)
	}
	if r.AcceptsHeader() {
		t.Error("an empty bearer_methods_supported allows the header")
	}
	if !(Resource{}).AcceptsHeader() || !(Resource{BearerMethods: []string{"body", "header"}}).AcceptsHeader() {
		t.Error("the header is refused where it is allowed")
	}
}

func TestResourceRefused(t *testing.T) {
	for _, test := range []struct{ name, server, body, want string }{
		{"no resource", wiki, `{"authorization_servers":["https://as.example"]}`, `no "resource"`},
		{"resource of the wrong type", wiki, `{"resource":["` + wiki + `"]}`, "not a string"},
		{"no authorization server", wiki, `{"resource":"` + wiki + `"}`, `no "authorization_servers"`},
		{"empty list", wiki, `{"resource":"` + wiki + `","authorization_servers":[]}`, `no "authorization_servers"`},
		{"null in the list", wiki, `{"resource":"` + wiki + `","authorization_servers":[null]}`, "not a string or an array"},
		{"wrong flag", wiki, `{"resource":"` + wiki + `","authorization_servers":["https://as.example"],"dpop_bound_access_tokens_required":"yes"}`, "not a boolean"},
		{"plain http", wiki, as("http://as.example"), "plain http"},
		{"loopback named by a remote server", wiki, as("http://127.0.0.1:8080"), "named by another one"},
		{"loopback, one of two", wiki, as(`https://as.example","http://localhost`), "named by another one"},
		{"query", wiki, as("https://as.example?x"), "with query"},
		{"fragment", wiki, as("https://as.example#x"), "with fragment"},
		{"user name", wiki, as("https://u:p@as.example"), "user name"},
		{"without bounds", wiki, as("https://as.example/" + strings.Repeat("x", 5000)), "more than"},
		{"relative", wiki, as("/as"), "not an absolute URL"},
		{"empty", wiki, as(""), "not an absolute URL"},
		{"script", wiki, as("javascript:alert(1)"), "not an absolute URL"},
		{"escape sequence", wiki, as(`https://as.example/\u001b[2J`), "do not belong"},
		{"look-alike", wiki, as("https://аs.example"), "do not belong"},
		{"duplicate", wiki, `{"resource":"https://evil.example","resource":"` + wiki + `"}`, "stands twice"},
	} {
		r, err := parseResource(test.server, wiki, []byte(test.body), false)
		if err == nil || !strings.Contains(err.Error(), test.want) || r.Identifier != "" {
			t.Errorf("%s: parseResource = %+v, %v, want %q", test.name, r, err, test.want)
		}
	}
	local := "http://127.0.0.1:9/mcp"
	body := `{"resource":"` + local + `","authorization_servers":["http://localhost:8080"]}`
	if _, err := parseResource(local, local, []byte(body), false); err != nil {
		t.Errorf("a loopback server may name one: %v", err)
	}
}

func as(issuer string) string {
	return `{"resource":"` + wiki + `","authorization_servers":["` + issuer + `"]}`
}

func TestLongStrangersStayShort(t *testing.T) {
	long := "https://evil.example/" + strings.Repeat("x", 1<<16)
	_, err := parseResource(wiki, wiki, []byte(`{"resource":"`+long+`"}`), false)
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("error has %d bytes", len(fmt.Sprint(err)))
	}
}

func TestIdentifiersInErrorsLoseTheirQuery(t *testing.T) {
	for _, err := range []error{
		&ResourceMismatch{Server: wiki + "?key=s3cret", Published: "https://evil.example/?s3cret"},
		&IssuerMismatch{Want: issuer, Got: issuer + "?s3cret"},
	} {
		if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "example") {
			t.Errorf("error text is %q", text)
		}
	}
}

func TestWellKnown(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h":            "https://h/.well-known/x",
		"https://h/":           "https://h/.well-known/x",
		"https://h:8443/mcp":   "https://h:8443/.well-known/x/mcp",
		"https://h/mcp/":       "https://h/.well-known/x/mcp",
		"https://h/a/b?t=1&u=": "https://h/.well-known/x/a/b?t=1&u=",
		"https://h/?t=1":       "https://h/.well-known/x?t=1",
		"https://h/a%2Fb":      "https://h/.well-known/x/a%2Fb",
		"https://[::1]:1/m":    "https://[::1]:1/.well-known/x/m",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := wellKnown(u, "x"); got != want {
			t.Errorf("wellKnown(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		raw        string
		plain, far bool // accepted if its source is on loopback, or anywhere
	}{
		{"https://h/p?q", true, true},
		{"HTTPS://h", true, true},
		{"http://localhost:1/p", true, false},
		{"http://LOCALHOST", true, false},
		{"http://127.8.9.1", true, false},
		{"http://[::1]:1", true, false},
		{"http://[::ffff:127.0.0.1]", true, false},
		{"http://h", false, false},
		{"http://10.0.0.1", false, false},
		{"http://0.0.0.0", false, false},
		{"http://127.0.0.1.evil.example", false, false},
		{"http://localhost.evil.example", false, false},
		{"http://2130706433", false, false}, // 127.0.0.1 to some, not to us
		{"ftp://h", false, false},
		{"//h/p", false, false},
		{"https:h", false, false},
		{"https:///p", false, false},
		{"https://:443/p", false, false},
		{"https://u@h", false, false},
		{"https://@h", false, false},
		{"https://h/%zz", false, false},
		{"https://h/a b", false, false},
		{"https://h/a/../b", false, false},
		{"https://h/a/%2E%2e", false, false},
		{"https://h/./b", false, false},
		{"https://h/a%5C..%5Cb", false, false},
		{"https://h/.well-known/a..b/...", true, true},
		{"https://h/\n", false, false},
		{"", false, false},
	} {
		_, plain := parseURL(test.raw, true)
		_, far := parseURL(test.raw, false)
		if (plain == nil) != test.plain || (far == nil) != test.far {
			t.Errorf("%q: %v near, %v far", test.raw, plain, far)
		}
	}
}

// A server elsewhere must not send us to this computer (attack S8).
func TestHintToLoopback(t *testing.T) {
	c := Client{ForeignMetadata: true}
	challenge := []Challenge{{Scheme: "bearer", Params: map[string]string{"resource_metadata": "http://127.0.0.1:1/m"}}}
	for raw, allowed := range map[string]bool{wiki: false, "http://localhost/mcp": true} {
		server, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := c.hint(server, challenge); (err == nil) != allowed || (h.metadata != "") != allowed {
			t.Errorf("%s: hint = %+v, %v", raw, h, err)
		}
	}
}
