package cimd_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/cimd"
)

func TestFetch(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   []string
		body   bool
	}{
		"json":          {serve("application/json", `{}`), nil, true},
		"with charset":  {serve("application/json; charset=utf-8", `{}`), nil, true},
		"more specific": {serve("application/client+json", `{}`), nil, true},
		"web page":      {serve("text/html", `{}`), []string{"served-type error"}, true},
		"no type":       {serve("", `{}`), []string{"served-type error"}, true},
		"like json":     {serve("application/jsonx", `{}`), []string{"served-type error"}, true},
		"text json":     {serve("text/x+json", `{}`), []string{"served-type error"}, true},
		"gone":          {http.NotFound, []string{"served-status error"}, false},
		"other success": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, []string{"served-status error"}, false},
		"moved": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, []string{"served-redirect error"}, false},
		"big":     {serve("application/json", strings.Repeat(" ", 64<<10)), nil, true},
		"too big": {serve("application/json", strings.Repeat(" ", 64<<10+1)), []string{"size error"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tt.answer)
			defer s.Close()
			body, list, err := cimd.Fetch(t.Context(), s.Client(), s.URL+"/mcpauth.json")
			if diff := cmp.Diff(tt.want, severities(list)); err != nil || (body != nil) != tt.body || diff != "" {
				t.Errorf("body %v, %v (-want +got):\n%s", body != nil, err, diff)
			}
		})
	}
}

func TestFetchFails(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if body, list, err := cimd.Fetch(t.Context(), nil, s.URL+"/x?secret=hunter2"); err == nil || body != nil || list != nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, %v, %v", body, list, err)
	}
	if _, list, err := cimd.Fetch(t.Context(), nil, "://"); err != nil || !cimd.Broken(list) {
		t.Errorf("%v, %v", list, err)
	}
}

func serve(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{kind}
		io.WriteString(w, body)
	}
}
