package discover_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

const (
	path  = "GET /.well-known/oauth-protected-resource/mcp"
	root  = "GET /.well-known/oauth-protected-resource"
	probe = "POST /mcp"
)

var (
	described = answer{body: `{"resource":"HERE/mcp","authorization_servers":["HERE/as"]}`}
	unlucky   = answer{status: http.StatusUnauthorized}
)

func TestResourcePlaces(t *testing.T) {
	elsewhere := "GET /meta?tenant=a"
	html := answer{header: "Content-Type: text/html; charset=utf-8", body: "<html>"}
	challenge := func(text string) answer {
		return answer{status: http.StatusUnauthorized, header: "WWW-Authenticate: " + text}
	}
	for _, test := range []struct {
		name    string
		answers map[string]answer
		asked   []string
		scopes  []string
	}{
		{"well-known costs one request", map[string]answer{path: described}, []string{path}, nil},
		{"challenge names the metadata", map[string]answer{path: missing, elsewhere: described,
			probe: challenge(`Bearer realm="x", resource_metadata="HERE/meta?tenant=a", scope="read write"`)},
			[]string{path, probe, elsewhere}, []string{"read", "write"}},
		{"DPoP challenge", map[string]answer{path: missing, elsewhere: described,
			probe: challenge(`Basic realm="x", DPoP resource_metadata="HERE/meta?tenant=a"`)},
			[]string{path, probe, elsewhere}, nil},
		{"403 with a challenge", map[string]answer{path: missing, elsewhere: described,
			probe: {status: 403, header: `WWW-Authenticate: Bearer resource_metadata="HERE/meta?tenant=a"`}},
			[]string{path, probe, elsewhere}, nil},
		{"unknown scheme has no say", map[string]answer{path: missing, root: described,
			probe: challenge(`Other resource_metadata="HERE/meta?tenant=a"`)}, []string{path, probe, root}, nil},
		{"root well-known comes last", map[string]answer{path: missing, probe: unlucky, root: described},
			[]string{path, probe, root}, nil},
		{"root well-known keeps the scopes", map[string]answer{path: missing, root: described,
			probe: challenge(`Bearer scope="read"`)}, []string{path, probe, root}, []string{"read"}},
		{"challenge names the root well-known", map[string]answer{path: missing, root: described,
			probe: challenge(`Bearer resource_metadata="HERE/.well-known/oauth-protected-resource"`)},
			[]string{path, probe, root}, nil},
		{"challenge names what was asked already", map[string]answer{path: missing, root: described,
			probe: challenge(`Bearer resource_metadata="HERE/.well-known/oauth-protected-resource/mcp"`)},
			[]string{path, probe, root}, nil},
		{"named metadata is not there", map[string]answer{path: missing, elsewhere: missing, root: described,
			probe: challenge(`Bearer resource_metadata="HERE/meta?tenant=a"`)}, []string{path, probe, elsewhere, root}, nil},
		{"401 and 403 are 4xx, too", map[string]answer{path: {status: 403}, probe: unlucky, root: described},
			[]string{path, probe, root}, nil},
		{"start page instead of 404", map[string]answer{path: html, probe: unlucky, root: described},
			[]string{path, probe, root}, nil},
		{"redirect instead of 404", map[string]answer{path: {status: 302, header: "Location: /login"}, probe: unlucky, root: described},
			[]string{path, probe, root}, nil},
		{"open server", map[string]answer{path: missing, probe: {}, root: described}, []string{path, probe, root}, nil},
		{"broken challenge", map[string]answer{path: missing, probe: challenge(`Bearer realm="`), root: described},
			[]string{path, probe, root}, nil},
		{"probe fails", map[string]answer{path: missing, probe: {status: 500}, root: described},
			[]string{path, probe, root}, nil},
		{"old server refuses the version", map[string]answer{path: missing, probe: {status: 400}, root: described},
			[]string{path, probe, probe, root}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.answers)
			got, err := s.client().Resource(t.Context(), s.URL+"/mcp")
			if err != nil {
				t.Fatal(err)
			}
			asked := s.questions()
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("requests (-want +got)\n%s", diff)
			}
			last, _, _ := strings.Cut(strings.TrimPrefix(asked[len(asked)-1], "GET "), "?")
			want := discover.Resource{Identifier: s.URL + "/mcp", Match: discover.MatchExact,
				AuthorizationServers: []string{s.URL + "/as"}, ChallengeScopes: test.scopes,
				DPoPChallenge: test.name == "DPoP challenge", Source: s.URL + last}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("resource (-want +got)\n%s", diff)
			}
		})
	}
}

const metadata = `{"issuer":"HERE%[1]s","token_endpoint":"HERE/token"}`

func TestServerPlaces(t *testing.T) {
	const rfc, oidc = "GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration"
	const appended = "GET /t/.well-known/openid-configuration"
	as, idp := (*discover.Client).AuthorizationServer, (*discover.Client).IdP
	for _, test := range []struct {
		name   string
		find   func(*discover.Client, context.Context, string) (discover.ServerMetadata, error)
		issuer string
		order  []string
	}{
		{"authorization server", as, "", []string{rfc, oidc}},
		{"authorization server, slash", as, "/", []string{rfc, oidc}},
		{"authorization server, path", as, "/t", []string{rfc + "/t", oidc + "/t", appended}},
		{"authorization server, path and slash", as, "/t/", []string{rfc + "/t", oidc + "/t", appended}},
		{"authorization server, escaped path", as, "/a%2Fb", []string{rfc + "/a%2Fb", oidc + "/a%2Fb", "GET /a%2Fb/.well-known/openid-configuration"}},
		{"identity provider", idp, "", []string{oidc, rfc}},
		{"identity provider, slash", idp, "/", []string{oidc, rfc}},
		{"identity provider, path", idp, "/t", []string{appended, rfc + "/t", oidc + "/t"}},
	} {
		for i := range test.order {
			t.Run(fmt.Sprintf("%s, place %d", test.name, i+1), func(t *testing.T) {
				answers := map[string]answer{test.order[i]: {body: fmt.Sprintf(metadata, test.issuer)}}
				for _, earlier := range test.order[:i] {
					answers[earlier] = missing
				}
				s := newSite(t, answers)
				c := s.client()
				cache := newPages()
				c.Cache = cache
				for range 2 {
					m, err := test.find(c, t.Context(), s.URL+test.issuer)
					if err != nil || m.Issuer != s.URL+test.issuer || m.TokenEndpoint != s.URL+"/token" {
						t.Fatalf("metadata = %+v, %v", m, err)
					}
				}
				if diff := cmp.Diff(test.order[:i+1], s.questions()); diff != "" {
					t.Errorf("requests, the second time from the cache (-want +got)\n%s", diff)
				}
			})
		}
		t.Run(test.name+", nowhere", func(t *testing.T) {
			answers := map[string]answer{}
			for _, place := range test.order {
				answers[place] = missing
			}
			s := newSite(t, answers)
			m, err := test.find(s.client(), t.Context(), s.URL+test.issuer)
			var none *discover.NotFound
			if !errors.As(err, &none) || len(none.Tried) != len(test.order) || !cmp.Equal(m, discover.ServerMetadata{}) {
				t.Errorf("metadata = %+v, %v, want NotFound with every place", m, err)
			}
		})
	}
}

// What ends a search at the first place, however much is at the others.
func TestFirstAnswerCounts(t *testing.T) {
	long := strings.Repeat(" ", 1<<20)
	for _, test := range []struct {
		name   string
		answer answer
		want   string // a part of the error
	}{
		{"server error", answer{status: 503, header: "Retry-After: 7"}, "answered 503"},
		{"too many requests", answer{status: 429, header: "Retry-After: 7"}, "answered 429"},
		{"proxy wants a password", answer{status: 407, header: "Retry-After: 7"}, "answered 407"},
		{"not JSON", answer{body: "s3cret{"}, "not valid JSON"},
		{"empty", answer{}, "not valid JSON"},
		{"two objects", answer{body: "{}{}"}, "more than one JSON value"},
		{"an array", answer{body: `[]`}, "not a JSON object"},
		{"no issuer", answer{body: `{"token_endpoint":"HERE/token"}`}, `no "issuer"`},
		{"name in another case", answer{body: `{"Issuer":"HERE","token_endpoint":"HERE/token"}`}, `no "issuer"`},
		{"issuer twice", answer{body: `{"issuer":"HERE","issuer":"HERE","token_endpoint":"HERE/token"}`}, "stands twice"},
		{"issuer of the wrong type", answer{body: `{"issuer":["HERE"],"token_endpoint":"HERE/token"}`}, `"issuer" is not a string`},
		{"no token endpoint", answer{body: `{"issuer":"HERE"}`}, `no "token_endpoint"`},
		{"no content", answer{status: 204}, "status 204"},
		{"too long", answer{body: `{"issuer":"HERE","token_endpoint":"HERE/token"}` + long}, "more than 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, map[string]answer{"GET /.well-known/oauth-authorization-server": test.answer})
			m, err := s.client().AuthorizationServer(t.Context(), s.URL)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), s.URL) {
				t.Errorf("error = %v, want %q and the URL in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the error shows the body")
			}
			var bad *discover.Malformed
			var status *discover.StatusError
			if errors.As(err, &status) && status.RetryAfter != 7*time.Second {
				t.Errorf("RetryAfter = %v", status.RetryAfter)
			}
			if !errors.As(err, &bad) && !errors.As(err, &status) {
				t.Errorf("error is a %T", err)
			}
			if !cmp.Equal(m, discover.ServerMetadata{}) {
				t.Errorf("metadata beside an error: %+v", m)
			}
		})
	}
}

func TestIssuerMismatchStops(t *testing.T) {
	for _, test := range []struct{ published, hint string }{
		{"https://honest.example", "names the issuer"}, // attack S1
		{"HERE/", "only the slash at the end differs"},
		{"HERE/t", "names the issuer"},
	} {
		s := newSite(t, map[string]answer{"GET /.well-known/oauth-authorization-server": {
			body: `{"issuer":"` + test.published + `","token_endpoint":"HERE/token"}`}})
		_, err := s.client().AuthorizationServer(t.Context(), s.URL)
		var other *discover.IssuerMismatch
		if !errors.As(err, &other) || *other != (discover.IssuerMismatch{Want: s.URL, Got: s.here(test.published)}) {
			t.Errorf("%s: error = %v", test.published, err)
		} else if text := err.Error(); !strings.Contains(text, test.hint) || !strings.Contains(text, other.Want) || !strings.Contains(text, other.Got) {
			t.Errorf("%s: error text is %q", test.published, text)
		}
	}
}

// A proxy's page is reported as such when nothing better turns up.
func TestWebPages(t *testing.T) {
	for _, test := range []struct {
		name string
		page answer
		want string
	}{
		{"HTML", answer{header: "Content-Type: text/html", body: "<html>s3cret"}, "web page"},
		{"HTML by another name", answer{body: "\n<!doctype html>s3cret"}, "web page"},
		{"redirect", answer{status: 302, header: "Location: https://sso.example/login?s3cret"}, `redirect to "sso.example"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, map[string]answer{
				"GET /.well-known/oauth-authorization-server": test.page, "GET /.well-known/openid-configuration": missing})
			_, err := s.client().AuthorizationServer(t.Context(), s.URL)
			var bad *discover.Malformed
			if !errors.As(err, &bad) || !bad.WebPage || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// A client that follows redirects must not take another origin's word (attack S9).
func TestRedirectToAnotherOrigin(t *testing.T) {
	other := newSite(t, map[string]answer{
		"GET /as": {body: `{"issuer":"HERE","token_endpoint":"HERE/token"}`}})
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other.answers["GET /as"] = answer{body: `{"issuer":"` + srv.URL + `","token_endpoint":"HERE/token"}`}
		http.Redirect(w, r, other.URL+"/as", http.StatusFound)
	}))
	defer srv.Close()
	c := discover.Client{HTTP: srv.Client()}
	_, err := c.AuthorizationServer(t.Context(), srv.URL)
	var bad *discover.Malformed
	if !errors.As(err, &bad) || !bad.WebPage {
		t.Errorf("error = %v, want a redirect refused", err)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var c discover.Client
	_, err := c.IdP(ctx, "https://login.example/?")
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("issuer with query: error = %v", err)
	}
	if _, err := c.Resource(ctx, "https://mcp.example/?key=s3cret"); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v, want the cancellation without the query", err)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A transport of somebody else's may leave out what net/http fills in.
func TestBareResponse(t *testing.T) {
	c := discover.Client{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody}, nil
	})}}
	_, err := c.Resource(t.Context(), "https://wiki.example/mcp?key=s3cret")
	var none *discover.NotFound
	if !errors.As(err, &none) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v", err)
	}
}

func TestUnfitQuestions(t *testing.T) {
	c := discover.Client{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		t.Errorf("request for %s", r.URL)
		return nil, errors.New("no network")
	})}}
	for _, raw := range []string{"", "wiki", "http://wiki.example/", "https://u:s3cret@wiki.example/", "https://wiki.example/#x", "ftp://wiki.example/"} {
		_, resource := c.Resource(t.Context(), raw)
		_, server := c.AuthorizationServer(t.Context(), raw)
		_, idp := c.IdP(t.Context(), raw)
		for _, err := range []error{resource, server, idp} {
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: error = %v", raw, err)
			}
		}
	}
}
