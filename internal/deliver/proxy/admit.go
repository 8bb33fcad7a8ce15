package proxy

import (
	"mime"
	"net/http"
	"strings"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// admit decides whether a request comes from one of the person's own programs and
// is of a shape that MCP has. It returns zero, or what to answer. Before the
// secret is checked an answer says nothing about the servers.
func (g *gate) admit(r *http.Request) (int, Problem) {
	const forbidden = http.StatusForbidden
	switch {
	case !g.proxy.Secret.IsZero() && !g.isHost(r.Host):
		// A name that was made to point here (DNS rebinding) keeps its own Host.
		return forbidden, Problem{Code: "wrong_host", Message: "the Host header is not this proxy's address"}
	case len(r.Header.Values("Origin")) > 0:
		return forbidden, Problem{Code: "origin", Message: "the proxy does not serve web pages"}
	case !g.knows(r.Header.Values("Authorization")):
		return http.StatusUnauthorized, Problem{Code: "unauthorized", Message: "the proxy's own bearer secret is missing or wrong"}
	}
	return shape(r)
}

// isHost compares with the address that is listened at, and with nothing else:
// "localhost" may be given another address.
func (g *gate) isHost(host string) bool {
	return host == g.host || host+":80" == g.host
}

// knows compares in constant time. A proxy without a secret listens where only the
// person can come.
func (g *gate) knows(authorization []string) bool {
	if g.proxy.Secret.IsZero() {
		return true
	}
	if len(authorization) != 1 {
		return false
	}
	scheme, value, _ := strings.Cut(authorization[0], " ")
	return strings.EqualFold(scheme, "Bearer") && secret.New(value).Equal(g.proxy.Secret)
}

// shape lets the requests of streamable HTTP through.
func shape(r *http.Request) (int, Problem) {
	hasBody := r.ContentLength != 0
	switch r.Method {
	case http.MethodPost:
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/json" || len(r.Header.Values("Content-Type")) > 1 {
			return http.StatusUnsupportedMediaType, Problem{Code: "media_type", Message: "a POST must be application/json"}
		}
	case http.MethodGet, http.MethodDelete:
		if hasBody {
			return http.StatusBadRequest, Problem{Code: "bad_request", Message: "only a POST may have a body"}
		}
	default:
		return http.StatusMethodNotAllowed, Problem{Code: "method", Message: "MCP uses POST, GET and DELETE"}
	}
	switch {
	case len(r.Header.Values("Upgrade")) > 0:
		return http.StatusBadRequest, Problem{Code: "bad_request", Message: "a connection cannot become another one here"}
	case len(r.Trailer) > 0:
		return http.StatusBadRequest, Problem{Code: "bad_request", Message: "a request cannot have trailers here"}
	}
	return 0, Problem{}
}
