package clients

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

// Server is a configured server.
type Server struct {
	Name, URL string

	// Bound says that its tokens are bound to a key, so that a header helper is of no
	// use.
	Bound bool
}

// key is the server's name as clients take it: some allow no dots.
func (s Server) key() string { return strings.ReplaceAll(s.Name, ".", "-") }

// Run is how a client starts mcpauth.
type Run struct {
	Program string   // a path, or a name to be found in PATH
	Flags   []string // that every call needs
	OS      string   // whose shell it is
}

// args are what follows the program's name.
func (r Run) args(verb string, s Server) []string {
	return slices.Concat([]string{verb, s.Name}, r.Flags)
}

// line is a command for a shell.
func (r Run) line(verb string, s Server) string {
	var words []string
	for _, w := range slices.Concat([]string{r.Program}, r.args(verb, s)) {
		words = append(words, quote(w, r.OS))
	}
	return strings.Join(words, " ")
}

func quote(word, system string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:=+@", r) || system == "windows" && r == '\\')
	}
	switch {
	case word != "" && !strings.ContainsFunc(word, odd):
		return word
	case system == "windows":
		return `"` + word + `"` // no file name has a quote there
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// object is an entry: an ordered object.
type object []member

type member struct {
	name  string
	value any // a string, number, bool, []string or object
}

func (o object) MarshalJSON() ([]byte, error) {
	b := []byte("{")
	for i, f := range o.fields() {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), f.Value...)
	}
	return append(b, '}'), nil
}

func (o object) fields() (list []jsonedit.Field) {
	for _, m := range o {
		value, err := json.Marshal(m.value)
		if err != nil {
			panic(err) // the table has only what can be written
		}
		list = append(list, jsonedit.Field{Name: m.name, Value: value})
	}
	return list
}

// plain is the object as it will be read back.
func (o object) plain() map[string]any {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // the table has only what can be written
	}
	v, err := jsonedit.Plain(text)
	if err != nil {
		panic(err)
	}
	return v.(map[string]any)
}

// Entry returns how the client wants to have a server written down.
func (c Client) entry(s Server, q Request) object {
	if c.helper != nil && !q.Bridge && !s.Bound {
		return c.helper(s, q.Run)
	}
	return c.bridge(s, q.Run)
}

func equal(x, y any) bool {
	if reflect.DeepEqual(x, y) {
		return true
	}
	a, err1 := json.Marshal(x)
	b, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

// covers reports whether an entry has all that is wanted. What the client or a
// person added to it ("disabled", "autoApprove") is theirs.
func covers(have any, want map[string]any) bool {
	m, ok := have.(map[string]any)
	if !ok {
		return false
	}
	for name, w := range want {
		h, ok := m[name]
		if sub, isObject := w.(map[string]any); isObject && ok && covers(h, sub) {
			continue
		}
		if !ok || !equal(h, w) {
			return false
		}
	}
	return true
}

// connection is the part of an entry that says what is started or connected to: all of
// it, or what "cline mcp add" puts one level down. It is nil for what is no entry.
func connection(entry any) map[string]any {
	m, _ := entry.(map[string]any)
	if inner, ok := m["transport"].(map[string]any); ok {
		return inner
	}
	return m
}

// isOurs reports whether the entry with this name starts mcpauth for the server of
// this name. The program may have its version or system behind its name, as what one
// downloads has.
func isOurs(name string, entry any) bool {
	m := connection(entry)
	var words []string
	for _, key := range []string{"command", "cmd", "args", "headersHelper", "http_headers_helper"} {
		switch x := m[key].(type) {
		case string:
			if strings.HasSuffix(strings.ToLower(key), "helper") {
				words = append(words, shellWords(x)...)
			} else {
				words = append(words, x)
			}
		case []any:
			for _, e := range x {
				s, _ := e.(string)
				words = append(words, s)
			}
		}
	}
	if len(words) < 3 {
		return false
	}
	program := words[0][strings.LastIndexAny(words[0], `/\`)+1:]
	return strings.HasPrefix(strings.ToLower(program), "mcpauth") &&
		(words[1] == "bridge" || words[1] == "headers") && Server{Name: words[2]}.key() == name
}

// shellWords takes a helper's command apart at spaces outside of quotes, as quote puts
// it together.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted := byte(0)
	for line += " "; line != ""; line = line[1:] {
		c := line[0]
		switch {
		case quoted == '\'' && strings.HasPrefix(line, `'\''`):
			line = line[3:]
			word.WriteByte(c)
		case quoted == 0 && (c == '\'' || c == '"'):
			quoted = c
		case c == quoted:
			quoted = 0
		case c == ' ' && quoted == 0:
			if word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
		default:
			word.WriteByte(c)
		}
	}
	return words
}
