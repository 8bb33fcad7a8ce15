package discover

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// maxURL bounds what is kept of a stranger's word for as long as a server is, in bytes.
const maxURL = 4 << 10

// parseURL reads a URL that a credential may later depend on. It must be
// absolute and https; plain http is for loopback hosts, and when the URL was
// learnt from someone, only if that someone is itself on loopback (attack S8).
func parseURL(raw string, mayBePlain bool) (*url.URL, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		// RFC 3986 has ASCII only. A name in another script must be written as
		// xn--..., so that comparing and reading it mean the same to everybody.
		return nil, errors.New("a URL with characters that do not belong into one")
	}
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxURL:
		return nil, fmt.Errorf("a URL of more than %d bytes", maxURL)
	case err != nil: // its text would repeat the URL
		return nil, errors.New("not a URL")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("not an absolute URL")
	case u.User != nil:
		return nil, errors.New("a URL with user name or password")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("a URL with fragment")
	case u.Scheme == "http" && !isLoopback(u):
		return nil, errors.New("a URL with plain http to a host that is not loopback")
	case u.Scheme == "http" && !mayBePlain:
		return nil, errors.New("a plain http URL on this computer, named by another one")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("not an https URL")
	case hasDotSegments(u):
		return nil, errors.New("a URL with . or .. in its path")
	}
	return u, nil
}

// parseIssuer adds that an issuer has no query (RFC 8414 section 2).
func parseIssuer(raw string, mayBePlain bool) (*url.URL, error) {
	u, err := parseURL(raw, mayBePlain)
	if err == nil && (u.RawQuery != "" || u.ForceQuery) {
		return nil, errors.New("a URL with query")
	}
	return u, err
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// hasDotSegments: such a path means one thing to a comparison of prefixes and
// another to a server that resolves it.
func hasDotSegments(u *url.URL) bool {
	for _, s := range strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// wellKnown puts a well-known name between host and path (RFC 8414 section 3.1,
// RFC 9728 section 3.1): the slash at the end of the path goes, the query stays.
func wellKnown(u *url.URL, name string) string {
	text := origin(u) + "/.well-known/" + name + trimmedPath(u)
	if u.RawQuery != "" {
		text += "?" + u.RawQuery
	}
	return text
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func trimmedPath(u *url.URL) string { return strings.TrimSuffix(u.EscapedPath(), "/") }

// sameSite is a rule of thumb for a warning, not a boundary: the same host, or
// names that end in the same two labels, three below endings such as co.uk (two
// letters, after at most three). It needs no list of public suffixes and is
// wrong about shared hosting.
func sameSite(a, b *url.URL) bool {
	x, y := strings.ToLower(a.Hostname()), strings.ToLower(b.Hostname())
	if x == y {
		return true
	}
	if _, err := netip.ParseAddr(x); err == nil {
		return false
	}
	return site(x) != "" && site(x) == site(y)
}

// sameParty is sameSite, but on this computer, where the port tells who it is.
func sameParty(a, b *url.URL) bool {
	if isLoopback(a) && isLoopback(b) {
		return port(a) == port(b)
	}
	return sameSite(a, b)
}

func site(host string) string {
	labels := strings.Split(host, ".")
	keep := 2
	if n := len(labels); n > 2 && len(labels[n-1]) == 2 && len(labels[n-2]) <= 3 {
		keep = 3
	}
	if len(labels) < keep {
		return ""
	}
	return strings.Join(labels[len(labels)-keep:], ".")
}
