package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// UnknownServer says that no server has this name. Near is a name that was
// probably meant, or empty.
type UnknownServer struct{ Name, Near string }

func (e *UnknownServer) Error() string {
	return fmt.Sprintf("no server %q is configured%s", e.Name, didYouMean(e.Near))
}

// UnconfiguredURL says that no server has this URL. Nothing is sent to a URL
// that nobody configured (attack S3). The message leaves
// out what may be private in the URL; the field is as it was asked for.
type UnconfiguredURL struct{ URL string }

func (e *UnconfiguredURL) Error() string {
	return fmt.Sprintf("no server is configured for %q", redact(e.URL))
}

// AmbiguousURL says that several servers have this URL.
type AmbiguousURL struct {
	URL   string
	Names []string
}

func (e *AmbiguousURL) Error() string {
	return fmt.Sprintf("%q is the URL of several servers: %s", redact(e.URL), strings.Join(e.Names, ", "))
}

// UnknownIdP says that no identity provider has this name.
type UnknownIdP struct{ Name, Near string }

func (e *UnknownIdP) Error() string {
	return fmt.Sprintf("no identity provider %q is configured%s", e.Name, didYouMean(e.Near))
}

// NoIdP says that no identity provider is configured at all.
type NoIdP struct{}

func (*NoIdP) Error() string { return "no identity provider is configured" }

// AmbiguousIdP says that there are several and none of them is the default.
type AmbiguousIdP struct{ Names []string }

func (e *AmbiguousIdP) Error() string {
	return "several identity providers are configured and none is the default: " + strings.Join(e.Names, ", ")
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", near)
}

// Server finds a server by its name or by its URL. A URL must be the configured
// one; only what cannot make a difference (RFC 3986 section 6.2.3) is forgiven:
// the case of scheme and host, a default port, and a missing path for "/".
func (c *Config) Server(nameOrURL string) (Server, error) {
	if s, ok := c.file.Servers[nameOrURL]; ok {
		return s, nil
	}
	if !strings.Contains(nameOrURL, "://") {
		return Server{}, &UnknownServer{nameOrURL, nearest(nameOrURL, slices.Sorted(maps.Keys(c.file.Servers)))}
	}
	var found []string
	if want, ok := comparison(nameOrURL); ok {
		for _, s := range c.Servers() {
			if have, _ := comparison(s.URL); have == want {
				found = append(found, s.Name)
			}
		}
	}
	switch len(found) {
	case 0:
		return Server{}, &UnconfiguredURL{nameOrURL}
	case 1:
		return c.file.Servers[found[0]], nil
	}
	return Server{}, &AmbiguousURL{nameOrURL, found}
}

// Servers lists the servers by name.
func (c *Config) Servers() []Server {
	return slices.SortedFunc(maps.Values(c.file.Servers), func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
}

// IdP finds an identity provider by name. Without a name it is the one that
// --idp or MCPAUTH_IDP selects, else the block "idp", else the only one.
func (c *Config) IdP(name string) (IdP, error) {
	m := c.file.Managed
	name = or(name, c.selected)
	switch names := m.names(); {
	case len(names) == 0 && name == "":
		return IdP{}, &NoIdP{}
	case m.IdP != nil && (name == "" || name == DefaultIdP):
		return *m.IdP, nil
	case name == "" && len(names) == 1:
		return m.IdPs[names[0]], nil
	case name == "":
		return IdP{}, &AmbiguousIdP{names}
	default:
		if p, ok := m.IdPs[name]; ok {
			return p, nil
		}
		return IdP{}, &UnknownIdP{name, nearest(name, names)}
	}
}

// IdPs lists the identity providers by name.
func (c *Config) IdPs() []IdP {
	list := slices.Collect(maps.Values(c.file.Managed.IdPs))
	if p := c.file.Managed.IdP; p != nil {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b IdP) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Store returns where secrets are to be kept. Its Kind is empty when nobody
// chose: then what login recorded counts.
func (c *Config) Store() Store { return c.file.Store }

// Client returns who mcpauth is where nobody registered it beforehand.
func (c *Config) Client() Client { return c.file.Client }

// AllowsFallback reports whether the organisation lets servers with mode auto be used
// with a person's own consent.
func (c *Config) AllowsFallback() bool { return c.file.Managed.AllowFallback }

// CAFile returns the file of further certificate authorities, or "".
func (c *Config) CAFile() string { return c.file.CAFile }

// comparison brings a URL into the form in which two are compared. It is never
// stored or sent (protocol rule 3.3.1).
func comparison(s string) (string, bool) {
	if brokenURL(s) != "" {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", false
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	query := ""
	if i := strings.IndexByte(s, '?'); i >= 0 {
		query = s[i:]
	}
	return u.Scheme + "://" + host + ":" + port + path + query, true
}

// redact drops what a person may have pasted into a URL that an error repeats.
func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "a URL that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
	return u.String()
}
