package discover_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

const atRoot = "GET /.well-known/oauth-authorization-server"

// MCP 2025-03-26: the metadata is at the origin, whatever the server's path.
func TestLegacy(t *testing.T) {
	for _, at := range []string{"/mcp", "", "/", "/a/b?x=y"} {
		s := newSite(t, map[string]answer{atRoot: {body: `{"issuer":"HERE","token_endpoint":"HERE/t","code_challenge_methods_supported":["S256"]}`}})
		c := s.client()
		c.Cache = newPages()
		for range 2 {
			m, err := c.Legacy(t.Context(), s.URL+at)
			if err != nil || m.Issuer != s.URL || m.TokenEndpoint != s.URL+"/t" || m.Assumed || m.AuthorizationEndpoint != "" || m.Source == "" {
				t.Errorf("%s: %+v, %v", at, m, err)
			}
		}
		if diff := cmp.Diff([]string{atRoot}, s.questions()); diff != "" {
			t.Errorf("%s: requests, the second time from the cache (-want +got)\n%s", at, diff)
		}
	}
}

// Fallbacks for Servers without Metadata Discovery: only where there is none.
func TestLegacyAssumes(t *testing.T) {
	for _, status := range []int{404, 401, 403, 410} {
		s := newSite(t, map[string]answer{atRoot: {status: status}})
		c := s.client()
		cache := newPages()
		c.Cache = cache
		m, err := c.Legacy(t.Context(), s.URL+"/mcp?key=s3cret")
		want := discover.ServerMetadata{Issuer: s.URL, AuthorizationEndpoint: s.URL + "/authorize", TokenEndpoint: s.URL + "/token",
			RegistrationEndpoint: s.URL + "/register", TokenEndpointAuthMethods: []string{"client_secret_basic"},
			CodeChallengeMethods: []string{"S256"}, CodeChallengeMethodsStated: true, Assumed: true}
		if diff := cmp.Diff(want, m); err != nil || diff != "" || len(cache.body) != 0 {
			t.Errorf("%d: %v, %d pages kept, metadata (-want +got)\n%s", status, err, len(cache.body), diff)
		}
	}
}

// What is no "not here" is no reason to guess where a person is to sign in.
func TestLegacyStops(t *testing.T) {
	for name, a := range map[string]answer{
		"server error":      {status: 500},
		"busy":              {status: 429},
		"proxy":             {status: 407},
		"web page":          {header: "Content-Type: text/html", body: "<html>"},
		"redirect":          {status: 302, header: "Location: https://sso.example/"},
		"not JSON":          {body: "{"},
		"no token endpoint": {body: `{"issuer":"HERE"}`},
		"nothing":           {status: 204},
	} {
		s := newSite(t, map[string]answer{atRoot: a})
		if m, err := s.client().Legacy(t.Context(), s.URL+"/mcp"); err == nil || !cmp.Equal(m, discover.ServerMetadata{}) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for _, published := range []string{"https://honest.example", "HERE/", "HERE/mcp"} { // S1
		s := newSite(t, map[string]answer{atRoot: {body: `{"issuer":"` + published + `","token_endpoint":"HERE/token"}`}})
		_, err := s.client().Legacy(t.Context(), s.URL+"/mcp")
		var other *discover.IssuerMismatch
		if !errors.As(err, &other) || other.Want != s.URL {
			t.Errorf("%s: error = %v", published, err)
		}
	}
	if m, err := (&discover.Client{}).Legacy(t.Context(), "http://wiki.example/s3cret"); err == nil || strings.Contains(err.Error(), "s3cret") || m.Issuer != "" {
		t.Errorf("plain http: %v", err)
	}
}

// An origin is written in one way (RFC 6454 section 6.2).
func TestLegacyOrigin(t *testing.T) {
	c := discover.Client{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody}, nil
	})}}
	for raw, want := range map[string]string{
		"https://wiki.example/mcp": "https://wiki.example", "https://WIKI.Example:443": "https://wiki.example", "https://wiki.example:8443/x": "https://wiki.example:8443",
		"https://wiki.example:80/": "https://wiki.example:80", "http://127.0.0.1:80/": "http://127.0.0.1", "http://[::1]:443/": "http://[::1]:443",
		"https://wiki.example:/": "https://wiki.example", "https://[2606:4700::443]:443/": "https://[2606:4700::443]",
	} {
		if m, err := c.Legacy(t.Context(), raw); err != nil || m.Issuer != want {
			t.Errorf("%s: issuer %q, %v; want %q", raw, m.Issuer, err, want)
		}
	}
}
