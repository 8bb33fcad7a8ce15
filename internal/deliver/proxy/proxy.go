// Package proxy serves MCP clients that take only a URL and a static header: it
// listens on this computer, adds the access token of the server that is meant,
// and lets bytes through both ways. It is one form of the last stage of the flow.
//
//	http://127.0.0.1:PORT/wiki        exactly the URL configured for wiki
//	http://127.0.0.1:PORT/wiki/x      below it
//
// The configured URL is an endpoint, not a folder, so the bare name must be that
// URL to the byte; a client that is told to append something to its URL stays
// inside of it.
//
// Whoever reaches the listener can act as the person at every server (attack
// S10). So it answers only who knows the secret of this run, or can open a socket
// in the person's own folder, and never a browser. What a client sends cannot
// choose where a token goes: the way out is package wire, which lets each token
// through to its own server's URL only (S6, S7).
package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Server is one MCP server behind the proxy.
type Server struct {
	Name string
	URL  string

	// Token gives an access token for it, and is asked for every request.
	Token func(context.Context, token.Ask) (token.Token, error)
}

// Problem is an error for people and for programs.
type Problem struct {
	Code    string `json:"error"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Proxy forwards requests to servers. Its fields must not change any more when
// Serve is called.
type Proxy struct {
	Servers []Server
	Secret  secret.Text // of this run; zero when the listener itself lets only the person in
	Net     *wire.Net
	Explain func(error) Problem            // must have no remote party's words uncleaned
	Log     func(server string, _ Problem) // nil drops it; called by any goroutine
	Now     func() time.Time               // nil means time.Now

	TokenTime time.Duration // that a request waits for its token; 0 means 30 s

	Grace time.Duration // for calls under way when Serve ends; 0 means 2 s
}

// Serve answers until ctx ends, and then returns nil once nothing of it is left:
// no connection, no request under way. It closes the listener.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	if !p.Secret.IsZero() {
		p.Net.Permit(wire.AccessToken, p.Secret, wire.Destination{}) // it must not leave this computer
	}
	alive, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	g := &gate{proxy: p, host: l.Addr().String(), ending: ctx}
	g.routes = p.routes()
	s := &http.Server{
		Handler:           g,
		BaseContext:       func(net.Listener) context.Context { return alive },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          quiet(),
		// OPTIONS * would be answered before the handler.
		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(alive, p.grace())
		defer cancel()
		if s.Shutdown(grace) != nil {
			s.Close()
		}
	})
	err := s.Serve(l)
	if stop() { // it ended by itself
		s.Close()
	} else {
		<-ended
		err = nil
	}
	cut()
	g.busy.Lock() // for good: waits for every request, and lets no other one in
	return err
}

func (p *Proxy) grace() time.Duration {
	if p.Grace > 0 {
		return p.Grace
	}
	return 2 * time.Second
}

func (p *Proxy) tokenTime() time.Duration {
	if p.TokenTime > 0 {
		return p.TokenTime
	}
	return 30 * time.Second
}

// now is without the monotonic reading, which stands still while a laptop sleeps:
// what may not be asked for in the next minute may be asked for after that.
func (p *Proxy) now() time.Time {
	if p.Now != nil {
		return p.Now().Round(0)
	}
	return time.Now().Round(0)
}

// gate is what a request passes first. What is behind it may trust that the
// request comes from the person's own programs.
type gate struct {
	proxy  *Proxy
	host   string // as the Host header must have it; of a socket it says nothing
	routes map[string]*route
	ending context.Context
	busy   sync.RWMutex // read while a request is answered
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.busy.TryRLock() {
		refuse(w, http.StatusServiceUnavailable, Problem{Code: "ending", Message: "the proxy is ending"})
		return
	}
	defer g.busy.RUnlock()
	if status, problem := g.admit(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		refuse(w, status, problem)
		return
	}
	to, target, err := g.find(r.RequestURI)
	switch {
	case errors.Is(err, errUnknown):
		refuse(w, http.StatusNotFound, Problem{Code: "unknown_server", Message: "there is no such server", Hint: g.names()})
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, Problem{Code: "bad_path", Message: err.Error()})
		return
	}
	if r.Method == http.MethodGet { // a stream that would never end
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(g.ending, cancel)()
		r = r.WithContext(ctx)
	}
	to.forward(w, r, target)
}

// refuse answers in place of a server.
func refuse(w http.ResponseWriter, status int, problem Problem) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(problem) // to a client that may have gone
}

// quiet is for what net/http would write to standard error about its clients.
func quiet() *log.Logger { return log.New(nowhere{}, "", 0) }

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
