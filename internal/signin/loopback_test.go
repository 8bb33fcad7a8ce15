package signin

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// S11: the port is ours before any browser is opened, and nobody's after.
func TestListenerEndsWithTheSignIn(t *testing.T) {
	stop := errors.New("stop")
	for _, row := range []struct {
		name string
		open error
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		{"open fails", stop, context.WithCancel, stop},
		{"canceled", nil, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			return ctx, cancel
		}, context.Canceled},
		{"too late", nil, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Now().Add(-time.Second))
		}, context.DeadlineExceeded},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := row.ctx(t.Context())
			defer cancel()
			var host string
			err := Browser(ctx, testRequest(), func(_ context.Context, address string) error {
				u, _ := url.Parse(callback(t, address))
				host = u.Host
				conn, err := net.Dial("tcp", host) // says nothing, as connections opened in advance do
				if err != nil {
					t.Errorf("nobody listens while the browser is opened: %v", err)
				} else {
					t.Cleanup(func() { conn.Close() })
				}
				cancel()
				return row.open
			}, content)
			if row.want == context.DeadlineExceeded && errors.Is(err, row.want) {
				return // not even listened: the time was over before
			}
			if !errors.Is(err, row.want) {
				t.Fatalf("got %v, want %v", err, row.want)
			}
			if conn, err := net.Dial("tcp", host); err == nil {
				conn.Close()
				t.Error("somebody still listens")
			}
		})
	}
}

func TestS11PortTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, host := range []string{"", "127.0.0.1", "localhost"} {
		r := testRequest()
		r.RedirectHost, r.RedirectPort = host, other.Addr().(*net.TCPAddr).Port
		err := Browser(bounded(t), r, func(context.Context, string) error {
			t.Error("a browser was opened")
			return errors.New("stop")
		}, content)
		var busy *PortBusy
		if !errors.As(err, &busy) || busy.Port != r.RedirectPort {
			t.Errorf("%q: got %v, want the port to be busy", host, err)
		}
	}
}

// S11: whoever advertises localhost owns both of its addresses, so that nobody can
// wait at the other one.
func TestS11LocalhostIsBothFamilies(t *testing.T) {
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	defer six.Close()
	r := testRequest()
	r.RedirectHost, r.RedirectPort = "localhost", six.Addr().(*net.TCPAddr).Port
	err = Browser(bounded(t), r, func(context.Context, string) error { return errors.New("opened") }, content)
	var busy *PortBusy
	if !errors.As(err, &busy) {
		t.Errorf("got %v although ::1 is somebody else's", err)
	}

	r.RedirectPort = 0
	var page sync.WaitGroup
	err = Browser(bounded(t), r, func(_ context.Context, address string) error {
		back, _ := url.Parse(callback(t, address))
		if back.Hostname() != "localhost" {
			t.Errorf("the browser is sent to %q", back.Hostname())
		}
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			resp, _ := visit(t, "GET", "http://"+host+":"+back.Port()+"/favicon.ico", nil)
			if resp.StatusCode != 404 {
				t.Errorf("%s: status %d, want 404", host, resp.StatusCode)
			}
		}
		page.Go(func() { visit(t, "GET", back.String(), nil) })
		return nil
	}, content)
	page.Wait()
	if err != nil {
		t.Error(err)
	}
}

func TestOnlyLoopbackNames(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "example.com", "::1", "127.0.0.2", "LOCALHOST", "localhost."} {
		if l, err := listen(t.Context(), host, 0, ""); err == nil {
			l.close()
			t.Errorf("listens at %q", host)
		}
	}
}

// The deadline that comes while the tab waits shows the person the truth.
func TestTooLateForTheTab(t *testing.T) {
	l, err := listen(t.Context(), "", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.expect(expectation{state: testState, issuer: testIssuer})
	go l.serve()
	status := make(chan int)
	go func() {
		resp, _ := visit(t, "GET", l.redirectURI+"?"+fill("state=S&code=c"), nil)
		status <- resp.StatusCode
	}()
	a := <-l.answers
	a.show(false)
	if got := <-status; got != 403 {
		t.Errorf("status %d, want 403", got)
	}
}

var update = flag.Bool("update", false, "write the golden pages")

// S13: pages are constants, without script, link, form or image.
func TestGoldenPages(t *testing.T) {
	for name, p := range map[string]page{"signed-in": pageSignedIn, "refused": pageRefused, "connected": pageConnected, "not-connected": pageNotConnected, "stale": pageStale} {
		got := p.html()
		file := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
			t.Errorf("%s is not what the page shows; look at it, then run the test with -update", file)
		}
		if m := regexp.MustCompile(`(?i)<(script|a|form|img|link|iframe|object|base)\b|\bon\w+=|href=|src=|url\(|\{[a-z]+\}`).FindString(strings.Replace(got, style, "", 1)); m != "" {
			t.Errorf("%s has %q in it", file, m)
		}
	}
}
