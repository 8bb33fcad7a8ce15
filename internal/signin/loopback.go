package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

const defaultPath = "/callback"

// PortBusy says that the configured redirect port is taken.
type PortBusy struct{ Port int }

func (e *PortBusy) Error() string {
	return fmt.Sprintf("port %d, configured for the sign-in, is in use by another program", e.Port)
}

// loopback listens for one answer on this machine only (RFC 8252 section 7.3).
type loopback struct {
	listeners   []net.Listener
	server      *http.Server
	redirectURI string
	path        string          // of redirectURI
	hosts       map[string]bool // what the Host header may say (attack S10)
	expected    expectation
	taken       atomic.Bool
	answers     chan answer
}

type expectation struct {
	state, issuer string
	issRequired   bool
	who           string // the issuer, for messages
	consent       bool   // which the pages are about
}

// answer is a person's return. show ends the wait of the browser tab, and its own
// when the page has left.
type answer struct {
	code secret.Text
	err  error
	show func(ok bool)
}

// pageTime is how long a page may take to leave.
const pageTime = 2 * time.Second

// listen binds before any browser is opened, so that the port cannot be taken in
// between (attack S11). For "localhost" both address families are bound, since
// the browser picks one.
func listen(ctx context.Context, host string, port int, path string) (*loopback, error) {
	if path == "" {
		path = defaultPath
	}
	if u, err := url.Parse(path); err != nil || path[0] != '/' || u.Path != path || u.Host != "" {
		return nil, fmt.Errorf("listen for the sign-in: %q is not a plain path", path)
	}
	addrs := map[string][]string{"": {"127.0.0.1"}, "127.0.0.1": {"127.0.0.1"}, "[::1]": {"::1"}, "localhost": {"127.0.0.1", "::1"}}[host]
	if addrs == nil {
		return nil, fmt.Errorf("listen for the sign-in: %q is not a loopback name", host)
	}
	if host == "" {
		host = addrs[0]
	}
	listeners, err := bind(ctx, addrs, port)
	for try := 1; port == 0 && errors.Is(err, portTaken) && try < 5; try++ {
		listeners, err = bind(ctx, addrs, port) // the free port of one family was not free in the other
	}
	switch {
	case port != 0 && errors.Is(err, portTaken):
		return nil, &PortBusy{Port: port}
	case err != nil:
		return nil, fmt.Errorf("listen for the sign-in: %w", err)
	}
	p := strconv.Itoa(listeners[0].Addr().(*net.TCPAddr).Port)
	l := &loopback{
		listeners:   listeners,
		hosts:       map[string]bool{"127.0.0.1:" + p: true, "[::1]:" + p: true, "localhost:" + p: true},
		redirectURI: "http://" + host + ":" + p + path,
		path:        path,
		answers:     make(chan answer, 1),
	}
	l.server = &http.Server{
		Handler:           l,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(discard{}, "", 0),
	}
	return l, nil
}

// bind listens at every address, all at one port.
func bind(ctx context.Context, addrs []string, port int) (listeners []net.Listener, err error) {
	config := net.ListenConfig{Control: exclusive}
	for _, addr := range addrs {
		ln, err := config.Listen(ctx, "tcp", net.JoinHostPort(addr, strconv.Itoa(port)))
		if err != nil {
			if addr == "::1" && listeners != nil && !errors.Is(err, portTaken) {
				continue // a machine without IPv6
			}
			for _, ln := range listeners {
				ln.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
		port = ln.Addr().(*net.TCPAddr).Port
	}
	return listeners, nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (l *loopback) expect(e expectation) { l.expected = e }

func (l *loopback) serve() {
	for _, ln := range l.listeners[1:] {
		go l.server.Serve(ln)
	}
	l.server.Serve(l.listeners[0])
}

// close ends everything at once. It does not wait for connections that say
// nothing: browsers open some in advance.
func (l *loopback) close() {
	l.server.Close()
	for _, ln := range l.listeners {
		ln.Close()
	}
}

func (l *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head(w.Header())
	switch {
	case !l.hosts[r.Host]:
		http.Error(w, "wrong host", http.StatusMisdirectedRequest)
		return
	case r.URL.Path != l.path:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet: // a HEAD of whoever looks at links before people do must not count
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "wrong method", http.StatusMethodNotAllowed)
		return
	}
	a, mine := l.expected.judge(r.URL.RawQuery)
	if !mine || !l.taken.CompareAndSwap(false, true) {
		writePage(w, http.StatusBadRequest, pageStale)
		return
	}
	outcome, left := make(chan bool, 1), make(chan struct{})
	defer close(left)
	a.show = func(ok bool) {
		outcome <- ok
		select {
		case <-left:
		case <-time.After(pageTime):
		}
	}
	l.answers <- a
	select {
	case ok := <-outcome:
		status, p := l.expected.end(ok)
		writePage(w, status, p)
	case <-r.Context().Done(): // the tab was closed; the sign-in goes on
	}
}

// end is the page that a person sees in the end.
func (e expectation) end(ok bool) (status int, p page) {
	switch {
	case ok && e.consent:
		return http.StatusOK, pageConnected
	case ok:
		return http.StatusOK, pageSignedIn
	case e.consent:
		return http.StatusForbidden, pageNotConnected
	}
	return http.StatusForbidden, pageRefused
}

// judge reads an authorization response (RFC 6749 section 4.1.2, RFC 9207
// section 2.4). mine is false when it does not belong to this sign-in.
func (e expectation) judge(rawQuery string) (a answer, mine bool) {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return answer{}, false
	}
	for _, values := range q {
		if len(values) != 1 { // attack S37
			return answer{}, false
		}
	}
	if e.state == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(e.state)) != 1 {
		return answer{}, false
	}
	// The issuer first: when it is wrong nothing else may be acted on (5.2).
	switch iss, stated := q["iss"]; {
	case stated && iss[0] != e.issuer:
		return answer{err: &Forged{Why: "it names another issuer (iss) than " + e.who}}, true
	case !stated && e.issRequired:
		return answer{err: &Forged{Why: "it does not name its issuer (iss), as " + e.who + " promises to"}}, true
	}
	if code := q.Get("error"); code != "" {
		return answer{err: &Refused{Code: code, Description: q.Get("error_description"), Who: e.who}}, true
	}
	if q.Get("code") == "" {
		return answer{err: &Forged{Why: "it has neither a code nor an error"}}, true
	}
	return answer{code: secret.New(q.Get("code"))}, true
}
