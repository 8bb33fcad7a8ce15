package wire

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

type connKey struct{}

// The types of frames that end something, and codes that go with them (RFC 9113
// sections 6.4, 6.8 and 7).
const (
	rstStream, goAway                        = 3, 7
	noError, internalError, enhance, refused = 0, 2, 11, 7
)

// frame is one of those: a stream, or the last one that the server has acted upon.
func frame(kind byte, stream, code uint32) []byte {
	head := []byte{0, 0, 4, kind, 0, 0, 0, 0, 0}
	if kind == goAway {
		head[2] = 8
		head = binary.BigEndian.AppendUint32(head, stream)
	} else {
		binary.BigEndian.PutUint32(head[5:], stream)
	}
	return binary.BigEndian.AppendUint32(head, code)
}

// What ends an HTTP/2 connection in the middle of a request is a connection that
// broke, in words of ours. A post is sent again where the server says that it has not
// been acted upon, and only there.
func TestHTTP2Ends(t *testing.T) {
	const first, any = 1, math.MaxInt32 // streams
	for name, test := range map[string]struct {
		frame    []byte
		head     bool // the answer has begun
		stays    bool // the connection does
		want     Class
		requests int32
	}{
		"shut down, acted upon or not":         {frame(goAway, any, noError), false, false, Reset, 1},
		"shut down, acted upon":                {frame(goAway, first, noError), false, false, Reset, 1},
		"shut down, not acted upon":            {frame(goAway, 0, noError), false, false, None, 2},
		"shut down, and the answer comes":      {frame(goAway, first, noError), false, true, None, 1},
		"shut down while it answers":           {frame(goAway, any, noError), true, false, Reset, 1},
		"sent away":                            {frame(goAway, 0, enhance), false, false, Reset, 1},
		"in trouble":                           {frame(goAway, any, internalError), false, false, Reset, 1},
		"the stream ends":                      {frame(rstStream, first, internalError), false, true, Reset, 1},
		"the stream ends while it is answered": {frame(rstStream, first, internalError), true, true, Reset, 1},
		"the stream is refused":                {frame(rstStream, first, refused), false, true, None, 2},
		"it closes":                            {nil, false, false, Reset, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if string(body) != "assertion=id-jag-0123456789" || r.ProtoMajor != 2 {
					t.Errorf("%s %q", r.Proto, body)
				}
				if requests.Add(1) > 1 {
					return
				}
				if test.head {
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
				}
				conn := r.Context().Value(connKey{}).(net.Conn)
				_, _ = conn.Write(test.frame)
				if !test.stays {
					conn.Close()
				}
				if !test.stays || test.frame[3] == rstStream { // there is nothing to answer any more
					<-r.Context().Done()
				}
			}))
			srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			t.Cleanup(srv.Close)
			t.Cleanup(srv.CloseClientConnections) // before: it waits for handlers
			n := newNet(t, Options{CAFile: caFile(t, srv)})
			n.Configured(srv.URL)
			n.Permit(IDJAG, secret.New("id-jag-0123456789"), Endpoint(srv.URL+"/token"))
			resp, err := n.Client().Do(newRequest("POST", srv.URL+"/token", "assertion=id-jag-0123456789"))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if got := Classify(err); got != test.want || requests.Load() != test.requests {
				t.Errorf("%q (%v) after %d requests, want %q after %d", got, err, requests.Load(), test.want, test.requests)
			}
			for _, word := range []string{"http2", "GOAWAY", "stream"} {
				if err != nil && strings.Contains(err.Error(), word) {
					t.Errorf("it says %q", err)
				}
			}
		})
	}
}

// Somebody whose Go programs are told to do without HTTP/2 gets an answer all the
// same: dialers and pools agree on what is spoken.
func TestHTTP2TurnedOff(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked with %s", r.Proto)
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	t.Setenv("GODEBUG", "x=1,http2client=0")
	n := newNet(t, Options{CAFile: caFile(t, srv)})
	n.Configured(srv.URL)
	for _, c := range []*http.Client{n.Client(), n.Streaming()} {
		resp, err := c.Do(newRequest("GET", srv.URL, ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}
