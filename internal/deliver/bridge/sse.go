package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
	"unicode"
)

// maxMessage bounds one message of the server. Pictures and documents come as
// base64 inside of one.
const maxMessage = 64 << 20

// errTooLarge is an answer beyond the bound.
var errTooLarge = errors.New("more bytes than are allowed")

// event is one server-sent event.
type event struct {
	data  []byte // the caller's
	id    string
	hasID bool
	retry time.Duration // 0: not stated
	other bool          // of a type that is not "message"
}

// events reads a stream of server-sent events (WHATWG HTML section 9.2.6).
type events struct {
	r      *bufio.Reader
	max    int
	began  bool // the byte order mark can no longer come
	skipLF bool // the last line ended with CR: an LF right behind it belongs to it
}

// next returns the next event. What stands after the last blank line of a stream
// is no event.
func (s *events) next() (event, error) {
	var e event
	size, seen := 0, false
	for {
		line, err := s.line()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 {
			if !seen {
				size = 0 // comments of a long silence
				continue
			}
			return e, nil
		}
		if size += len(line); size > s.max {
			return event{}, errTooLarge
		}
		if line[0] == ':' {
			continue // a comment, sent to keep the connection alive
		}
		seen = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		e.field(string(name), bytes.TrimPrefix(value, []byte(" ")))
	}
}

func (e *event) field(name string, value []byte) {
	switch name {
	case "data":
		if e.data != nil {
			e.data = append(e.data, '\n')
		}
		if e.data == nil {
			e.data = make([]byte, 0, len(value)+1) // and a line end
		}
		e.data = append(e.data, value...)
	case "id":
		if len(value) <= maxEventID && bytes.IndexFunc(value, unicode.IsControl) < 0 {
			e.id, e.hasID = string(value), true
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			e.retry = time.Duration(ms) * time.Millisecond
		}
	case "event":
		e.other = len(value) > 0 && string(value) != "message"
	}
}

// maxEventID is the longest event ID that is sent back. It becomes a header, so
// that one with control characters could never be.
const maxEventID = 1 << 10

// line returns the next line without its end: LF, CR or CRLF. Its bytes are good
// until the next call. A line that the stream ends in is none.
func (s *events) line() ([]byte, error) {
	var long []byte
	for {
		part, end, err := s.part()
		if err != nil {
			return nil, err
		}
		if len(long)+len(part) > s.max {
			return nil, errTooLarge
		}
		if end && long == nil {
			return part, nil
		}
		if long = append(long, part...); end {
			return long, nil
		}
	}
}

// part returns what is in the buffer of the line, and whether it ends there.
func (s *events) part() (part []byte, end bool, err error) {
	if s.r.Buffered() == 0 {
		if _, err := s.r.Peek(1); err != nil {
			return nil, false, err
		}
	}
	if !s.began {
		s.began = true
		if mark, _ := s.r.Peek(3); string(mark) == "\ufeff" {
			s.r.Discard(3)
			return nil, false, nil
		}
	}
	buffer, _ := s.r.Peek(s.r.Buffered())
	if s.skipLF {
		s.skipLF = false
		if buffer[0] == '\n' {
			s.r.Discard(1)
			return nil, false, nil
		}
	}
	i := bytes.IndexByte(buffer, '\n')
	if i < 0 {
		i = len(buffer)
	}
	if cr := bytes.IndexByte(buffer[:i], '\r'); cr >= 0 {
		i, s.skipLF = cr, true
	}
	if i == len(buffer) {
		s.r.Discard(i)
		return buffer, false, nil
	}
	s.r.Discard(i + 1)
	return buffer[:i], true, nil
}

// readAll reads a body of at most max bytes.
func readAll(body io.Reader, length int64, max int) ([]byte, error) {
	if length > int64(max) {
		return nil, errTooLarge
	}
	if length >= 0 {
		b := make([]byte, length, length+1) // and a line end
		_, err := io.ReadFull(body, b)
		return b, err
	}
	var b bytes.Buffer
	if n, err := b.ReadFrom(io.LimitReader(body, int64(max)+1)); err != nil {
		return nil, err
	} else if n > int64(max) {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}
