package wire

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Destination says where a secret may go. The zero value, and what was made
// from something that is no plain http or https URL, is nowhere.
type Destination struct {
	origin  string // "https://host:443", "" for nowhere
	path    string // escaped, at least "/"
	query   string // with its "?"
	subtree bool   // everything below path, by every method
}

// Endpoint is exactly this scheme, host, port, path and query, and POST only.
func Endpoint(rawURL string) Destination { return destination(rawURL, false) }

// Prefix is this exact origin and every path that has this one's segments at its
// front: https://h/mcp covers /mcp and /mcp/x, not /mcpx, /mcp/../x or /MCP.
// A query in rawURL must come back exactly; without one every query will do.
func Prefix(rawURL string) Destination { return destination(rawURL, true) }

func destination(rawURL string, subtree bool) Destination {
	u, err := url.Parse(rawURL)
	if err != nil || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return Destination{}
	}
	d := Destination{origin: originOf(u), path: wirePath(u), query: wireQuery(u), subtree: subtree}
	if d.origin == "" || !plainPath(d.path) {
		return Destination{}
	}
	return d
}

// covers compares what stands on the wire, byte for byte: servers differ in what
// they decode, so two spellings of a path are two paths.
func (d Destination) covers(method string, u *url.URL) bool {
	if d.origin == "" || d.origin != originOf(u) {
		return false
	}
	if !d.subtree {
		return method == http.MethodPost && d.path == wirePath(u) && d.query == wireQuery(u)
	}
	rest, ok := strings.CutPrefix(wirePath(u), d.path)
	inside := rest == "" || rest[0] == '/' || strings.HasSuffix(d.path, "/")
	return ok && inside && plainPath(wirePath(u)) && (d.query == "" || d.query == wireQuery(u))
}

// originOf returns scheme, host and port with the default port spelled out, and
// "" for what is not http or https. "host." is another host than "host".
func originOf(u *url.URL) string {
	port, host := "", lower(u.Hostname())
	switch u.Scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return ""
	}
	if host == "" {
		return ""
	}
	if given := u.Port(); given != "" {
		port = given
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + ":" + port
}

func wirePath(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

func wireQuery(u *url.URL) string {
	if u.RawQuery == "" && !u.ForceQuery {
		return ""
	}
	return "?" + u.RawQuery
}

// plainPath reports whether no server can read a step upwards into the path: no
// dot segment, hidden separator, control character or overlong form at any
// depth of percent-encoding, nor a dot segment with ";parameters".
func plainPath(path string) bool {
	for range maxDecode {
		for segment := range strings.SplitSeq(path, "/") {
			name, _, _ := strings.Cut(segment, ";")
			if name == "." || name == ".." {
				return false
			}
		}
		next := unescape(path)
		if strings.ContainsRune(next, '\\') || !utf8.ValidString(next) || strings.ContainsFunc(next, unicode.IsControl) ||
			strings.Count(next, "/") != strings.Count(path, "/") {
			return false
		}
		if next == path {
			return true
		}
		path = next
	}
	return false
}

// maxDecode bounds how often something is percent-decoded before it is refused.
const maxDecode = 5

// unescape decodes every valid %XX and leaves the rest alone, as lenient servers do.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// lower folds ASCII only: Unicode knows letters that fold into other ASCII letters.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
