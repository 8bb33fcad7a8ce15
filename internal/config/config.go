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
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxFile bounds the configuration file. Real ones have a few kilobytes.
const maxFile = 1 << 20

// Config is everything that was configured.
type Config struct {
	Path  string // the file that was, or would have been, read
	Found bool   // whether there is one

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

// layer is what one source says. Load lays the layers over one another in
// order; a further one, such as an administrator's file, joins its list.
type layer struct {
	file     File
	selected string
	port     *int
	at       sources
}

// Load reads the file and lays the variables and then the flags over it. The
// first mistake found is the error, an *Error unless the file cannot be read
// or trusted. No file at all is an empty configuration, unless a flag or
// MCPAUTH_CONFIG named it.
func Load(paths Paths, flags Overrides, getenv func(string) string) (*Config, error) {
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
	src, err := readOwn(path, maxFile)
	switch {
	case err == nil:
		c.Found = true
	case !errors.Is(err, fs.ErrNotExist) || named:
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	user, err := fileLayer(path, src)
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
	l := layer{}
	var err error
	if l.at, err = decode(path, src, &l.file); err != nil {
		return layer{}, err
	}
	l.file.name()
	if err := check(&l.file, l.at); err != nil {
		return layer{}, err
	}
	return l, nil
}

func envLayer(getenv func(string) string) (layer, error) {
	get := func(flag string) string { return getenv(variable(flag)) }
	o := Overrides{CAFile: get("ca-file"), IdP: get("idp")}
	if block := (IdP{Issuer: get("issuer"), IdPClientID: get("client-id")}); block.Issuer+block.IdPClientID != "" {
		o.Block = &block
	}
	if store := (Store{get("store"), get("store-key-file"), get("store-passphrase-file")}); store != (Store{}) {
		o.Store = &store
	}
	if text := get("redirect-port"); text != "" {
		port, err := strconv.Atoi(text)
		if err != nil {
			return layer{}, &Error{variable("redirect-port"), "not a port number"}
		}
		o.RedirectPort = &port
	}
	return o.layer(variable), nil
}

func flagLayer(o Overrides) layer { return o.layer(func(flag string) string { return "--" + flag }) }

// variable gives every flag's variable the same spelling.
func variable(flag string) string {
	return "MCPAUTH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// layer turns overrides into a layer whose sources are spelled by spell.
func (o Overrides) layer(spell func(flag string) string) layer {
	l := layer{file: File{CAFile: o.CAFile}, selected: o.IdP, port: o.RedirectPort, at: sources{}}
	if o.Store != nil {
		l.file.Store = *o.Store
		if l.file.Store.Kind == "" { // a key file alone says enough
			l.file.Store.Kind = "file"
		}
	}
	if o.Block != nil {
		block := *o.Block
		block.ClientAuth.SecretCommand = slices.Clone(block.ClientAuth.SecretCommand) // absolute writes into it
		if name := or(o.IdP, DefaultIdP); name == DefaultIdP {
			l.file.Managed.IdP = &block
		} else {
			l.file.Managed.IdPs = map[string]IdP{name: block}
		}
		l.selected = or(o.IdP, DefaultIdP)
	}
	l.file.name()
	_ = visit("", reflect.ValueOf(&l.file).Elem(), "", func(key string, _ reflect.Value, tag reflect.StructTag) error {
		if flag := tag.Get("flag"); flag != "" {
			l.at[key] = spell(flag)
		} else if strings.HasPrefix(key, "enterpriseManagedAuth.") {
			l.at[key] = spell("issuer") // the block as such, for what is missing in it
		}
		return nil
	})
	l.at["idp"], l.at["port"] = spell("idp"), spell("redirect-port")
	return l
}

// overlay lays l over r and reports whether that changed anything. Blocks go
// over whole: half an identity provider from one source and half from another
// is nobody's intention.
func (r *layer) overlay(l layer) (changed bool) {
	take := func(key string) {
		changed = true
		within := func(k, _ string) bool {
			return k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"[")
		}
		maps.DeleteFunc(r.at, within)
		for k, where := range l.at {
			if within(k, where) {
				r.at[k] = where
			}
		}
	}
	if p := l.file.Managed.IdP; p != nil {
		r.file.Managed.IdP = p
		take("enterpriseManagedAuth.idp")
	}
	for name, p := range l.file.Managed.IdPs {
		put(&r.file.Managed.IdPs, name, p)
		take(joinName("enterpriseManagedAuth.idps", name))
	}
	for name, s := range l.file.Servers {
		put(&r.file.Servers, name, s)
		take(joinName("mcpServers", name))
	}
	if l.file.Store != (Store{}) {
		r.file.Store = l.file.Store
		take("store")
	}
	if l.file.CAFile != "" {
		r.file.CAFile = l.file.CAFile
		take("caFile")
	}
	if l.selected != "" {
		r.selected = l.selected
		take("idp")
	}
	if l.port != nil {
		changed = true
		r.redirectTo(*l.port, l.at["port"])
	}
	return changed
}

// redirectTo sets the port of every IdP, whichever layer it came from.
func (r *layer) redirectTo(port int, where string) {
	if p := r.file.Managed.IdP; p != nil {
		p.RedirectPort = port
		r.at["enterpriseManagedAuth.idp.redirectPort"] = where
	}
	for name, p := range r.file.Managed.IdPs {
		p.RedirectPort = port
		r.file.Managed.IdPs[name] = p
		r.at[joinName("enterpriseManagedAuth.idps", name)+".redirectPort"] = where
	}
}

func put[V any](m *map[string]V, name string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[name] = v
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

// absolute resolves the paths of a layer: ~/ is the home folder, and a relative
// path starts at base. A program without a separator is left for the PATH.
func (l *layer) absolute(home, base string) {
	resolve := func(p string) string {
		if strings.HasPrefix(p, "~/") || strings.HasPrefix(p, "~"+string(filepath.Separator)) {
			return filepath.Join(home, p[2:])
		}
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(base, p)
	}
	_ = visit("", reflect.ValueOf(&l.file).Elem(), "", func(_ string, v reflect.Value, tag reflect.StructTag) error {
		if v.Kind() == reflect.Struct && v.IsZero() {
			return errSkip
		}
		switch tag.Get("check") {
		case "path":
			v.SetString(resolve(v.String()))
		case "argv":
			if v.Len() > 0 && strings.ContainsAny(v.Index(0).String(), `/`+string(filepath.Separator)) {
				v.Index(0).SetString(resolve(v.Index(0).String()))
			}
		}
		return nil
	})
}

func (m Managed) names() []string {
	names := slices.Sorted(maps.Keys(m.IdPs))
	if m.IdP != nil {
		names = append(names, DefaultIdP)
	}
	return names
}
