package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine bounds one message of the client, as the MCP SDKs do.
const maxLine = 16 << 20

// errTooLong comes with the beginning of the line; the rest of it was skipped.
var errTooLong = errors.New("a message of more than 16 MiB")

// frames reads messages from the client: one a line (MCP, stdio transport).
type frames struct {
	r   *bufio.Reader
	max int // 0 means maxLine
}

// next returns the next line that is not blank, without its end. The bytes are the
// caller's. The last line needs no end.
func (f *frames) next() ([]byte, error) {
	for {
		line, err := f.line()
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err == io.EOF {
				err = nil
			}
			return line, err
		}
		if err != nil {
			return nil, err
		}
	}
}

func (f *frames) line() (line []byte, err error) {
	limit := f.max
	if limit == 0 {
		limit = maxLine
	}
	for {
		part, err := f.r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			line = append(line, part[:limit-len(line)]...)
			return line, f.skip(err)
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// skip reads to the end of a line that is too long.
func (f *frames) skip(err error) error {
	for err == bufio.ErrBufferFull {
		_, err = f.r.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return err
	}
	return errTooLong
}
