package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/token"
)

// Bounds on what a server can make the bridge do or keep.

// A server cannot have its stream taken up again at once, over and over.
func TestRetryFloor(t *testing.T) {
	var mu sync.Mutex
	var ended, taken time.Time
	s := sessions(func(w http.ResponseWriter, r *http.Request, _ string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Header.Get("Last-Event-Id") != "":
			taken = time.Now()
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		case !noStream(w, r):
			event(w, "id: e1\nretry: 1\ndata:\n\n")
			ended = time.Now()
		}
	})
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, ask1)
	r.hear(t, 1)
	mu.Lock()
	defer mu.Unlock()
	if d := taken.Sub(ended); d < 500*time.Millisecond {
		t.Errorf("taken up again after %v", d)
	}
}

// An event ID becomes a header of the next request, and so has a bound.
func TestEventIDBound(t *testing.T) {
	for length, want := range map[int]string{1024: strings.Repeat("x", 1024), 1025: "e1"} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			s := sessions(func(w http.ResponseWriter, r *http.Request, _ string) {
				switch last := r.Header.Get("Last-Event-Id"); {
				case last == want:
					event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
				case last != "":
					t.Errorf("taken up at an ID of %d bytes", len(last))
				case !noStream(w, r):
					event(w, "id: e1\nretry: 1\ndata:\n\nid: "+strings.Repeat("x", length)+"\ndata:\n\n")
				}
			})
			r := start(t, serve(t, s), nil)
			r.say(t, hello)
			r.hear(t, 1)
			r.say(t, inited, ask1)
			r.hear(t, 1)
		})
	}
}

// A server of the stateless era can ask an old client only so many things at once.
func TestQuestionBound(t *testing.T) {
	for _, n := range []int{64, 65} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				switch {
				case r.Header.Get("Mcp-Method") == "server/discover":
					say(w, `{"jsonrpc":"2.0","id":"mcpauth-discover","result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}`)
				case strings.Contains(body, "inputResponses"):
					say(w, `{"jsonrpc":"2.0","id":"mcpauth-again-`+fmt.Sprint(n+1)+`","result":{}}`)
				case r.Header.Get("Mcp-Method") == "tools/call":
					var questions []string
					for i := range n {
						questions = append(questions, fmt.Sprintf(`"q%d":{"method":"roots/list"}`, i))
					}
					say(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{`+strings.Join(questions, ",")+`}}}`)
				default:
					w.WriteHeader(http.StatusBadRequest)
				}
			}}
			r := start(t, serve(t, s), nil)
			r.say(t, hello)
			r.hear(t, 1)
			r.say(t, inited, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}`)
			if n > 64 {
				if got := r.hear(t, 1)[0]; !strings.Contains(got, "too many things") {
					t.Errorf("answer %s", got)
				}
				return
			}
			for _, line := range r.hear(t, n) {
				_, id, _ := strings.Cut(line, `"id":`)
				id, _, _ = strings.Cut(id, ",")
				r.say(t, `{"jsonrpc":"2.0","id":`+id+`,"result":{}}`)
			}
			diff(t, "answer", []string{`{"jsonrpc":"2.0","id":1,"result":{}}`}, r.hear(t, 1))
		})
	}
}

// A token that is being got when the bridge ends is waited for: what the identity
// provider has issued by then must not be lost on the way to the keychain.
func TestEndWaitsForToken(t *testing.T) {
	began, told, stored := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := &strict{answer: func(http.ResponseWriter, *http.Request, string) {}}
	r := start(t, serve(t, s), func(o *bridge.Options) {
		o.Token = func(ctx context.Context, _ token.Ask) (token.Token, error) {
			close(began)
			<-ctx.Done()
			close(told)
			<-stored
			return token.Token{}, ctx.Err()
		}
	})
	<-began
	r.in.Close()
	<-told
	select {
	case <-r.ended:
		t.Error("it ended before the token was stored")
	case <-time.After(50 * time.Millisecond):
	}
	close(stored)
	<-r.ended
	if r.err != nil {
		t.Error(r.err)
	}
}

// The comments with which a server keeps a long stream alive are no part of a
// message, and do not add up.
func TestLongSilence(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) {
		event(w, strings.Repeat(": ping\n\n", 1000)+"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
	}}
	r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain, o.MaxMessage = inWords, 1000 })
	r.say(t, ask1)
	diff(t, "answer", []string{`{"jsonrpc":"2.0","id":1,"result":{}}`}, r.hear(t, 1))
}

// A server of sessions that asks and asks, and takes none of the bridge's answers,
// gets no goroutine for each of them.
func TestAnswerBound(t *testing.T) {
	var mu sync.Mutex
	answers := 0
	enough := make(chan struct{})
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case strings.Contains(body, "2026-07-28"):
			w.WriteHeader(http.StatusBadRequest)
		case strings.Contains(body, `"initialize"`):
			say(w, strings.Replace(helloBack, `"id":0`, `"id":"mcpauth-initialize"`, 1))
		case strings.Contains(body, "notifications/initialized"):
			w.WriteHeader(http.StatusAccepted)
		case strings.Contains(body, `"result":{}`):
			mu.Lock()
			if answers++; answers == 64 {
				close(enough)
			}
			mu.Unlock()
			<-r.Context().Done()
		case r.Method == http.MethodGet:
			event(w, strings.Repeat("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n", 200)+
				"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n")
			<-r.Context().Done()
		default:
			say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, modern("1", "tools/list", ""))
	r.hear(t, 2) // the answer, and what comes behind the questions
	<-enough
	r.in.Close()
	<-r.ended
	if answers > 64 {
		t.Errorf("%d answers were under way", answers)
	}
}

// Annotations have bounds: a schema of some kilobytes can be so deep that the paths in
// it are some hundred megabytes, and names can be as long as messages.
func TestToolBounds(t *testing.T) {
	nested := func(n int, front, core, back string) string {
		return strings.Repeat(front, n) + core + strings.Repeat(back, n)
	}
	for _, test := range []struct {
		name, header string
		depth        int
		want         bool
	}{{"shallow", "a", 64, true}, {"deep", "a", 65, false}, {"long", strings.Repeat("a", 4<<10), 1, false}} {
		t.Run(test.name, func(t *testing.T) {
			schema := nested(test.depth-1, `{"properties":{"a":`, `{"properties":{"a":{"type":"string","x-mcp-header":"`+test.header+`"}}}`, `}}`)
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				if strings.Contains(body, "tools/list") {
					say(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"n","inputSchema":`+schema+`}]}}`)
					return
				}
				say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			}}
			r := start(t, serve(t, s), nil)
			r.say(t, modern("1", "tools/list", ""))
			if got := r.hear(t, 1)[0]; !strings.Contains(got, `"name":"n"`) {
				t.Errorf("the tool is gone: %.100s", got)
			}
			r.say(t, modern("1", "tools/call", `,"name":"n","arguments":`+nested(test.depth, `{"a":`, `"v"`, `}`)))
			r.hear(t, 1)
			if got := s.requests()[1].header.Get("Mcp-Param-"+test.header) == "v"; got != test.want {
				t.Errorf("header sent: %v", got)
			}
		})
	}
}

// A batch in a batch is no JSON-RPC, and nothing to go down into.
func TestNestedBatch(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) {
		say(w, strings.Repeat("[", 50)+`{"jsonrpc":"2.0","id":1,"result":{}}`+strings.Repeat("]", 50))
	}}
	r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain = inWords })
	r.say(t, ask1)
	if got := r.hear(t, 1)[0]; !strings.Contains(got, "strange_answer") {
		t.Errorf("answer %s", got)
	}
}
