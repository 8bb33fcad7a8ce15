package clients

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// model is a language model that knows one thing to do: call the wiki's
// search_pages a number of times, then repeat what it was told. It speaks three
// streaming APIs, see messages, responses and chat.
type model struct {
	url string

	visit

	mu     sync.Mutex
	bodies []string // of all requests, as the client sent them
	listed string   // the tool as the client calls it; empty while it is not offered
	told   []string // results of the tool, in order
	failed error    // what the fake did not understand
}

const tool = "search_pages"

func startModel(t *testing.T, v visit) *model {
	t.Helper()
	m := &model{visit: v}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", m.messages)
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"input_tokens": 1})
	})
	mux.HandleFunc("POST /v1/responses", m.responses)
	mux.HandleFunc("POST /v1/chat/completions", m.chat)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"object": "list", "data": []any{}, "models": []any{}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		if m.failed != nil {
			t.Errorf("the model did not understand the client: %v", m.failed)
		}
	})
	m.url = server.URL
	return m
}

// next decides what the model says: the name of a tool to call, or its last words.
func (m *model) next(body string, tools, results []string) (call, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bodies = append(m.bodies, body)
	if len(tools) == 0 && m.listed == "" {
		return "", "no such tool"
	}
	for _, name := range tools {
		if strings.HasSuffix(name, tool) {
			m.listed = name
		}
	}
	if len(results) > len(m.told) {
		m.told = results
	}
	switch {
	case m.listed == "":
		return "", "no such tool"
	case len(results) >= m.calls:
		return "", fmt.Sprintf("the wiki said: %s", strings.Join(results, "; then: "))
	case len(results) == 1 && m.between != nil:
		m.between()
		m.between = nil // a client may send the same turn again
	}
	return m.listed, ""
}

// report adds what the client printed to what the model knows of it.
func (m *model) report(said string) report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return report{listed: m.listed != "", answers: m.told, said: said, sent: strings.Join(m.bodies, "\n")}
}
