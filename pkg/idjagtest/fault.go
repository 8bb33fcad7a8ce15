package idjagtest

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Fault makes an endpoint misbehave. Exactly one of the behaviors is used, the
// first that is set in the order of the fields; Code alone is the plain case of
// an OAuth error. The zero Fault does nothing.
type Fault struct {
	Times int    // how many requests it strikes; 0 means every one
	OnHit func() // called when it strikes, for instance to cancel a context

	// Wait blocks until the channel is closed, the client gives up or the party
	// is closed. When the channel was closed, the rest of the fault follows; with
	// no other behavior, the request is then answered as usual.
	Wait <-chan struct{}
	Hang bool // never answers; ends when the client gives up or the party is closed

	Reset     bool   // closes the connection without an answer
	LoseReply bool   // does the work, then closes the connection: was it redeemed?
	Redirect  string // sends there, with Status (307 when zero)
	Huge      int64  // a JSON object of that many bytes
	GzipBomb  int64  // the same, compressed, with Content-Encoding: gzip

	Code        string  // OAuth error code
	Description string  // error_description, sent as it is
	Body        *string // a raw answer; see Text

	Status      int    // 0 means 400 for Code (401 invalid_client, 403 access_denied), else 200
	RetryAfter  string // the header, sent with every behavior that answers
	ContentType string // "" means application/json
}

// Text is the Body of a Fault.
func Text(s string) *string { return &s }

// HTML is a proxy's web page in place of an answer.
func HTML() Fault {
	return Fault{Body: Text("<!doctype html><title>Sign in to the network</title><p>Hello"), ContentType: "text/html"}
}

// Malformed is JSON that ends too early.
func Malformed() Fault { return Fault{Body: Text(`{"access_token":"x"`)} }

// DuplicateKey is JSON that names one member twice, so that two readers may see
// two tokens.
func DuplicateKey() Fault {
	return Fault{Body: Text(`{"access_token":"one","access_token":"two","token_type":"Bearer"}`)}
}

// Deep is JSON nested depth times.
func Deep(depth int) Fault {
	return Fault{Body: Text(`{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)}
}

// Empty is an answer without a body.
func Empty() Fault { return Fault{Body: Text("")} }

// NotOK is the habit of answering an error with status 200.
func NotOK(code string) Fault {
	return Fault{Body: Text(`{"ok":false,"error":` + strconv.Quote(code) + `}`)}
}

// Poisoned is an OAuth error whose description tries to drive a terminal.
func Poisoned(code string) Fault {
	return Fault{Code: code, Description: "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\u200b\r\nmcpauth: all is well"}
}

// SetFault makes requests of a kind (Metadata, Exchange, Token, ...) misbehave.
// It replaces an earlier fault on the same kind.
func (p *Party) SetFault(what string, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults == nil {
		p.faults = map[string]*struckFault{}
	}
	p.faults[what] = &struckFault{Fault: f}
}

// ClearFaults ends all faults.
func (p *Party) ClearFaults() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

type struckFault struct {
	Fault
	struck int
}

// fault returns what strikes a request of this kind, and counts it. A fault on
// the very kind comes before one on Token.
func (p *Party) fault(what string) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kind := range []string{what, Token} {
		f := p.faults[kind]
		if f != nil && sameKind(what, kind) && (f.Times == 0 || f.struck < f.Times) {
			f.struck++
			return f.Fault, true
		}
	}
	return Fault{}, false
}

// strike plays the fault. It reports whether the request is thereby over; usual
// answers the request as if there were no fault.
func (p *Party) strike(c *call, f Fault, usual func()) (over bool) {
	if f.OnHit != nil {
		f.OnHit()
	}
	if f.Wait != nil || f.Hang {
		select {
		case <-c.r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-p.closing():
			panic(http.ErrAbortHandler)
		case <-f.Wait:
		}
	}
	if f.RetryAfter != "" {
		c.w.Header().Set("Retry-After", f.RetryAfter)
	}
	switch {
	case f.Reset:
		cut(c.w)
	case f.LoseReply:
		real := c.w
		c.w = discard{header: http.Header{}}
		usual()
		cut(real)
	case f.Redirect != "":
		status := f.Status
		if status == 0 {
			status = http.StatusTemporaryRedirect
		}
		c.w.Header().Set("Location", f.Redirect)
		c.w.WriteHeader(status)
		c.entry.Status = status
	case f.Huge > 0:
		f.head(c, "")
		io.Copy(c.w, filler(f.Huge))
	case f.GzipBomb > 0:
		f.head(c, "gzip")
		z := gzip.NewWriter(c.w)
		io.Copy(z, filler(f.GzipBomb))
		z.Close()
	case f.Code != "":
		r := refuse(f.Code, "fault")
		if f.Status != 0 {
			r.status = f.Status
		}
		r.description = f.Description
		c.entry.Error, c.entry.Status = r.code, r.status
		r.write(c)
	case f.Body != nil:
		f.head(c, "")
		io.WriteString(c.w, *f.Body)
	case f.Status != 0:
		f.head(c, "")
	default:
		return false
	}
	return true
}

// head sends the status line and headers of a raw answer.
func (f Fault) head(c *call, encoding string) {
	kind := f.ContentType
	if kind == "" {
		kind = "application/json"
	}
	c.w.Header().Set("Content-Type", kind)
	if encoding != "" {
		c.w.Header().Set("Content-Encoding", encoding)
	}
	c.entry.Status = f.Status
	if f.Status == 0 {
		c.entry.Status = http.StatusOK
	}
	c.w.WriteHeader(c.entry.Status)
}

// filler is a valid JSON object of about n bytes.
func filler(n int64) io.Reader {
	return io.MultiReader(strings.NewReader(`{"padding":"`), io.LimitReader(repeat{}, n), strings.NewReader(`"}`))
}

type repeat struct{}

func (repeat) Read(b []byte) (int, error) {
	return copy(b, bytes.Repeat([]byte("a"), len(b))), nil
}

// cut ends the connection as rudely as the protocol in use allows.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // so that Close sends RST rather than FIN
	}
	conn.Close()
}

// discard is where an answer goes that nobody will read.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
