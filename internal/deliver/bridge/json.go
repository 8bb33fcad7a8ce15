package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
)

// What is forwarded is forwarded as it came, byte for byte. The functions here find
// the few members that the bridge has to know, and where they stand, without
// decoding the rest.

var (
	errJSON     = errors.New("not the JSON that was expected")
	errRepeated = errors.New("a member that comes twice") // and may mean one thing to us, another to the server
)

// span is where a value stands in a message. The zero span is no value.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) none() bool         { return s.to == 0 }

// once notes where a member stands, and refuses one that comes twice.
func (s *span) once(value span) error {
	if !s.none() {
		return errRepeated
	}
	*s = value
	return nil
}

// member returns where the value of this name stands in the object at s. What is no
// object has no members. Offsets are those of msg.
func member(msg []byte, s span, name string) (found span, err error) {
	if !isObject(msg, s) {
		return span{}, nil
	}
	err = members(msg, s, func(n []byte, value span) error {
		if string(n) != name {
			return nil
		}
		return found.once(value)
	})
	return found, err
}

func isObject(msg []byte, s span) bool { return !s.none() && msg[s.from] == '{' }

// members calls visit for each member of the object at s.
func members(msg []byte, s span, visit func(name []byte, value span) error) error {
	i := space(msg, s.from)
	if i >= s.to || msg[i] != '{' {
		return errJSON
	}
	for i = space(msg, i+1); i < s.to && msg[i] != '}'; {
		end, err := skip(msg, i)
		if err != nil || msg[i] != '"' {
			return errJSON
		}
		name, err := text(msg[i:end])
		if err != nil {
			return err
		}
		if i = space(msg, end); i >= s.to || msg[i] != ':' {
			return errJSON
		}
		value := span{from: space(msg, i+1)}
		if value.to, err = skip(msg, value.from); err != nil {
			return err
		}
		if err := visit(name, value); err != nil {
			return err
		}
		if i = space(msg, value.to); i < s.to && msg[i] == ',' {
			if i = space(msg, i+1); i >= s.to || msg[i] != '"' {
				return errJSON
			}
		}
	}
	if i >= s.to || space(msg, i+1) < s.to { // the whole of s, and nothing behind it
		return errJSON
	}
	return nil
}

// elements calls visit for each element of the array at s.
func elements(msg []byte, s span, visit func(value span) error) error {
	i := space(msg, s.from)
	if i >= s.to || msg[i] != '[' {
		return errJSON
	}
	for i = space(msg, i+1); i < s.to && msg[i] != ']'; {
		end, err := skip(msg, i)
		if err != nil {
			return err
		}
		if err := visit(span{i, end}); err != nil {
			return err
		}
		if i = space(msg, end); i < s.to && msg[i] == ',' {
			i = space(msg, i+1)
		}
	}
	if i >= s.to || space(msg, i+1) < s.to {
		return errJSON
	}
	return nil
}

// skip returns where the value that starts at i ends. It matches brackets and
// strings and looks at nothing inside of them: whoever reads the message will.
func skip(msg []byte, i int) (end int, err error) {
	start, depth := i, 0
	for i < len(msg) {
		switch msg[i] {
		case '"':
			if i, err = skipString(msg, i); err != nil {
				return 0, err
			}
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return valueEnd(start, i)
			}
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return valueEnd(start, i)
			}
			i++
			continue
		default:
			i++
			if depth == 0 {
				continue // the rest of a number or a word
			}
		}
		if depth == 0 {
			return i, nil
		}
	}
	if depth > 0 {
		return 0, errJSON
	}
	return valueEnd(start, i)
}

func valueEnd(start, i int) (int, error) {
	if start == i {
		return 0, errJSON // no value at all
	}
	return i, nil
}

func skipString(msg []byte, i int) (end int, err error) {
	for i++; ; i++ {
		quote := bytes.IndexByte(msg[i:], '"')
		if quote < 0 {
			return 0, errJSON
		}
		escape := bytes.IndexByte(msg[i:i+quote], '\\')
		if escape < 0 {
			return i + quote + 1, nil
		}
		if i += escape + 1; i >= len(msg) {
			return 0, errJSON
		}
	}
}

func space(msg []byte, i int) int {
	for i < len(msg) && (msg[i] == ' ' || msg[i] == '\t' || msg[i] == '\n' || msg[i] == '\r') {
		i++
	}
	return i
}

// text decodes a JSON string.
func text(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, errJSON
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil, errJSON
	}
	return []byte(s), nil
}

// word is text for a value that need not be there, nor be a string.
func word(msg []byte, s span) string {
	if s.none() {
		return ""
	}
	b, err := text(s.of(msg))
	if err != nil {
		return ""
	}
	return string(b)
}

// splice puts insert into msg at an offset.
func splice(msg []byte, at int, insert string) []byte {
	out := make([]byte, 0, len(msg)+len(insert)+1) // and a line end
	out = append(out, msg[:at]...)
	out = append(out, insert...)
	return append(out, msg[at:]...)
}

// oneLine makes a message fit the client's framing. A line end can stand only
// between the tokens of JSON, where a space means the same.
func oneLine(msg []byte) []byte {
	msg = bytes.TrimSpace(msg)
	for i, c := range msg {
		if c == '\n' || c == '\r' {
			msg[i] = ' '
		}
	}
	return msg
}
