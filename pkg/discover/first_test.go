package discover_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/discover"
)

// ChallengeFirst: MCP 2026-07-28 has clients look at the challenge before anything
// else, since its scopes go before the document's.
func TestChallengeFirst(t *testing.T) {
	const elsewhere = "GET /meta"
	challenge := func(text string) answer { return answer{status: 401, header: "WWW-Authenticate: " + text} }
	for _, test := range []struct {
		name    string
		answers map[string]answer
		asked   []string
		scopes  []string
	}{
		{"named elsewhere", map[string]answer{probe: challenge(`Bearer resource_metadata="HERE/meta", scope="read"`), elsewhere: described},
			[]string{probe, elsewhere}, []string{"read"}},
		{"named at its usual place", map[string]answer{probe: challenge(`Bearer resource_metadata="HERE/.well-known/oauth-protected-resource/mcp", scope="read"`), path: described},
			[]string{probe, path}, []string{"read"}},
		{"named at the root", map[string]answer{probe: challenge(`Bearer resource_metadata="HERE/.well-known/oauth-protected-resource"`), root: described},
			[]string{probe, root}, nil},
		{"named and not there", map[string]answer{probe: challenge(`Bearer resource_metadata="HERE/.well-known/oauth-protected-resource", scope="x"`), root: missing, path: described},
			[]string{probe, root, path}, []string{"x"}},
		{"not named", map[string]answer{probe: challenge(`Bearer scope="read write"`), path: described},
			[]string{probe, path}, []string{"read", "write"}},
		{"not named, root", map[string]answer{probe: challenge(`Bearer`), path: missing, root: described}, []string{probe, path, root}, nil},
		{"no challenge", map[string]answer{probe: {}, path: described}, []string{probe, path}, nil},
		{"probe fails", map[string]answer{probe: {status: 503}, path: described}, []string{probe, path}, nil},
		{"broken challenge", map[string]answer{probe: challenge(`Bearer scope="`), path: described}, []string{probe, path}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.answers)
			c, cache := s.client(), newPages()
			c.Cache, c.ChallengeFirst = cache, true
			cache.body[s.URL+"/.well-known/oauth-protected-resource/mcp"] = []byte(s.here(described.body))
			r, err := c.Resource(t.Context(), s.URL+"/mcp")
			if err != nil || r.Identifier != s.URL+"/mcp" {
				t.Fatalf("Resource = %+v, %v", r, err)
			}
			if diff := cmp.Diff(test.scopes, r.ChallengeScopes); diff != "" {
				t.Errorf("scopes (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.asked, s.questions()); diff != "" || len(cache.age) != 0 {
				t.Errorf("%d pages kept; requests (-want +got)\n%s", len(cache.age), diff)
			}
		})
	}
}

// The way by the challenge passes the same checks (S2, S3).
func TestChallengeFirstRefuses(t *testing.T) {
	s := newSite(t, map[string]answer{probe: {status: 401, header: `WWW-Authenticate: Bearer resource_metadata="https://evil.example/meta"`}})
	c := s.client()
	c.ChallengeFirst = true
	var bad *discover.Malformed
	if _, err := c.Resource(t.Context(), s.URL+"/mcp"); !errors.As(err, &bad) {
		t.Errorf("metadata on another origin: %v", err)
	}
	s.answers[probe] = answer{status: 401, header: `WWW-Authenticate: Bearer resource_metadata="HERE/meta"`}
	s.answers["GET /meta"] = answer{body: `{"resource":"https://honest.example/mcp","authorization_servers":["HERE/as"]}`}
	var other *discover.ResourceMismatch
	if _, err := c.Resource(t.Context(), s.URL+"/mcp"); !errors.As(err, &other) {
		t.Errorf("metadata of another server: %v", err)
	}
	s.answers = map[string]answer{probe: {status: 401}, path: missing, root: missing}
	var none *discover.NotFound
	if _, err := c.Resource(t.Context(), s.URL+"/mcp"); !errors.As(err, &none) || len(none.Tried) != 3 {
		t.Errorf("nothing anywhere: %v", err)
	}
}

// RFC 9449 section 7.1: a server that takes bound tokens only names DPoP alone. A
// DPoP challenge carries the same parameters as Bearer's.
func TestDPoPChallenge(t *testing.T) {
	for _, test := range []struct {
		status int
		header string
		want   bool
		scopes []string
	}{
		{401, `DPoP algs="ES256", scope="read", resource_metadata="HERE/.well-known/oauth-protected-resource"`, true, []string{"read"}},
		{401, `dpop algs=ES256`, true, nil},
		{401, `Basic realm="x", DPoP algs="ES256"`, true, nil},
		{401, `DPoP algs="ES256", Bearer`, false, nil},
		{401, `Bearer, DPoP`, false, nil},
		{401, `Bearer scope="read"`, false, []string{"read"}},
		{401, `Basic realm="DPoP"`, false, nil},
		{401, `DPoP algs="`, false, nil},
		{401, ``, false, nil},
		{403, `DPoP error="insufficient_scope", scope="read"`, false, []string{"read"}},
	} {
		// Both orders, and with a cache that must not forget what the 401 said.
		for _, first := range []bool{false, true} {
			s := newSite(t, map[string]answer{path: missing, root: described, probe: {status: test.status, header: "WWW-Authenticate: " + test.header}})
			c, cache := s.client(), newPages()
			c.ChallengeFirst, c.Cache = first, cache
			for range 2 {
				r, err := c.Resource(t.Context(), s.URL+"/mcp")
				if err != nil || r.DPoPChallenge != test.want || !cmp.Equal(r.ChallengeScopes, test.scopes) {
					t.Errorf("%q, first %v: DPoPChallenge %v, scopes %q, %v", test.header, first, r.DPoPChallenge, r.ChallengeScopes, err)
				}
			}
		}
	}
}
