package discover_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

// The probe speaks both dialects and carries nothing about the person.
func TestProbe(t *testing.T) {
	type sent struct{ Version, Method, Type, Accept string }
	var got []sent
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			h := r.Header
			var call struct{ Method string }
			if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.Method != h.Get("Mcp-Method") {
				t.Errorf("body calls %q, %v", call.Method, err)
			}
			got = append(got, sent{h.Get("MCP-Protocol-Version"), h.Get("Mcp-Method"), h.Get("Content-Type"), h.Get("Accept")})
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	c := discover.Client{HTTP: srv.Client()}
	_, err := c.Resource(t.Context(), srv.URL)
	var none *discover.NotFound
	if !errors.As(err, &none) || len(none.Tried) != 3 {
		t.Errorf("error = %v, want three places tried", err)
	}
	want := []sent{
		{"2026-07-28", "server/discover", "application/json", "application/json, text/event-stream"},
		{"2025-11-25", "initialize", "application/json", "application/json, text/event-stream"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("probes (-want +got)\n%s", diff)
	}
}

// A server without a token requirement may answer with a stream that never ends.
func TestProbeOfAStream(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	c := discover.Client{HTTP: srv.Client()}
	_, err := c.Resource(t.Context(), srv.URL)
	var none *discover.NotFound
	if !errors.As(err, &none) || none.Tried[1].Status != http.StatusOK || none.Tried[1].URL != srv.URL {
		t.Errorf("error = %v, want NotFound with the open server in it", err)
	}
}

// Another origin may not challenge in the server's name.
func TestProbeRedirected(t *testing.T) {
	other := newSite(t, map[string]answer{})
	s := newSite(t, map[string]answer{path: missing, root: missing,
		probe: {status: http.StatusTemporaryRedirect, header: "Location: " + other.URL + "/mcp"}})
	other.answers[probe] = answer{status: 401, header: `WWW-Authenticate: Bearer resource_metadata="` + s.URL + `/m"`}
	c := s.client()
	c.HTTP.CheckRedirect = nil // a client that follows, even with POST
	_, err := c.Resource(t.Context(), s.URL+"/mcp")
	var bad *discover.Malformed
	if !errors.As(err, &bad) || !bad.WebPage {
		t.Errorf("error = %v, want the redirect", err)
	}
	if diff := cmp.Diff([]string{path, probe, root}, s.questions()); diff != "" {
		t.Errorf("requests (-want +got)\n%s", diff)
	}
}

func TestHostileChallenge(t *testing.T) {
	for _, test := range []struct {
		name, url, want string
		foreign         bool
	}{
		{"another host", "https://evil.example/m?s3cret", "another origin", false},
		{"another port", "http://127.0.0.1:1/m", "another origin", false},
		{"plain http", "http://evil.example/m", "plain http", true},
		{"user name", "https://u:s3cret@evil.example/m", "user name", true},
		{"relative", "/m", "not an absolute URL", true},
		{"other scheme", "file:///etc/passwd", "not an absolute URL", true},
	} {
		s := newSite(t, map[string]answer{path: missing,
			probe: {status: 401, header: `WWW-Authenticate: Bearer resource_metadata="` + test.url + `"`}})
		c := s.client()
		c.ForeignMetadata = test.foreign
		_, err := c.Resource(t.Context(), s.URL+"/mcp")
		var bad *discover.Malformed
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error = %v", test.name, err)
		}
	}
}

func TestForeignMetadata(t *testing.T) {
	s := newSite(t, map[string]answer{path: missing})
	other := newSite(t, map[string]answer{"GET /m": {body: s.here(described.body)}})
	s.answers[probe] = answer{status: 401, header: `WWW-Authenticate: Bearer resource_metadata="` + other.URL + `/m"`}
	c := s.client()
	c.ForeignMetadata = true
	if r, err := c.Resource(t.Context(), s.URL+"/mcp"); err != nil || r.Source != other.URL+"/m" {
		t.Errorf("Resource = %+v, %v", r, err)
	}
}
