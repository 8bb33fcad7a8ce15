package config

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tailscale/hujson"
)

// Doc is the text of a file that is being edited. Its methods cut and insert in
// the text itself, so that bytes they do not mean to change cannot change.
type Doc struct {
	path string
	src  []byte
}

// newDoc starts from the text of a file, nil when there is none. A file with
// nothing but comments gets an object to edit.
func newDoc(path string, src []byte) *Doc {
	if src == nil {
		return &Doc{path, []byte(fresh)}
	}
	if _, err := hujson.Parse(append(bytes.Clone(src), '\n')); err != nil {
		if _, err := parse(src); err == nil {
			return &Doc{path, append(bytes.Clone(src), "\n{}\n"...)}
		}
	}
	return &Doc{path, src}
}

// SetServer adds a server, or makes an existing one equal to s. Keys that s
// leaves at zero are removed.
func (d *Doc) SetServer(name string, s Server) error {
	if !validName(name) {
		return &Error{d.path, badName(name)}
	}
	return d.set([]string{"mcpServers", name}, s)
}

// RemoveServer removes a server, or says that it is unknown with an
// *UnknownServer error. Comments above it stay: they may be about its neighbours.
func (d *Doc) RemoveServer(name string) error {
	root, err := parse(d.src)
	if err != nil {
		return err
	}
	servers := member(&root, "mcpServers")
	if member(servers, name) == nil {
		return &UnknownServer{name, nearest(name, names(servers))}
	}
	return d.remove([]string{"mcpServers", name})
}

// SetIdP adds an identity provider, or makes an existing one equal to p. The
// name "" or DefaultIdP means the block "idp".
func (d *Doc) SetIdP(name string, p IdP) error {
	if name == "" || name == DefaultIdP {
		return d.set([]string{"enterpriseManagedAuth", "idp"}, p)
	}
	if !validName(name) {
		return &Error{d.path, badName(name)}
	}
	return d.set([]string{"enterpriseManagedAuth", "idps", name}, p)
}

// SetStore says where secrets are kept.
func (d *Doc) SetStore(s Store) error { return d.set([]string{"store"}, s) }

// set makes the value at path equal to v.
func (d *Doc) set(path []string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // "&" is common in URLs
	if err := enc.Encode(v); err != nil {
		return err
	}
	want, err := hujson.Parse(text.Bytes())
	if err != nil {
		return err
	}
	return d.merge(path, want)
}

// merge goes down into objects that are there already, so that the comments in
// them survive, and changes only what differs.
func (d *Doc) merge(path []string, want hujson.Value) error {
	root, err := parse(d.src)
	if err != nil {
		return err
	}
	have := &root
	for i, name := range path {
		next := member(have, name)
		if next == nil {
			return d.insert(have, path[i:], want)
		}
		have = next
	}
	old, ok1 := have.Value.(*hujson.Object)
	wanted, ok2 := want.Value.(*hujson.Object)
	if !ok1 || !ok2 {
		if compact(*have) != compact(want) {
			d.splice(have.StartOffset, have.EndOffset, d.writer().render(want, d.indentOf(have.StartOffset)))
		}
		return nil
	}
	keep := names(&want)
	for _, m := range wanted.Members {
		if err := d.merge(append(slices.Clone(path), nameOf(m)), m.Value); err != nil {
			return err
		}
	}
	for _, m := range old.Members {
		if name := nameOf(m); !slices.Contains(keep, name) {
			if err := d.remove(append(slices.Clone(path), name)); err != nil {
				return err
			}
		}
	}
	return nil
}
