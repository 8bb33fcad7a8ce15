// Package jsonedit changes JSON with comments and trailing commas in its text: it
// cuts and inserts, so that bytes it does not mean to change cannot change.
//
// The configuration of mcpauth is edited with it, and so are those of the MCP
// clients that have one of that kind. It comes before every stage of the flow.
package jsonedit

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tailscale/hujson"
)

// Doc is a text that is being edited.
type Doc struct{ src []byte }

// New starts from a text, which stays as it is. One that holds nothing, or nothing
// but comments, gets an object to edit.
func New(src []byte) *Doc {
	src = bytes.Clone(src)
	if _, err := hujson.Parse(append(bytes.Clone(src), '\n')); err == nil {
		return &Doc{src}
	}
	if _, err := Parse(src); err == nil {
		if n := len(src); n > 0 && src[n-1] != '\n' {
			src = append(src, '\n')
		}
		src = append(src, "{}\n"...)
	}
	return &Doc{src}
}

// Bytes returns the text as it is now.
func (d *Doc) Bytes() []byte { return d.src }

// Parse is hujson.Parse, but a last line comment needs no newline, and a text that
// holds nothing is an empty object.
func Parse(src []byte) (hujson.Value, error) {
	root, err := hujson.Parse(append(bytes.Clone(src), '\n'))
	if err != nil {
		if empty, emptyErr := hujson.Parse(append(bytes.Clone(src), "\n{}"...)); emptyErr == nil {
			return empty, nil
		}
	}
	return root, err
}

// Set makes the value at path equal to v, as encoding/json writes it. Objects that
// are there already keep their comments and their order: only what differs changes,
// and members that v does not have go.
func (d *Doc) Set(path []string, v any) error {
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
	root, err := Parse(d.src)
	if err != nil {
		return err
	}
	have := &root
	for i, name := range path {
		next := Member(have, name)
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
	keep := Names(&want)
	for _, m := range wanted.Members {
		if err := d.merge(append(slices.Clone(path), NameOf(m)), m.Value); err != nil {
			return err
		}
	}
	for _, m := range old.Members {
		if name := NameOf(m); !slices.Contains(keep, name) {
			if err := d.Remove(append(slices.Clone(path), name)); err != nil {
				return err
			}
		}
	}
	return nil
}
