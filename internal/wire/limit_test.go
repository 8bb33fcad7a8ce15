package wire

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"time"
)

// flood writes size bytes, as long as anybody reads.
func flood(w io.Writer, size int) {
	chunk := make([]byte, 64<<10)
	for n := 0; n < size; n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// A body of 300 MiB and a gzip bomb end at 1 MiB, and memory stays where it was (S25).
func TestLargeBodies(t *testing.T) {
	const size = 300 << 20
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/plain":
			flood(w, size)
		case "/length":
			w.Header().Set("Content-Length", "314572800")
			flood(w, size)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			flood(z, size)
			z.Close()
		case "/exact":
			io.WriteString(w, strings.Repeat("x", 1<<20))
		case "/one-more":
			io.WriteString(w, strings.Repeat("x", 1<<20+1))
		}
	})
	n := newNet(t, Options{})
	n.Configured(srv.URL)
	for path, tooLarge := range map[string]bool{"/plain": true, "/length": true, "/bomb": true, "/exact": false, "/one-more": true} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		resp, err := n.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		runtime.ReadMemStats(&after)
		var large *TooLarge
		if errors.As(err, &large) != tooLarge || !tooLarge && err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, again := resp.Body.Read(make([]byte, 1)); tooLarge && again == nil {
			t.Errorf("%s: there is more to read after the end", path)
		}
		if len(body) != 1<<20 {
			t.Errorf("%s: %d bytes", path, len(body))
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 { // server and reader included
			t.Errorf("%s: allocated %d MiB", path, grown>>20)
		}
	}
}

// A reader that stops early leaves the connection ready for the next request,
// unless what is left is long.
func TestConnectionsAreKept(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			io.WriteString(w, strings.Repeat("x", 32<<10))
		case "/long":
			flood(w, 512<<10)
		}
	})
	n := newNet(t, Options{})
	n.Configured(srv.URL)
	reused := func(path string) bool {
		var kept bool
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }})
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
		resp, err := n.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 10))
		resp.Body.Close()
		return kept
	}
	reused("/short")
	if !reused("/long") {
		t.Error("the connection was dropped after a short body")
	}
	if reused("/short") {
		t.Error("a long body was read to its end")
	}
}

// Every wait has an end: a server that says nothing, one that stops in the middle
// of its headers or body, and a caller that gives up.
func TestTimeouts(t *testing.T) {
	done := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		if r.URL.Path == "/headers" {
			conn, buf, _ := w.(http.Hijacker).Hijack()
			buf.WriteString("HTTP/1.1 200 OK\r\nX-Half: ")
			buf.Flush()
			defer conn.Close()
		}
		<-done
	})
	defer close(done)
	for _, tt := range []struct {
		name, path string
		opt        Options
		cancel     bool
		want       Class
	}{
		{"silent", "/", Options{HeaderTimeout: 20 * time.Millisecond}, false, Timeout},
		{"half of the headers", "/headers", Options{HeaderTimeout: 20 * time.Millisecond}, false, Timeout},
		{"whole request", "/", Options{Timeout: 20 * time.Millisecond}, false, Timeout},
		{"half of the body", "/body", Options{Timeout: 50 * time.Millisecond}, false, Timeout},
		{"canceled", "/", Options{}, true, Canceled},
	} {
		n := newNet(t, tt.opt)
		n.Configured(srv.URL)
		ctx, cancel := context.WithCancel(context.Background())
		if tt.cancel {
			cancel()
		}
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+tt.path, nil)
		resp, err := n.Client().Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		cancel()
		if got := Classify(err); got != tt.want {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	o := Options{}.withDefaults()
	if o.ConnectTimeout != 5*time.Second || o.TLSTimeout != 5*time.Second || o.HeaderTimeout != 10*time.Second || o.Timeout != 15*time.Second || o.MaxBody != 1<<20 {
		t.Errorf("%+v", o)
	}
	if o := (Options{HeaderTimeout: time.Second, MaxBody: 7, UserAgent: "x"}).withDefaults(); o.HeaderTimeout != time.Second || o.MaxBody != 7 || o.UserAgent != "x" {
		t.Errorf("%+v", o)
	}
}
