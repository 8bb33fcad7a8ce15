package yamledit

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Remove cuts out the entry with this name below the top-level key: a member of a
// mapping, or the element of a list whose own "name" it is. A key that has nothing
// left below it goes as well, since to many readers a key without a value is a
// mistake. Entries in brackets are refused.
func Remove(src []byte, key, name string) ([]byte, error) {
	root, err := parse(src)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fmt.Errorf("%q is not there", key)
	}
	top, value := find(root, key)
	line, column := place(value, name)
	if line == 0 {
		return nil, fmt.Errorf("%q is not there", name)
	}
	if root.Style&yaml.FlowStyle != 0 || value.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("%q stands in brackets; take it out by hand", name)
	}
	start, end := extent(src, line, column)
	out := slices.Concat(src[:start], src[end:])
	entries := len(value.Content)
	if value.Kind == yaml.MappingNode {
		entries /= 2
	}
	if entries == 1 {
		from, to := offset(src, top.Line, 1), offset(src, top.Line+1, 1)
		if to > start {
			return nil, fmt.Errorf("%q stands on the line of %q; take it out by hand", name, key)
		}
		out = slices.Concat(out[:from], out[to:])
	}
	return out, nil
}

// place finds where an entry begins, line 0 for nowhere.
func place(in *yaml.Node, name string) (line, column int) {
	switch {
	case in == nil:
	case in.Kind == yaml.MappingNode:
		if k, _ := find(in, name); k != nil {
			return k.Line, k.Column
		}
	case in.Kind == yaml.SequenceNode:
		for _, e := range in.Content {
			if _, v := find(e, "name"); e.Kind == yaml.MappingNode && v != nil && v.Value == name {
				return e.Line, in.Column
			}
		}
	}
	return 0, 0
}

// extent goes from a line to the last line that is indented more than the column
// where the entry begins. Blank lines behind it are not its own.
func extent(src []byte, line, column int) (start, end int) {
	start = offset(src, line, 1)
	end = offset(src, line+1, 1)
	for at := end; at < len(src); {
		next := len(src)
		if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		text := src[at:next]
		bare := bytes.TrimLeft(text, " ")
		if len(bytes.TrimSpace(bare)) > 0 {
			if len(text)-len(bare) < column {
				break
			}
			end = next
		}
		at = next
	}
	return start, end
}
