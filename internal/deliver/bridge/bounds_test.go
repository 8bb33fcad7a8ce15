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
