package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// layer is what one source says. Load lays the layers over one another in
// order; a further one, such as an administrator's file, joins its list.
type layer struct {
	file     File
	selected string
	port     *int
	at       sources
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
	if o.CAFile+o.IdP == "" && o.Block == nil && o.RedirectPort == nil && o.Store == nil { // as nearly always
		return layer{at: sources{}}
	}
	l := layer{file: File{CAFile: o.CAFile}, selected: o.IdP, port: o.RedirectPort, at: sources{}}
	if o.Store != nil && *o.Store != (Store{}) {
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
	_ = visit("", reflect.ValueOf(&l.file).Elem(), func(key string, _ reflect.Value, tag reflect.StructTag) error {
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

// absolute resolves the paths of a layer: ~/ is the home folder, and a relative
// path starts at base. A program without a separator is left for the PATH.
func (l *layer) absolute(home, base string) {
	resolve := func(p string) string {
		if strings.HasPrefix(p, "~/") || strings.HasPrefix(p, "~"+string(filepath.Separator)) {
			return filepath.Join(home, p[2:])
		}
		switch {
		case p == "":
			return ""
		case filepath.IsAbs(p): // one spelling: the store is known by it
			return filepath.Clean(p)
		case os.IsPathSeparator(p[0]): // on the drive of base
			return filepath.Join(filepath.VolumeName(base), p)
		}
		return filepath.Join(base, p)
	}
	_ = visitPresent("", reflect.ValueOf(&l.file).Elem(), func(_ string, v reflect.Value, tag reflect.StructTag) error {
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
