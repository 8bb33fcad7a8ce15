package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// direct starts a bridge on given streams, and returns how it is ended from outside.
func direct(t *testing.T, url string, in io.Reader, out io.Writer) (end context.CancelFunc, ended chan error) {
	t.Helper()
	n, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.Configured(url)
	ctx, end := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() {
		ended <- bridge.Run(ctx, bridge.Options{Endpoint: url, Net: n, In: in, Out: out, Token: (&tokens{}).get})
	}()
	t.Cleanup(end)
	return end, ended
}

// within fails the test if c brings nothing within two seconds: a client ends its
// child by force soon after that.
func within(t *testing.T, c chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(2 * time.Second):
		t.Fatal("it does not end")
		return nil
	}
}

// However it ends, it ends soon, the session is ended, and no goroutine is left.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(in *io.PipeWriter, out *io.PipeReader, signal context.CancelFunc)
		want error
	}{
		{"the client closes its end", func(in *io.PipeWriter, _ *io.PipeReader, _ context.CancelFunc) { in.Close() }, nil},
		{"a signal", func(_ *io.PipeWriter, _ *io.PipeReader, signal context.CancelFunc) { signal() }, context.Canceled},
		{"the client reads no more", func(in *io.PipeWriter, out *io.PipeReader, _ context.CancelFunc) {
			out.Close()
			io.WriteString(in, "not JSON\n")
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			came := make(chan struct{}, 1)
			s := sessions(func(w http.ResponseWriter, r *http.Request, _ string) {
				event(w, ": open\n\n") // the session's own stream, and a call in the middle
				if r.Method == http.MethodPost {
					came <- struct{}{}
				}
				<-r.Context().Done()
			})
			srv := httptest.NewServer(s)
			inR, in := io.Pipe()
			out, outW := io.Pipe()
			signal, ended := direct(t, srv.URL, inR, outW)
			r := &running{in: in, out: out}
			r.say(t, hello)
			r.hear(t, 1)
			r.say(t, inited, ask1)
			<-came
			test.end(in, out, signal)
			if err := within(t, ended); !errors.Is(err, test.want) {
				t.Errorf("ended with %v, want %v", err, test.want)
			}
			deleted := false
			for _, q := range s.requests() {
				deleted = deleted || q.method == http.MethodDelete && q.header.Get("Mcp-Session-Id") == "s1"
			}
			if !deleted {
				t.Error("the session was not ended")
			}
			in.Close()
			outW.Close()
			srv.Close()
			for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
				if time.Now().After(deadline) {
					buf := make([]byte, 1<<20)
					t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				}
			}
		})
	}
}

// What is under way when the client closes its end is still answered, if it is soon.
func TestLastAnswers(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, body string) {
		say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}}
	var out strings.Builder
	_, ended := direct(t, serve(t, s), strings.NewReader(ask1), &out)
	if err := within(t, ended); err != nil {
		t.Fatal(err)
	}
	diff(t, "output", `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n", out.String())
}

// A thousand calls are under way at once, and each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	const many = 1000
	all := make(chan struct{})
	arrived := make(chan struct{}, many)
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, body string) {
		arrived <- struct{}{}
		<-all
		say(w, strings.Replace(body, `"method":"x"`, `"result":{}`, 1))
	}}
	r := start(t, serve(t, s), nil)
	for i := range many {
		r.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"x"}`, i))
	}
	for range many {
		<-arrived
	}
	close(all)
	got := map[string]bool{}
	for _, line := range r.hear(t, many) {
		got[line] = true
	}
	for i := range many {
		if !got[fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, i)] {
			t.Errorf("no answer to %d", i)
		}
	}
	// What carried them is not kept for the next thousand.
	buf := make([]byte, 16<<20)
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		n := strings.Count(string(buf[:runtime.Stack(buf, true)]), ").labour(")
		if n > 0 && n <= 64 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines wait for calls", n)
		}
	}
}

// A client that does not read stops the reading from the server.
func TestBackPressure(t *testing.T) {
	const chunk = 1 << 20
	sent := make(chan int, 1)
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
		text := "data: {\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":\"" + strings.Repeat("x", chunk) + "\"}\n\n"
		w.Header().Set("Content-Type", "text/event-stream")
		n := 0
		for ; n < 200; n++ {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := io.WriteString(w, text); err != nil {
				break
			}
		}
		sent <- n
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, ask1)
	if n := <-sent; n > 50 {
		t.Errorf("the server could send %d MiB that nobody read", n)
	}
}

// A client that reads nothing, and has not closed its end of the pipe either, does not
// keep the bridge alive, and the server is told of the end.
func TestUnread(t *testing.T) {
	told := make(chan struct{})
	s := sessions(func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) })
	then := s.answer
	s.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		if then(w, r, body); r.Method == http.MethodDelete {
			close(told)
		}
	}
	in, client := io.Pipe()
	outR, out := io.Pipe()
	_, ended := direct(t, serve(t, s), in, out)
	io.WriteString(client, hello+"\n")
	if _, err := outR.Read(make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(client, strings.Repeat(ask1+"\n", 3))
	client.Close()
	if err := within(t, ended); err != nil {
		t.Error(err)
	}
	<-told
}

// Messages beyond the bounds are refused, and what comes after them is not.
func TestTooLarge(t *testing.T) {
	t.Run("of the client", func(t *testing.T) {
		s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) }}
		r := start(t, serve(t, s), nil)
		go io.Copy(r.in, io.MultiReader(strings.NewReader(`{"jsonrpc":"2.0","id":"big","method":"x","params":"`), io.LimitReader(xs{}, 100<<20), strings.NewReader("\"}\n"+ask1+"\n")))
		got := r.hear(t, 2)
		if !strings.Contains(got[0], `"id":"big"`) || !strings.Contains(got[0], "16 MiB") || !strings.Contains(got[1], "result") {
			t.Errorf("got %q", got)
		}
	})
	for _, kind := range []string{"application/json", "text/event-stream"} {
		t.Run("of the server, "+kind, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", kind)
				io.WriteString(w, `data:{"jsonrpc":"2.0","id":1,"result":"`)
				io.Copy(w, io.LimitReader(xs{}, 100<<20))
			}}
			r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain, o.MaxMessage = inWords, 1<<20 })
			r.say(t, ask1)
			if got := r.hear(t, 1)[0]; !strings.Contains(got, `"too_large"`) {
				t.Errorf("got %.200s", got)
			}
		})
	}
}

// xs is an endless text.
type xs struct{}

func (xs) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat("x", min(len(p), 4096))), nil
}
