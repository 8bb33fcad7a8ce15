package idjag_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const assertion = "header.canary-idjag.signature"

func goodRedeem() idjag.RedeemRequest {
	return idjag.RedeemRequest{Client: clientauth.Client{ID: "cli-at-as", Secret: secret.New("canary-secret")},
		Grant:    idjag.Grant{Assertion: secret.New(assertion), Scopes: []string{"read", "write"}},
		Resource: resource, Scopes: []string{"read", "write"}, Now: atEpoch}
}

func redeemForm() url.Values {
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion},
		"resource": {resource}, "scope": {"read write"}}
}

func redeemAnswer() object {
	return object{"access_token": "at-1", "token_type": "Bearer", "expires_in": 900}
}

func TestRedeem(t *testing.T) {
	r := goodRedeem()
	r.Endpoint = serve(t, redeemForm(), encode(t, redeemAnswer()))
	got, err := idjag.Redeem(context.Background(), nil, r)
	if err != nil {
		t.Fatal(err)
	}
	want := idjag.Token{Type: "Bearer", Expires: epoch.Add(15 * time.Minute), Scopes: []string{"read", "write"}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(idjag.Token{}, "AccessToken")); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if got.AccessToken.Reveal() != "at-1" {
		t.Error("the access token is another one")
	}
}

func TestRedeemSends(t *testing.T) {
	form := redeemForm()
	form.Del("resource")
	form.Del("scope")
	r := goodRedeem()
	r.Resource, r.Scopes = "", nil
	r.Endpoint = serve(t, form, encode(t, with(redeemAnswer(), "scope", "read")))
	if got, err := idjag.Redeem(context.Background(), nil, r); err != nil || len(got.Warnings) != 0 || len(got.Scopes) != 1 {
		t.Errorf("Redeem = %+v, %v", got, err)
	}
}

// What is not in the grant is not asked for, and nothing incomplete is sent.
func TestRedeemRefusesToSend(t *testing.T) {
	for name, change := range map[string]func(*idjag.RedeemRequest){
		"no endpoint":            func(r *idjag.RedeemRequest) { r.Endpoint = "" },
		"no ID-JAG":              func(r *idjag.RedeemRequest) { r.Grant = idjag.Grant{} },
		"wider than the grant":   func(r *idjag.RedeemRequest) { r.Grant.Scopes = []string{"read"} },
		"a grant of no scope":    func(r *idjag.RedeemRequest) { r.Grant.Scopes = []string{} },
		"no client id":           func(r *idjag.RedeemRequest) { r.Client.ID = "" },
		"a method without a key": func(r *idjag.RedeemRequest) { r.Client.Method = clientauth.PrivateKeyJWT },
	} {
		r := goodRedeem()
		r.Endpoint = as + "token"
		change(&r)
		got, err := idjag.Redeem(context.Background(), &http.Client{Transport: canned{string(encode(t, redeemAnswer()))}}, r)
		if err == nil || !got.AccessToken.IsZero() {
			t.Errorf("%s: sent", name)
		}
	}
	r := goodRedeem()
	r.Grant.Scopes = nil // a grant made by hand
	r.Endpoint = serve(t, redeemForm(), encode(t, redeemAnswer()))
	if _, err := idjag.Redeem(context.Background(), nil, r); err != nil {
		t.Errorf("a grant whose scopes nobody knows: %v", err)
	}
}

func TestRedeemChecks(t *testing.T) {
	tests := []struct {
		name    string
		member  string
		value   any // nil leaves it out
		rule    string
		danger  bool
		warning string
		expires time.Duration // after epoch; 15 minutes when zero
	}{
		{"A1 absent", "access_token", nil, "A1", false, "", 0},
		{"A1 empty", "access_token", "", "A1", false, "", 0},
		{"A1 no text", "access_token", []string{"at"}, "A1", false, "", 0},
		{"A1 line end (S26)", "access_token", "at\r\nX-Evil: 1", "A1", true, "", 0},
		{"A1 final line end", "access_token", "at\n", "A1", true, "", 0},
		{"A1 space", "access_token", "a t", "A1", true, "", 0},
		{"A1 DEL", "access_token", "a\x7f", "A1", true, "", 0},
		{"A1 not ASCII", "access_token", "é", "A1", true, "", 0},
		{"A1 all that is visible", "access_token", `!"#~{}\`, "", false, "", 0},
		{"A2 absent", "token_type", nil, "A2", false, "", 0},
		{"A2 empty", "token_type", "", "A2", false, "", 0},
		{"A2 null", "token_type", json.RawMessage("null"), "A2", false, "", 0},
		{"A2 unknown", "token_type", "mac", "A2", false, "", 0},
		{"A2 N_A", "token_type", "N_A", "A2", false, "", 0},
		{"A2 no text", "token_type", true, "A2", false, "", 0},
		{"A2 lower case", "token_type", "bearer", "", false, "", 0},
		{"A3 DPoP", "token_type", "dpop", "A3", true, "", 0},
		{"A4 text", "expires_in", "60", "", false, "", time.Minute},
		{"A4 fraction", "expires_in", 1.5, "", false, "", 1500 * time.Millisecond},
		{"A4 exponent", "expires_in", json.RawMessage("6e1"), "", false, "", time.Minute},
		{"A4 zero", "expires_in", 0, "", false, "not a length of time", -1},
		{"A4 below zero", "expires_in", -60, "", false, "not a length of time", -1},
		{"A4 words", "expires_in", "soon", "", false, "not a length of time", -1},
		{"A4 list", "expires_in", []int{60}, "", false, "not a length of time", -1},
		{"A4 a day and more", "expires_in", 86401, "", false, "", 24 * time.Hour},
		{"A4 beyond any clock", "expires_in", 1e300, "", false, "", 24 * time.Hour},
		{"A4 no number of that size", "expires_in", json.RawMessage("1e999"), "", false, "not a length of time", -1},
		{"A4 absent", "expires_in", nil, "", false, "", idjag.DefaultLifetime},
		{"A4 null", "expires_in", json.RawMessage("null"), "", false, "", idjag.DefaultLifetime},
		{"A5 no text", "scope", 1, "A5", false, "", 0},
		{"A5 wider", "scope", "read write admin", "", false, `more than was asked for: ["admin"]`, 0},
		{"A6 access token", "issued_token_type", "urn:ietf:params:oauth:token-type:access_token", "", false, "", 0},
		{"A6 another type", "issued_token_type", "urn:ietf:params:oauth:token-type:id_token", "", false, "want an access token", 0},
		{"A7 ours", "resource", resource, "", false, "", 0},
		{"A7 another", "resource", resource + "/", "A7", true, "", 0},
		{"A7 list", "resource", []string{resource}, "A7", true, "", 0},
		{"refresh token", "refresh_token", "canary-rt", "", false, "it was dropped", 0},
		{"unknown member", "ok", true, "", false, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := goodRedeem()
			r.Endpoint = serve(t, redeemForm(), encode(t, with(redeemAnswer(), tt.member, tt.value)))
			got, err := idjag.Redeem(context.Background(), nil, r)
			if tt.rule != "" {
				var check *idjag.CheckError
				if !errors.As(err, &check) || check.Rule != tt.rule || check.Security != tt.danger {
					t.Errorf("Redeem = %v (%+v), want rule %s", err, check, tt.rule)
				}
				if !got.AccessToken.IsZero() || !cmp.Equal(idjag.Token{}, got, cmpopts.IgnoreFields(idjag.Token{}, "AccessToken")) {
					t.Errorf("an error with a token: %+v", got)
				}
				return
			}
			if err != nil || got.Type != "Bearer" {
				t.Fatalf("Redeem = %+v, %v", got, err)
			}
			life := tt.expires
			switch life {
			case 0:
				life = 15 * time.Minute
			case -1:
				life = 0
			}
			if !got.Expires.Equal(epoch.Add(life)) {
				t.Errorf("expires %v after now, want %v", got.Expires.Sub(epoch), life)
			}
			if w := strings.Join(got.Warnings, "\n"); (w == "") != (tt.warning == "") || !strings.Contains(w, tt.warning) || strings.Contains(w, "canary") {
				t.Errorf("warnings %q, want %q", got.Warnings, tt.warning)
			}
		})
	}
}

func TestRedeemScopes(t *testing.T) {
	for _, tt := range []struct {
		scope            any
		granted, reduced []string
	}{
		{nil, []string{"read", "write"}, nil},
		{json.RawMessage("null"), []string{"read", "write"}, nil},
		{"read", []string{"read"}, []string{"write"}},
		{"", []string{}, []string{"read", "write"}},
		{"  write  read ", []string{"write", "read"}, nil},
	} {
		r := goodRedeem()
		r.Endpoint = serve(t, redeemForm(), encode(t, with(redeemAnswer(), "scope", tt.scope)))
		got, err := idjag.Redeem(context.Background(), nil, r)
		if diff := cmp.Diff([][]string{tt.granted, tt.reduced}, [][]string{got.Scopes, got.Reduced}); err != nil || diff != "" {
			t.Errorf("scope %v: %v (-want +got):\n%s", tt.scope, err, diff)
		}
	}
}

// A token whose lifetime the answer does not tell may tell it itself (1.7).
func TestRedeemLifetimeOfTheToken(t *testing.T) {
	key := newKey(t)
	for _, tt := range []struct {
		name   string
		claims object
		want   time.Duration
	}{
		{"an hour", object{"exp": epoch.Add(time.Hour).Unix()}, time.Hour},
		{"a year", object{"exp": epoch.AddDate(1, 0, 0).Unix()}, idjag.MaxLifetime},
		{"over", object{"exp": epoch.Add(-time.Hour).Unix()}, 0},
		{"not told", object{}, idjag.DefaultLifetime},
		{"unreadable", object{"exp": "soon"}, idjag.DefaultLifetime},
	} {
		answer := with(redeemAnswer(), "expires_in", nil)
		answer["access_token"] = key.sign(t, object{"typ": "at+jwt", "alg": "ES256"}, tt.claims)
		r := goodRedeem()
		r.Endpoint = serve(t, redeemForm(), encode(t, answer))
		if got, err := idjag.Redeem(context.Background(), nil, r); err != nil || !got.Expires.Equal(epoch.Add(tt.want)) {
			t.Errorf("%s: expires %v after now, %v; want %v", tt.name, got.Expires.Sub(epoch), err, tt.want)
		}
	}
}

// An error has no token; a token fits a header and its lifetime is bounded.
func FuzzRedeemAnswer(f *testing.F) {
	f.Add(string(encode(f, redeemAnswer())))
	f.Add(`{"access_token":"a\u000d\u000ab","token_type":"bearer"}`)
	f.Add(`{"access_token":"` + newKey(f).sign(f, goodHeader(), goodClaims()) + `","token_type":"Bearer","scope":""}`)
	f.Add(`{"access_token":"a","token_type":"Bearer","expires_in":"1e30","resource":null,"issued_token_type":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := goodRedeem()
		r.Endpoint = as + "token"
		got, err := idjag.Redeem(context.Background(), &http.Client{Transport: canned{body}}, r)
		if err != nil {
			if !got.AccessToken.IsZero() || !got.Expires.IsZero() || got.Scopes != nil || got.Warnings != nil {
				t.Fatalf("an error with a token: %+v", got)
			}
			return
		}
		at := got.AccessToken.Reveal()
		if at == "" || strings.ContainsFunc(at, func(r rune) bool { return r <= ' ' || r > '~' }) || got.Type != "Bearer" {
			t.Fatalf("taken: %q, %q", at, got.Type)
		}
		if life := got.Expires.Sub(epoch); life < 0 || life > idjag.MaxLifetime {
			t.Fatalf("lifetime %v", life)
		}
	})
}
