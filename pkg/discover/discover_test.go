package discover

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// One request each when everything is in its usual place.
func TestUsualPlaces(t *testing.T) {
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-protected-resource/mcp":
			w.Write([]byte(`{"resource":"` + srv.URL + `/mcp","authorization_servers":["` + srv.URL + `"]}`))
		case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration":
			w.Write([]byte(`{"issuer":"` + srv.URL + `","token_endpoint":"` + srv.URL + `/token"}`))
		default:
			t.Errorf("unexpected request for %s", r.URL.Path)
		}
	}))
	defer srv.Close()
	c := Client{HTTP: srv.Client()}
	r, err := c.Resource(t.Context(), srv.URL+"/mcp")
	if err != nil || r.Match != MatchExact {
		t.Fatalf("Resource = %+v, %v", r, err)
	}
	if m, err := c.AuthorizationServer(t.Context(), r.AuthorizationServers[0]); err != nil || m.TokenEndpoint != srv.URL+"/token" {
		t.Fatalf("AuthorizationServer = %+v, %v", m, err)
	}
	if m, err := c.IdP(t.Context(), srv.URL); err != nil || m.TokenEndpoint != srv.URL+"/token" {
		t.Fatalf("IdP = %+v, %v", m, err)
	}
}
