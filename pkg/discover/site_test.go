package discover_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

// site answers by method and path, refuses what the test did not foresee, and
// remembers what it was asked. HERE in headers and bodies is its own origin.
type site struct {
	*httptest.Server
	answers map[string]answer

	mu    sync.Mutex
	asked []string
}

type answer struct {
	status int // 0 means 200
	header string
	body   string
}

func newSite(t *testing.T, answers map[string]answer) *site {
	t.Helper()
	s := &site{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question := r.Method + " " + r.URL.RequestURI()
		s.mu.Lock()
		s.asked = append(s.asked, question)
		s.mu.Unlock()
		a, known := s.answers[question]
		if !known {
			t.Errorf("unexpected request: %s", question)
		}
		if r.Method == "GET" && r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s: Accept is %q", question, r.Header.Get("Accept"))
		}
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s carries a credential", question)
		}
		w.Header().Set("Content-Type", "application/json")
		for _, line := range strings.Split(a.header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				w.Header().Del(name)
				w.Header().Add(name, s.here(value))
			}
		}
		if a.status != 0 {
			w.WriteHeader(a.status)
		}
		w.Write([]byte(s.here(a.body)))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) here(text string) string { return strings.ReplaceAll(text, "HERE", s.URL) }

// questions returns what was asked since the last call.
func (s *site) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

func (s *site) client() *discover.Client {
	hc := s.Client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &discover.Client{HTTP: hc}
}

var missing = answer{status: http.StatusNotFound, body: "no"}

// pages is a Cache that also remembers ages.
type pages struct {
	body map[string][]byte
	age  map[string]time.Duration
}

func newPages() *pages { return &pages{map[string][]byte{}, map[string]time.Duration{}} }

func (p *pages) Get(url string) ([]byte, bool) {
	body, ok := p.body[url]
	return body, ok
}

func (p *pages) Put(url string, body []byte, age time.Duration) { p.body[url], p.age[url] = body, age }
