// Package config finds what the user configured: flags, variables and the user's
// file, resolved once, each value knowing its source. It also edits that file
// without touching what it was not asked to touch.
//
// It comes before every stage of the flow and knows none of them. Only the user
// (and later the administrator) can name an identity provider, a command or an
// endpoint; no file of a project or a folder is ever read (S29).
//
//	paths, err := config.Locate(home, os.Getenv)
//	c, err := config.Load(paths, config.Overrides{IdP: *idpFlag}, os.Getenv)
//	server, err := c.Server("wiki")
//	idp, err := c.IdP(server.OAuth.IdP)
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// maxFile bounds the configuration file. Real ones have a few kilobytes.
const maxFile = 1 << 20

// Config is everything that was configured.
type Config struct {
	Path   string // the file that was, or would have been, read
	Found  bool   // whether there is one
	Digest string // of its content, and of the program that judged it

	file     File
	selected string // the IdP that --idp or MCPAUTH_IDP asks for
	state    string
	at       sources
}

// Overrides are the flags. The zero value overrides nothing.
type Overrides struct {
	Config       string // --config: must exist
	CAFile       string // --ca-file
	IdP          string // --idp: the name of the identity provider to use
	Block        *IdP   // --issuer and what goes with it: a whole block, never mixed with the file's
	RedirectPort *int   // --redirect-port: goes with any block, as it concerns this machine only
	Store        *Store // --store and what goes with it: a whole block
}

// Load reads the file and lays the variables and then the flags over it. The
// first mistake found is the error, an *Error unless the file cannot be read
// or trusted. No file at all is an empty configuration, unless a flag or
// MCPAUTH_CONFIG named it.
func Load(paths Paths, flags Overrides, getenv func(string) string) (*Config, error) {
	return loadWith(paths, flags, getenv, func(path, _ string, src []byte) (layer, error) { return fileLayer(path, src) })
}

// loadWith is Load with a say in how the file is read.
func loadWith(paths Paths, flags Overrides, getenv func(string) string, read func(path, digest string, src []byte) (layer, error)) (*Config, error) {
	path, source := paths.Config, paths.ConfigSource
	if p := getenv(variable("config")); p != "" {
		path, source = p, variable("config")
	}
	if flags.Config != "" {
		path, source = flags.Config, "--config"
	}
	named := source != paths.ConfigSource
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the configuration: %w", err)
	}
	c := &Config{Path: path, state: paths.State}
	src, _, err := ownfile.Read(path, maxFile)
	switch {
	case err == nil:
		c.Found = true
	case !errors.Is(err, fs.ErrNotExist) || named:
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c.Digest = digest(src)
	user, err := read(path, c.Digest, src)
	if err != nil {
		return nil, err
	}
	user.absolute(paths.Home, filepath.Dir(path))
	env, err := envLayer(getenv)
	if err != nil {
		return nil, err
	}
	// A helper may run in a folder that is gone. Only relative flags miss it, and
	// opening them will say so.
	workDir, _ := os.Getwd()
	result, changed := user, false
	for _, l := range []layer{env, flagLayer(flags)} {
		l.absolute(paths.Home, workDir)
		changed = result.overlay(l) || changed
	}
	if name := result.selected; name != "" && !validName(name) {
		return nil, &Error{result.at["idp"], badName(name)}
	}
	if changed { // the file alone was checked already
		if err := check(&result.file, result.at); err != nil {
			return nil, err
		}
	}
	c.file, c.selected, c.at = result.file, result.selected, result.at
	c.at["config"], c.at["state"] = source, paths.StateSource
	return c, nil
}

// fileLayer reads and checks one file. A file must be right on its own, since a
// caller without the variables of this one has to be able to use it.
func fileLayer(path string, src []byte) (layer, error) {
	l, err := rightLayer(path, src)
	if err == nil {
		err = check(&l.file, l.at)
	}
	if err != nil {
		return layer{}, err
	}
	return l, nil
}

// rightLayer is fileLayer for what was checked before.
func rightLayer(path string, src []byte) (l layer, err error) {
	if l.at, err = decode(path, src, &l.file); err != nil {
		return layer{}, err
	}
	l.file.name()
	return l, nil
}

// name writes the names of blocks into them.
func (f *File) name() {
	if f.Managed.IdP != nil {
		f.Managed.IdP.Name = DefaultIdP
	}
	for name, p := range f.Managed.IdPs {
		p.Name = name
		f.Managed.IdPs[name] = p
	}
	for name, s := range f.Servers {
		s.Name = name
		f.Servers[name] = s
	}
}

func (m Managed) names() []string {
	names := slices.Sorted(maps.Keys(m.IdPs))
	if m.IdP != nil {
		names = append(names, DefaultIdP)
	}
	return names
}
