package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// insert adds path[0] as the last member of the object in, with the rest of the
// path as objects around v. It follows the comma and line habits it finds there.
func (d *Doc) insert(in *hujson.Value, path []string, v hujson.Value) error {
	object, ok := in.Value.(*hujson.Object)
	if !ok {
		return fmt.Errorf("%q has no object to go into", path[0])
	}
	for _, name := range slices.Backward(path[1:]) {
		v = hujson.Value{Value: &hujson.Object{Members: []hujson.ObjectMember{
			{Name: hujson.Value{Value: hujson.String(name)}, Value: v}}}}
	}
	last := hujson.ObjectMember{}
	if n := len(object.Members); n > 0 {
		last = object.Members[n-1]
	}
	w := d.writer()
	w.inline = last.Value.Value != nil && !bytes.Contains(d.src[in.StartOffset:in.EndOffset], []byte("\n"))
	outer := d.indentOf(in.StartOffset)
	indent := outer + w.unit
	if last.Value.Value != nil && d.startsLine(last.Name.StartOffset) {
		indent = d.indentOf(last.Name.StartOffset)
	}
	text := w.newline(indent) + string(hujson.String(path[0])) + ": " + w.render(v, indent)
	end := in.EndOffset - len("}")
	at := len(bytes.TrimRight(d.src[:end], " \t\r\n")) // behind the last comment
	trailing := last.Value.AfterExtra != nil
	if trailing {
		text += ","
	}
	if last.Value.Value == nil && !bytes.Contains(d.src[at:end], []byte("\n")) {
		text += w.newline(outer)
	}
	d.splice(at, at, text)
	if last.Value.Value != nil && !trailing {
		d.splice(last.Value.EndOffset, last.Value.EndOffset, ",")
	}
	return nil
}

// remove cuts one member out, with its comma and its line.
func (d *Doc) remove(path []string) error {
	root, err := parse(d.src)
	if err != nil {
		return err
	}
	in, name := &root, path[len(path)-1]
	for _, p := range path[:len(path)-1] {
		if in = member(in, p); in == nil {
			return fmt.Errorf("%q is not there", p)
		}
	}
	object, ok := in.Value.(*hujson.Object)
	i := -1
	if ok {
		i = slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return nameOf(m) == name })
	}
	if i < 0 {
		return fmt.Errorf("%q is not there", name)
	}
	m := object.Members[i]
	start, end := m.Name.StartOffset, m.Value.EndOffset
	if i < len(object.Members)-1 || m.Value.AfterExtra != nil {
		end += len(m.Value.AfterExtra) + len(",")
	}
	d.cut(start, end)
	if i > 0 && i == len(object.Members)-1 && m.Value.AfterExtra == nil {
		before := object.Members[i-1].Value // its comma has nothing to part any more
		comma := before.EndOffset + len(before.AfterExtra)
		d.splice(comma, comma+len(","), "")
	}
	return nil
}

// cut removes bytes, and the line they stood on when nothing else is on it.
func (d *Doc) cut(start, end int) {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
	from, to := start, end
	for from > 0 && blank(d.src[from-1]) {
		from--
	}
	for to < len(d.src) && blank(d.src[to]) {
		to++
	}
	switch {
	case from > 0 && d.src[from-1] == '\n' && to < len(d.src) && d.src[to] == '\n':
		d.splice(from, to+1, "")
	case from > 0 && d.src[from-1] == '\n': // something follows: it keeps the indentation
		d.splice(start, to, "")
	default:
		d.splice(from, end, "")
	}
}

func (d *Doc) splice(start, end int, text string) {
	d.src = slices.Concat(d.src[:start], []byte(text), d.src[end:])
}

// startsLine reports whether only white space stands before offset on its line.
func (d *Doc) startsLine(offset int) bool {
	line := d.src[bytes.LastIndexByte(d.src[:offset], '\n')+1 : offset]
	return len(bytes.TrimLeft(line, " \t")) == 0
}

// indentOf returns the white space that the line of offset starts with.
func (d *Doc) indentOf(offset int) string {
	line := d.src[bytes.LastIndexByte(d.src[:offset], '\n')+1 : offset]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// writer learns the habits of the file: line ends, and the indentation of the
// first member as the unit.
func (d *Doc) writer() writer {
	w := writer{eol: "\n", unit: "  "}
	if bytes.Contains(d.src, []byte("\r\n")) {
		w.eol = "\r\n"
	}
	if root, err := parse(d.src); err == nil {
		if object, ok := root.Value.(*hujson.Object); ok && len(object.Members) > 0 {
			if first := object.Members[0].Name.StartOffset; d.startsLine(first) {
				w.unit = or(d.indentOf(first), w.unit)
			}
		}
	}
	return w
}

// writer prints new values.
type writer struct {
	eol, unit string
	inline    bool
}

func (w writer) newline(indent string) string {
	if w.inline {
		return " "
	}
	return w.eol + indent
}

// render prints lists on one line, and objects too when w.inline.
func (w writer) render(v hujson.Value, indent string) string {
	var parts []string
	switch x := v.Value.(type) {
	case *hujson.Array:
		for _, e := range x.Elements {
			parts = append(parts, w.render(e, indent))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *hujson.Object:
		if len(x.Members) == 0 {
			return "{}"
		}
		for _, m := range x.Members {
			parts = append(parts, w.newline(indent+w.unit)+compact(m.Name)+": "+w.render(m.Value, indent+w.unit))
		}
		return "{" + strings.Join(parts, ",") + w.newline(indent) + "}"
	}
	return compact(v)
}

func member(v *hujson.Value, name string) *hujson.Value {
	if v == nil {
		return nil
	}
	if object, ok := v.Value.(*hujson.Object); ok {
		for i, m := range object.Members {
			if nameOf(m) == name {
				return &object.Members[i].Value
			}
		}
	}
	return nil
}

func names(v *hujson.Value) (list []string) {
	if v == nil {
		return nil
	}
	if object, ok := v.Value.(*hujson.Object); ok {
		for _, m := range object.Members {
			list = append(list, nameOf(m))
		}
	}
	return list
}

func nameOf(m hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// compact prints v without white space and comments.
func compact(v hujson.Value) string {
	v = v.Clone()
	v.Minimize()
	return string(v.Pack())
}
