// Package strictjson reads one JSON object written by a stranger.
//
// encoding/json takes the last of two equal members and matches names without
// regard to case, so that two readers of one document can see two things. Here
// a member is found by its exact name, and a name that stands twice refuses the
// document (protocol rule 3.3.6, attack S24).
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxDepth bounds nesting; real metadata and tokens stay far below it.
const maxDepth = 32

// Object is a JSON object whose members are read one by one.
type Object map[string]json.RawMessage

// Parse reads exactly one JSON object. Duplicate names are refused at every
// depth, since nested objects are handed on as well. Its errors, like those of
// the methods, show names but never values. It does not bound the length of data.
func Parse(data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := walk(dec, 0); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	var o Object
	if err := json.Unmarshal(data, &o); err != nil || o == nil {
		return nil, errors.New("not a JSON object")
	}
	return o, nil
}

func walk(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("JSON nested too deeply")
	}
	tok, err := dec.Token()
	if err != nil {
		return errors.New("not valid JSON")
	}
	delim, open := tok.(json.Delim)
	if !open {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return errors.New("not valid JSON")
			}
			s, _ := name.(string)
			if seen[s] {
				return fmt.Errorf("member %.64q stands twice", s)
			}
			seen[s] = true
		}
		if err := walk(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return errors.New("not valid JSON")
	}
	return nil
}

// Has reports whether the member is there and not null.
func (o Object) Has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// Text returns a string member; "" when it is absent or null.
func (o Object) Text(name string) (string, error) {
	var s string
	err := o.into(name, "a string", &s)
	return s, err
}

// Texts returns a member that is a string or an array of strings, as the "aud"
// claim may be (RFC 7519 section 4.1.3); nil when it is absent or null.
func (o Object) Texts(name string) ([]string, error) {
	if !o.Has(name) {
		return nil, nil
	}
	var one string
	if json.Unmarshal(o[name], &one) == nil {
		return []string{one}, nil
	}
	var many []*string
	if err := o.into(name, "a string or an array of strings", &many); err != nil {
		return nil, err
	}
	list := make([]string, len(many))
	for i, s := range many {
		if s == nil {
			return nil, fmt.Errorf("member %q is not a string or an array of strings", name)
		}
		list[i] = *s
	}
	return list, nil
}

// Bool returns a boolean member; false when it is absent or null.
func (o Object) Bool(name string) (bool, error) {
	var b bool
	err := o.into(name, "a boolean", &b)
	return b, err
}

// Object returns a member that is itself an object; nil when it is absent or null.
func (o Object) Object(name string) (Object, error) {
	var sub Object
	err := o.into(name, "an object", &sub)
	return sub, err
}

// Time returns a NumericDate claim (RFC 7519 section 2), zero when absent.
func (o Object) Time(name string) (time.Time, error) {
	f, ok, err := o.number(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	whole, frac := math.Modf(f)
	return time.Unix(int64(whole), int64(frac*1e9)), nil
}

// Seconds returns a length of time given in seconds, as a number or, for
// servers that quote it, as a numeric string (rule A4). ok is false when it is absent.
func (o Object) Seconds(name string) (d time.Duration, ok bool, err error) {
	f, ok, err := o.number(name)
	if err != nil || !ok {
		return 0, false, err
	}
	if f > float64(math.MaxInt64/int64(time.Second)) {
		return math.MaxInt64, true, nil
	}
	return time.Duration(f * float64(time.Second)), true, nil
}

// maxNumber is the last second that time.Time can write as JSON, in the year 9999.
const maxNumber = 253402300799

func (o Object) number(name string) (float64, bool, error) {
	if !o.Has(name) {
		return 0, false, nil
	}
	var n json.Number // accepts a quoted number, too
	if json.Unmarshal(o[name], &n) != nil {
		return 0, false, fmt.Errorf("member %q is not a number", name)
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || math.IsNaN(f) || f < 0 {
		return 0, false, fmt.Errorf("member %q is not a number of seconds", name)
	}
	return math.Min(f, maxNumber), true, nil
}

func (o Object) into(name, what string, dst any) error {
	if !o.Has(name) {
		return nil
	}
	if json.Unmarshal(o[name], dst) != nil {
		return fmt.Errorf("member %q is not %s", name, what)
	}
	return nil
}
