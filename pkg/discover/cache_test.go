package discover_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

func TestCacheControl(t *testing.T) {
	for _, test := range []struct {
		header string
		want   time.Duration // 0: not kept
	}{
		{"", time.Hour},
		{"Cache-Control: max-age=600", 10 * time.Minute},
		{"Cache-Control: public, Max-Age=\"600\" , must-revalidate", 10 * time.Minute},
		{"Cache-Control: max-age=0", 5 * time.Minute},
		{"Cache-Control: max-age=31536000", 24 * time.Hour},
		{"Cache-Control: max-age=soon", time.Hour},
		{"Cache-Control: max-age=-5", time.Hour},
		{"Cache-Control: no-store", 0},
		{"Cache-Control: max-age=600, No-Store", 0},
	} {
		s := newSite(t, map[string]answer{path: {header: test.header, body: described.body}})
		c, cache := s.client(), newPages()
		c.Cache = cache
		if _, err := c.Resource(t.Context(), s.URL+"/mcp"); err != nil {
			t.Fatal(err)
		}
		if got, kept := cache.age[s.URL+strings.TrimPrefix(path, "GET ")]; got != test.want || kept != (test.want > 0) {
			t.Errorf("%q is kept for %v, want %v", test.header, got, test.want)
		}
	}
}

// What the cache says passes the checks again; what does not is asked for anew.
func TestPoisonedCache(t *testing.T) {
	for name, poison := range map[string]string{
		"torn":             `{"resource":"HERE/m`,
		"another resource": `{"resource":"https://evil.example","authorization_servers":["HERE/as"]}`,
		"plain http":       `{"resource":"HERE/mcp","authorization_servers":["http://evil.example"]}`,
		"huge":             described.body + strings.Repeat(" ", 1<<20),
	} {
		s := newSite(t, map[string]answer{path: described})
		c, cache := s.client(), newPages()
		c.Cache = cache
		key := s.URL + strings.TrimPrefix(path, "GET ")
		cache.body[key] = []byte(s.here(poison))
		r, err := c.Resource(t.Context(), s.URL+"/mcp")
		if err != nil || r.Identifier != s.URL+"/mcp" || len(s.questions()) != 1 {
			t.Errorf("%s: Resource = %+v, %v", name, r, err)
		}
		if string(cache.body[key]) != s.here(described.body) {
			t.Errorf("%s: still in the cache", name)
		}
	}
}

func TestBadDocumentsAreNotKept(t *testing.T) {
	s := newSite(t, map[string]answer{path: {body: `{"resource":"https://evil.example"}`}})
	c, cache := s.client(), newPages()
	c.Cache = cache
	_, err := c.Resource(t.Context(), s.URL+"/mcp")
	var other *discover.ResourceMismatch
	if !errors.As(err, &other) || len(cache.body) != 0 {
		t.Errorf("error = %v, %d documents kept", err, len(cache.body))
	}
}

// The second time must not be told otherwise than the first.
func TestCachedAnswerIsTheSame(t *testing.T) {
	for _, test := range []struct {
		name, header string
		requests     int // of the second time
	}{
		{"no challenge", "", 0},
		{"challenge names the metadata", `WWW-Authenticate: Bearer resource_metadata="HERE/m"`, 0},
		{"challenge with scopes is not kept", `WWW-Authenticate: Bearer scope="read"`, 3},
	} {
		s := newSite(t, map[string]answer{path: missing, root: described, "GET /m": described,
			probe: {status: 401, header: test.header}})
		c := s.client()
		c.Cache = newPages()
		first, err := c.Resource(t.Context(), s.URL+"/mcp")
		s.questions()
		second, err2 := c.Resource(t.Context(), s.URL+"/mcp")
		if err != nil || err2 != nil || len(s.questions()) != test.requests {
			t.Errorf("%s: %v, %v", test.name, err, err2)
		}
		first.Source, second.Source = "", ""
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s: (-first +second)\n%s", test.name, diff)
		}
	}
}

// Two servers on one origin: what was found for one at the root says nothing
// about the other, which has a document of its own.
func TestCacheKeepsServersApart(t *testing.T) {
	s := newSite(t, map[string]answer{path: missing, probe: unlucky,
		root: {body: `{"resource":"HERE","authorization_servers":["HERE/as"]}`},
		"GET /.well-known/oauth-protected-resource/other": {body: `{"resource":"HERE/other","authorization_servers":["HERE/as2"]}`}})
	c := s.client()
	c.Cache = newPages()
	if r, err := c.Resource(t.Context(), s.URL+"/mcp"); err != nil || r.Match != discover.MatchPrefix {
		t.Fatalf("Resource = %+v, %v", r, err)
	}
	if r, err := c.Resource(t.Context(), s.URL+"/other"); err != nil || r.AuthorizationServers[0] != s.URL+"/as2" {
		t.Errorf("Resource = %+v, %v", r, err)
	}
}

// Bodies are read to the end, so that a search over several places, refusals
// included, needs one connection.
func TestOneConnection(t *testing.T) {
	var connections atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.Write(make([]byte, 20<<10))
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := discover.Client{HTTP: srv.Client()}
	for _, find := range []func() error{
		func() error { _, err := c.Resource(t.Context(), srv.URL+"/mcp"); return err },
		func() error { _, err := c.AuthorizationServer(t.Context(), srv.URL+"/t"); return err },
		func() error { _, err := c.IdP(t.Context(), srv.URL+"/t"); return err },
	} {
		var none *discover.NotFound
		if err := find(); !errors.As(err, &none) || len(none.Tried) != 3 {
			t.Errorf("error = %v, want three places", err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"30":                            30 * time.Second,
		"-30":                           0,
		"soon":                          0,
		"999999999999":                  24 * time.Hour,
		"Tue, 28 Jul 2026 12:01:00 GMT": time.Minute,
		"Tue, 28 Jul 2026 11:00:00 GMT": 0,
		"Fri, 31 Dec 2999 11:00:00 GMT": 24 * time.Hour,
	} {
		s := newSite(t, map[string]answer{path: {status: 503, header: "Retry-After: " + header}})
		c := s.client()
		c.Now = func() time.Time { return now }
		_, err := c.Resource(t.Context(), s.URL+"/mcp")
		var status *discover.StatusError
		if !errors.As(err, &status) || status.RetryAfter != want {
			t.Errorf("Retry-After %q: error = %#v, want %v", header, err, want)
		}
	}
}
