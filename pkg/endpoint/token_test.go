package endpoint_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const resource = "https://wiki.example/mcp"

func tokenRequest(to string) endpoint.TokenRequest {
	return endpoint.TokenRequest{Request: request(to), Resource: resource, Scopes: []string{"read", "write"},
		Now: func() time.Time { return epoch }}
}

func TestGetToken(t *testing.T) {
	srv := play(t, step{200, nil, `{"access_token":"at","token_type":"bearer","expires_in":900,"refresh_token":"canary-rt","scope":"write more"}`})
	r := tokenRequest(srv.URL)
	got, err := endpoint.GetToken(context.Background(), nil, r)
	if err != nil {
		t.Fatal(err)
	}
	want := endpoint.Token{Type: "Bearer", Expires: epoch.Add(15 * time.Minute), Scopes: []string{"write", "more"}, Reduced: []string{"read"},
		Warnings: []string{`the authorization server granted more than was asked for: ["more"]`}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(endpoint.Token{}, "AccessToken", "RefreshToken")); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if got.AccessToken.Reveal() != "at" || got.RefreshToken.Reveal() != "canary-rt" {
		t.Error("other tokens came")
	}
	form := url.Values{"grant_type": {"x"}, "subject_token": {canary}, "client_id": {"cli"}, "client_secret": {canary},
		"resource": {resource}, "scope": {"read write"}}
	if diff := cmp.Diff([]url.Values{form}, srv.forms); diff != "" || len(srv.proofs) != 0 {
		t.Errorf("%d proofs; forms (-want +got):\n%s", len(srv.proofs), diff)
	}
	if len(r.Form) != 2 {
		t.Errorf("the caller's form was changed to %v", r.Form)
	}
	if shown := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(shown, canary) {
		t.Error("a token is printed")
	}
}

// Empty leaves the parameters out; what the caller put into the form stays there.
func TestGetTokenSends(t *testing.T) {
	srv := play(t, step{200, nil, `{"access_token":"at","token_type":"Bearer"}`})
	r := tokenRequest(srv.URL)
	r.Resource, r.Scopes = "", nil
	got, err := endpoint.GetToken(context.Background(), nil, r)
	if err != nil || srv.forms[0].Has("resource") || srv.forms[0].Has("scope") || !got.RefreshToken.IsZero() || got.Scopes != nil || got.Warnings != nil {
		t.Errorf("GetToken = %+v, %v, with the form %v", got, err, srv.forms[0])
	}
	r.Form = nil
	if _, err := endpoint.GetToken(context.Background(), nil, r); err != nil {
		t.Errorf("without a form: %v", err)
	}
}

// A2 and A3 (RFC 6749 section 7.1, RFC 9449 section 5): who may use the token, and
// what became of the proof.
func TestGetTokenType(t *testing.T) {
	for _, tt := range []struct {
		typ             string
		prover, require bool
		want            string // the type
		rule            string // or the rule it is refused by
		danger          bool
		warns           bool
	}{
		{`"Bearer"`, false, false, "Bearer", "", false, false},
		{`"BEARER"`, false, false, "Bearer", "", false, false},
		{`"DPoP"`, true, false, "DPoP", "", false, false},
		{`"dpop"`, true, false, "DPoP", "", false, false},
		{`"DPoP"`, true, true, "DPoP", "", false, false},
		{`"DPoP"`, false, false, "", "A3", true, false},
		{`"dpop"`, false, false, "", "A3", true, false},
		{`"Bearer"`, true, false, "Bearer", "", false, true},
		{`"Bearer"`, true, true, "", "A3", true, false},
		{`"bearer"`, true, true, "", "A3", true, false},
		{`"mac"`, true, false, "", "A2", false, false},
		{`"N_A"`, true, true, "", "A2", false, false},
		{`"DPoP "`, true, true, "", "A2", false, false},
		{`"DPoP,Bearer"`, true, false, "", "A2", false, false},
		{`""`, true, false, "", "A2", false, false},
		{`null`, true, true, "", "A2", false, false},
		{`["DPoP"]`, true, false, "", "A2", false, false},
	} {
		srv := play(t, step{200, nil, `{"access_token":"at","token_type":` + tt.typ + `}`})
		r := tokenRequest(srv.URL)
		r.RequireBound = tt.require
		if tt.prover {
			r.Prover = newProver(t)
		}
		name := fmt.Sprintf("%s, key %v, required %v", tt.typ, tt.prover, tt.require)
		got, err := endpoint.GetToken(context.Background(), nil, r)
		if tt.rule != "" {
			var check *endpoint.CheckError
			if !errors.As(err, &check) || check.Rule != tt.rule || check.Security != tt.danger || !got.AccessToken.IsZero() || got.Type != "" {
				t.Errorf("%s: GetToken = %+v, %v; want rule %s", name, got, err, tt.rule)
			}
			continue
		}
		if err != nil || got.Type != tt.want || (len(got.Warnings) > 0) != tt.warns {
			t.Errorf("%s: GetToken = %+v, %v; want type %s", name, got, err, tt.want)
		}
		if tt.warns && !strings.Contains(got.Warnings[0], "not bound to our key") {
			t.Errorf("%s: warnings %q", name, got.Warnings)
		}
	}
}

// A token that must be bound is not asked for without a key.
func TestGetTokenRequiresKey(t *testing.T) {
	for _, p := range []*dpop.Prover{nil, {}} {
		srv := play(t, step{200, nil, tokenJSON})
		r := tokenRequest(srv.URL)
		r.RequireBound, r.Prover = true, p
		if got, err := endpoint.GetToken(context.Background(), nil, r); err == nil || !got.AccessToken.IsZero() || len(srv.forms) != 0 {
			t.Errorf("GetToken = %+v, %v after %d requests", got, err, len(srv.forms))
		}
	}
}

func TestGetTokenRefreshToken(t *testing.T) {
	for value, want := range map[string]string{`"rt-1"`: "rt-1", `""`: "", `null`: "", `7`: "", `["rt"]`: "", `{}`: ""} {
		srv := play(t, step{200, nil, `{"access_token":"at","token_type":"Bearer","refresh_token":` + value + `}`})
		got, err := endpoint.GetToken(context.Background(), nil, tokenRequest(srv.URL))
		odd := !slices.Contains([]string{`"rt-1"`, `""`, `null`}, value)
		if err != nil || got.RefreshToken.Reveal() != want || odd != (len(got.Warnings) == 1) {
			t.Errorf("%s: GetToken = %+v, %v", value, got, err)
		}
	}
}

// A4: the answer, else the token itself if it is a JWT, else five minutes.
func TestGetTokenExpiry(t *testing.T) {
	jwt := func(payload string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
	}
	exp := func(d time.Duration) string { return fmt.Sprintf(`{"exp":%d}`, epoch.Add(d).Unix()) }
	for _, tt := range []struct {
		name, token, expires string
		want                 time.Duration
	}{
		{"stated", "at", `"expires_in":900`, 15 * time.Minute},
		{"stated counts before the token's own", jwt(exp(time.Hour)), `"expires_in":900`, 15 * time.Minute},
		{"a day at most", "at", `"expires_in":1e12`, endpoint.MaxLifetime},
		{"no time", "at", `"expires_in":0`, 0},
		{"no number", "at", `"expires_in":"soon"`, 0},
		{"not told", "at", `"x":1`, endpoint.DefaultLifetime},
		{"null", "at", `"expires_in":null`, endpoint.DefaultLifetime},
		{"the token's own", jwt(exp(time.Hour)), `"x":1`, time.Hour},
		{"the token's own, a year", jwt(exp(9000 * time.Hour)), `"x":1`, endpoint.MaxLifetime},
		{"the token's own, over", jwt(exp(-time.Hour)), `"x":1`, 0},
		{"the token has none", jwt(`{}`), `"x":1`, endpoint.DefaultLifetime},
		{"the token's is no time", jwt(`{"exp":"soon"}`), `"x":1`, endpoint.DefaultLifetime},
		{"the token says it twice (S24)", jwt(`{"exp":1,"exp":2}`), `"x":1`, endpoint.DefaultLifetime},
		{"no JWT", "a.b", `"x":1`, endpoint.DefaultLifetime},
		{"no base64", "a.!.c", `"x":1`, endpoint.DefaultLifetime},
	} {
		srv := play(t, step{200, nil, `{"access_token":"` + tt.token + `","token_type":"Bearer",` + tt.expires + `}`})
		if got, err := endpoint.GetToken(context.Background(), nil, tokenRequest(srv.URL)); err != nil || !got.Expires.Equal(epoch.Add(tt.want)) {
			t.Errorf("%s: expires %v after now, %v; want %v", tt.name, got.Expires.Sub(epoch), err, tt.want)
		}
	}
}

// The end of a token is a time of day: a program that keeps it while the laptop sleeps
// would otherwise compare it with a monotonic clock that stood still.
func TestGetTokenExpiryIsNotMonotonic(t *testing.T) {
	for _, expires := range []string{`"expires_in":900`, `"expires_in":0`, `"x":1`} {
		srv := play(t, step{200, nil, `{"access_token":"at","token_type":"Bearer",` + expires + `}`})
		r := tokenRequest(srv.URL)
		r.Now = nil
		if got, err := endpoint.GetToken(context.Background(), nil, r); err != nil || got.Expires != got.Expires.Round(0) {
			t.Errorf("%s: expires %v, %v", expires, got.Expires, err)
		}
	}
}

// A1, A5, A6, A7; package idjag's tests of Redeem go through the same code in detail.
func TestGetTokenChecks(t *testing.T) {
	for _, tt := range []struct{ name, body, rule, warning string }{
		{"A1 absent", `{"token_type":"Bearer"}`, "A1", ""},
		{"A1 line end (S26)", `{"access_token":"a\r\nb","token_type":"Bearer"}`, "A1", ""},
		{"A5 without bounds", `{"access_token":"at","token_type":"Bearer","scope":"` + strings.Repeat("a ", 16<<10) + `"}`, "A5", ""},
		{"A5 no text", `{"access_token":"at","token_type":"Bearer","scope":["read"]}`, "A5", ""},
		{"A6 another type", `{"access_token":"at","token_type":"Bearer","issued_token_type":"urn:x:id_token"}`, "", "issued_token_type"},
		{"A7 another resource", `{"access_token":"at","token_type":"Bearer","resource":"https://other.example"}`, "A7", ""},
		{"A7 our resource", `{"access_token":"at","token_type":"Bearer","resource":"` + resource + `"}`, "", ""},
	} {
		srv := play(t, step{200, nil, tt.body})
		got, err := endpoint.GetToken(context.Background(), nil, tokenRequest(srv.URL))
		var check *endpoint.CheckError
		switch {
		case tt.rule != "" && (!errors.As(err, &check) || check.Rule != tt.rule || !got.AccessToken.IsZero()):
			t.Errorf("%s: GetToken = %+v, %v; want rule %s", tt.name, got, err, tt.rule)
		case tt.rule == "" && (err != nil || !strings.Contains(strings.Join(got.Warnings, "\n"), tt.warning) || tt.warning == "" && got.Warnings != nil):
			t.Errorf("%s: GetToken = %+v, %v", tt.name, got, err)
		}
	}
	// The refresh token of an answer that is of no use may have replaced another.
	srv := play(t, step{200, nil, `{"access_token":"at","refresh_token":"rt-2"}`})
	if got, err := endpoint.GetToken(context.Background(), nil, tokenRequest(srv.URL)); err == nil || got.RefreshToken.Reveal() != "rt-2" || !got.AccessToken.IsZero() {
		t.Errorf("GetToken = %+v, %v", got, err)
	}
	srv = play(t, step{400, nil, `{"error":"invalid_grant"}`})
	var refused *endpoint.Error
	if _, err := endpoint.GetToken(context.Background(), nil, tokenRequest(srv.URL)); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
		t.Errorf("GetToken = %v", err)
	}
}
