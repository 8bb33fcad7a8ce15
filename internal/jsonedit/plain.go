package jsonedit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Plain returns a text as encoding/json decodes it, numbers as json.Number. Of two
// members with the same name the last counts, as it does for most readers.
func Plain(src []byte) (any, error) {
	v, err := Parse(src)
	if err != nil {
		return nil, err
	}
	v.Standardize()
	d := json.NewDecoder(bytes.NewReader(v.Pack()))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	return out, nil
}

// Field is one member of an object, with its value as JSON text.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Fields returns the members of an object in their order.
func Fields(object json.RawMessage) (list []Field, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%.20q is not an object", object)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		f := Field{Name: name.(string)}
		if err := d.Decode(&f.Value); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the object")
	}
	return list, nil
}
