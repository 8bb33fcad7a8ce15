package config

import "github.com/mcpauth/mcpauth/internal/jsonedit"

// Doc is the text of a file that is being edited. Its methods cut and insert in
// the text itself, so that bytes they do not mean to change cannot change.
type Doc struct {
	path string
	text *jsonedit.Doc
}

// newDoc starts from the text of a file, nil when there is none.
func newDoc(path string, src []byte) *Doc {
	if src == nil {
		src = []byte(fresh)
	}
	return &Doc{path, jsonedit.New(src)}
}

// SetServer adds a server, or makes an existing one equal to s. Keys that s
// leaves at zero are removed.
func (d *Doc) SetServer(name string, s Server) error {
	if !validName(name) {
		return &Error{d.path, badName(name)}
	}
	return d.text.Set([]string{"mcpServers", name}, s)
}

// RemoveServer removes a server, or says that it is unknown with an
// *UnknownServer error. Comments above it stay: they may be about its neighbours.
func (d *Doc) RemoveServer(name string) error {
	root, err := jsonedit.Parse(d.text.Bytes())
	if err != nil {
		return err
	}
	servers := jsonedit.Member(&root, "mcpServers")
	if jsonedit.Member(servers, name) == nil {
		return &UnknownServer{name, nearest(name, jsonedit.Names(servers))}
	}
	return d.text.Remove([]string{"mcpServers", name})
}

// SetIdP adds an identity provider, or makes an existing one equal to p. The
// name "" or DefaultIdP means the block "idp".
func (d *Doc) SetIdP(name string, p IdP) error {
	if name == "" || name == DefaultIdP {
		return d.text.Set([]string{"enterpriseManagedAuth", "idp"}, p)
	}
	if !validName(name) {
		return &Error{d.path, badName(name)}
	}
	return d.text.Set([]string{"enterpriseManagedAuth", "idps", name}, p)
}

// SetStore says where secrets are kept.
func (d *Doc) SetStore(s Store) error { return d.text.Set([]string{"store"}, s) }
