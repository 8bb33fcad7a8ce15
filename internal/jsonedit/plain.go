package jsonedit

import (
	"bytes"
	"encoding/json"
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
