package wire

import "io"

// maxDrain is how much of an unread answer Close reads so that its connection
// can be used again; more than that is cheaper to drop.
const maxDrain = 64 << 10

// boundedBody ends a response that is longer than limit with *TooLarge. It sits
// above decompression, so a bomb ends as well (S25).
type boundedBody struct {
	body  io.ReadCloser
	host  string
	left  int64
	limit int64
	err   error
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than allowed shows that there is more
	}
	n, err := b.body.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), &TooLarge{Host: b.host, Limit: b.limit}
	}
	err = plain(b.host, err)
	b.left -= int64(n)
	b.err = err
	return n, err
}

func (b *boundedBody) Close() error {
	if b.err == nil {
		io.CopyN(io.Discard, b, maxDrain)
	}
	return b.body.Close()
}
