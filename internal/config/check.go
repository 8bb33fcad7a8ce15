package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// errSkip keeps visit out of an object.
var errSkip = errors.New("skip")

// visitor is told of a field: its key, its value and its own tag.
type visitor func(key string, v reflect.Value, tag reflect.StructTag) error

// visit calls f for every field of file.go that has a key, outermost first, and
// goes through maps in the order of their keys.
func visit(key string, v reflect.Value, f visitor) error { return walk(key, v, "", true, f) }

// visitPresent leaves out what may be absent and is: a server has a dozen of that,
// and every token call pays for it.
func visitPresent(key string, v reflect.Value, f visitor) error { return walk(key, v, "", false, f) }

func walk(key string, v reflect.Value, tag reflect.StructTag, all bool, f visitor) error {
	if err := f(key, v, tag); errors.Is(err, errSkip) {
		return nil
	} else if err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() == reflect.Struct {
			return walk(key, v.Elem(), "", all, f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, optional := spelling(field.Tag)
			// An absent object is one as well when it is written down as {}.
			absent := field.Type.Kind() != reflect.Struct && v.Field(i).IsZero()
			if name == "" || absent && optional && !all {
				continue
			}
			if err := walk(join(key, name), v.Field(i), field.Tag, all, f); err != nil {
				return err
			}
		}
	case reflect.Map:
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			// A map's element cannot be changed in place.
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(name))
			if err := walk(joinName(key, name.String()), element, "", all, f); err != nil {
				return err
			}
			v.SetMapIndex(name, element)
		}
	}
	return nil
}

// check applies the rules that the tags of file.go name, and those that take
// more than one key.
func check(file *File, at sources) error {
	return visitPresent("", reflect.ValueOf(file).Elem(), func(key string, v reflect.Value, tag reflect.StructTag) error {
		fail := func(key, why string) error {
			return &Error{at.of(key), fmt.Sprintf("%q %s", last(key), why)}
		}
		if name, optional := spelling(tag); name != "" && !optional && v.IsZero() {
			return fail(key, "is missing")
		}
		if why := broken(tag.Get("check"), v); why != "" {
			return fail(key, why)
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
		if _, set := at[key]; !set && v.IsZero() {
			return errSkip
		}
		switch x := v.Addr().Interface().(type) {
		case *IdP:
			if why := foreignEndpoint(x.TokenEndpoint, x.Issuer); why != "" {
				return fail(join(key, "tokenEndpoint"), why)
			}
		case *Server:
			if x.OAuth.Resource != "" && !sameHost(x.OAuth.Resource, x.URL) {
				return fail(join(key, "oauth.resource"), "is not on the server's own host: its tokens would be another server's")
			}
		case *Managed:
			if _, ok := x.IdPs[DefaultIdP]; ok {
				return fail(join(key, "idps."+DefaultIdP), "is the name of the block \"idp\"")
			}
		case *OAuth:
			if sub, why := x.broken(file); why != "" {
				return fail(join(key, sub), why)
			}
		case *Client:
			if a := x.ClientAuth; a.HasSecret() || strings.HasPrefix(a.Method, "client_secret") {
				return fail(join(key, "clientAuth.method"), "cannot be used with a metadata document, which holds no secret; use none or private_key_jwt")
			}
			// Else what one authorization server is shown could be shown to another.
			if a := x.ClientAuth.AssertionAudience; a != "" && a != "issuer" && a != "token_endpoint" {
				return fail(join(key, "clientAuth.assertionAudience"), "would be one for all authorization servers; use issuer or token_endpoint here, and set it for the one server")
			}
		case *Auth:
			if sub, why := x.broken(); why != "" {
				return fail(join(key, sub), why)
			}
		case *Store:
			if sub, why := x.broken(); why != "" {
				return fail(join(key, sub), why)
			}
		}
		return nil
	})
}

// of returns where a key was set, or for an absent one where its object starts.
func (at sources) of(key string) string {
	for key != "" && at[key] == "" {
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return at[key]
}

// foreignEndpoint keeps ID tokens, ID-JAGs and client secrets with their issuer,
// whoever may have written the file (attacks S1, S6, S29): an issuer whose endpoint
// is on another host has to say so in its own metadata.
func foreignEndpoint(endpoint, issuer string) string {
	switch {
	case endpoint == "":
		return ""
	case issuer == "":
		return "needs the \"issuer\" that it belongs to"
	case !sameHost(endpoint, issuer):
		return "is not on the issuer's host"
	}
	return ""
}

// sameHost reports whether two URLs have the same host and port. What is no such
// URL is for the check of its own key to refuse.
func sameHost(a, b string) bool {
	ua, err1 := url.Parse(a)
	ub, err2 := url.Parse(b)
	return err1 != nil || err2 != nil || ua.Host == "" || ub.Host == "" || strings.EqualFold(ua.Host, ub.Host)
}

func (o OAuth) broken(file *File) (key, why string) {
	if why := foreignEndpoint(o.TokenEndpoint, o.Issuer); why != "" {
		return "tokenEndpoint", why
	}
	mode := o.ModeOrDefault()
	switch {
	case o.EnterpriseManaged != nil && o.Mode != "" && *o.EnterpriseManaged != (mode == ModeEMA):
		return "enterpriseManaged", "contradicts \"mode\""
	case o.ASClientID == "" && (mode == ModeEMA && file.Client.MetadataURL == "" || mode == ModeClientCredentials || mode == ModeWorkload):
		return "clientId", "is missing"
	case (o.Workload.TokenFile != "" || len(o.Workload.TokenCommand) > 0) != (mode == ModeWorkload):
		return "workload", "and the mode workload need each other"
	case o.Workload.TokenFile != "" && len(o.Workload.TokenCommand) > 0:
		return "workload.tokenCommand", "stands beside \"tokenFile\"; one of them is enough"
	case o.LegacyDiscovery && mode != ModeOAuth:
		return "legacyDiscovery", "is for servers with mode oauth"
	case o.LegacyDiscovery && o.Issuer != "":
		return "legacyDiscovery", "stands beside \"issuer\"; one of them is enough"
	}
	if names := file.Managed.names(); o.IdP != "" && !slices.Contains(names, o.IdP) {
		why := "names an identity provider that the file does not have"
		if near := nearest(o.IdP, names); near != "" {
			why += fmt.Sprintf(", did you mean %q?", near)
		}
		return "idp", why
	}
	return "", ""
}

func (a Auth) broken() (key, why string) {
	secret := a.SecretFile != "" || len(a.SecretCommand) > 0
	switch {
	case a.SecretFile != "" && len(a.SecretCommand) > 0:
		return "secretCommand", "stands beside \"secretFile\"; one of them is enough"
	case a.KeyFile != "" && a.KeyName != "":
		return "key", "stands beside \"keyFile\"; one of them is enough"
	case a.Method == "private_key_jwt" && a.KeyFile == "" && a.KeyName == "":
		return "keyFile", "is missing; private_key_jwt needs it, or \"key\""
	case a.Method == "private_key_jwt" && secret, a.Method == "none" && (secret || a.KeyFile != "" || a.KeyName != ""):
		return "method", "does not use the secret that stands beside it"
	}
	return "", ""
}

func (s Store) broken() (key, why string) {
	files := s.KeyFile != "" || s.PassphraseFile != ""
	switch {
	case s.KeyFile != "" && s.PassphraseFile != "":
		return "passphraseFile", "stands beside \"keyFile\"; one of them is enough"
	case s.Kind == "file" && !files:
		return "kind", "is file, which needs \"keyFile\" or \"passphraseFile\""
	case s.Kind == "" && files:
		return "kind", "is missing; a key file or passphrase file goes with file"
	case s.Kind == "keychain" && files:
		return "kind", "is keychain, which uses no file"
	}
	return "", ""
}

// broken says which rule a value breaks. Absent values break none.
func broken(rule string, v reflect.Value) string {
	name, arg, _ := strings.Cut(rule, "=")
	if name == "argv" && !v.IsNil() && v.Len() == 0 {
		return "is an empty list; it needs at least a program"
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if why := brokenText(name, arg, v.Index(i).String()); why != "" {
				return why
			}
		}
	case reflect.String:
		if v.Len() > 0 {
			return brokenText(name, arg, v.String())
		}
	case reflect.Int:
		if n := v.Int(); n < 0 || n > 65535 {
			return "is not a port number"
		}
	}
	return ""
}

func brokenText(rule, arg, s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		why := "holds a control character"
		if rule == "path" || rule == "argv" {
			why += backslash
		}
		return why
	}
	switch rule {
	case "url":
		return brokenURL(s)
	case "issuer": // RFC 8414 section 2: no query either
		if strings.Contains(s, "?") {
			return "holds a query, which an issuer cannot have"
		}
		return brokenURL(s)
	case "cimd": // draft-ietf-oauth-client-id-metadata-document section 3
		u, err := url.Parse(s)
		if why := brokenURL(s); why != "" {
			return why
		}
		if err != nil || u.Scheme != "https" || len(u.Path) < 2 || strings.Contains(u.Path+"/", "/../") || strings.Contains(u.Path+"/", "/./") {
			return "is not an https URL with a path, as a client ID has to be"
		}
	case "urlpath":
		if u, err := url.Parse(s); err != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || u.Path != s || !printable(s) || strings.ContainsAny(s, "?#") {
			return "is not a plain path that begins with /"
		}
	case "uri": // RFC 8707 section 2
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || strings.Contains(s, "#") || !printable(s) {
			return "is not an absolute URI without a fragment"
		}
	case "oneof":
		if options := strings.Split(arg, "|"); !slices.Contains(options, s) {
			return "is not one of " + strings.Join(options, ", ")
		}
	case "vschar": // RFC 6749 appendix A.1
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "holds a character that OAuth does not allow in a client ID"
		}
	case "scope": // RFC 6749 section 3.3
		if !printable(s) || strings.ContainsAny(s, `"\`) {
			return "holds something that is not a single word"
		}
	}
	return ""
}

// brokenURL allows https, and http to this very machine only (S9, S33). Whether
// a host name leads to a private address is for the HTTP client to see.
func brokenURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || !printable(s) || u.Hostname() == "" || u.Opaque != "":
		return "is not an absolute URL"
	case u.User != nil:
		return "holds a user name or password"
	case strings.Contains(s, "#"):
		return "holds a fragment"
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return ""
	}
	return "is not an https URL (http is for loopback addresses only)"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// printable reports whether s holds visible ASCII only, as a URI does (RFC 3986
// section 2); that also keeps out look-alike and direction-changing characters.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// validName holds for names a person types: a letter or digit, then up to 63
// letters, digits, dots, underscores and dashes. Case is kept.
func validName(s string) bool {
	alnum := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	if s == "" || len(s) > 64 || !alnum(rune(s[0])) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !alnum(r) && !strings.ContainsRune("._-", r) })
}

func badName(s string) string {
	return fmt.Sprintf("%q is not a name: use up to 64 letters, digits, dots, dashes and underscores", s)
}
