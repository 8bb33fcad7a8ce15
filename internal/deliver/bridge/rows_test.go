package bridge_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
)

// seen is one request as a strict server received it.
type seen struct {
	method string
	header http.Header
	body   string
}

// strict is a server that keeps what it receives and answers as the test says.
type strict struct {
	answer func(w http.ResponseWriter, r *http.Request, body string)

	mu  sync.Mutex
	got []seen
}

func (s *strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got = append(s.got, seen{r.Method, r.Header.Clone(), string(b)})
	s.mu.Unlock()
	s.answer(w, r, string(b))
}

func (s *strict) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.got...)
}

// posts are the bodies that were posted.
func (s *strict) posts() (list []string) {
	for _, r := range s.requests() {
		if r.method == http.MethodPost {
			list = append(list, r.body)
		}
	}
	return list
}

func say(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, text)
}

func event(w http.ResponseWriter, text string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	io.WriteString(w, text)
	w.(http.Flusher).Flush()
}

func (r *running) say(t *testing.T, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(r.in, l+"\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// hear returns the next n lines of the bridge.
func (r *running) hear(t *testing.T, n int) (list []string) {
	t.Helper()
	if r.lines == nil {
		r.lines = make(chan string)
		go func() {
			defer close(r.lines)
			in := bufio.NewReader(r.out)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				r.lines <- strings.TrimSuffix(line, "\n")
			}
		}()
	}
	for range n {
		select {
		case line, ok := <-r.lines:
			if !ok {
				t.Fatalf("the bridge ended after %q", list)
			}
			list = append(list, line)
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing came after %q", list)
		}
	}
	return list
}

const (
	hello     = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	helloBack = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`
	inited    = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	extended  = `"extensions":{"io.modelcontextprotocol/enterprise-managed-authorization":{}}`
)

// sessions answers what every server of the session era must, and the rest by then.
func sessions(then func(w http.ResponseWriter, r *http.Request, body string)) *strict {
	return &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case strings.Contains(body, `"initialize"`):
			w.Header().Set("Mcp-Session-Id", "s1")
			say(w, helloBack)
		case strings.Contains(body, "notifications/initialized"):
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodDelete:
		case then != nil:
			then(w, r, body)
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}}
}

func noStream(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
	return r.Method == http.MethodGet
}

// MCP 2025-06-18, Streamable HTTP: what a session puts on each request, and that it
// is ended.
func TestSession(t *testing.T) {
	s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
		if !noStream(w, r) {
			say(w, `{"jsonrpc":"2.0","id":"x","result":{}}`)
		}
	})
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	diff(t, "initialize", []string{helloBack}, r.hear(t, 1))
	r.say(t, inited, `{"jsonrpc":"2.0","id":"x","method":"tools/list"}`)
	r.hear(t, 1)
	r.in.Close()
	<-r.ended
	var list []string
	for _, q := range s.requests() {
		if q.header.Get("Authorization") != "Bearer token-1" {
			t.Errorf("%s %s without the token", q.method, q.body)
		}
		if q.method == http.MethodGet {
			continue // it comes at any time
		}
		var m struct{ Method string }
		json.Unmarshal([]byte(q.body), &m)
		list = append(list, strings.Join([]string{q.method, q.header.Get("Mcp-Session-Id"), q.header.Get("Mcp-Protocol-Version"), m.Method}, "|"))
	}
	diff(t, "requests", []string{"POST|||initialize", "POST|s1|2025-06-18|notifications/initialized", "POST|s1|2025-06-18|tools/list", "DELETE|s1|2025-06-18|"}, list)
	accept := s.requests()[0].header
	if accept.Get("Accept") != "application/json, text/event-stream" || accept.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", accept)
	}
}

// One row per way in which what came is handed on: byte for byte.
func TestBytesPass(t *testing.T) {
	const ask = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"n","big":12345678901234567890123,"f":1.0,"u":"\u00e9é","_x":null}}`
	for _, test := range []struct{ name, answer, want string }{
		{"as it is", `{"id":7,"result":{"n":1.00,"s":"\u00e9","x":12345678901234567890123},"jsonrpc":"2.0"}`, ""},
		{"an error", `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no","data":{"a":[1]}}}`, ""},
		{"an id of another spelling", `{"jsonrpc":"2.0","id":7 ,"result":{}}`, ""},
		{"over several lines", "{\"jsonrpc\":\"2.0\",\r\n\"id\":7,\"result\":{}}\n", "{\"jsonrpc\":\"2.0\",  \"id\":7,\"result\":{}}"},
		{"with an unknown member", `{"jsonrpc":"2.0","id":7,"result":{},"new":[{}]}`, ""},
	} {
		for _, kind := range []string{"json", "events"} {
			t.Run(test.name+", "+kind, func(t *testing.T) {
				s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
					if kind == "json" {
						say(w, test.answer)
						return
					}
					for _, line := range strings.Split(strings.TrimSpace(test.answer), "\r\n") {
						event(w, "data: "+line+"\n")
					}
					event(w, "\n")
				}}
				r := start(t, serve(t, s), nil)
				r.say(t, ask)
				want := test.want
				if want == "" {
					want = test.answer
				}
				if kind == "events" {
					want = strings.ReplaceAll(want, ",  ", ", ")
				}
				diff(t, "answer", []string{want}, r.hear(t, 1))
				diff(t, "request", []string{ask}, s.posts())
			})
		}
	}
}

// MCP 2026-07-28, Streamable HTTP: the headers of each POST, and the capability.
func TestStatelessHeaders(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}`
	for _, test := range []struct{ name, ask, want string }{
		{"a method", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`, "2026-07-28 | tools/list | "},
		{"a tool", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a tool",` + meta + `}}`, "2026-07-28 | tools/call | a tool"},
		{"a prompt", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p\u0061",` + meta + `}}`, "2026-07-28 | prompts/get | pa"},
		{"a resource", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{` + meta + `,"uri":"file:///ä"}}`, "2026-07-28 | resources/read | =?base64?ZmlsZTovLy/DpA==?="},
		{"a name with a space at its end", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a ",` + meta + `}}`, "2026-07-28 | tools/call | =?base64?YSA=?="},
		{"a name with a line end", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\r\nX: y",` + meta + `}}`, "2026-07-28 | tools/call | =?base64?YQ0KWDogeQ==?="},
		{"a name that looks encoded", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"=?base64?YQ==?=",` + meta + `}}`, "2026-07-28 | tools/call | =?base64?PT9iYXNlNjQ/WVE9PT89?="},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) { say(w, `{"jsonrpc":"2.0","id":1,"result":{}}`) }}
			r := start(t, serve(t, s), nil)
			r.say(t, test.ask)
			r.hear(t, 1)
			q := s.requests()[0]
			diff(t, "headers", test.want, q.header.Get("Mcp-Protocol-Version")+" | "+q.header.Get("Mcp-Method")+" | "+q.header.Get("Mcp-Name"))
			diff(t, "body", strings.Replace(test.ask, `{"roots"`, `{`+extended+`,"roots"`, 1), q.body)
			if q.header.Get("Mcp-Session-Id") != "" {
				t.Error("a session in the era without")
			}
		})
	}
}

// SEP-2243: arguments that the tool's schema wants in headers; tools whose
// annotations are invalid are left out.
func TestParameterHeaders(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	good := `{"name":"good","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},"b":{"type":"boolean","x-mcp-header":"b"},"none":{"type":"string","x-mcp-header":"None"}}}}`
	bad := []string{
		`{"name":"bad1","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}`,
		`{"name":"bad2","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}}`,
		`{"name":"bad3","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}}`,
		`{"name":"bad4","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":""}}}}`,
	}
	s := &strict{answer: func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "tools/list") {
			say(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+strings.Join(bad[:2], ",")+`, `+good+`,`+strings.Join(bad[2:], ",")+`],"x":1}}`)
			return
		}
		say(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
	}}
	r := start(t, serve(t, s), nil)
	r.say(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`)
	diff(t, "tools", []string{`{"jsonrpc":"2.0","id":1,"result":{"tools":[` + good + `],"x":1}}`}, r.hear(t, 1))
	r.say(t, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"good","arguments":{"region":"zürich","deep":{"n":-42},"b":true,"none":null},`+meta+`}}`)
	r.hear(t, 1)
	h := s.requests()[1].header
	got := map[string]string{}
	for name := range h {
		if strings.HasPrefix(name, "Mcp-Param-") {
			got[name] = h.Get(name)
		}
	}
	diff(t, "headers", map[string]string{"Mcp-Param-Region": "=?base64?esO8cmljaA==?=", "Mcp-Param-N": "-42", "Mcp-Param-B": "true"}, got)
}

// What cannot be answered by the server is answered by the bridge.
func TestAnswersOfTheBridge(t *testing.T) {
	const ask = `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"n"}}`
	for _, test := range []struct {
		name string
		ask  string
		with func(w http.ResponseWriter, r *http.Request, body string)
		code int    // JSON-RPC
		word string // in data.mcpauth.code
	}{
		{"not JSON", `{"jsonrpc":`, nil, -32700, ""},
		{"two ids", `{"id":1,"id":2,"method":"x"}`, nil, -32600, ""},
		{"two names", `{"id":1,"method":"x","params":{"_meta":{},"_meta":{}}}`, nil, -32600, ""},
		{"neither request nor response", `{"jsonrpc":"2.0"}`, nil, -32600, ""},
		{"a batch", `[` + ask + `]`, nil, -32600, ""},
		{"a redirect", ask, func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, -32010, "redirect"},
		{"a broken server", ask, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(503) }, -32010, "unavailable"},
		{"no answer", ask, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(202) }, -32010, "no_answer"},
		{"another's answer", ask, func(w http.ResponseWriter, _ *http.Request, _ string) {
			say(w, `{"jsonrpc":"2.0","id":"other","result":{}}`)
		}, -32010, "no_answer"},
		{"a web page", ask, func(w http.ResponseWriter, _ *http.Request, _ string) { io.WriteString(w, "<html>") }, -32010, "strange_answer"},
		{"an answer that is not JSON-RPC", ask, func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, `"x"`) }, -32010, "strange_answer"},
		{"a stream that breaks off", ask, func(w http.ResponseWriter, _ *http.Request, _ string) {
			event(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",")
		}, -32010, "no_answer"},
		{"a web server that knows no such page", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}`, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(404) }, -32601, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &strict{answer: test.with}
			r := start(t, serve(t, s), func(o *bridge.Options) { o.Explain = inWords })
			r.say(t, test.ask)
			var e struct {
				Error struct {
					Code    int
					Message string
					Data    struct{ Mcpauth struct{ Code string } }
				}
			}
			line := r.hear(t, 1)[0]
			for strings.Contains(line, `"other"`) {
				line = r.hear(t, 1)[0]
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if e.Error.Code != test.code || e.Error.Data.Mcpauth.Code != test.word {
				t.Errorf("got %s, want %d %s", line, test.code, test.word)
			}
			if n := len(s.requests()); test.with == nil && n != 0 || test.with != nil && n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// inWords is what the command line makes of the bridge's errors.
func inWords(err error) bridge.Failure {
	var own *bridge.Error
	if asError(err, &own) {
		return bridge.Failure{Code: own.Code, Message: own.Message, Hint: own.Hint}
	}
	return bridge.Failure{Code: "other", Message: err.Error()}
}

// The server's JSON-RPC error comes through whatever the HTTP status.
func TestErrorsUnchanged(t *testing.T) {
	const failure = `{"code":-32022,"message":"Unsupported","data":{"supported":["2025-11-25"],"x":1.50}}`
	for _, test := range []struct{ name, body, want string }{
		{"with the id", `{"jsonrpc":"2.0","id":5,"error":` + failure + `}`, `{"jsonrpc":"2.0","id":5,"error":` + failure + `}`},
		{"without", `{"jsonrpc":"2.0","error":` + failure + `}`, `{"jsonrpc":"2.0","id":5,"error":` + failure + `}`},
		{"with null", `{"jsonrpc":"2.0","id":null,"error":` + failure + `}`, `{"jsonrpc":"2.0","id":5,"error":` + failure + `}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &strict{answer: func(w http.ResponseWriter, r *http.Request, _ string) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, test.body)
			}}
			r := start(t, serve(t, s), nil)
			r.say(t, `{"jsonrpc":"2.0","id":5,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2030-01-01"}}}`)
			diff(t, "answer", []string{test.want}, r.hear(t, 1))
		})
	}
}

// Nothing that came later is sent before a notification was accepted.
func TestOrder(t *testing.T) {
	held := make(chan struct{})
	s := sessions(func(w http.ResponseWriter, r *http.Request, body string) {
		if noStream(w, r) {
			return
		}
		if strings.Contains(body, "notifications/first") {
			<-held
			w.WriteHeader(202)
			return
		}
		if strings.Contains(body, "notifications/") {
			w.WriteHeader(202)
			return
		}
		say(w, `{"jsonrpc":"2.0","id":3,"result":{}}`)
	})
	r := start(t, serve(t, s), nil)
	r.say(t, hello)
	r.hear(t, 1)
	r.say(t, inited, `{"jsonrpc":"2.0","method":"notifications/first"}`, `{"jsonrpc":"2.0","method":"notifications/second"}`, `{"jsonrpc":"2.0","id":3,"method":"tools/list"}`)
	close(held)
	r.hear(t, 1)
	diff(t, "posts", []string{inited, `{"jsonrpc":"2.0","method":"notifications/first"}`, `{"jsonrpc":"2.0","method":"notifications/second"}`, `{"jsonrpc":"2.0","id":3,"method":"tools/list"}`}, s.posts()[1:])
}
