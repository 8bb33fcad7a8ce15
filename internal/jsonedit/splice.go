package jsonedit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

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

// Remove cuts one member out, with its comma and its line. Comments above it
// stay: they may be about its neighbours.
func (d *Doc) Remove(path []string) error {
	root, err := Parse(d.src)
	if err != nil {
		return err
	}
	in, name := &root, path[len(path)-1]
	for _, p := range path[:len(path)-1] {
		if in = Member(in, p); in == nil {
			return fmt.Errorf("%q is not there", p)
		}
	}
	object, ok := in.Value.(*hujson.Object)
	i := -1
	if ok {
		i = slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return NameOf(m) == name })
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
	if root, err := Parse(d.src); err == nil {
		if object, ok := root.Value.(*hujson.Object); ok && len(object.Members) > 0 {
			if first := object.Members[0].Name.StartOffset; d.startsLine(first) && d.indentOf(first) != "" {
				w.unit = d.indentOf(first)
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

// Member returns the value that the object v has under a name, or nil.
func Member(v *hujson.Value, name string) *hujson.Value {
	if v == nil {
		return nil
	}
	if object, ok := v.Value.(*hujson.Object); ok {
		for i, m := range object.Members {
			if NameOf(m) == name {
				return &object.Members[i].Value
			}
		}
	}
	return nil
}

// Names lists the names in the object v, in the order of the text.
func Names(v *hujson.Value) (list []string) {
	if v == nil {
		return nil
	}
	if object, ok := v.Value.(*hujson.Object); ok {
		for _, m := range object.Members {
			list = append(list, NameOf(m))
		}
	}
	return list
}

// NameOf returns the name of a member without quotes and escapes.
func NameOf(m hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// compact prints v without white space and comments.
func compact(v hujson.Value) string {
	v = v.Clone()
	v.Minimize()
	return string(v.Pack())
}
