package proxy

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errUnknown = errors.New("there is no such server")
	errPath    = errors.New("the path has a form that servers read differently")
	errQuery   = errors.New("the server's URL has a query, and no other can be added")
)

// find reads the request target as it was sent, before anybody has cleaned it, and
// returns the server and the address that are meant.
func (g *gate) find(target string) (*route, *url.URL, error) {
	path, query, hasQuery := strings.Cut(target, "?")
	first, rest, deeper := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	to, ok := g.routes[first]
	switch {
	case !strings.HasPrefix(path, "/"): // absolute form, or "*"
		return nil, nil, errPath
	case !ok:
		return nil, nil, errUnknown
	}
	if deeper {
		rest = "/" + rest
	}
	u, err := below(to.url, rest)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }):
		return nil, nil, errPath
	case to.url.RawQuery != "" && hasQuery:
		return nil, nil, errQuery
	case hasQuery:
		u.RawQuery, u.ForceQuery = query, query == ""
	}
	return to, u, nil
}

// below returns base, or what is under it at rest, which is empty or starts with
// a slash. Of the ways to write a path only those pass that every server reads in
// the same way.
func below(base *url.URL, rest string) (*url.URL, error) {
	u := *base
	if rest == "" {
		return &u, nil
	}
	segments := strings.Split(rest[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		if s == "" && last {
			continue // the final slash
		}
		if !plain(s) {
			return nil, errPath
		}
	}
	escaped := strings.TrimSuffix(base.EscapedPath(), "/") + rest
	var err error
	if u.Path, err = url.PathUnescape(escaped); err != nil {
		return nil, errPath
	}
	u.RawPath = escaped
	if u.EscapedPath() != escaped { // it would not be sent as it was judged
		return nil, errPath
	}
	return &u, nil
}

// plain accepts one segment of a path. A percent sign may hide no separator, no
// dot and no other percent sign; what stands before a ";" may be no dots either.
func plain(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	if err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl) {
		return false
	}
	for i := range len(segment) {
		if c := segment[i]; c <= ' ' || c > '~' || strings.IndexByte(`"#<>?\^`+"`{|}", c) >= 0 {
			return false // RFC 3986 section 3.3
		}
	}
	for i := 0; i+2 < len(segment); i++ {
		if segment[i] == '%' {
			switch strings.ToLower(segment[i+1 : i+3]) {
			case "25", "2e", "2f", "3b", "5c":
				return false
			}
		}
	}
	name, _, _ := strings.Cut(decoded, ";")
	return name != "" && name != "." && name != ".."
}

// names tells an admitted client what there is.
func (g *gate) names() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(g.routes)) {
		list = append(list, "/"+name)
	}
	return "there are: " + strings.Join(list, ", ")
}
