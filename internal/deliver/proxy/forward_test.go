package proxy

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/token"
)

func TestForwards(t *testing.T) {
	s := serve(t)
	s.up.answer = func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, value := range map[string]string{
			"Mcp-Session-Id": "s1", "X-Own": "kept", "Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*", "Alt-Svc": `h3=":1"`,
			"Strict-Transport-Security": "max-age=1", "Clear-Site-Data": `"*"`, "Connection": "X-Hop", "X-Hop": "1", "Refresh": "0", "Proxy-Authenticate": "Basic",
		} {
			h.Set(name, value)
		}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "answer")
	}
	resp := s.do(t, "POST", "/wiki/x?y=1", `{"a":1}`, "Mcp-Method: tools/call", "DPoP: x", "Cookie: a=b", "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive",
		"X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "Te: trailers", "Connection: X-Private", "X-Private: 1", "Expect: 100-continue", "Last-Event-Id: 7")
	if got := text(t, resp); resp.StatusCode != http.StatusAccepted || got != "answer" {
		t.Errorf("got %d %q", resp.StatusCode, got)
	}
	delete(resp.Header, "Date")
	if diff := cmp.Diff(http.Header{"Mcp-Session-Id": {"s1"}, "X-Own": {"kept"}, "Content-Length": {"6"}, "Content-Type": {"text/plain; charset=utf-8"}}, resp.Header); diff != "" {
		t.Errorf("the answer's headers (-want +got):\n%s", diff)
	}
	r := s.up.requests()[0]
	want := http.Header{
		"Authorization": {"Bearer token-0-of-wiki"}, "Content-Type": {"application/json"}, "Content-Length": {"7"}, "Mcp-Method": {"tools/call"},
		"Last-Event-Id": {"7"}, "Accept-Encoding": {"identity"},
	}
	delete(r.Header, "User-Agent")
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("the request's headers (-want +got):\n%s", diff)
	}
	if r.RequestURI != "/mcp/x?y=1" || r.Host != strings.TrimPrefix(s.up.URL, "http://") || s.up.bodies[0] != `{"a":1}` {
		t.Errorf("the server got %s %s %q", r.Host, r.RequestURI, s.up.bodies[0])
	}
	// Each server gets its own token and no other.
	s.do(t, "DELETE", "/other", "")
	if r := s.up.requests()[1]; r.Header.Get("Authorization") != "Bearer token-0-of-other" || r.Method != "DELETE" || r.URL.Path != "/other" {
		t.Errorf("other got %s %s %s", r.Method, r.URL, r.Header["Authorization"])
	}
}

// The secret of the run does not leave, wherever a client puts it.
func TestSecretStaysHere(t *testing.T) {
	s := serve(t)
	for _, header := range []string{"X-Api-Key: " + key, "Mcp-Session-Id: " + key} {
		if resp := s.do(t, "GET", "/wiki", "", header); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d", header, resp.StatusCode)
		}
	}
	if resp := s.do(t, "GET", "/wiki?k="+key, ""); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("in the query: %d", resp.StatusCode)
	}
	if n := len(s.up.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// A token goes to its own server only, even if the way there were miscalculated.
func TestTokenIsPinned(t *testing.T) {
	s := serve(t)
	to := s.routes()["wiki"]
	for _, path := range []string{"/other", "/mcpx", "/mcp/../other", "/"} {
		req, _ := http.NewRequest("GET", s.up.URL+path, nil)
		if _, err := to.RoundTrip(req); err == nil {
			t.Errorf("%s got the token", path)
		}
	}
	if n := len(s.up.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestRedirectsAreNotFollowedNorPassedOn(t *testing.T) {
	s := serve(t)
	for _, status := range []int{301, 302, 303, 307, 308, 300} {
		s.up.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", s.up.URL+"/other")
			w.WriteHeader(status)
		}
		before := len(s.up.requests())
		resp := s.do(t, "GET", "/wiki", "")
		if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Location") != "" || !strings.Contains(problemOf(t, resp).Message, "redirect") {
			t.Errorf("%d: %d %v", status, resp.StatusCode, resp.Header)
		}
		if n := len(s.up.requests()) - before; n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}

func TestServerCannotTakeTheConnection(t *testing.T) {
	s := serve(t)
	s.up.raw = func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
		rw.Flush()
	}
	if resp := s.do(t, "GET", "/wiki", ""); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// Events arrive one by one, not when the stream ends, and the client's leaving
// ends the stream.
func TestStreamsEvents(t *testing.T) {
	s := serve(t)
	next, gone := make(chan struct{}), make(chan struct{})
	s.up.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
		<-r.Context().Done()
		close(gone)
	}
	resp := s.do(t, "POST", "/wiki", "{}")
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("event %d: %q %v", i, lines.Text(), lines.Err())
		}
		lines.Scan()
		next <- struct{}{}
	}
	resp.Body.Close()
	<-gone
}

// A long request goes out while it still comes in, and the answer meanwhile.
func TestStreamsLongRequests(t *testing.T) {
	s := serve(t)
	half, ended := make(chan int64, 1), make(chan int64, 1)
	s.up.raw = func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		n, _ := io.CopyN(io.Discard, r.Body, maxReplay+1)
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		half <- n
		n, _ = io.Copy(io.Discard, r.Body)
		ended <- n
	}
	in, out := io.Pipe()
	req, _ := http.NewRequest("POST", "http://"+s.addr+"/wiki", in)
	req.Header.Set("Authorization", "bearer "+key)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	go io.Copy(out, io.LimitReader(zeros{}, maxReplay+1))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := <-half; n != maxReplay+1 {
		t.Errorf("first %d bytes came", n)
	}
	out.Write(make([]byte, 1000))
	out.Close()
	if n := <-ended; n != 1000 {
		t.Errorf("then %d bytes came", n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A compressed answer that the client asked for is passed on as it is.
func TestDoesNotUnpack(t *testing.T) {
	s := serve(t)
	s.up.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, r.Header.Get("Accept-Encoding"))
		z.Close()
	}
	resp := s.do(t, "GET", "/wiki", "", "Accept-Encoding: gzip")
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(z); string(b) != "gzip" || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", b, resp.Header)
	}
}

// Fifty clients at once, each with its own answer.
func TestManyAtOnce(t *testing.T) {
	s := serve(t)
	s.up.answer = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.RawQuery) }
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			q := fmt.Sprintf("n=%d", i)
			if got := text(t, s.do(t, "POST", "/wiki?"+q, "{}")); got != q {
				t.Errorf("got %q, want %q", got, q)
			}
		})
	}
	wg.Wait()
}

func TestServerIsDown(t *testing.T) {
	s := serve(t)
	s.up.Close()
	for range 3 {
		if resp := s.do(t, "POST", "/wiki", "{}"); resp.StatusCode != http.StatusBadGateway || problemOf(t, resp).Hint != "hint" {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
	if n := strings.Count(s.lines(), "wiki: "); n != 1 {
		t.Errorf("the same line was logged %d times:\n%s", n, s.lines())
	}
}

// Serve ends streams at once and waits a moment for calls; nothing is left.
func TestEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	s := serve(t, func(s *setup) { s.Grace = time.Minute })
	called, answer := make(chan struct{}), make(chan struct{})
	streaming, streamEnded := make(chan struct{}), make(chan struct{})
	s.up.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.(http.Flusher).Flush()
			close(streaming)
			<-r.Context().Done()
			close(streamEnded)
			return
		}
		close(called)
		<-answer
		io.WriteString(w, "done")
	}
	stream := s.do(t, "GET", "/wiki", "")
	<-streaming
	got := make(chan string)
	go func() { got <- text(t, s.do(t, "POST", "/wiki", "{}")) }()
	<-called
	s.end()
	<-streamEnded
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("a stream that was cut looks complete")
	}
	close(answer)
	if text := <-got; text != "done" {
		t.Errorf("the call under way got %q", text)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended <- nil // for the clean-up
	s.up.CloseClientConnections()
	s.Net.CloseIdle()
	s.up.Close()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// What does not end by itself is cut after the grace, and Serve does not return
// before it has ended.
func TestEndsWithoutMercy(t *testing.T) {
	called, release := make(chan struct{}), make(chan struct{})
	var returned atomic.Bool
	s := serve(t, func(s *setup) {
		s.Servers[0].Token = func(ctx context.Context, _ token.Ask) (token.Token, error) {
			close(called)
			<-release
			returned.Store(true)
			return token.Token{}, ctx.Err()
		}
	})
	failed := make(chan error)
	go func() {
		req, _ := http.NewRequest("POST", "http://"+s.addr+"/wiki", strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		_, err := http.DefaultTransport.RoundTrip(req)
		failed <- err
	}()
	<-called
	s.end()
	if err := <-failed; err == nil {
		t.Error("a call that was cut has an answer")
	}
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	if err := <-s.ended; err != nil || !returned.Load() {
		t.Errorf("Serve returned before its request, with %v", err)
	}
	s.ended <- nil // for the clean-up
}
