package endpoint_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const canary = "canary-7f3a"

// post posts a form full of secrets to a server that answers with h.
func post(t testing.TB, h http.HandlerFunc) (endpoint.Answer, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	return endpoint.Post(context.Background(), srv.Client(), request(srv.URL+"/token?tenant=1"))
}

func request(to string) endpoint.Request {
	return endpoint.Request{URL: to,
		Form:   url.Values{"grant_type": {"x"}, "subject_token": {canary}},
		Client: clientauth.Client{ID: "cli", Secret: secret.New(canary), Method: clientauth.SecretPost}}
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestPostSends(t *testing.T) {
	r := request("")
	var got *http.Request
	_, err := post(t, func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		got = req
		io.WriteString(w, "{}")
	})
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"grant_type": {"x"}, "subject_token": {canary}, "client_id": {"cli"}, "client_secret": {canary}}
	if diff := cmp.Diff(want, got.PostForm); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if got.Method != "POST" || got.URL.RawQuery != "tenant=1" || got.Header.Get("Accept") != "application/json" ||
		got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || got.ContentLength <= 0 || got.Header.Get("Authorization") != "" {
		t.Errorf("request %s %s %v, %d bytes", got.Method, got.URL, got.Header, got.ContentLength)
	}
	if len(r.Form) != 2 {
		t.Errorf("the caller's form was changed to %v", r.Form)
	}
}

func TestPostKeepsTheForm(t *testing.T) {
	srv := httptest.NewServer(answer(200, "application/json", "{}"))
	defer srv.Close()
	r := request(srv.URL)
	for range 2 { // the same request again
		if _, err := endpoint.Post(context.Background(), nil, r); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(request("").Form, r.Form); diff != "" {
		t.Errorf("the caller's form was changed (-want +got):\n%s", diff)
	}
	r.Form = nil
	if _, err := endpoint.Post(context.Background(), nil, r); err != nil {
		t.Errorf("Post without a form = %v", err)
	}
}

func TestPostAnswers(t *testing.T) {
	a, err := post(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
		answer(200, "application/json; charset=utf-8", `{"access_token":"at","expires_in":"90","null":null,"list":[1],"error":"","more":{"x":1}}`)(w, r)
	})
	if err != nil || a.Note != "" {
		t.Fatalf("Post = note %q, %v", a.Note, err)
	}
	if want := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC); !a.Date.Equal(want) {
		t.Errorf("Date = %v, want %v", a.Date, want)
	}
	if s, err := a.Text("access_token"); s != "at" || err != nil {
		t.Errorf("access_token = %q, %v", s, err)
	}
	if s, err := a.Text("Access_Token"); s != "" || err != nil || a.Has("Access_Token") { // 3.3.6
		t.Errorf("Access_Token = %q, %v: names must match exactly", s, err)
	}
	if d, ok, err := a.Seconds("expires_in"); d != 90*time.Second || !ok || err != nil {
		t.Errorf("expires_in = %v, %v, %v", d, ok, err)
	}
	if _, err := a.Text("list"); err == nil || a.Has("null") || !a.Has("list") {
		t.Errorf("list as text: %v; null there: %v", err, a.Has("null"))
	}
}

func TestPostNotesContentType(t *testing.T) {
	for contentType, want := range map[string]string{
		"application/json": "", "Application/JSON ; x=y": "",
		"text/plain":                       `the answer has the content type "text/plain"`,
		"text/" + strings.Repeat("a", 900): `the answer has the content type "text/` + strings.Repeat("a", 59) + `…"`,
		"text/\u202e":                      `the answer has the content type ""`,
		"/":                                `the answer has the content type ""`,
	} {
		if a, err := post(t, answer(200, contentType, `{"access_token":"at"}`)); err != nil || a.Note != want {
			t.Errorf("%.40q: note %q, %v; want %q", contentType, a.Note, err, want)
		}
	}
}

// S9 and A9: a form full of secrets goes nowhere else, whatever the client would do.
func TestPostFollowsNoRedirect(t *testing.T) {
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer elsewhere.Close()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		for _, location := range []string{elsewhere.URL, "/again", ""} {
			_, err := post(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/again" {
					reached.Store(true)
				}
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(status)
			})
			var refused *endpoint.Error
			if !errors.As(err, &refused) || refused.Strange != "a redirect" || refused.Status != status || refused.Temporary() {
				t.Errorf("%d to %q = %v", status, location, err)
			}
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

// net/http reads the address of a redirect before it asks whether to go there.
func TestPostUnreadableRedirect(t *testing.T) {
	_, err := post(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://[::1"+strings.Repeat("x", 5000))
		w.WriteHeader(307)
	})
	var refused *endpoint.Error
	if !errors.As(err, &refused) || refused.Strange != "a redirect" {
		t.Errorf("Post = %.400v", err)
	}
}

func TestRevoke(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"done", 200, "", ""},
		{"done, with a body that means nothing", 200, "<html>", ""},
		{"no content", 204, "", ""},
		{"refused", 400, `{"error":"unsupported_token_type"}`, `answered "unsupported_token_type" (HTTP 400)`},
		{"redirect", 302, "", "a redirect"},
		{"too large", 503, strings.Repeat("{", endpoint.MaxAnswer+1), "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(answer(tt.status, "application/json", tt.body))
			defer srv.Close()
			err := endpoint.Revoke(context.Background(), nil, request(srv.URL))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Revoke = %v, want %q", err, tt.want)
			}
		})
	}
}

// Secrets of the form show in no error, however the request fails.
func TestPostFailsWithoutSecrets(t *testing.T) {
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangUp.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"access_token":"`+canary)
	}))
	defer cut.Close()
	for name, to := range map[string]string{
		"refused connection": refusingURL(t) + "/t?s=" + canary,
		"hung up":            hangUp.URL,
		"cut answer":         cut.URL,
		"no URL":             "http://[" + canary,
		"control character":  "http://host/\x1b" + canary,
		"empty URL":          "",
		"other scheme":       "ftp://user:" + canary + "@host/",
		"user in URL":        strings.Replace(refusingURL(t), "://", "://"+canary+":"+canary+"@", 1),
		"fragment":           refusingURL(t) + "/#" + canary,
	} {
		t.Run(name, func(t *testing.T) {
			a, err := endpoint.Post(context.Background(), nil, request(to))
			if err == nil || a.Has("access_token") {
				t.Fatal("Post worked")
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a secret: %v", err)
			}
			if err := endpoint.Revoke(context.Background(), nil, request(to)); to != cut.URL && (err == nil || strings.Contains(err.Error(), canary)) {
				t.Errorf("Revoke = %v", err)
			}
		})
	}
	r := request(hangUp.URL)
	r.Client.ID = ""
	if _, err := endpoint.Post(context.Background(), nil, r); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("without a client id: %v", err)
	}
}

func TestPostObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body)
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		cancel() // in the middle of the answer
		<-r.Context().Done()
	}))
	defer srv.Close()
	if _, err := endpoint.Post(ctx, nil, request(srv.URL)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while reading: %v", err)
	}
	if _, err := endpoint.Post(ctx, nil, request(srv.URL)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	late, stop := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer stop()
	if _, err := endpoint.Post(late, nil, request(srv.URL)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}

// Every body is read to its end and closed, so that the connection is used again.
func TestPostReusesConnection(t *testing.T) {
	answers := []http.HandlerFunc{
		answer(200, "application/json", `{"access_token":"at"}`), answer(400, "application/json", `{"error":"invalid_grant"}`),
		answer(502, "text/html", "<html>"+strings.Repeat("x", 1000)), answer(302, "", ""), answer(200, "", ""),
	}
	var calls, opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		answers[int(calls.Add(1))%len(answers)](w, r)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	for range 2 * len(answers) {
		endpoint.Post(context.Background(), srv.Client(), request(srv.URL))
		endpoint.Revoke(context.Background(), srv.Client(), request(srv.URL))
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections for %d requests, want 1", opened.Load(), calls.Load())
	}
}

// refusingURL is an address where nobody listens.
func refusingURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
