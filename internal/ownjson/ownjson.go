// Package ownjson reads JSON that this program wrote itself, for the answers that
// come from the cache: they take a millisecond as whole processes, and a tenth of
// that would go into encoding/json getting to know each type.
//
// It believes what it reads: the caller knows by a checksum or a seal that nobody
// changed it, and asks encoding/json when OK says no.
//
//	r := ownjson.New(b)
//	r.Object(func(name string) {
//		switch name {
//		case "url":
//			s.URL = r.Text()
//		default:
//			r.Skip()
//		}
//	})
//	if !r.OK() { … }
package ownjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reader goes over a text once. After something that it does not understand every
// method returns a zero value and OK is false.
type Reader struct {
	rest  []byte
	depth int
	bad   bool
}

// maxDepth is far more than anything that we write.
const maxDepth = 64

// New returns a Reader of the text, which it does not change.
func New(text []byte) *Reader { return &Reader{rest: text} }

// OK reports whether everything was understood and nothing is left.
func (r *Reader) OK() bool { return r.next() == 0 && !r.bad }

// next returns the byte that comes next, 0 at the end.
func (r *Reader) next() byte {
	for len(r.rest) > 0 {
		switch c := r.rest[0]; c {
		case ' ', '\n', '\t', '\r':
			r.rest = r.rest[1:]
		default:
			return c
		}
	}
	return 0
}

// take consumes the byte c and reports whether it was there.
func (r *Reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *Reader) fail() { r.rest, r.bad = nil, true }

// Object calls member for each member's name. member has to read the value, or
// Skip it.
func (r *Reader) Object(member func(name string)) {
	r.list('{', '}', func() {
		name := r.Text()
		if !r.take(':') {
			r.fail()
			return
		}
		member(name)
	})
}

// List calls element for each element, which it has to read.
func (r *Reader) List(element func()) { r.list('[', ']', element) }

func (r *Reader) list(open, end byte, each func()) {
	if r.depth++; r.depth > maxDepth || !r.take(open) {
		r.fail()
		return
	}
	defer func() { r.depth-- }()
	if r.take(end) {
		return
	}
	for {
		each()
		if r.take(end) {
			return
		}
		if !r.take(',') {
			r.fail()
			return
		}
	}
}

// Texts reads a list of strings.
func (r *Reader) Texts() (list []string) {
	r.List(func() { list = append(list, r.Text()) })
	return list
}

// Text reads a string.
func (r *Reader) Text() (s string) {
	raw, plain := r.quoted()
	if plain {
		return string(raw[1 : len(raw)-1])
	}
	if raw == nil || json.Unmarshal(raw, &s) != nil {
		r.fail()
	}
	return s
}

// quoted consumes a string with its quotes. It is plain when it stands for itself.
func (r *Reader) quoted() (raw []byte, plain bool) {
	if r.next() != '"' {
		return nil, false
	}
	plain = true
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			raw, r.rest = r.rest[:i+1], r.rest[i+1:]
			return raw, plain && utf8.Valid(raw)
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			plain = false
		}
	}
	return nil, false
}

// Time reads a time as encoding/json writes it.
func (r *Reader) Time() (t time.Time) {
	raw, _ := r.quoted()
	if raw == nil || t.UnmarshalJSON(raw) != nil {
		r.fail()
	}
	return t
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	switch string(r.word()) {
	case "true":
		return true
	case "false":
		return false
	}
	r.fail()
	return false
}

// Int reads a whole number.
func (r *Reader) Int() int {
	n, err := strconv.Atoi(string(r.word()))
	if err != nil {
		r.fail()
	}
	return n
}

// word consumes a number or a literal.
func (r *Reader) word() []byte {
	r.next()
	n := 0
	for n < len(r.rest) && strings.IndexByte(" \n\t\r,:]}", r.rest[n]) < 0 {
		n++
	}
	raw := r.rest[:n]
	r.rest = r.rest[n:]
	return raw
}

// Raw reads a value of any kind and returns it as it stands.
func (r *Reader) Raw() []byte {
	r.next()
	from := r.rest
	r.Skip()
	return from[:len(from)-len(r.rest)]
}

// Skip reads a value of any kind and forgets it.
func (r *Reader) Skip() {
	switch r.next() {
	case '{':
		r.list('{', '}', func() {
			r.skipText()
			if !r.take(':') {
				r.fail()
				return
			}
			r.Skip()
		})
	case '[':
		r.List(r.Skip)
	case '"':
		r.skipText()
	default:
		if len(r.word()) == 0 {
			r.fail()
		}
	}
}

// skipText consumes a string without looking at it more than it must: most of a file
// is about servers that nobody asked for.
func (r *Reader) skipText() {
	if r.next() == '"' {
		if end := bytes.IndexByte(r.rest[1:], '"'); end >= 0 && bytes.IndexByte(r.rest[1:1+end], '\\') < 0 {
			r.rest = r.rest[end+2:]
			return
		}
	}
	if raw, _ := r.quoted(); raw == nil {
		r.fail()
	}
}
