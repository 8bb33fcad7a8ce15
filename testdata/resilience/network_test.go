package resilience

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// cacheable puts a server in front of each party that lets its metadata be kept,
// which the fakes forbid and real parties do not.
func cacheable(c *idjagtest.Company) {
	front := func(h http.Handler) string {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/.well-known/") {
				h.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Cache-Control", "max-age=3600")
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})).URL
	}
	c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = front(c.IdP), front(c.AS), front(c.MCP)+"/mcp"
}
