// Package clients writes entries into the configuration files of MCP clients, and
// takes them out again. An entry makes its client ask mcpauth for tokens: through
// the header helper where the client runs one, otherwise through the bridge.
//
// It is the last stage of the flow, before the flow has ever run: it hands out no
// token, and no secret is in what it writes. What each client wants is a row of
// the table in table.go; how its file is changed without changing anything else is
// in edit.go.
package clients

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// Client is one MCP client and the shape of its file.
type Client struct {
	ID   string // what a person types
	Name string // what its maker calls it

	// Paste says where a person pastes the entries herself, for a client without a
	// file that may be edited.
	Paste string
	Next  string // what to do when the file was changed
	EMA   string // how its own enterprise-managed sign-in is switched on, if it has one

	format    format
	at        string             // the key at the top that holds the entries
	named     bool               // entries are a list, and have their names inside
	fresh     string             // what a new file starts with
	graphical bool               // started without the shell's PATH
	file      func(Place) string // "" when there is none on this system
	signs     []string           // programs, or paths below the home folder, that show it is installed

	bridge func(Server, Run) object // how an entry that starts the bridge looks
	helper func(Server, Run) object // … one that runs the header helper; nil when the client has none
}

// Place is the computer as this package sees it.
type Place struct {
	OS     string // as runtime.GOOS
	Home   string
	Getenv func(string) string
}

// Server is a configured server.
type Server struct{ Name, URL string }

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

// Find returns the client that a person means.
func Find(id string) (Client, bool) {
	i := slices.IndexFunc(table(), func(c Client) bool { return c.ID == id })
	if i < 0 {
		return Client{}, false
	}
	return table()[i], true
}

// All lists the clients in the order of their names.
func All() []Client {
	return slices.SortedFunc(slices.Values(table()), func(a, b Client) int { return cmp.Compare(a.ID, b.ID) })
}

// Graphical reports whether the client is started without the shell's PATH, so
// that it needs the whole path of a program.
func (c Client) Graphical() bool { return c.graphical }

// Helper reports whether the client runs a header helper.
func (c Client) Helper() bool { return c.helper != nil }

// File returns the client's configuration file, "" when it has none here.
func (c Client) File(p Place) string {
	if c.file == nil {
		return ""
	}
	return c.file(p)
}

// Installed reports whether the client seems to be on this computer.
func (c Client) Installed(p Place) bool {
	if file := c.File(p); file != "" && exists(file) {
		return true
	}
	return slices.ContainsFunc(c.signs, func(sign string) bool {
		if strings.ContainsAny(sign, "/") {
			return exists(p.path(sign))
		}
		return LookPath(p, sign) != ""
	})
}

// LookPath finds a program in PATH; "" when it is not there. Folders that are not
// absolute are passed over: what they hold depends on where one stands.
func LookPath(p Place, program string) string {
	if p.OS == "windows" {
		program += ".exe"
	}
	for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && (p.OS == "windows" || info.Mode()&0o111 != 0) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// path is below the home folder unless it is absolute.
func (p Place) path(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return filepath.Join(p.Home, filepath.FromSlash(name))
}

// folder is the one that a variable names, else the standard one below the home.
func (p Place) folder(variable, standard string) string {
	if dir := p.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return p.path(standard)
}

// config is where the system keeps configurations: for graphical programs on macOS
// another place than for those of the shell.
func (p Place) config(graphical bool) string {
	switch {
	case p.OS == "windows":
		return p.folder("APPDATA", "AppData/Roaming")
	case p.OS == "darwin" && graphical:
		return p.path("Library/Application Support")
	}
	return p.folder("XDG_CONFIG_HOME", ".config")
}

// Program is how a client starts mcpauth, whose own file is self: by the name or
// path that PATH leads to, when that is the same program, since that survives an
// upgrade that moves the file itself.
func (c Client) Program(p Place, self string) string {
	found := LookPath(p, "mcpauth")
	if found == "" || !sameFile(found, self) {
		return self
	}
	if c.graphical {
		return found
	}
	return "mcpauth"
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// Ours lists the entries in the client's file that start mcpauth.
func (c Client) Ours(p Place) (names []string, err error) {
	file := c.File(p)
	if file == "" || !exists(file) {
		return nil, nil
	}
	src, _, err := ownfile.Read(file, maxFile)
	if err != nil {
		return nil, err
	}
	have, err := c.entries(src)
	if err != nil {
		return nil, &Uneditable{file, err}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if isOurs(name, have[name]) {
			names = append(names, name)
		}
	}
	return names, nil
}
