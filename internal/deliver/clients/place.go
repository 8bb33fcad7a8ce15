package clients

import (
	"os"
	"path/filepath"
	"strings"
)

// Place is the computer as this package sees it.
type Place struct {
	OS     string // as runtime.GOOS
	Home   string
	Getenv func(string) string
}

// lookPath finds a program in PATH; "" when it is not there. Folders that are not
// absolute are passed over: what they hold depends on where one stands.
func lookPath(p Place, program string) string {
	for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && (p.OS == "windows" || info.Mode()&0o111 != 0) {
			return path
		}
	}
	return ""
}

// Program is how a client starts mcpauth, whose own file is self: by the name or
// path that PATH leads to, when that is the same program, since that survives an
// upgrade that moves the file itself.
func (c Client) Program(p Place, self string) string {
	name := "mcpauth"
	if p.OS == "windows" {
		name += ".exe"
	}
	found := lookPath(p, name)
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// path is below the home folder unless it is absolute.
func (p Place) path(name string) string {
	if strings.HasPrefix(name, "/") || filepath.IsAbs(name) {
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
