package discover

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxChallenges bounds the WWW-Authenticate headers of one response, in bytes.
const maxChallenges = 64 << 10

// Challenge is one challenge of a WWW-Authenticate header (RFC 9110 section 11.6.1).
// Scheme and the names in Params are in lower case; values are as sent, without
// quotes and escapes. Either Params or Token68 is empty.
type Challenge struct {
	Scheme  string
	Params  map[string]string
	Token68 string
}

// Challenges reads all challenges in the WWW-Authenticate headers of a response,
// those of unknown schemes included: a reader finds what it knows by Scheme.
// Several challenges in one header and several headers mean the same. Anything
// malformed refuses the whole, since it is then unclear where a challenge ends.
func Challenges(h http.Header) ([]Challenge, error) {
	var all []Challenge
	size := 0
	for _, line := range h.Values("WWW-Authenticate") {
		if size += len(line); size > maxChallenges {
			return nil, errors.New("read WWW-Authenticate: more than 64 KiB")
		}
		list, err := parseChallenges(line)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// speaksOAuth: only the challenges of these schemes have the parameters below
// (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1).
func (c Challenge) speaksOAuth() bool { return c.Scheme == "bearer" || c.Scheme == "dpop" }

func (c Challenge) param(name string) string {
	if !c.speaksOAuth() {
		return ""
	}
	return c.Params[name]
}

// ResourceMetadata is the URL of the protected resource's metadata, unchecked,
// "" if the challenge does not name one (RFC 9728 section 5.1). Like the methods
// below it reads Bearer and DPoP challenges only.
func (c Challenge) ResourceMetadata() string { return c.param("resource_metadata") }

// ErrorCode is the "error" parameter, such as invalid_token (RFC 6750 section 3.1).
func (c Challenge) ErrorCode() string { return c.param("error") }

// Scopes are the scopes the refused request would have needed; nil if they are
// not stated or are not scopes (RFC 6749 section 3.3).
func (c Challenge) Scopes() []string { return words(c.param("scope")) }

// ACRValues are the authentication levels that would do, best first (RFC 9470 section 3).
func (c Challenge) ACRValues() []string { return words(c.param("acr_values")) }

// MaxAge is how long ago the person may have signed in; ok is false if that is
// not stated or is not a number of seconds (RFC 9470 section 3).
func (c Challenge) MaxAge() (age time.Duration, ok bool) {
	n, err := strconv.ParseUint(c.param("max_age"), 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// maxWords bounds a list of words, in bytes: scopes are kept, and sent on.
const maxWords = 16 << 10

// words splits at spaces and admits the characters of a scope only, so that none
// of them surprises a request or a terminal later on (attacks S17, S26). A list
// without bounds is as good as none.
func words(s string) []string {
	for i := range len(s) {
		if ch := s[i]; ch < ' ' || ch > '~' || ch == '"' || ch == '\\' {
			return nil
		}
	}
	if list := strings.Fields(s); len(list) > 0 && len(s) <= maxWords {
		return list
	}
	return nil
}

// scanner reads one header line from left to right.
type scanner struct {
	s string
	i int
}

var errChallenge = errors.New("read WWW-Authenticate: malformed challenge")

// parseChallenges reads #challenge, where
//
//	challenge  = scheme [ 1*SP ( token68 / #auth-param ) ]
//	auth-param = token BWS "=" BWS ( token / quoted-string )
//
// A comma separates parameters as well as challenges. A name followed by "="
// belongs to the challenge before it, any other name begins a new one.
func parseChallenges(line string) ([]Challenge, error) {
	var all []Challenge
	in := scanner{s: line}
	for {
		in.skip(" \t,") // empty list elements are allowed
		if in.done() {
			return all, nil
		}
		name := in.token()
		if name == "" {
			return nil, errChallenge
		}
		if value, ok, err := in.value(); err != nil {
			return nil, err
		} else if ok {
			if len(all) == 0 || all[len(all)-1].add(name, value) != nil {
				return nil, errChallenge
			}
		} else if c, err := in.challenge(name); err != nil {
			return nil, err
		} else {
			all = append(all, c)
		}
		if in.skip(" \t"); !in.done() && in.s[in.i] != ',' {
			return nil, errChallenge
		}
	}
}

// challenge reads what may stand between a scheme and the next comma.
func (in *scanner) challenge(scheme string) (Challenge, error) {
	c := Challenge{Scheme: strings.ToLower(scheme)}
	if in.done() || in.s[in.i] != ' ' {
		return c, nil
	}
	in.skip(" \t")
	if text := in.token68(); text != "" {
		c.Token68 = text
		return c, nil
	}
	name := in.token()
	if name == "" { // no parameter, or an empty list element
		return c, nil
	}
	value, ok, err := in.value()
	if err != nil {
		return Challenge{}, err
	}
	if !ok {
		return Challenge{}, errChallenge
	}
	return c, c.add(name, value)
}

// add keeps a parameter; one name must not occur twice (RFC 9110 section 11.2).
func (c *Challenge) add(name, value string) error {
	name = strings.ToLower(name)
	if _, twice := c.Params[name]; twice || c.Token68 != "" {
		return errChallenge
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	c.Params[name] = value
	return nil
}

// value reads BWS "=" BWS and a token or quoted string. ok is false, and nothing
// is consumed, if no "=" follows.
func (in *scanner) value() (v string, ok bool, err error) {
	start := in.i
	in.skip(" \t")
	if in.done() || in.s[in.i] != '=' {
		in.i = start
		return "", false, nil
	}
	in.i++
	in.skip(" \t")
	if in.done() {
		return "", false, errChallenge
	}
	if in.s[in.i] == '"' {
		v, err = in.quoted()
		return v, err == nil, err
	}
	if v = in.token(); v == "" {
		return "", false, errChallenge
	}
	return v, true, nil
}

func (in *scanner) quoted() (string, error) {
	var b strings.Builder
	for in.i++; !in.done(); in.i++ {
		ch := in.s[in.i]
		switch {
		case ch == '"':
			in.i++
			return b.String(), nil
		case ch == '\\':
			if in.i++; in.done() {
				return "", errChallenge
			}
			ch = in.s[in.i]
		}
		if ch < ' ' && ch != '\t' || ch == 0x7f {
			return "", errChallenge
		}
		b.WriteByte(ch)
	}
	return "", errChallenge // no closing quote
}

// token68 reads a token68 if it is all that stands before the next comma, and
// nothing otherwise.
func (in *scanner) token68() string {
	rest := in.s[in.i:]
	n := span(rest, func(ch byte) bool { return isAlnum(ch) || strings.IndexByte("-._~+/", ch) >= 0 })
	if n == 0 {
		return ""
	}
	n += span(rest[n:], func(ch byte) bool { return ch == '=' })
	if after := strings.TrimLeft(rest[n:], " \t"); after != "" && after[0] != ',' {
		return ""
	}
	in.i += n
	return rest[:n]
}

func (in *scanner) token() string {
	n := span(in.s[in.i:], func(ch byte) bool { return isAlnum(ch) || strings.IndexByte("!#$%&'*+-.^_`|~", ch) >= 0 })
	in.i += n
	return in.s[in.i-n : in.i]
}

func (in *scanner) skip(set string) {
	in.i += span(in.s[in.i:], func(ch byte) bool { return strings.IndexByte(set, ch) >= 0 })
}

func (in *scanner) done() bool { return in.i >= len(in.s) }

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isAlnum(ch byte) bool {
	return ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z'
}
