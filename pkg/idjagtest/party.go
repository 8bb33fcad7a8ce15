package idjagtest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Party is what the three fakes have in common: a loopback listener, a record
// of requests, faults and quirks. It is safe for concurrent use; its fields must
// be set before the party starts.
type Party struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Addr is where to listen; "" means 127.0.0.1 and any port. Only loopback
	// addresses are accepted.
	Addr string
	// DPoP is about proofs of possession; zero ignores them.
	DPoP DPoPPolicy

	mu       sync.Mutex
	requests []*Request
	faults   map[string]*struckFault
	quirks   []Quirk
	nonce    string          // that DPoP proofs must have now
	proofs   map[string]bool // DPoP proofs seen, by key and jti
	server   *http.Server
	done     chan struct{}
}

// Clock returns the party's time.
func (p *Party) Clock() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// listen opens the listener and returns its base URL, without a slash at the end.
func (p *Party) listen(ca *CA) (net.Listener, string, error) {
	addr := p.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, "", fmt.Errorf("start fake: %q is not a loopback address with a port", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", fmt.Errorf("start fake: %w", err)
	}
	if ca == nil {
		return l, "http://" + l.Addr().String(), nil
	}
	config, err := ca.config()
	if err != nil {
		l.Close()
		return nil, "", err
	}
	return tls.NewListener(l, config), "https://" + l.Addr().String(), nil
}

func (p *Party) serve(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are the point of a fault
	}
	p.mu.Lock()
	p.server = server
	if p.done == nil {
		p.done = make(chan struct{})
	}
	p.mu.Unlock()
	go server.Serve(l)
}

// Close ends open requests and the listener. The party cannot be started again.
func (p *Party) Close() {
	closing := p.closing()
	p.mu.Lock()
	server := p.server
	p.server = nil
	if server != nil {
		close(closing)
	}
	p.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

func (p *Party) closing() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
	}
	return p.done
}

// call is one request being answered.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	form  url.Values // query of a GET, form of a POST
	body  []byte
	entry *Request
}

// maxBody bounds what the fakes read; no request of this protocol comes near.
const maxBody = 1 << 20

// answer records the request, lets a fault strike, and else runs serve. kind
// names the request once its form is known.
func (p *Party) answer(w http.ResponseWriter, r *http.Request, kind func(url.Values) string, serve func(*call) *refusal) {
	entry := &Request{Time: p.Clock(), Method: r.Method, Path: r.URL.Path, UserAgent: r.UserAgent()}
	w.Header().Set("Date", entry.Time.UTC().Format(http.TimeFormat)) // its clock, not that of the machine
	c := &call{w: w, r: r, entry: entry}
	bad := c.read()
	entry.What = kind(c.form)
	entry.Form = withoutSecrets(c.form)
	c.entry = &Request{}
	*c.entry = *entry // the handler works on its own copy until it is done
	p.mu.Lock()
	p.requests = append(p.requests, entry)
	p.mu.Unlock()
	finish := func() {
		p.mu.Lock()
		*entry = *c.entry
		p.mu.Unlock()
	}
	defer finish()

	usual := func() {
		err := bad
		if err == nil {
			err = serve(c)
		}
		if err == nil {
			if c.entry.Status == 0 {
				c.entry.Status = http.StatusOK
			}
			finish() // a lost reply must be on record before the connection is cut
			return
		}
		c.entry.Status, c.entry.Error, c.entry.Reason = err.status, err.code, err.reason
		finish() // a client may ask for the reason as soon as it has the answer
		err.write(c)
	}
	if f, ok := p.fault(entry.What); ok {
		c.entry.Reason = "fault"
		if p.strike(c, f, usual) {
			return
		}
		c.entry.Reason = ""
	}
	usual()
}

// read takes in the body and the parameters. A parameter that comes twice is
// refused (RFC 6749 section 3.2); one without a value counts as left out, but is
// noted as a bad habit.
func (c *call) read() *refusal {
	c.form = url.Values{}
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, maxBody))
	if err != nil {
		return refuse("invalid_request", "the body cannot be read or is over %d bytes", maxBody)
	}
	c.body = body
	raw := c.r.URL.RawQuery
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if c.r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded" {
		raw = string(body)
	}
	form, err := url.ParseQuery(raw)
	if err != nil {
		return refuse("invalid_request", "the parameters are not form-encoded")
	}
	c.form = form
	for name, values := range form {
		if len(values) > 1 {
			return refuse("invalid_request", "parameter %s comes %d times", name, len(values))
		}
		if values[0] == "" {
			c.entry.Notes = append(c.entry.Notes, fmt.Sprintf("parameter %s is empty and should be left out", name))
			delete(form, name)
		}
	}
	return nil
}

// mustBeForm holds for token and revocation endpoints (RFC 6749 section 3.2).
func (c *call) mustBeForm() *refusal {
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case c.r.Method != http.MethodPost:
		return refuse("invalid_request", "the method is %s, want POST", c.r.Method).as(http.StatusMethodNotAllowed)
	case kind != "application/x-www-form-urlencoded":
		return refuse("invalid_request", "the content type is %q, want application/x-www-form-urlencoded", kind)
	case c.r.URL.RawQuery != "":
		return refuse("invalid_request", "parameters stand in the URL, where logs would keep them")
	}
	return nil
}

// need returns a parameter that must be there.
func (c *call) need(name string) (string, *refusal) {
	if v := c.form.Get(name); v != "" {
		return v, nil
	}
	return "", refuse("invalid_request", "parameter %s is missing", name)
}

// reply sends a JSON object, after the quirks have bent it. The status is 200, or
// what the entry says.
func (p *Party) reply(c *call, body map[string]any) *refusal {
	p.bendBody(c, body)
	c.send(body)
	return nil
}

func (p *Party) bendBody(c *call, body map[string]any) {
	for _, q := range p.quirksOn(c.entry.What) {
		if q.Body != nil {
			q.Body(body)
		}
	}
}

func (c *call) send(body map[string]any) {
	if c.entry.Status == 0 {
		c.entry.Status = http.StatusOK
	}
	writeJSON(c.w, c.entry.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // cannot be: the fakes put only strings, numbers and lists in
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text)
}
