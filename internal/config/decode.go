package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

// Error is a mistake in a setting. It never contains the value, which might be
// a secret in the wrong place.
type Error struct {
	Where string // file:line:column, a flag or a variable
	Why   string
}

func (e *Error) Error() string { return e.Where + ": " + e.Why }

// sources says where each value came from: "path:line:column", a flag or a
// variable, by its key ("mcpServers.wiki.url").
type sources map[string]string

// decoder reads JSON with comments into the types of file.go. encoding/json
// would take the last of two equal keys, match keys without regard to case and
// forget where a value stood.
type decoder struct {
	path  string
	src   []byte
	lines []int // where each line starts
	at    sources
}

// mark is what some Windows editors begin a text with.
var mark = []byte("\ufeff")

// backslash goes with what a path looks like whose backslashes are single ones.
const backslash = "; in JSON a backslash is written twice, and a path may have / in its place"

// decode reads src into the struct that out points to. Text that holds nothing
// but comments counts as an empty object.
func decode(path string, src []byte, out any) (sources, error) {
	src = bytes.TrimPrefix(src, mark)
	d := decoder{path: path, src: src, lines: []int{0}, at: sources{}}
	for i, c := range src {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	root, err := d.parse()
	if err != nil {
		return nil, err
	}
	if err := d.value("", root, reflect.ValueOf(out).Elem()); err != nil {
		return nil, err
	}
	return d.at, nil
}

// maxBrackets bounds what the recursive parser can be driven to. A thousand
// servers need about four thousand.
const maxBrackets = 20_000

func (d *decoder) parse() (hujson.Value, error) {
	if i := firstInvalid(d.src); i < len(d.src) {
		return hujson.Value{}, d.fail(i, "not valid UTF-8")
	}
	if bytes.Count(d.src, []byte("["))+bytes.Count(d.src, []byte("{")) > maxBrackets {
		return hujson.Value{}, &Error{d.path, fmt.Sprintf("more than %d objects and lists", maxBrackets)}
	}
	root, err := jsonedit.Parse(d.src)
	if err == nil {
		return root, nil
	}
	// The parser tells the place in its text only.
	var line, column int
	why := "not JSON with comments"
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
		return hujson.Value{}, &Error{d.path, why}
	}
	if cause := errors.Unwrap(err); cause != nil {
		why = cause.Error()
	}
	at := d.offsetOf(line, column)
	if strings.HasPrefix(why, "invalid literal") { // the rest of it is the literal, perhaps a secret
		why = "invalid literal"
		if rest, _, _ := bytes.Cut(d.src[at:], []byte("\n")); bytes.Contains(rest, []byte(`\`)) {
			why += backslash
		}
	}
	return hujson.Value{}, d.fail(at, why)
}

func (d *decoder) value(key string, v hujson.Value, into reflect.Value) error {
	d.at[key] = d.where(v.StartOffset)
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.value(key, v, into.Elem())
	case reflect.Struct:
		return d.object(key, v, "an object", func(name string, m hujson.ObjectMember) error {
			f, ok := field(into, name)
			if !ok {
				return d.fail(m.Name.StartOffset, unknownKey(name, into.Type()))
			}
			return d.value(join(key, name), m.Value, f)
		})
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		return d.object(key, v, "an object", func(name string, m hujson.ObjectMember) error {
			if !validName(name) {
				return d.fail(m.Name.StartOffset, badName(name))
			}
			element := reflect.New(into.Type().Elem()).Elem()
			err := d.value(joinName(key, name), m.Value, element)
			into.SetMapIndex(reflect.ValueOf(name), element)
			return err
		})
	case reflect.Slice:
		return d.list(key, v, into)
	}
	lit, ok := v.Value.(hujson.Literal)
	if !ok || string(lit) == "null" || json.Unmarshal(lit, into.Addr().Interface()) != nil {
		want := map[reflect.Kind]string{reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "a whole number"}[into.Kind()]
		return d.fail(v.StartOffset, fmt.Sprintf("%q is not %s", last(key), want))
	}
	if into.Kind() == reflect.String && into.Len() == 0 {
		return d.fail(v.StartOffset, fmt.Sprintf("%q is empty", last(key)))
	}
	return nil
}

func (d *decoder) list(key string, v hujson.Value, into reflect.Value) error {
	list, ok := v.Value.(*hujson.Array)
	if !ok {
		return d.fail(v.StartOffset, fmt.Sprintf("%q is not a list of strings", last(key)))
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list.Elements), len(list.Elements)))
	for i, element := range list.Elements {
		if err := d.value(fmt.Sprintf("%s[%d]", key, i), element, into.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// object calls each for the members of v, and refuses a key that stands twice.
func (d *decoder) object(key string, v hujson.Value, want string, each func(string, hujson.ObjectMember) error) error {
	object, ok := v.Value.(*hujson.Object)
	if !ok && key == "" {
		return d.fail(v.StartOffset, "the file is not "+want)
	}
	if !ok {
		return d.fail(v.StartOffset, fmt.Sprintf("%q is not %s", last(key), want))
	}
	seen := map[string]bool{}
	for _, m := range object.Members {
		name := m.Name.Value.(hujson.Literal).String()
		if seen[name] {
			return d.fail(m.Name.StartOffset, fmt.Sprintf("key %q stands twice", name))
		}
		seen[name] = true
		if err := each(name, m); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) fail(offset int, why string) error { return &Error{d.where(offset), why} }

// where counts columns in characters, as editors do.
func (d *decoder) where(offset int) string {
	offset = min(offset, len(d.src))
	line := sort.SearchInts(d.lines, offset+1)
	column := utf8.RuneCount(d.src[d.lines[line-1]:offset]) + 1
	return d.path + ":" + strconv.Itoa(line) + ":" + strconv.Itoa(column)
}

// offsetOf takes a position that is counted in bytes; what lies behind the end
// of the text is its end.
func (d *decoder) offsetOf(line, column int) int {
	if line < 1 || line > len(d.lines) {
		return len(d.src)
	}
	return min(d.lines[line-1]+column-1, len(d.src))
}

func firstInvalid(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(src)
}

// spelling returns how a field is called in the file; "" when it is not in it.
func spelling(tag reflect.StructTag) (key string, optional bool) {
	key, rest, _ := strings.Cut(tag.Get("json"), ",")
	if key == "-" {
		return "", true
	}
	return key, rest != ""
}

func field(s reflect.Value, name string) (reflect.Value, bool) {
	for i := range s.NumField() {
		if key, _ := spelling(s.Type().Field(i).Tag); key != "" && key == name {
			return s.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// joinName is join for a name that a person chose: it may hold dots.
func joinName(key, name string) string {
	if strings.Contains(name, ".") {
		return fmt.Sprintf("%s[%q]", key, name)
	}
	return join(key, name)
}

// last returns the last part of a key, for messages.
func last(key string) string {
	if i := strings.LastIndex(key, `["`); i >= 0 && strings.HasSuffix(key, `"]`) {
		return key[i+2 : len(key)-2]
	}
	return key[strings.LastIndexByte(key, '.')+1:]
}
