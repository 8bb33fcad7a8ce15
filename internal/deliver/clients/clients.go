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
	"maps"
	"slices"
	"strings"

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
		if strings.Contains(sign, "/") || strings.HasPrefix(sign, ".") {
			return exists(p.path(sign))
		}
		if p.OS == "windows" { // what npm installs is started by a .cmd
			return lookPath(p, sign+".exe") != "" || lookPath(p, sign+".cmd") != ""
		}
		return lookPath(p, sign) != ""
	})
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
