package endpoint_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

const js = "application/json"

func TestPostRefusals(t *testing.T) {
	long := strings.Repeat("é", 100)
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   endpoint.Error // but for Endpoint and Date; MaxAge is -1 unless set
		text   string         // after the endpoint
	}{
		{"RFC 6749 5.2", answer(400, js, `{"error":"invalid_grant","error_description":"no \u001b[31m","error_uri":"https://x.example"}`),
			endpoint.Error{Status: 400, Code: "invalid_grant", Description: "no \x1b[31m", URI: "https://x.example"}, `answered "invalid_grant" (HTTP 400)`},
		{"RFC 9470 3", answer(401, js, `{"error":"insufficient_user_authentication","acr_values":"a b","max_age":300}`),
			endpoint.Error{Status: 401, Code: "insufficient_user_authentication", ACRValues: "a b", MaxAge: 5 * time.Minute}, `answered "insufficient_user_authentication" (HTTP 401)`},
		{"max_age of a wrong type", answer(401, js, `{"error":"x","max_age":"soon","acr_values":[1],"error_description":{}}`),
			endpoint.Error{Status: 401, Code: "x"}, `answered "x" (HTTP 401)`},
		{"max_age below zero", answer(401, js, `{"error":"x","max_age":-5}`), endpoint.Error{Status: 401, Code: "x"}, `answered "x" (HTTP 401)`},
		{"long code with control characters", answer(400, js, `{"error":"`+long+`"}`),
			endpoint.Error{Status: 400, Code: long}, `answered "` + strings.Repeat("é", 64) + `…" (HTTP 400)`},
		{"escape in the code", answer(400, js, `{"error":"\u001b[2J\u202e"}`), endpoint.Error{Status: 400, Code: "\x1b[2J\u202e"}, `answered "\x1b[2J\u202e" (HTTP 400)`},
		{"3.2: 200 and not ok", answer(200, js, `{"ok":false,"error":"access_denied"}`),
			endpoint.Error{Status: 200, Code: "access_denied"}, `answered "access_denied" (HTTP 200)`},
		{"200 with an error and an empty token", answer(200, js, `{"error":"access_denied","access_token":""}`),
			endpoint.Error{Status: 200, Code: "access_denied"}, `answered "access_denied" (HTTP 200)`},
		{"200 with an error and no text for a token", answer(200, js, `{"error":"access_denied","access_token":7}`),
			endpoint.Error{Status: 200, Code: "access_denied"}, `answered "access_denied" (HTTP 200)`},
		{"Error is not error", answer(400, js, `{"Error":"invalid_grant"}`),
			endpoint.Error{Status: 400, Strange: "JSON without an error code"}, "answered with JSON without an error code (HTTP 400)"},
		{"error of a wrong type", answer(400, js, `{"error":{"code":"x"}}`),
			endpoint.Error{Status: 400, Strange: "JSON without an error code"}, "answered with JSON without an error code (HTTP 400)"},
		{"201", answer(201, js, `{"access_token":"at"}`), endpoint.Error{Status: 201, Strange: "JSON without an error code"}, "answered with JSON without an error code (HTTP 201)"},
		{"web page, by its type", answer(200, "Text/HTML", "hello"), endpoint.Error{Status: 200, Strange: "a web page"}, "answered with a web page (HTTP 200)"},
		{"web page, by its text", answer(502, "", " <!DOCTYPE html>"), endpoint.Error{Status: 502, Strange: "a web page"}, "answered with a web page (HTTP 502)"},
		{"empty", answer(200, js, ""), endpoint.Error{Status: 200, Strange: "an empty answer"}, "answered with an empty answer (HTTP 200)"},
		{"S25: huge", answer(200, js, `{"a":"`+strings.Repeat("x", endpoint.MaxAnswer)+`"}`),
			endpoint.Error{Status: 200, Strange: "an answer that is too large"}, "answered with an answer that is too large (HTTP 200)"},
		{"S25: huge when unpacked", bomb, endpoint.Error{Status: 200, Strange: "an answer that is too large"}, "answered with an answer that is too large (HTTP 200)"},
		{"S24: two tokens", answer(200, js, `{"access_token":"a","access_token":"b"}`),
			endpoint.Error{Status: 200, Strange: `something unusable (member "access_token" stands twice)`}, `answered with something unusable (member "access_token" stands twice) (HTTP 200)`},
		{"S24: long name twice", answer(200, js, `{"`+long+`":1,"`+long+`":2}`),
			endpoint.Error{Status: 200, Strange: `something unusable (member "` + strings.Repeat("é", 56) + `…)`}, "answered with something unusable (member \"" + strings.Repeat("é", 56) + "…) (HTTP 200)"},
		{"array", answer(200, js, `[]`), endpoint.Error{Status: 200, Strange: "something unusable (not a JSON object)"}, "answered with something unusable (not a JSON object) (HTTP 200)"},
		{"null", answer(200, js, `null`), endpoint.Error{Status: 200, Strange: "something unusable (not a JSON object)"}, "answered with something unusable (not a JSON object) (HTTP 200)"},
		{"two objects", answer(200, js, `{}{}`), endpoint.Error{Status: 200, Strange: "something unusable (more than one JSON value)"}, "answered with something unusable (more than one JSON value) (HTTP 200)"},
		{"form encoded", answer(200, "", `access_token=at`), endpoint.Error{Status: 200, Strange: "something unusable (not valid JSON)"}, "answered with something unusable (not valid JSON) (HTTP 200)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := post(t, tt.answer)
			var got *endpoint.Error
			if !errors.As(err, &got) {
				t.Fatalf("Post = %v, want an *Error", err)
			}
			if tt.want.MaxAge == 0 {
				tt.want.MaxAge = -1
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreFields(endpoint.Error{}, "Endpoint", "Date")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got.Date.IsZero() || a.Has("access_token") || a.Note != "" || !a.Date.IsZero() {
				t.Errorf("date %v, answer %+v", got.Date, a)
			}
			if !strings.HasSuffix(got.Endpoint, "/token") {
				t.Errorf("endpoint %q", got.Endpoint)
			}
			if text := got.Endpoint + " " + tt.text; err.Error() != text {
				t.Errorf("text %q, want %q", err, text)
			}
		})
	}
}

// bomb is a few hundred bytes on the wire.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, `{"a":"`+strings.Repeat("x", 2*endpoint.MaxAnswer)+`"}`)
	z.Close()
}

// A 200 that has both a token and an error is for the caller to judge.
func TestPostTokenWithError(t *testing.T) {
	if a, err := post(t, answer(200, js, `{"access_token":"at","error":"x"}`)); err != nil || !a.Has("access_token") {
		t.Errorf("Post = %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	const date = "Sun, 22 Nov 2026 12:00:00 GMT"
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "+7": 0, "1.5": 0, "soon": 0, "7s": 0,
		"86401": 24 * time.Hour, "4294967296": 24 * time.Hour, strings.Repeat("9", 400): 24 * time.Hour,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, date: 0, "Sun, 22 Nov 2026 11:00:00 GMT": 0,
		"Fri, 22 Nov 9999 12:00:00 GMT": 24 * time.Hour, "Sunday, 22-Nov-26 12:00:30 GMT": 30 * time.Second,
	} {
		_, err := post(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", date)
			w.Header().Set("Retry-After", value)
			answer(503, js, `{"error":"temporarily_unavailable"}`)(w, r)
		})
		var got *endpoint.Error
		if !errors.As(err, &got) || got.RetryAfter != want || got.Date.Minute() != 0 || got.Date.IsZero() {
			t.Errorf("Retry-After %.40q = %+v, want %v", value, err, want)
		}
	}
}

// A refusal by policy is never a reason to ask again (2.4).
func TestTemporary(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		want   bool
	}{
		{500, "", true}, {502, "", true}, {503, "temporarily_unavailable", true}, {500, "server_error", true},
		{503, "Service Unavailable", true}, {429, "", true}, {429, "access_denied", true}, {408, "", true}, {400, "temporarily_unavailable", true},
		{500, "invalid_grant", false}, {500, "access_denied", false}, {503, "invalid_target", false}, {500, "invalid_client", false},
		{501, "unsupported_grant_type", false}, {500, "insufficient_user_authentication", false},
		{500, "invalid_dpop_proof", false}, {503, "use_dpop_nonce", false},
		{400, "", false}, {400, "server_error", false}, {403, "access_denied", false}, {404, "", false}, {200, "x", false}, {302, "", false},
	} {
		if got := (&endpoint.Error{Status: tt.status, Code: tt.code}).Temporary(); got != tt.want {
			t.Errorf("%d %q: Temporary = %v, want %v", tt.status, tt.code, got, tt.want)
		}
	}
}

// An error comes with a zero Answer; its text is short and fit for a terminal.
func FuzzPost(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"at","expires_in":1}`, `{"error":"invalid_grant","error_description":"\u001b"}`, `{"a":1,"a":2}`, "<html>", "", "null",
		`{"error":"\u202e\u0000"}`, `{"max_age":1e400,"error":"x"}`, `{"error":"x","access_token":null}`, "\ufeff{}", "{\"\x80\":1}",
	} {
		for _, status := range []int{200, 400, 307, 503} {
			f.Add(status, "application/json", "5", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, contentType, retry string, body []byte) {
		client := &http.Client{Transport: canned{status, contentType, retry, string(body)}}
		a, err := endpoint.Post(context.Background(), client, request("https://as.example/token"))
		if err == nil {
			if status != 200 {
				t.Fatalf("status %d taken", status)
			}
			return
		}
		if diff := cmp.Diff(endpoint.Answer{}, a, cmp.AllowUnexported(endpoint.Answer{})); diff != "" {
			t.Fatalf("an error with an answer: %s", diff)
		}
		text := err.Error()
		if utf8.RuneCountInString(text) > 500 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("text of %d bytes: %q", len(text), text)
		}
		var refused *endpoint.Error
		if errors.As(err, &refused) && (refused.RetryAfter < 0 || refused.RetryAfter > 24*time.Hour || refused.MaxAge < -1) {
			t.Fatalf("wait %v, age %v", refused.RetryAfter, refused.MaxAge)
		}
		if shown := fmt.Sprintf("%v %+v", err, err); strings.Contains(shown, canary) {
			t.Fatal("the error shows the form")
		}
	})
}

// canned is a transport that answers without a network.
type canned struct {
	status                   int
	contentType, retry, body string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	h := http.Header{"Content-Type": {c.contentType}, "Retry-After": {c.retry}}
	return &http.Response{StatusCode: c.status, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}
