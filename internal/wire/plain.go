package wire

import (
	"errors"
	"fmt"
	"strings"
)

// OldTLS means that a server offers only versions of TLS that are not safe any more
// (RFC 8996). Nothing was sent to it.
type OldTLS struct{ Host string }

func (e *OldTLS) Error() string {
	return fmt.Sprintf("connect to %q: it offers no version of TLS that is safe, which is 1.2 or newer", e.Host)
}

// Broken means that a connection ended before the answer was whole. Whether the
// request was acted upon is not known: it is nobody's to repeat as it was.
type Broken struct{ Host string }

func (e *Broken) Error() string {
	return fmt.Sprintf("the connection to %q broke before its answer was whole", e.Host)
}

// plain puts into words what packages tls and http have numbers and remote text for.
func plain(host string, err error) error {
	switch {
	case err == nil:
		return nil
	case tooOld(err):
		return &OldTLS{Host: host}
	case brokenHTTP2(err):
		return &Broken{Host: host}
	}
	return err
}

// tooOld knows both ends of such a handshake: some servers say that our versions are
// none of theirs, and others answer with theirs. Package tls has no names for these.
func tooOld(err error) bool {
	return begins(err, "remote error: tls: protocol version not supported") || begins(err, "tls: server selected unsupported protocol version")
}

// brokenHTTP2 knows how package http says that an HTTP/2 connection or a stream of it
// ended (RFC 9113 sections 5.4 and 6.8), for which it has no names either. What a
// server has certainly not acted upon package http has sent again by then.
func brokenHTTP2(err error) bool {
	for _, text := range []string{
		"stream error: ", "connection error: ", "http2: server sent GOAWAY", "http2: Transport received ",
		"http2: Transport: cannot retry ", "http2: client conn",
	} {
		if begins(err, text) {
			return true
		}
	}
	return false
}

// begins reports whether the text of err, or of an error below it, begins so.
func begins(err error, text string) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(err.Error(), text) {
			return true
		}
	}
	return false
}

func isAny[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}
