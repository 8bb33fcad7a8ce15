package discover_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

type params = map[string]string

func header(lines ...string) http.Header { return http.Header{"Www-Authenticate": lines} }

func TestChallenges(t *testing.T) {
	bearer := func(p params) discover.Challenge { return discover.Challenge{Scheme: "bearer", Params: p} }
	basic := discover.Challenge{Scheme: "basic", Params: params{"realm": "x"}}
	for _, test := range []struct {
		name  string
		lines []string
		want  []discover.Challenge
	}{
		{"no header", nil, nil},
		{"empty header", []string{""}, nil},
		{"only commas", []string{" , ,\t,"}, nil},
		{"scheme alone", []string{"Bearer"}, []discover.Challenge{bearer(nil)}},
		{"scheme and space", []string{"Bearer "}, []discover.Challenge{bearer(nil)}},
		{"token value", []string{"Bearer error=invalid_token"}, []discover.Challenge{bearer(params{"error": "invalid_token"})}},
		{"quoted value", []string{`Bearer realm="a, b=c"`}, []discover.Challenge{bearer(params{"realm": "a, b=c"})}},
		{"empty quoted value", []string{`Bearer realm=""`}, []discover.Challenge{bearer(params{"realm": ""})}},
		{"escapes", []string{`Bearer realm="a\"b\\c\d"`}, []discover.Challenge{bearer(params{"realm": `a"b\cd`})}},
		{"text beyond ASCII", []string{`Bearer realm="é"`}, []discover.Challenge{bearer(params{"realm": "é"})}},
		{"scheme and names in any case", []string{`bEARER ReAlM="X"`}, []discover.Challenge{bearer(params{"realm": "X"})}},
		{"space around =", []string{"Bearer realm = \"x\",\terror\t=\tb"}, []discover.Challenge{bearer(params{"realm": "x", "error": "b"})}},
		{"more spaces", []string{`Bearer   realm="x"  ,  error=b  `}, []discover.Challenge{bearer(params{"realm": "x", "error": "b"})}},
		{"no space after comma", []string{`Bearer realm="x",error=b`}, []discover.Challenge{bearer(params{"realm": "x", "error": "b"})}},
		{"empty list elements", []string{`, Bearer realm="x",, ,error=b,`}, []discover.Challenge{bearer(params{"realm": "x", "error": "b"})}},
		{"empty element first", []string{`Bearer ,realm="x"`}, []discover.Challenge{bearer(params{"realm": "x"})}},
		{"two in one header", []string{`Basic realm="x", Bearer realm="y", error=b`},
			[]discover.Challenge{basic, bearer(params{"realm": "y", "error": "b"})}},
		{"two headers", []string{`Basic realm="x"`, "Bearer"}, []discover.Challenge{basic, bearer(nil)}},
		{"scheme alone between others", []string{`Negotiate, Basic realm="x", Bearer`},
			[]discover.Challenge{{Scheme: "negotiate"}, basic, bearer(nil)}},
		{"token68", []string{"Negotiate abc+/-._~09==, Bearer"},
			[]discover.Challenge{{Scheme: "negotiate", Token68: "abc+/-._~09=="}, bearer(nil)}},
		{"token68 without padding", []string{"NTLM abc"}, []discover.Challenge{{Scheme: "ntlm", Token68: "abc"}}},
		{"scheme named like a parameter", []string{`Basic realm="x", scope, Bearer`},
			[]discover.Challenge{basic, {Scheme: "scope"}, bearer(nil)}},
		{"same name in two challenges", []string{`Basic realm="x", Bearer realm="x"`}, []discover.Challenge{basic, bearer(params{"realm": "x"})}},
		{"RFC 9110 11.6.1", []string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`},
			[]discover.Challenge{{Scheme: "basic", Params: params{"realm": "simple"}},
				{Scheme: "newauth", Params: params{"realm": "apps", "type": "1", "title": `Login to "apps"`}}}},
	} {
		got, err := discover.Challenges(header(test.lines...))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got)\n%s", test.name, err, diff)
		}
	}
}

func TestChallengesRefused(t *testing.T) {
	for name, line := range map[string]string{
		"parameter without scheme":   `realm="x"`,
		"no closing quote":           `Bearer realm="x`,
		"quote escaped at the end":   `Bearer realm="x\"`,
		"backslash at the end":       `Bearer realm="x\`,
		"no value":                   `Bearer realm="x", error=`,
		"no comma":                   `Bearer realm="x" error=b`,
		"no comma after quote":       `Bearer realm="x"error=b`,
		"URL without quotes":         `Bearer resource_metadata=https://h/m`,
		"parameter twice":            `Bearer scope="a", scope="b"`,
		"parameter twice, two cases": `Bearer scope="a", Scope="b"`,
		"twice in an unknown scheme": `Other a=b, a=c, Bearer`,
		"parameter after token68":    `Negotiate abc, realm="x"`,
		"two words":                  `Negotiate abc def`,
		"tab after the scheme":       "Bearer\trealm=x",
		"control character":          "Bearer realm=\"\x1b[2J\"",
		"escaped control character":  "Bearer realm=\"\\\x1b\"",
		"delete":                     "Bearer realm=\"\x7f\"",
		"not a token":                `{} Bearer`,
		"equals sign":                `= Bearer`,
		"quote":                      `"Bearer"`,
	} {
		if got, err := discover.Challenges(header(line)); err == nil || got != nil {
			t.Errorf("%s: Challenges(%q) = %v, %v", name, line, got, err)
		}
	}
	if _, err := discover.Challenges(header("Bearer", `Basic realm="x`)); err == nil {
		t.Error("a broken second header is overlooked")
	}
	long := strings.Repeat(",", 40<<10)
	if _, err := discover.Challenges(header(long, long)); err == nil {
		t.Error("80 KiB of header are read")
	}
}

func TestChallengeReaders(t *testing.T) {
	p := params{"resource_metadata": "https://h/m", "scope": " read  write:all ", "error": "insufficient_user_authentication",
		"acr_values": "gold silver", "max_age": "300"}
	for _, scheme := range []string{"bearer", "dpop", "basic"} {
		c := discover.Challenge{Scheme: scheme, Params: p}
		age, ok := c.MaxAge()
		got := []any{c.ResourceMetadata(), c.Scopes(), c.ErrorCode(), c.ACRValues(), age, ok}
		want := []any{"https://h/m", []string{"read", "write:all"}, "insufficient_user_authentication",
			[]string{"gold", "silver"}, 5 * time.Minute, true}
		if scheme == "basic" {
			want = []any{"", []string(nil), "", []string(nil), time.Duration(0), false}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", scheme, diff)
		}
	}
	for _, bad := range []string{"", " ", "a\tb", "a\"b", `a\b`, "é", "a\x1b[2J", strings.Repeat("a ", 16<<10)} {
		if got := (discover.Challenge{Scheme: "bearer", Params: params{"scope": bad}}).Scopes(); got != nil {
			t.Errorf("Scopes of %q = %q", bad, got)
		}
	}
	for _, bad := range []string{"", "-1", "+1", "1.5", "soon", "99999999999999999999"} {
		if age, ok := (discover.Challenge{Scheme: "bearer", Params: params{"max_age": bad}}).MaxAge(); age != 0 || ok {
			t.Errorf("MaxAge of %q = %v, %v", bad, age, ok)
		}
	}
}

// printed writes challenges the way a careful server would.
func printed(list []discover.Challenge) string {
	var all []string
	for _, c := range list {
		text := c.Scheme
		if c.Token68 != "" {
			text += " " + c.Token68
		}
		for i, name := range slices.Sorted(maps.Keys(c.Params)) {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(` %s="%s"`, name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.Params[name]))
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// Reading what was printed gives what was read; the readers of OAuth parameters
// listen to OAuth schemes only; an error comes with nothing.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="a\"b", scope="read write", resource_metadata="https://h/m"`, `Negotiate abc==, DPoP error=x`,
		`Basic realm="x", , Bearer`, `Newauth realm="apps", type=1`, `Bearer a = b`, `realm=x`, `A a=`, "A\ta", `A a=b=`,
	} {
		f.Add(seed, "Bearer")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got, err := discover.Challenges(header(first, second))
		if err != nil {
			if got != nil {
				t.Errorf("challenges beside the error %v", err)
			}
			return
		}
		again, err := discover.Challenges(header(printed(got)))
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("printed as %q: error %v\n%s", printed(got), err, diff)
		}
		for _, c := range got {
			oauth := c.Scheme == "bearer" || c.Scheme == "dpop"
			_, aged := c.MaxAge()
			if !oauth && (c.ResourceMetadata() != "" || c.ErrorCode() != "" || c.Scopes() != nil || c.ACRValues() != nil || aged) {
				t.Errorf("scheme %q has a say", c.Scheme)
			}
			if c.Token68 != "" && c.Params != nil || c.Scheme != strings.ToLower(c.Scheme) {
				t.Errorf("impossible challenge %+v", c)
			}
			for _, scope := range c.Scopes() {
				if scope == "" || strings.ContainsAny(scope, " \t\r\n\"\\\x1b\x7f") {
					t.Errorf("scope %q", scope)
				}
			}
		}
	})
}
