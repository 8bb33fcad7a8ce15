package wire

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// site answers /to?n=N&at=URL with a redirect, and notes what it was sent.
type site struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newSite(t *testing.T, start func(http.Handler) *httptest.Server) *site {
	s := &site{}
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+string(body))
		s.mu.Unlock()
		if code := 0; r.URL.Path == "/to" {
			fmt.Sscan(r.FormValue("code"), &code)
			w.Header().Set("Location", r.FormValue("at"))
			w.WriteHeader(code)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

var redirectCodes = []int{300, 301, 302, 303, 304, 305, 306, 307, 308, 399}

// A POST is never followed, nor its body sent twice, whatever the code and the
// direction; the redirect is the answer (S9).
func TestPostIsNotRedirected(t *testing.T) {
	for _, code := range redirectCodes {
		here, there := newSite(t, httptest.NewServer), newSite(t, httptest.NewServer)
		for _, at := range []string{"/landing", here.URL + "/landing", there.URL + "/landing", "https://elsewhere.example/"} {
			n := newNet(t, Options{})
			n.Configured(here.URL)
			n.Configured(there.URL)
			endpoint := here.URL + fmt.Sprintf("/to?code=%d&at=%s", code, at)
			n.Permit(IDJAG, secret.New("id-jag-0123456789"), Endpoint(endpoint))
			resp, err := n.Client().Post(endpoint, "application/x-www-form-urlencoded", strings.NewReader("assertion=id-jag-0123456789"))
			if err != nil {
				t.Fatalf("%d to %s: %v", code, at, err)
			}
			resp.Body.Close()
			if resp.StatusCode != code {
				t.Errorf("%d to %s: status %d", code, at, resp.StatusCode)
			}
		}
		if got := here.requests(); len(got) != 4 {
			t.Errorf("%d: %q, want four requests to the endpoint", code, got)
		}
		if got := there.requests(); len(got) != 0 {
			t.Errorf("%d: the other site saw %q", code, got)
		}
	}
}

func TestGetRedirects(t *testing.T) {
	here, there, secure := newSite(t, httptest.NewServer), newSite(t, httptest.NewServer), newSite(t, httptest.NewTLSServer)
	const token = "access-token-0123456789"
	hop := func(s *site, at string) string {
		return s.URL + "/to?code=307&at=" + strings.ReplaceAll(at, "&", "%26")
	}
	var chain [6]string
	chain[0] = "/landing"
	for i := 1; i < len(chain); i++ {
		chain[i] = "/to?code=302&at=" + strings.NewReplacer("%", "%25", "&", "%26", "=", "%3D", "?", "%3F").Replace(chain[i-1])
	}
	for _, tt := range []struct {
		name, url string
		bearer    bool
		followed  bool
	}{
		{"same origin", hop(here, "/landing"), false, true},
		{"same origin, absolute", hop(here, here.URL+"/landing"), false, true},
		{"three hops", here.URL + chain[3], false, true},
		{"four hops", here.URL + chain[4], false, false},
		{"with a token", hop(here, "/landing"), true, false},
		{"other port", hop(here, there.URL+"/landing"), false, false},
		{"other spelling of the host", hop(here, strings.Replace(here.URL, "127.0.0.1", "localhost", 1)+"/landing"), false, false},
		{"user information", hop(here, strings.Replace(here.URL, "http://", "http://me@", 1)+"/landing"), false, false},
		{"other host", hop(here, "https://elsewhere.example/"), false, false},
		{"metadata service", hop(here, "http://169.254.169.254/latest"), false, false},
		{"other scheme", hop(here, "file:///etc/passwd"), false, false},
		{"https stays https", hop(secure, "/landing"), false, true},
		{"https to http", hop(secure, strings.Replace(secure.URL, "https", "http", 1)+"/landing"), false, false},
	} {
		n := newNet(t, Options{CAFile: caFile(t, secure.Server)})
		for _, s := range []*site{here, there, secure} {
			n.Configured(s.URL)
			n.Permit(AccessToken, secret.New(token), Prefix(s.URL))
		}
		req := newRequest("GET", tt.url, "")
		if tt.bearer {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := n.Client().Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp.Body.Close()
		if got := resp.StatusCode == 200 && resp.Request.URL.Path == "/landing"; got != tt.followed {
			t.Errorf("%s: status %d at %s, followed %t, want %t", tt.name, resp.StatusCode, resp.Request.URL, got, tt.followed)
		}
	}
	if got := there.requests(); len(got) != 0 {
		t.Errorf("the other site saw %q", got)
	}
}

// A client without our CheckRedirect is still held back by its transport.
func TestTransportHoldsRedirectsBack(t *testing.T) {
	here, there := newSite(t, httptest.NewServer), newSite(t, httptest.NewServer)
	n := newNet(t, Options{})
	n.Configured(here.URL)
	n.Configured(there.URL)
	n.Permit(IDJAG, secret.New("id-jag-0123456789"), Endpoint(here.URL+"/to?code=307&at=/landing"))
	bare := &http.Client{Transport: n.Client().Transport}
	if _, err := bare.Get(here.URL + "/to?code=302&at=" + there.URL); Classify(err) != Stopped {
		t.Errorf("other origin: %v", err)
	}
	if _, err := bare.Post(here.URL+"/to?code=307&at=/landing", "application/x-www-form-urlencoded", strings.NewReader("assertion=id-jag-0123456789")); Classify(err) != Stopped {
		t.Errorf("POST: %v", err)
	}
	if got := there.requests(); len(got) != 0 {
		t.Errorf("the other site saw %q", got)
	}
	if got := here.requests(); len(got) != 2 {
		t.Errorf("the site saw %q, want the two first requests", got)
	}
}
