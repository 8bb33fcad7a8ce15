package idjag_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestExchange(t *testing.T) {
	assertion := newKey(t).sign(t, goodHeader(), goodClaims())
	r := goodExchange()
	r.Endpoint = serve(t, exchangeForm(), encode(t, exchangeAnswer(assertion)))
	g, err := idjag.Exchange(context.Background(), nil, r)
	if err != nil {
		t.Fatal(err)
	}
	want := idjag.Grant{
		Claims: idjag.Claims{Type: "oauth-id-jag+jwt", Algorithm: "ES256", KeyID: "k1", Issuer: idp, Subject: "alice", Audience: []string{as},
			ClientID: "cli-at-as", JTI: "j1", Resource: []string{resource}, Scopes: []string{"read", "write"}, HasScope: true,
			IssuedAt: epoch, Expires: epoch.Add(5 * time.Minute),
			Names: []string{"aud", "client_id", "exp", "iat", "iss", "jti", "resource", "scope", "sub"}},
		Scopes: []string{"read", "write"}, Expires: epoch.Add(5 * time.Minute),
	}
	if diff := cmp.Diff(want, g, cmpopts.IgnoreFields(idjag.Grant{}, "Assertion")); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	if g.Assertion.Reveal() != assertion {
		t.Error("the assertion is another one")
	}
}

// The parameters that are optional are left out, not sent empty.
func TestExchangeSends(t *testing.T) {
	want := exchangeForm()
	want.Del("resource")
	want.Del("scope")
	want.Set("subject_token_type", idjag.TokenTypeRefreshToken)
	r := goodExchange()
	r.Resource, r.Scopes, r.SubjectTokenType = "", nil, idjag.TokenTypeRefreshToken
	r.Endpoint = serve(t, want, encode(t, exchangeAnswer(newKey(t).sign(t, goodHeader(), goodClaims()))))
	g, err := idjag.Exchange(context.Background(), nil, r)
	if err != nil || g.Reduced != nil || !slices.Equal(g.Scopes, []string{"read", "write"}) {
		t.Errorf("Exchange = %+v, %v", g, err)
	}
}

// One deviation from a good answer a row. A rule says that it refuses, and
// nothing that it is taken. No proof is sent here; see TestExchangeBound for X13.
func TestExchangeChecks(t *testing.T) {
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	type row struct {
		name    string
		member  string // of the answer, or "claim:", "header:" and a name
		value   any    // nil leaves it out
		rule    string
		danger  bool // CheckError.Security
		text    string
		warning string
	}
	tests := []row{
		{"X1 absent", "access_token", nil, "X1", false, "no access_token", ""},
		{"X1 empty", "access_token", "", "X1", false, "no access_token", ""},
		{"X1 no text", "access_token", 7, "X1", false, "no access_token", ""},
		{"X1 too long", "access_token", strings.Repeat("a", idjag.MaxAssertion+1), "X4", true, "longer than", ""},
		{"X2 access token", "issued_token_type", "urn:ietf:params:oauth:token-type:access_token", "X2", true, "token-type:access_token", ""},
		{"X2 in capitals", "issued_token_type", strings.ToUpper(idjag.TokenTypeIDJAG), "X2", true, "ID-JAG", ""},
		{"X2 no text", "issued_token_type", []string{idjag.TokenTypeIDJAG}, "X2", true, "issued_token_type", ""},
		{"X2 absent", "issued_token_type", nil, "", false, "", "does not say what type"},
		{"X2 null", "issued_token_type", json.RawMessage("null"), "", false, "", "does not say what type"},
		{"X3 lower case", "token_type", "n_a", "", false, "", ""},
		{"X3 Bearer", "token_type", "Bearer", "", false, "", `token_type is "Bearer"`},
		{"X3 absent", "token_type", nil, "", false, "", `token_type is ""`},
		{"X3 no text", "token_type", 1, "", false, "", `token_type is ""`},
		{"X4 JWT", "header:typ", "JWT", "X4", true, `is "JWT", want "oauth-id-jag+jwt"`, ""},
		{"X4 at+jwt", "header:typ", "at+jwt", "X4", true, "at+jwt", ""},
		{"X4 absent", "header:typ", nil, "X4", true, "typ", ""},
		{"X4 capitals", "header:typ", "OAuth-ID-JAG+JWT", "", false, "", ""},
		{"X4 media type", "header:typ", "application/oauth-id-jag+jwt", "", false, "", ""},
		{"X4 media type twice", "header:typ", "application/application/oauth-id-jag+jwt", "X4", true, "typ", ""},
		{"X4 alg none", "header:alg", "none", "X4", true, `"none"`, ""},
		{"X4 opaque token", "access_token", "opaque", "X4", true, "not a JWT", ""},
		{"X5 another issuer", "claim:iss", "https://evil.example", "X5", true, "evil", ""},
		{"X5 slash", "claim:iss", idp + "/", "X5", true, "only in the final slash", ""},
		{"X5 absent", "claim:iss", nil, "X5", true, "iss", ""},
		{"X6 another audience", "claim:aud", "https://evil.example/", "X6", false, "evil", ""},
		{"X6 slash", "claim:aud", strings.TrimSuffix(as, "/"), "X6", false, "only in the final slash", ""},
		{"X6 list of one", "claim:aud", []string{as}, "", false, "", ""},
		{"X6 list of two", "claim:aud", []string{as, "https://evil.example/"}, "X6", false, "2 audiences", ""},
		{"X6 the same twice", "claim:aud", []string{as, as}, "X6", false, "2 audiences", ""},
		{"X6 empty list", "claim:aud", []string{}, "X6", false, "0 audiences", ""},
		{"X6 absent", "claim:aud", nil, "X6", false, "0 audiences", ""},
		{"X7 another client", "claim:client_id", "cli-at-idp", "X7", false, `"cli-at-idp", want "cli-at-as"`, ""},
		{"X7 absent", "claim:client_id", nil, "", false, "", "names no client"},
		{"X8 another resource", "claim:resource", "https://mcp.example/other", "X8", false, "other", ""},
		{"X8 list with ours", "claim:resource", []string{"https://mcp.example/", resource}, "", false, "", ""},
		{"X8 list without ours", "claim:resource", []string{"https://mcp.example/a", "https://mcp.example/b"}, "X8", false, "mcp.example/b", ""},
		{"X8 list with another origin", "claim:resource", []string{resource, "https://evil.example/mcp"}, "X8", false, "evil", ""},
		{"X8 list with another scheme", "claim:resource", []string{resource, "http://mcp.example/mcp"}, "X8", false, "http://", ""},
		{"X8 user in the host's place", "claim:resource", []string{resource, "https://mcp.example@evil.example/mcp"}, "X8", false, "evil", ""},
		{"X8 unreadable", "claim:resource", []string{resource, "https://mcp.example/%zz"}, "X8", false, "%zz", ""},
		{"X8 empty text", "claim:resource", "", "X8", false, `is ""`, ""},
		{"X8 absent", "claim:resource", nil, "", false, "", "names no resource"},
		{"X8 empty list", "claim:resource", []string{}, "", false, "", "names no resource"},
		{"X9 no exp", "claim:exp", nil, "X9", false, "no expiry", ""},
		{"X9 expired a minute ago", "claim:exp", at(-time.Minute), "X9", false, "already expired", ""},
		{"X9 expired within the leeway", "claim:exp", at(-59 * time.Second), "", false, "", ""},
		{"X9 exp 0", "claim:exp", 0, "X9", false, "already expired", ""},
		{"X9 two hours", "claim:exp", at(2 * time.Hour), "", false, "", "more than an hour"},
		{"X9 for ever", "claim:exp", 1e300, "", false, "", "more than an hour"},
		{"X9 iat in the future", "claim:iat", at(61 * time.Second), "X9", false, "future", ""},
		{"X9 iat within the leeway", "claim:iat", at(time.Minute), "", false, "", ""},
		{"X9 nbf in the future", "claim:nbf", at(61 * time.Second), "X9", false, "future", ""},
		{"X9 nbf within the leeway", "claim:nbf", at(time.Minute), "", false, "", ""},
		{"X10 no sub", "claim:sub", nil, "", false, "", "no subject"},
		{"X10 another sub", "claim:sub", "pairwise", "", false, "", ""},
		{"X10 no jti", "claim:jti", nil, "", false, "", "no identifier"},
		{"X11 scope no text", "scope", []string{"read"}, "X11", false, "scope", ""},
		{"X12 details", "claim:authorization_details", []any{object{"type": "x"}}, "", false, "", "authorization_details"},
		{"X14 thumbprint", "claim:cnf", object{"jkt": "x"}, "X14", true, "bound to a key", ""},
		{"X14 any method", "claim:cnf", object{}, "X14", true, "bound to a key", ""},
		{"X14 null", "claim:cnf", json.RawMessage("null"), "", false, "", ""},
		{"X15 refresh token", "refresh_token", "canary-rt", "", false, "", "it was dropped"},
	}
	key := newKey(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header, claims := goodHeader(), goodClaims()
			kind, name, found := strings.Cut(tt.member, ":")
			switch {
			case kind == "header":
				with(header, name, tt.value)
			case kind == "claim":
				with(claims, name, tt.value)
			}
			body := exchangeAnswer(key.sign(t, header, claims))
			if !found {
				with(body, tt.member, tt.value)
			}
			r := goodExchange()
			r.Endpoint = serve(t, exchangeForm(), encode(t, body))
			g, err := idjag.Exchange(context.Background(), nil, r)
			if tt.rule == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(g.Warnings, "\n"); (got == "") != (tt.warning == "") || !strings.Contains(got, tt.warning) || strings.Contains(got, "canary") {
					t.Errorf("warnings %q, want %q", g.Warnings, tt.warning)
				}
				return
			}
			var check *idjag.CheckError
			if !errors.As(err, &check) || check.Rule != tt.rule || check.Security != tt.danger || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Exchange = %v (%+v), want rule %s", err, check, tt.rule)
			}
			if !zero(g) {
				t.Errorf("an error with a grant: %+v", g)
			}
		})
	}
}

func TestExchangeOptions(t *testing.T) {
	key := newKey(t)
	exchange := func(claims object, change func(*idjag.ExchangeRequest)) (idjag.Grant, error) {
		r := goodExchange()
		r.Endpoint = idp + "/token"
		change(&r)
		body := encode(t, exchangeAnswer(key.sign(t, goodHeader(), claims)))
		return idjag.Exchange(context.Background(), &http.Client{Transport: canned{string(body)}}, r)
	}
	alias := func(r *idjag.ExchangeRequest) { r.Audience, r.ExpectAudience = "urn:as", as }
	if _, err := exchange(goodClaims(), alias); err != nil {
		t.Errorf("X6 alias: %v", err)
	}
	if _, err := exchange(with(goodClaims(), "aud", "urn:as"), alias); err == nil {
		t.Error("X6: the alias itself was taken for the audience it stands for")
	}
	if _, err := exchange(with(goodClaims(), "client_id", "x"), func(r *idjag.ExchangeRequest) { r.ASClientID = "" }); err != nil {
		t.Errorf("X7 not compared: %v", err)
	}
	if _, err := exchange(with(goodClaims(), "resource", "urn:b"), func(r *idjag.ExchangeRequest) { r.Resource = "" }); err != nil {
		t.Errorf("X8 not asked for: %v", err)
	}
	urns := with(goodClaims(), "resource", []string{"urn:a", "urn:b"})
	if _, err := exchange(urns, func(r *idjag.ExchangeRequest) { r.Resource = "urn:a" }); err == nil {
		t.Error("X8: two names without a host count as one origin")
	}
	for _, lacking := range []func(*idjag.ExchangeRequest){
		func(r *idjag.ExchangeRequest) { r.Endpoint = "" }, func(r *idjag.ExchangeRequest) { r.Issuer = "" },
		func(r *idjag.ExchangeRequest) { r.Audience = "" }, func(r *idjag.ExchangeRequest) { r.SubjectToken = secret.Text{} },
	} {
		if g, err := exchange(goodClaims(), lacking); err == nil || !strings.Contains(err.Error(), "are required") || !zero(g) {
			t.Errorf("a required field is empty: %v", err)
		}
	}
}

// X11: the claim, else the answer, else what was asked for.
func TestExchangeScopes(t *testing.T) {
	for _, tt := range []struct {
		name             string
		claim, answer    any // nil means absent
		granted, reduced []string
		require          []string
		refused          bool
	}{
		{"X11 claim wins", "read", "read write", []string{"read"}, []string{"write"}, nil, false},
		{"X11 answer", nil, "write", []string{"write"}, []string{"read"}, nil, false},
		{"X11 neither", nil, nil, []string{"read", "write"}, nil, []string{"read"}, false},
		{"X11 empty claim", "", "read write", []string{}, []string{"read", "write"}, nil, false},
		{"X11 empty answer", nil, "", []string{}, []string{"read", "write"}, nil, false},
		{"X11 wider", "read write admin", nil, []string{"read", "write", "admin"}, nil, []string{"admin"}, false},
		{"X11 required and not there", "read", "read write", nil, nil, []string{"write"}, true},
		{"X11 part of a word", "readonly", nil, nil, nil, []string{"read"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assertion := newKey(t).sign(t, goodHeader(), with(goodClaims(), "scope", tt.claim))
			r := goodExchange()
			r.RequireScopes = tt.require
			r.Endpoint = serve(t, exchangeForm(), encode(t, with(exchangeAnswer(assertion), "scope", tt.answer)))
			g, err := idjag.Exchange(context.Background(), nil, r)
			var check *idjag.CheckError
			if tt.refused != (errors.As(err, &check) && check.Rule == "X11") || tt.refused != (err != nil) {
				t.Fatalf("Exchange = %v", err)
			}
			if diff := cmp.Diff([][]string{tt.granted, tt.reduced}, [][]string{g.Scopes, g.Reduced}); diff != "" {
				t.Errorf("granted and reduced (-want +got):\n%s", diff)
			}
		})
	}
}

// An encrypted ID-JAG shows its type only; its lifetime is the answer's.
func TestExchangeOpaque(t *testing.T) {
	jwe := func(typ string) string {
		return b64(encode(t, object{"typ": typ, "alg": "RSA-OAEP-256", "enc": "A256GCM"})) + ".a2V5.aXY.dGV4dA.dGFn"
	}
	for _, tt := range []struct {
		typ     string
		expires any
		want    time.Time
		rule    string
	}{
		{idjag.JWTType, 300, epoch.Add(5 * time.Minute), ""},
		{idjag.JWTType, "60.5", epoch.Add(60500 * time.Millisecond), ""},
		{idjag.JWTType, nil, time.Time{}, ""},
		{idjag.JWTType, -1, time.Time{}, ""},
		{"JWT", 300, time.Time{}, "X4"},
	} {
		r := goodExchange()
		r.Endpoint = serve(t, exchangeForm(), encode(t, with(exchangeAnswer(jwe(tt.typ)), "expires_in", tt.expires)))
		g, err := idjag.Exchange(context.Background(), nil, r)
		var check *idjag.CheckError
		if (tt.rule != "") != errors.As(err, &check) || !g.Expires.Equal(tt.want) || err == nil && (!g.Claims.Opaque || len(g.Warnings) != 1) {
			t.Errorf("%s, %v: %+v, %v", tt.typ, tt.expires, g, err)
		}
	}
}

// The identity provider's refusal comes out as it is.
func TestExchangeRefused(t *testing.T) {
	r := goodExchange()
	r.Endpoint = serve(t, exchangeForm(), []byte(`{"error":"invalid_target","error_description":"no connection"}`))
	_, err := idjag.Exchange(context.Background(), nil, r)
	var refused *idjag.Error
	if !errors.As(err, &refused) || refused.Code != "invalid_target" || strings.Contains(err.Error(), "connection") {
		t.Errorf("Exchange = %v", err)
	}
}

// An error has no grant; a grant is for the audience and by the issuer asked for.
func FuzzExchangeAnswer(f *testing.F) {
	assertion := newKey(f).sign(f, goodHeader(), goodClaims())
	f.Add(string(encode(f, exchangeAnswer(assertion))), string(encode(f, goodHeader())), string(encode(f, goodClaims())))
	f.Add(`{"access_token":"%","token_type":"N_A"}`, `{"typ":"oauth-id-jag+jwt","alg":"ES256"}`, string(encode(f, goodClaims())))
	f.Fuzz(func(t *testing.T, body, header, claims string) {
		// A percent sign stands for a token with this header and these claims.
		body = strings.Replace(body, "%", b64([]byte(header))+"."+b64([]byte(claims))+".c2ln", 1)
		r := goodExchange()
		r.Endpoint = idp + "/token"
		g, err := idjag.Exchange(context.Background(), &http.Client{Transport: canned{body}}, r)
		if err != nil {
			if !zero(g) {
				t.Fatalf("an error with a grant: %+v", g)
			}
			return
		}
		c := g.Claims
		if strings.ContainsFunc(g.Assertion.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("the assertion %q fits no header", g.Assertion.Reveal())
		}
		if !c.Opaque && (c.Issuer != idp || !slices.Equal(c.Audience, []string{as}) || c.Bound || c.Expires.Before(epoch.Add(-time.Minute))) {
			t.Fatalf("taken: %+v", c)
		}
		for _, res := range c.Resource {
			if u, err := url.Parse(res); err != nil || u.Host != "mcp.example" || !slices.Contains(c.Resource, resource) {
				t.Fatalf("taken with the resources %q", c.Resource)
			}
		}
	})
}

func zero(g idjag.Grant) bool {
	return g.Assertion.IsZero() && cmp.Equal(idjag.Grant{}, g, cmpopts.IgnoreFields(idjag.Grant{}, "Assertion"))
}
