package cimd

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
)

// document is one that is being looked at.
type document struct {
	*reader
	url  string
	base *url.URL // nil when url is none
}

func (d *document) isWrong(name string) bool {
	return slices.ContainsFunc(d.wrong, func(w wrongType) bool { return w.name == name })
}

// LintURL checks the URL of a document alone, which is the client ID.
func LintURL(url string) []Finding {
	r := &report{}
	r.url(url)
	return r.list
}

// longURL is where a client ID is too long to be read by a person who is asked
// for consent; the draft recommends a short one and gives no number.
const longURL = 128

// url checks the URL of the document, and returns nil when it is none.
func (r *report) url(raw string) *url.URL {
	u, why := webURL(raw)
	if why != "" {
		r.error("url", draftID, "publish the document at an https URL: %s %s", shown(raw), why)
		return nil
	}
	if u.Scheme != "https" {
		r.error("url-https", draftID, "publish the document with https: %s is plain http", shown(raw))
	}
	if u.Path == "" || u.Path == "/" {
		r.error("url-path", draftID, "give the document's URL a path, such as %s", shown(u.Scheme+"://"+u.Host+"/mcpauth.json"))
	}
	if hasDotSegments(u) {
		r.error("url-dots", draftID, "take . and .. out of the path of the document's URL")
	}
	if u.User != nil {
		r.error("url-user", draftID, "take the user name and the password out of the document's URL")
	}
	if strings.Contains(raw, "#") {
		r.error("url-fragment", draftID, "take the # and what follows it out of the document's URL")
	}
	if strings.Contains(raw, "?") {
		r.warn("url-query", draftID, "publish the document at a URL without a query")
	}
	if len(raw) > longURL {
		r.warn("url-long", draftID, "choose a shorter URL than one of %d characters: people may be shown it", len(raw))
	}
	if host, _, _ := strings.Cut(strings.TrimPrefix(raw, u.Scheme+"://"), "/"); !strings.HasPrefix(raw, u.Scheme+"://") || host != strings.ToLower(host) ||
		u.Scheme == "https" && u.Port() == "443" || strings.HasSuffix(u.Host, ":") {
		r.warn("url-normal", draftDocument, "write the document's URL with a scheme and a host in small letters and without a default port: it is compared letter by letter")
	}
	if where := special(u.Hostname()); where != "" {
		r.warn("url-host", draftSecurity, "publish the document at a public host: authorization servers should not fetch from %s", where)
	}
	return u
}

// webURL reads an absolute http or https URL in ASCII, or says why it is none.
func webURL(raw string) (u *url.URL, why string) {
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`\"<>^{|}`+"`", c) }) {
		return nil, "has characters that do not belong into a URL"
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "":
		return nil, "is not a URL"
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, "is not an absolute http or https URL"
	}
	return u, ""
}

// hasDotSegments looks at the path as it is written, and as servers decode it.
func hasDotSegments(u *url.URL) bool {
	for _, p := range []string{u.Path, u.EscapedPath()} {
		for s := range strings.SplitSeq(p, "/") {
			if s == "." || s == ".." {
				return true
			}
		}
	}
	return false
}

// special says what an address is that is not a public one (RFC 6890).
func special(host string) string {
	lower := strings.TrimSuffix(strings.ToLower(host), ".")
	if lower == "localhost" || strings.HasSuffix(lower, ".localhost") {
		return "this computer"
	}
	if strings.HasSuffix(lower, ".local") || strings.HasSuffix(lower, ".internal") || !strings.ContainsAny(lower, ".:") {
		return "a host inside of a network"
	}
	addr, err := netip.ParseAddr(lower)
	if err != nil {
		return ""
	}
	addr = addr.WithZone("").Unmap()
	switch {
	case addr.IsLoopback():
		return "this computer"
	case addr.IsPrivate(), addr.IsLinkLocalUnicast(), !addr.IsGlobalUnicast():
		return "an address that is not public"
	}
	return ""
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func sameHost(a, b *url.URL) bool { return strings.EqualFold(a.Hostname(), b.Hostname()) }

// redirects is about where people come back to. An authorization server compares
// redirect URIs letter by letter, apart from the port on loopback.
func (d *document) redirects(r *report) {
	list := d.list("redirect_uris")
	if len(list) == 0 && !d.isWrong("redirect_uris") {
		r.error("redirect-uris", mcpClient, "add \"redirect_uris\", for mcpauth %q", DefaultRedirectURIs())
	}
	plain := false
	seen := map[string]bool{}
	for _, raw := range list {
		if seen[raw] {
			r.warn("redirect-twice", advice, "take one %s out of \"redirect_uris\"", shown(raw))
			continue
		}
		seen[raw] = true
		plain = d.redirect(r, raw) || plain
	}
	switch kind := d.text("application_type"); {
	case kind != "" && kind != "native" && kind != "web":
		r.error("application-type", oidcClient, "make \"application_type\" \"native\"; %s is no such type", shown(kind))
	case plain && kind != "native" && !d.isWrong("application_type"):
		r.warn("application-type", oidcClient, "add \"application_type\": \"native\": authorization servers may refuse redirect URIs on loopback to a \"web\" application, which is what stands for none")
	}
}

// redirect checks one of them, and reports whether it is plain http on loopback.
func (d *document) redirect(r *report, raw string) (plain bool) {
	bad := func(format string, args ...any) {
		r.error("redirect-uri", mcpSecurity, "change the redirect URI "+shown(raw)+": "+format, args...)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || !u.IsAbs():
		bad("it has to be an absolute URI")
		return false
	case u.Scheme != "https" && u.Scheme != "http":
		bad("it has to be https, or http on loopback")
		return false
	}
	if u, why := webURL(raw); why != "" {
		bad("it %s", why)
		return false
	} else if u.User != nil {
		bad("it has to be without user name and password")
	}
	if strings.Contains(raw, "#") {
		bad("it has to be without a fragment")
	}
	if strings.Contains(raw, "*") {
		bad("it has to be written out, since it is compared letter by letter")
	}
	if hasDotSegments(u) {
		bad("it has to be without . and .. in its path")
	}
	name := strings.EqualFold(u.Hostname(), "localhost")
	local := name || isLoopback(u.Hostname())
	switch {
	case !local && u.Scheme == "http":
		bad("it has to be https, since it is not on loopback")
	case !local && d.base != nil && !sameHost(u, d.base):
		r.warn("redirect-host", draftSecurity, "put the redirect URI %s on the host of the document, %s, or authorization servers may refuse it", shown(raw), shown(d.base.Host))
	case name:
		r.warn("redirect-localhost", "RFC 8252 section 8.3", "write 127.0.0.1 or [::1] in the redirect URI %s: what localhost means is up to each computer", shown(raw))
	}
	if local && u.Port() != "" {
		r.warn("redirect-port", rfc8252, "leave the port out of the redirect URI %s: on loopback an authorization server takes any", shown(raw))
	}
	return local && u.Scheme == "http"
}

// withoutPort brings a loopback redirect URI into the form in which two are
// compared (RFC 8252 section 7.3).
func withoutPort(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Port() == "" || !isLoopback(u.Hostname()) && u.Hostname() != "localhost" {
		return raw
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return strings.Replace(raw, net.JoinHostPort(u.Hostname(), u.Port()), host, 1)
}

// isJSON reports whether a media type is the one of such a document (section 4.1:
// application/json, or a more specific one that ends in +json).
func isJSON(kind string) bool {
	ok, _ := path.Match("application/*+json", kind)
	return ok || kind == "application/json"
}
