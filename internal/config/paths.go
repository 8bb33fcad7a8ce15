package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// Paths are the places of one user.
type Paths struct {
	Home   string // the home folder
	Config string // the configuration file
	State  string // the state folder

	ConfigSource, StateSource string // who said so: a variable, the pointer file, or "default"
}

const (
	xdgConfig = "XDG_CONFIG_HOME"
	xdgState  = "XDG_STATE_HOME"
)

// pointer is location.json: where the folders are, for callers that get no
// variable but HOME (some MCP clients hand their helpers nothing else).
type pointer struct {
	Config string `json:"config,omitempty"`
	State  string `json:"state,omitempty"`
}

const maxPointer = 64 << 10

// Locate finds the configuration and the state of the user whose home folder is
// given. XDG_CONFIG_HOME and XDG_STATE_HOME win when absolute (a relative value
// counts as unset, as the XDG specification wants), then the pointer file, then
// the default, which is the same on every system. Only the pointer file is
// read. A pointer to a folder that is gone is ignored; one that another account
// could have planted is an *ownfile.Unsafe error.
func Locate(home string, getenv func(string) string) (Paths, error) {
	if !filepath.IsAbs(home) {
		return Paths{}, errors.New("locate the configuration: the home folder is not known")
	}
	p := Paths{Home: home}
	left, err := readPointer(p.pointerFile())
	if err != nil {
		return Paths{}, err
	}
	config, err := p.place(getenv, xdgConfig, left.Config, p.defaults().Config, &p.ConfigSource)
	if err != nil {
		return Paths{}, err
	}
	p.Config = filepath.Join(config, "config.json")
	p.State, err = p.place(getenv, xdgState, left.State, p.defaults().State, &p.StateSource)
	if err != nil {
		return Paths{}, err
	}
	return p, nil
}

// place decides about one folder.
func (p Paths) place(getenv func(string) string, variable, left, standard string, source *string) (string, error) {
	if dir := getenv(variable); filepath.IsAbs(dir) {
		*source = variable
		return filepath.Join(dir, "mcpauth"), nil
	}
	*source = "default"
	if left == "" {
		return standard, nil
	}
	info, err := os.Stat(left)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return standard, nil
	case err != nil:
		return "", fmt.Errorf("follow %s: %w", p.pointerFile(), err)
	case !info.IsDir():
		return "", &ownfile.Unsafe{Path: left, Why: "it is not a folder"}
	}
	if why := ownfile.WritableByOthers(info); why != "" {
		return "", &ownfile.Unsafe{Path: left, Why: why}
	}
	*source = p.pointerFile()
	return left, nil
}

// LeavePointer writes down under the home folder what XDG variables moved, so
// that a caller without these variables finds the same place. A folder whose
// variable is unset keeps what an earlier call wrote; when nothing is moved any
// more the file is removed. Call it after something was saved, never for a mere
// look, since one command with a passing XDG_CONFIG_HOME would move everybody.
func (p Paths) LeavePointer() error {
	if p.ConfigSource != xdgConfig && p.StateSource != xdgState {
		return nil
	}
	file := p.pointerFile()
	before, err := readPointer(file)
	if err != nil {
		return err
	}
	after := before
	if p.ConfigSource == xdgConfig {
		after.Config = unless(filepath.Dir(p.Config), p.defaults().Config)
	}
	if p.StateSource == xdgState {
		after.State = unless(p.State, p.defaults().State)
	}
	switch {
	case after == before:
		return nil
	case after == pointer{}:
		return os.Remove(file)
	}
	data, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("leave a pointer: %w", err)
	}
	if err := ownfile.Replace(file, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("leave a pointer: %w", err)
	}
	return nil
}

// unless returns dir, or nothing when that is where a look starts anyway.
func unless(dir, standard string) string {
	if dir == standard {
		return ""
	}
	return dir
}

func (p Paths) defaults() pointer {
	return pointer{filepath.Join(p.Home, ".config", "mcpauth"), filepath.Join(p.Home, ".local", "state", "mcpauth")}
}

func (p Paths) pointerFile() string { return filepath.Join(p.defaults().Config, "location.json") }

// readPointer returns the zero pointer when there is no file. It is strict:
// whoever controls this file controls where trust is read from (S29).
func readPointer(file string) (pointer, error) {
	var left pointer
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return pointer{}, &ownfile.Unsafe{Path: file, Why: "it is not a regular file"}
	}
	data, _, err := ownfile.Read(file, maxPointer)
	if errors.Is(err, fs.ErrNotExist) {
		return pointer{}, nil
	}
	if err != nil {
		return pointer{}, err
	}
	if _, err := decode(file, data, &left); err != nil {
		return pointer{}, err
	}
	for _, dir := range []string{left.Config, left.State} {
		if dir != "" && !filepath.IsAbs(dir) {
			return pointer{}, &Error{file, fmt.Sprintf("%q is not an absolute path", dir)}
		}
	}
	return left, nil
}
