package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Who and what is not let in. Nothing of it asks for a token or reaches a server.
func TestRefusals(t *testing.T) {
	s := serve(t)
	const post, auth, body = "POST /wiki HTTP/1.1", "Authorization: Bearer KEY", "Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
	get := func(target string) []string {
		return []string{"GET " + target + " HTTP/1.1", "Host: HOST", auth, "\r\n"}
	}
	for _, row := range []struct {
		rule   string
		status int
		code   string
		lines  []string
	}{
		{"S10: no secret", 401, "unauthorized", []string{post, "Host: HOST", body}},
		{"S10: wrong secret", 401, "unauthorized", []string{post, "Host: HOST", auth + "x", body}},
		{"S10: shorter secret", 401, "unauthorized", []string{post, "Host: HOST", "Authorization: Bearer the-secret-of-this-ru", body}},
		{"S10: empty secret", 401, "unauthorized", []string{post, "Host: HOST", "Authorization: Bearer ", body}},
		{"S10: another scheme", 401, "unauthorized", []string{post, "Host: HOST", "Authorization: Basic KEY", body}},
		{"S10: two secrets", 401, "unauthorized", []string{post, "Host: HOST", auth, auth, body}},
		{"S10: secret for an unknown server", 401, "unauthorized", []string{"GET /nothing HTTP/1.1", "Host: HOST", "\r\n"}},
		{"S10: secret in the query", 401, "unauthorized", []string{"GET /wiki?access_token=KEY HTTP/1.1", "Host: HOST", "\r\n"}},
		{"S10: a name for this computer", 403, "wrong_host", []string{post, "Host: localhost:PORT", auth, body}},
		{"S10: a rebound name", 403, "wrong_host", []string{post, "Host: evil.example", auth, body}},
		{"S10: the address without its port", 403, "wrong_host", []string{post, "Host: 127.0.0.1", auth, body}},
		{"S10: another port", 403, "wrong_host", []string{post, "Host: 127.0.0.1:1", auth, body}},
		{"S10: no Host", 400, "", []string{post, auth, body}},
		{"S10: an empty Host", 403, "wrong_host", []string{post, "Host:", auth, body}},
		{"S10: a page", 403, "origin", []string{post, "Host: HOST", "Origin: https://evil.example", auth, body}},
		{"S10: a page of this origin", 403, "origin", []string{post, "Host: HOST", "Origin: http://HOST", auth, body}},
		{"S10: a page without an origin", 403, "origin", []string{post, "Host: HOST", "Origin: null", auth, body}},
		{"S10: an empty origin", 403, "origin", []string{post, "Host: HOST", "Origin:", auth, body}},
		{"S10: a preflight", 403, "origin", []string{"OPTIONS /wiki HTTP/1.1", "Host: HOST", "Origin: https://evil.example", "Access-Control-Request-Method: POST", "\r\n"}},
		{"method: OPTIONS", 405, "method", []string{"OPTIONS /wiki HTTP/1.1", "Host: HOST", auth, "\r\n"}},
		{"method: OPTIONS *", 405, "method", []string{"OPTIONS * HTTP/1.1", "Host: HOST", auth, "\r\n"}},
		{"method: TRACE", 405, "method", []string{"TRACE /wiki HTTP/1.1", "Host: HOST", auth, "\r\n"}},
		{"method: CONNECT", 405, "method", []string{"CONNECT HOST HTTP/1.1", "Host: HOST", auth, "\r\n"}},
		{"method: PUT", 405, "method", []string{"PUT /wiki HTTP/1.1", "Host: HOST", auth, body}},
		{"method: HEAD", 405, "method", []string{"HEAD /wiki HTTP/1.1", "Host: HOST", auth, "\r\n"}},
		{"shape: a form", 415, "media_type", []string{post, "Host: HOST", auth, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n{}"}},
		{"shape: no type", 415, "media_type", []string{post, "Host: HOST", auth, "Content-Length: 2\r\n\r\n{}"}},
		{"shape: two types", 415, "media_type", []string{post, "Host: HOST", auth, "Content-Type: text/plain", body}},
		{"shape: a GET with a body", 400, "bad_request", []string{"GET /wiki HTTP/1.1", "Host: HOST", auth, body}},
		{"shape: a DELETE with a chunked body", 400, "bad_request", []string{"DELETE /wiki HTTP/1.1", "Host: HOST", auth, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}},
		{"shape: an upgrade", 400, "bad_request", []string{"GET /wiki HTTP/1.1", "Host: HOST", auth, "Connection: upgrade", "Upgrade: websocket", "\r\n"}},
		{"shape: trailers", 400, "bad_request", []string{post, "Host: HOST", auth, "Content-Type: application/json", "Trailer: X-Later", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}},
		{"target: absolute", 400, "bad_path", get("http://HOST/wiki")},
		{"target: unknown", 404, "unknown_server", get("/nothing")},
		{"target: the root", 404, "unknown_server", get("/")},
		{"target: two slashes", 404, "unknown_server", get("//wiki")},
		{"target: another spelling", 404, "unknown_server", get("/%77iki")},
		{"target: another case", 404, "unknown_server", get("/Wiki")},
		{"path: a step up", 400, "bad_path", get("/wiki/../other")},
		{"path: a step up at the end", 400, "bad_path", get("/wiki/x/..")},
		{"path: no step", 400, "bad_path", get("/wiki/./x")},
		{"path: a hidden step", 400, "bad_path", get("/wiki/%2e%2e/other")},
		{"path: a half-hidden step", 400, "bad_path", get("/wiki/.%2E/other")},
		{"path: a twice hidden step", 400, "bad_path", get("/wiki/%252e%252e/other")},
		{"path: a step with parameters", 400, "bad_path", get("/wiki/..;x/other")},
		{"path: a hidden slash", 400, "bad_path", get("/wiki/x%2fy")},
		{"path: a backslash", 400, "bad_path", get(`/wiki/..\x`)},
		{"path: a hidden backslash", 400, "bad_path", get("/wiki/%5c")},
		{"path: an empty segment", 400, "bad_path", get("/wiki//x")},
		{"path: a hidden NUL", 400, "bad_path", get("/wiki/x%00")},
		{"path: a hidden line break", 400, "bad_path", get("/wiki/x%0d%0aHost:%20evil")},
		{"path: no UTF-8", 400, "bad_path", get("/wiki/%ff")},
		{"path: an overlong dot", 400, "bad_path", get("/wiki/%c0%ae%c0%ae/other")},
		{"path: a fragment in the query", 400, "bad_path", get("/wiki?x#y")},
	} {
		port := s.addr[strings.LastIndexByte(s.addr, ':')+1:]
		for i := range row.lines {
			row.lines[i] = strings.ReplaceAll(row.lines[i], "PORT", port)
		}
		resp := s.raw(t, row.lines...)
		if resp.StatusCode != row.status {
			t.Errorf("%s: %d, want %d", row.rule, resp.StatusCode, row.status)
			continue
		}
		if row.code == "" || strings.HasSuffix(row.rule, "HEAD") {
			continue
		}
		p := problemOf(t, resp)
		if p.Code != row.code {
			t.Errorf("%s: %+v, want %s", row.rule, p, row.code)
		}
		if hint := p.Code == "unknown_server"; hint != strings.Contains(p.Hint+p.Message, "/other") {
			t.Errorf("%s: %+v: it names the servers, or does not", row.rule, p)
		}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: it answered with %s", row.rule, name)
			}
		}
	}
	if n := len(s.up.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if n := s.tokens.count(); n != 0 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// A listener that lets only the person in needs no secret; pages stay outside.
func TestWithoutSecret(t *testing.T) {
	s := serve(t, func(s *setup) { s.Secret = secret.Text{} })
	if resp := s.raw(t, "GET /wiki HTTP/1.1", "Host: localhost", "Authorization: Bearer whatever", "\r\n"); resp.StatusCode != http.StatusOK {
		t.Errorf("got %d", resp.StatusCode)
	}
	if got := s.up.requests()[0].Header.Get("Authorization"); got != "Bearer token-0-of-wiki" {
		t.Errorf("the server got %q", got)
	}
	if resp := s.raw(t, "GET /wiki HTTP/1.1", "Host: localhost", "Origin: http://localhost", "\r\n"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page got %d", resp.StatusCode)
	}
}
