package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
)

// MCP 2025-11-25, Resumability: a stream that breaks off is taken up again where it
// ended, by GET, as often as it takes.
func TestResume(t *testing.T) {
	s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
		switch r.Header.Get("Last-Event-Id") {
		case "":
			if noStream(w, r) {
				return
			}
			event(w, "id: e1\nretry: 1\ndata:\n\n")
		case "e1":
			event(w, "retry: 1\nid: e2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\ndata: {\"jsonrpc\":")
		case "e2":
			event(w, "id: e3\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		}
	})
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, ask1)
	diff(t, "messages", []string{`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`}, r.hear(t, 2))
	if n := len(s.posts()); n != 3 {
		t.Errorf("%d posts: a call was repeated", n)
	}
	for _, q := range s.requests() {
		if q.method == http.MethodGet && (q.header.Get("Mcp-Session-Id") != "s1" || q.header.Get("Accept") != "text/event-stream") {
			t.Errorf("GET with %v", q.header)
		}
	}
}

// A call comes after the session's stream is open: what the server says of the call on
// that stream must not be lost, and a stream that opens meanwhile looks like one that
// is taken up again.
func TestStreamComesBeforeCalls(t *testing.T) {
	for range 20 {
		var open atomic.Bool
		s := sessions(nil)
		standing := s.answer
		s.answer = func(w http.ResponseWriter, r *http.Request, body string) {
			switch {
			case r.Method == http.MethodGet:
				open.Store(true)
				event(w, ": here\n\n")
				<-r.Context().Done()
				return
			case strings.Contains(body, `"id":1`) && !open.Load():
				t.Error("a call came before the stream was open")
			}
			standing(w, r, body)
		}
		r := start(t, serve(t, s), nil)
		r.say(t, hello)
		r.hear(t, 1)
		r.say(t, inited, ask1)
		r.hear(t, 1)
		r.in.Close()
		<-r.ended
	}
}

// The session's own stream: what the server says of its own accord, and again after
// the stream has ended.
func TestOwnStream(t *testing.T) {
	n := 0
	s := sessions(nil)
	standing := s.answer
	s.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		if r.Method != http.MethodGet {
			standing(w, r, body)
			return
		}
		if n++; n > 2 {
			event(w, ": waiting\n\n")
			<-r.Context().Done()
			return
		}
		event(w, fmt.Sprintf("retry: 1\nid: g%d\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/%d\"}\n\n", n, n))
	}
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited)
	diff(t, "messages", []string{`{"jsonrpc":"2.0","method":"notifications/1"}`, `{"jsonrpc":"2.0","method":"notifications/2"}`}, r.hear(t, 2))
}

// MCP 2025-11-25, Session Management: a session that the server has forgotten is
// begun anew, once for all calls, and only what was refused is sent again.
func TestSessionForgotten(t *testing.T) {
	id, hellos := "s1", 0
	s := &strict{}
	s.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case strings.Contains(body, `"initialize"`):
			hellos++
			id = fmt.Sprintf("s%d", hellos)
			w.Header().Set("Mcp-Session-Id", id)
			say(w, helloBack)
		case r.Header.Get("Mcp-Session-Id") != id:
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(body, "notifications/"):
			w.WriteHeader(202)
		case r.Method != http.MethodPost:
			w.WriteHeader(405)
		default:
			say(w, `{"jsonrpc":"2.0","id":1,"result":{"session":"`+id+`"}}`)
		}
	}
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, ask1)
	r.hear(t, 1)
	s.mu.Lock()
	id = "gone"
	s.mu.Unlock()
	for range 5 {
		r.say(t, ask1)
	}
	for _, got := range r.hear(t, 5) {
		diff(t, "answer", `{"jsonrpc":"2.0","id":1,"result":{"session":"s2"}}`, got)
	}
	s.mu.Lock()
	if hellos != 2 {
		t.Errorf("initialized %d times", hellos)
	}
	s.mu.Unlock()
	if w := r.warn.all(); len(w) != 1 || !strings.Contains(w[0], "forgotten the session") {
		t.Errorf("warnings %q", w)
	}
}

// In the stateless era a cancellation closes the stream and is not sent; in that of
// sessions it is sent.
func TestCancellation(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	t.Run("stateless", func(t *testing.T) {
		came, ended := make(chan struct{}), make(chan struct{})
		s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
			if strings.Contains(body, "ping") {
				say(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
				return
			}
			event(w, ": open\n\n")
			close(came)
			<-r.Context().Done()
			close(ended)
		}}
		r := start(t, serve(t, s), nil)
		r.say(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n",`+meta+`}}`)
		<-came
		r.say(t, cancel)
		<-ended
		r.say(t, `{"jsonrpc":"2.0","id":2,"method":"ping","params":{`+meta+`}}`)
		diff(t, "the only answer", []string{`{"jsonrpc":"2.0","id":2,"result":{}}`}, r.hear(t, 1))
		if n := len(s.posts()); n != 2 {
			t.Errorf("%d posts: %q", n, s.posts())
		}
	})
	t.Run("sessions", func(t *testing.T) {
		came, ended := make(chan struct{}), make(chan struct{})
		s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
			switch {
			case noStream(w, r):
			case strings.Contains(body, "cancelled"):
				w.WriteHeader(202)
			default:
				event(w, ": open\n\n")
				close(came)
				<-r.Context().Done()
				close(ended)
			}
		})
		r := start(t, serve(t, s), nil)
		r.say(t, hello)
		r.hear(t, 1)
		r.say(t, inited, ask1)
		<-came
		r.say(t, cancel)
		<-ended
		posts := s.posts()
		diff(t, "last post", cancel, posts[len(posts)-1])
	})
}

// A batch is part of MCP 2025-03-26 and goes as it is.
func TestBatch(t *testing.T) {
	const batch = `[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"notifications/b"},{"jsonrpc":"2.0","id":2,"method":"c"}]`
	const back = `[{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":1,"result":{}}]`
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "initialize") {
			say(w, strings.Replace(helloBack, "2025-06-18", "2025-03-26", 1))
			return
		}
		say(w, back)
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, batch)
	diff(t, "answer", []string{back}, r.hear(t, 1))
	diff(t, "post", batch, s.posts()[1])
	if v := s.requests()[1].header.Get("Mcp-Protocol-Version"); v != "" {
		t.Errorf("version header %q in a version without", v)
	}
}

// Elsewhere a client knows no batches, and an answer that comes as one is taken apart,
// as clients of the official TypeScript SDK do.
func TestUnaskedBatch(t *testing.T) {
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) {
		say(w, `[ {"jsonrpc":"2.0","method":"n"}, {"jsonrpc":"2.0","id":1,"result":{}} ]`)
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, ask1)
	diff(t, "answers", []string{`{"jsonrpc":"2.0","method":"n"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`}, r.hear(t, 2))
}

// Events that are no JSON-RPC are left out, and told once; what comes behind them is
// forwarded.
func TestOddEvents(t *testing.T) {
	const back = `{"jsonrpc":"2.0","id":1,"result":{}}`
	s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) {
		event(w, "data: heartbeat\n\ndata: {}{}\n\ndata:\ndata:\n\ndata: "+back+"\n\n")
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, ask1)
	diff(t, "answer", []string{back}, r.hear(t, 1))
	if w := r.warn.all(); len(w) != 1 || !strings.Contains(w[0], "no JSON-RPC") {
		t.Errorf("warnings: %q", w)
	}
}

// An answer is one document: a second one on its line would be lost, or taken for a
// message of its own.
func TestTwoInOne(t *testing.T) {
	const back = `{"jsonrpc":"2.0","id":1,"result":{}}`
	for _, body := range []string{back + "\n" + back, back + "x"} {
		s := &strict{answer: func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, body) }}
		r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain = inWords })
		r.say(t, ask1)
		if got := r.hear(t, 1)[0]; !strings.Contains(got, "strange_answer") {
			t.Errorf("%s: %s", body, got)
		}
	}
}

// A server may accept a notification only when its own question about it has been
// answered.
func TestAnswerBeforeAccepted(t *testing.T) {
	asked, answered := make(chan struct{}), make(chan struct{})
	s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case r.Method == http.MethodGet:
			event(w, ":\n\n")
			<-asked
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"r\",\"method\":\"roots/list\"}\n\n")
			<-r.Context().Done()
		case strings.Contains(body, "list_changed"):
			close(asked)
			select {
			case <-answered:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusAccepted)
		case strings.Contains(body, `"result"`):
			close(answered)
			w.WriteHeader(http.StatusAccepted)
		default:
			say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
	})
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
	r.hear(t, 1)
	r.say(t, `{"jsonrpc":"2.0","id":"r","result":{"roots":[]}}`, ask1)
	r.hear(t, 1)
}

// A notification that a server never accepts holds up what comes behind it for a
// while, and not for good.
func TestNeverAccepted(t *testing.T) {
	s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case strings.Contains(body, "notifications/"):
			<-r.Context().Done()
		case !noStream(w, r):
			say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}
	})
	r := start(t, serve(t, s), func(o *bridge.Options) { o.AcceptTime = 10 * time.Millisecond })
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, `{"jsonrpc":"2.0","method":"notifications/x"}`, ask1)
	r.hear(t, 1)
}

// A server of the stateless era that refuses initialize, in each way there is.
func TestTranslationBegins(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"unsupported version": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			io.WriteString(w, `{"jsonrpc":"2.0","id":0,"error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}`)
		},
		"unknown method": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(404)
			io.WriteString(w, `{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}}`)
		},
		"an error with 200": func(w http.ResponseWriter) { say(w, `{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}}`) },
		"no words":          func(w http.ResponseWriter) { w.WriteHeader(400) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
				switch r.Header.Get("Mcp-Method") {
				case "server/discover":
					say(w, `{"jsonrpc":"2.0","id":"mcpauth-discover","result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}`)
				case "tools/list":
					say(w, `{"jsonrpc":"2.0","id":"q","result":{"resultType":"complete","tools":[]}}`)
				default:
					refuse(w)
				}
			}}
			r := start(t, serve(t, s), nil)
			r.say(t, hello)
			if got := r.hear(t, 1)[0]; !strings.Contains(got, `"protocolVersion":"2025-06-18"`) || !strings.Contains(got, `"capabilities":{"tools":{}}`) {
				t.Errorf("initialize: %s", got)
			}
			r.say(t, inited, `{"jsonrpc":"2.0","id":"q","method":"tools/list"}`)
			diff(t, "tools", []string{`{"jsonrpc":"2.0","id":"q","result":{"resultType":"complete","tools":[]}}`}, r.hear(t, 1))
			posts := s.posts()
			diff(t, "tools/list", `{"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{`+extended+`},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}},"jsonrpc":"2.0","id":"q","method":"tools/list"}`, posts[len(posts)-1])
		})
	}
	t.Run("not at all", func(t *testing.T) {
		s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
			if strings.Contains(body, "discover") {
				w.WriteHeader(404)
				return
			}
			say(w, `{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"bad","data":1.0}}`)
		}}
		r := start(t, serve(t, s), func(o *bridge.Options) {})
		r.say(t, hello)
		diff(t, "answer", []string{`{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"bad","data":1.0}}`}, r.hear(t, 1))
	})
}
