package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// route is the way to one server.
type route struct {
	proxy  *Proxy
	server Server
	url    *url.URL
	out    http.RoundTripper

	mu      sync.Mutex
	lent    map[string]*loan // tokens that a request is about to carry, by themselves
	current secret.Text      // the token that the next request will probably carry
	giveUp  time.Time        // no new token because of a refusal before this
	refused secret.Text      // the token that was replaced last
	renewed []time.Time      // when tokens were replaced, in the last minute
	said    Problem          // the last that was logged
	saidAt  time.Time
}

func (p *Proxy) routes() map[string]*route {
	list := map[string]*route{}
	out := p.Net.Streaming().Transport // no redirect is followed, since only a Client does that
	for _, s := range p.Servers {
		u, err := url.Parse(s.URL)
		if err != nil {
			continue // the configuration has no such URL
		}
		list[s.Name] = &route{proxy: p, server: s, url: u, out: out, lent: map[string]*loan{}}
	}
	return list
}

// forward sends an admitted request to target, and the answer back.
func (t *route) forward(w http.ResponseWriter, r *http.Request, target *url.URL) {
	// An answer may begin before the request has ended. HTTP/2 does that anyway.
	_ = http.NewResponseController(w).EnableFullDuplex()
	proxy := &httputil.ReverseProxy{
		Transport:      t,
		FlushInterval:  -1, // an event is worth nothing while it waits in a buffer
		ErrorLog:       quiet(),
		Rewrite:        func(pr *httputil.ProxyRequest) { rewrite(pr.Out, target) },
		ModifyResponse: t.inspect,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var off *brokenOff
			if r.Context().Err() != nil || errors.As(err, &off) {
				panic(http.ErrAbortHandler) // the client has gone, or is sent away
			}
			problem := t.proxy.Explain(err)
			t.say(problem)
			refuse(w, http.StatusBadGateway, problem)
		},
	}
	proxy.ServeHTTP(final{w}, r)
}

// final keeps back the informational answers (1xx), which ReverseProxy passes on
// before inspect sees anything. No MCP client waits for one.
type final struct{ http.ResponseWriter }

func (w final) WriteHeader(status int) {
	if status >= 200 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w final) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// rewrite makes the request ours. ReverseProxy has dropped the hop-by-hop headers,
// and with them what Connection names.
func rewrite(out *http.Request, target *url.URL) {
	out.URL, out.Host = target, ""
	for name := range out.Header {
		if name == "Authorization" || name == "Cookie" || name == "Expect" || name == "Te" || strings.HasPrefix(name, "Proxy-") {
			delete(out.Header, name) // S7: what was meant for us is not for the server
		}
	}
	if len(out.Header.Values("Accept-Encoding")) == 0 {
		out.Header.Set("Accept-Encoding", "identity") // else net/http asks for gzip, and unpacks
	}
}

// Redirected says that a server answered with a redirect, which is not followed
// and not passed on: the client would follow it with what it has (S9).
type Redirected struct {
	Host   string
	Status int
}

func (e *Redirected) Error() string {
	return fmt.Sprintf("the server at %q answered with a redirect (%d), which is not followed", e.Host, e.Status)
}

// inspect keeps back what a server has no business saying to a client that it
// believes to be talking to this computer: cookies would go to every port of it.
func (t *route) inspect(resp *http.Response) error {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified, resp.StatusCode == http.StatusSwitchingProtocols:
		return &Redirected{Host: t.url.Host, Status: resp.StatusCode}
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		t.sayRefusal(resp)
	case resp.StatusCode < 400:
		t.saidNothing()
	}
	for name := range resp.Header {
		switch {
		case name == "Set-Cookie", name == "Set-Cookie2", name == "Alt-Svc", name == "Clear-Site-Data",
			name == "Strict-Transport-Security", name == "Refresh", name == "Dpop-Nonce",
			strings.HasPrefix(name, "Access-Control-"), strings.HasPrefix(name, "Proxy-"):
			delete(resp.Header, name)
		}
	}
	keepQuiet(resp.Header)
	resp.Trailer, resp.Body = nil, &body{resp.Body, resp}
	return nil
}

// body drops the trailers, which come at its end: MCP has none, and inspect would not
// see them.
type body struct {
	io.ReadCloser
	resp *http.Response
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.resp.Trailer = nil
	}
	return n, err
}

// keepQuiet takes the address of the resource metadata out of a challenge. A client
// that followed it would ask the person for consent, which the company's decision
// stands for here (attack S28). Nor does a challenge for proofs pass, which are not
// the client's business.
func keepQuiet(h http.Header) {
	challenges, err := discover.Challenges(h)
	loud := slices.ContainsFunc(challenges, func(c discover.Challenge) bool { return c.ResourceMetadata() != "" || c.Scheme == "dpop" })
	if err == nil && !loud {
		return
	}
	plain := "Bearer"
	for _, c := range challenges {
		if code := c.ErrorCode(); code == "invalid_token" || code == "insufficient_scope" {
			plain += ` error="` + code + `"`
			if scopes := c.Scopes(); scopes != nil {
				plain += `, scope="` + strings.Join(scopes, " ") + `"`
			}
			break
		}
	}
	h.Set("Www-Authenticate", plain)
}

// say logs a problem, and while it stays the same once a minute: a client that
// tries again and again must not fill the terminal.
func (t *route) say(problem Problem) {
	t.mu.Lock()
	again := problem == t.said && t.proxy.now().Sub(t.saidAt) < time.Minute
	if !again {
		t.said, t.saidAt = problem, t.proxy.now()
	}
	t.mu.Unlock()
	if !again && t.proxy.Log != nil {
		t.proxy.Log(t.server.Name, problem)
	}
}

// saidNothing has the next problem told, even if it is the one before.
func (t *route) saidNothing() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = Problem{}
}
