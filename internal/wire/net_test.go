package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// What the server gets is what was checked: form, token and User-Agent, over
// HTTP/2, and nothing of the caller's request is changed.
func TestRequestArrives(t *testing.T) {
	var got []string
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = []string{r.Proto, r.Method, r.URL.String(), r.UserAgent(), r.Header.Get("Authorization"), string(body)}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	n := newNet(t, Options{CAFile: caFile(t, srv), UserAgent: "mcpauth/test"})
	n.Configured(srv.URL)
	n.Permit(SubjectToken, secret.New("id-token-0123456789"), Endpoint(srv.URL+"/token"))
	n.Permit(AccessToken, secret.New("access-0123456789"), Prefix(srv.URL+"/mcp"))

	post := newRequest("POST", srv.URL+"/token", "subject_token=id-token-0123456789&a=b+c")
	post.ContentLength = -1 // unknown to the caller, known to us
	rpc := newRequest("POST", srv.URL+"/mcp/x", `{"jsonrpc":"2.0"}`)
	rpc.Header.Set("Content-Type", "application/json")
	rpc.Header.Set("Authorization", "Bearer access-0123456789")
	rpc.Header.Set("User-Agent", "mine")
	for _, tt := range []struct {
		req  *http.Request
		want []string
	}{
		{post, []string{"HTTP/2.0", "POST", "/token", "mcpauth/test", "", "subject_token=id-token-0123456789&a=b+c"}},
		{rpc, []string{"HTTP/2.0", "POST", "/mcp/x", "mine", "Bearer access-0123456789", `{"jsonrpc":"2.0"}`}},
	} {
		headers := fmt.Sprint(tt.req.Header)
		resp, err := n.Client().Do(tt.req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if fmt.Sprint(tt.req.Header) != headers || resp.Request != tt.req && resp.Request.URL != tt.req.URL {
			t.Error("the caller's request was changed")
		}
	}
}

// The log has host, path and status, and no query, header or body.
func TestLog(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "in-body", http.StatusTeapot) })
	var logged strings.Builder
	n := newNet(t, Options{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	n.Configured(srv.URL)
	req := newRequest("GET", srv.URL+"/a/path?in=query", "")
	req.Header.Set("X-In", "header")
	resp, err := n.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	n.Client().Get("http://10.1.2.3/x?in=query")
	for _, s := range []string{"method=GET", "host=127.0.0.1:", "path=/a/path", "status=418", "duration=", "host=10.1.2.3", `class="stopped for security"`} {
		if !strings.Contains(logged.String(), s) {
			t.Errorf("the log lacks %q: %s", s, logged.String())
		}
	}
	for _, s := range []string{"query", "X-In", "header", "in-body"} {
		if strings.Contains(logged.String(), s) {
			t.Errorf("the log holds %q: %s", s, logged.String())
		}
	}
}

func TestCAFile(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "text": "hello", "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"broken": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no")}))} {
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(content), 0o600)
		if n, err := New(Options{CAFile: path}); err == nil || n != nil {
			t.Errorf("%s: %v, want an error", name, err)
		}
	}
	if _, err := New(Options{CAFile: filepath.Join(dir, "absent")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	for _, tt := range []struct {
		name string
		opt  Options
		url  string
		want Class
	}{
		{"trusted", Options{CAFile: caFile(t, srv)}, srv.URL, None},
		{"not trusted", Options{}, srv.URL, Certificate},
		{"other name", Options{CAFile: caFile(t, srv), Resolver: fakeDNS(map[string][]string{"wrong.test": {"127.0.0.1"}})}, strings.Replace(srv.URL, "127.0.0.1", "wrong.test", 1), WrongHost},
	} {
		n := newNet(t, tt.opt)
		n.Configured(tt.url)
		resp, err := n.Client().Get(tt.url)
		if err == nil {
			resp.Body.Close()
		}
		if got := Classify(err); got != tt.want {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

// A dial waits for the certificates, and no longer than its caller does.
func TestRootsAreWaitedFor(t *testing.T) {
	r := newRoots(nil)
	r.once.Do(func() {}) // never starts to load
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want canceled", err)
	}
	r = newRoots(nil)
	if err := r.wait(context.Background()); err != nil {
		t.Error(err)
	}
	if system, _ := x509.SystemCertPool(); !r.pool.Equal(system) {
		t.Error("the system's certificates are not there after the wait")
	}
}

// Real failures get the class that tells a person what to do.
func TestClassify(t *testing.T) {
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	// It answers with its own version, 1.1, instead of saying that there is none for both.
	older := listening(t, []byte("\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02"+strings.Repeat("r", 32)+"\x00\x00\x2f\x00"))
	// It says that it does not like what was offered (handshake_failure).
	unable := listening(t, []byte("\x15\x03\x01\x00\x02\x02\x28"))
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	breaks := func(reset bool) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			if reset {
				conn.(*net.TCPConn).SetLinger(0)
			}
			conn.Close()
		}).URL
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct {
		name, url string
		want      Class
	}{
		{"no such name", "https://gone.example/", DNS},
		{"nobody listens", "http://" + closed.Addr().String(), Refused},
		{"closed at once", breaks(false), Reset},
		{"reset", breaks(true), Reset},
		{"TLS 1.1", old.URL, TLS},
		{"TLS 1.1, in its answer", older, TLS},
		{"no cipher suite in common", unable, TLS},
		{"https to a plain port", strings.Replace(plain.URL, "http:", "https:", 1), TLS},
		{"silent in the handshake", "https://" + silent.Addr().String(), Timeout},
	} {
		n := newNet(t, Options{TLSTimeout: 100 * time.Millisecond})
		n.Configured(tt.url)
		resp, err := n.Client().Get(tt.url)
		if err == nil {
			resp.Body.Close()
		}
		if got := Classify(err); got != tt.want {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
		if Explain(err) != string(tt.want) {
			t.Errorf("%s: Explain is %q", tt.name, Explain(err))
		}
		if tooOld := strings.HasPrefix(tt.name, "TLS 1.1"); tooOld != isAny[*OldTLS](err) || tooOld && strings.Contains(err.Error(), "tls:") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for want, err := range map[Class]error{
		None: nil, Other: errors.New("x"), Size: fmt.Errorf("x: %w", &TooLarge{}), Proxy: &ProxyRefused{Status: 407},
		Files:       &net.OpError{Err: os.NewSyscallError("socket", syscall.EMFILE)},
		Unreachable: &net.OpError{Err: os.NewSyscallError("connect", syscall.ENETUNREACH)},
	} {
		if got := Classify(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}

// listening is the URL of a server that says this to whoever comes.
func listening(t *testing.T, says []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_, _ = conn.Write(says)
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return "https://" + l.Addr().String()
}

// Nothing that a remote party wrote stands unquoted in our errors.
func TestErrorText(t *testing.T) {
	for _, err := range []error{&Refusal{Kind: IDJAG, Host: "a\nb", Place: "URL"}, &Refusal{Place: "URL"}, &Blocked{Host: "a\nb", Reason: "x"}, &Blocked{Reason: "x"}, &TooLarge{Host: "a\nb", Limit: 1}} {
		if s := err.Error(); strings.ContainsAny(s, "\n") || s == "" {
			t.Errorf("%T: %q", err, s)
		}
	}
	if got := Kind(99).String(); got != "secret" {
		t.Errorf("Kind(99) is %q", got)
	}
}
