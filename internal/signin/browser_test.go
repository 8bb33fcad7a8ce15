package signin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testRequest() Request {
	return Request{Issuer: testIssuer, AuthorizationEndpoint: "https://idp.example/authorize", ClientID: "cli"}
}

// visit is what a browser does with a redirect: a GET without a body.
func visit(t *testing.T, method, address string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Errorf("%s %s: %v", method, address, err)
		return &http.Response{Header: http.Header{}}, ""
	}
	if change != nil {
		change(req)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, address, err)
		return &http.Response{Header: http.Header{}}, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, address, err)
	}
	return resp, string(body)
}

// callback is where an address of the sign-in page sends the browser back to.
func callback(t *testing.T, address string, answer ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	q := url.Values{"state": {u.Query().Get("state")}, "code": {"the-code"}}
	for i := 0; i+1 < len(answer); i += 2 {
		q.Set(answer[i], answer[i+1])
	}
	return u.Query().Get("redirect_uri") + "?" + q.Encode()
}

func content(context.Context, Code) error { return nil }

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAuthorizationRequest(t *testing.T) {
	r := testRequest()
	r.AuthorizationEndpoint = "https://idp.example/authorize?tenant=t"
	r.Scopes, r.Prompt, r.LoginHint = []string{"email"}, "login", "alice@example.com"
	r.ACRValues, r.MaxAge = []string{"a", "b"}, 90*time.Second
	stop := errors.New("stop")
	var address string
	err := Browser(bounded(t), r, func(_ context.Context, a string) error { address = a; return stop }, content)
	if !errors.Is(err, stop) {
		t.Fatalf("got %v, want what open returned", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 22 {
			t.Errorf("%s is %q, too short to be unguessable", name, q.Get(name))
		}
	}
	if !strings.HasPrefix(q.Get("redirect_uri"), "http://127.0.0.1:") || !strings.HasSuffix(q.Get("redirect_uri"), "/callback") {
		t.Errorf("redirect_uri is %q", q.Get("redirect_uri"))
	}
	for _, name := range []string{"state", "nonce", "code_challenge", "redirect_uri"} {
		q.Del(name)
	}
	want := url.Values{"tenant": {"t"}, "response_type": {"code"}, "client_id": {"cli"}, "scope": {"openid email"},
		"code_challenge_method": {"S256"}, "prompt": {"login"}, "login_hint": {"alice@example.com"}, "acr_values": {"a b"}, "max_age": {"90"}}
	if diff := cmp.Diff(want, q); diff != "" {
		t.Error(diff)
	}
}

// A consent asks for no identity, and says for which server it is (RFC 8707).
func TestAuthorizationRequestForConsent(t *testing.T) {
	r := testRequest()
	r.OAuthOnly, r.Resource, r.RedirectPath = true, "https://wiki.example/mcp", "/callback/x1"
	for _, scopes := range [][]string{nil, {"read", "write"}} {
		r.Scopes = scopes
		var q url.Values
		err := Browser(bounded(t), r, func(_ context.Context, address string) error {
			u, _ := url.Parse(address)
			q = u.Query()
			return errors.New("stop")
		}, content)
		if err == nil || !strings.HasSuffix(q.Get("redirect_uri"), "/callback/x1") || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 22 {
			t.Fatalf("got %v, %v", err, q)
		}
		for _, name := range []string{"state", "code_challenge", "redirect_uri"} {
			q.Del(name)
		}
		want := url.Values{"response_type": {"code"}, "client_id": {"cli"}, "code_challenge_method": {"S256"}, "resource": {"https://wiki.example/mcp"}}
		if scopes != nil {
			want["scope"] = []string{"read write"}
		}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Error(diff)
		}
	}
}

// S37: of a parameter that stands twice a server may take either.
func TestS37EndpointSaysNothingForUs(t *testing.T) {
	for query, fine := range map[string]bool{
		"tenant=t": true, "p=policy&x": true,
		"client_id=theirs": false, "redirect_uri=https%3A%2F%2Fevil.example": false, "response_type=token": false, "response_mode=form_post": false,
		"state=": false, "scope=all": false, "code_challenge=x": false, "code_challenge_method=plain": false, "resource=x": false,
		"request_uri=x": false, "%63lient_id=theirs": false, "a=%zz": false, "a;client_id=theirs": false,
	} {
		r := testRequest()
		r.AuthorizationEndpoint += "?" + query
		opened := false
		err := Browser(bounded(t), r, func(context.Context, string) error { opened = true; return errors.New("stop") }, content)
		if opened != fine || err == nil {
			t.Errorf("%s: opened is %v, want %v (%v)", query, opened, fine, err)
		}
	}
}

func TestEverySignInHasSecretsOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		err := Browser(bounded(t), testRequest(), func(_ context.Context, a string) error {
			u, _ := url.Parse(a)
			for _, name := range []string{"state", "nonce", "code_challenge"} {
				if v := u.Query().Get(name); seen[v] {
					t.Errorf("%s %q was used before", name, v)
				} else {
					seen[v] = true
				}
			}
			return errors.New("stop")
		}, content)
		if err == nil {
			t.Fatal("want an error")
		}
	}
}

func TestS14NothingButAWebAddressIsOpened(t *testing.T) {
	for _, endpoint := range []string{"", "file:///etc/passwd", "javascript:alert(1)", "--version", "https:", "https://", "https://:443/x", "http://idp.example/authorize",
		"https://user:pw@idp.example/authorize", "https://idp.example/authorize#x", "ftp://idp.example/", "https://idp.example/\x00", "http://127.0.0.1.evil.example/",
		"https://idp.example\\@evil.example/", "https://\u0456dp.example/", "https://idp.example/ x", "http://127.0.0.1:1/", "http://localhost/"} { // S15; S8
		r := testRequest()
		r.AuthorizationEndpoint = endpoint
		err := Browser(bounded(t), r, func(context.Context, string) error {
			t.Errorf("%q was opened", endpoint)
			return errors.New("stop")
		}, content)
		if err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
}

// S10: a page that has its own name point here (DNS rebinding) gets nothing; S12:
// what is not ours is turned away and waited past; nothing but a GET of the
// callback counts. After all that the sign-in still works.
func TestStrangersAtTheDoor(t *testing.T) {
	var got Code
	finished := 0
	var visits sync.WaitGroup
	err := Browser(bounded(t), testRequest(), func(_ context.Context, address string) error {
		back := callback(t, address)
		visits.Go(func() {
			host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
			u, _ := url.Parse(back)
			origin := "http://" + u.Host
			for _, row := range []struct {
				rule, method, url string
				change            func(*http.Request)
				status            int
			}{
				{"S10: another name", "GET", back, host("evil.example:" + u.Port()), 421},
				{"S10: another port", "GET", back, host("127.0.0.1:1"), 421},
				{"S10: no port", "GET", back, host("127.0.0.1"), 421},
				{"S12: wrong state", "GET", callback(t, address, "state", "theirs"), nil, 400},
				{"S12: error with a wrong state", "GET", callback(t, address, "state", "theirs", "error", "access_denied"), nil, 400},
				{"S37: two codes", "GET", back + "&code=other", nil, 400},
				{"HEAD does not spend the code", "HEAD", back, nil, 405},
				{"POST", "POST", back, nil, 405},
				{"favicon", "GET", origin + "/favicon.ico", nil, 404},
				{"another path", "GET", strings.Replace(back, "/callback?", "/callback/x?", 1), nil, 404},
			} {
				resp, body := visit(t, row.method, row.url, row.change)
				if resp.StatusCode != row.status {
					t.Errorf("%s: status %d, want %d", row.rule, resp.StatusCode, row.status)
				}
				checkHead(t, row.rule, resp.Header)
				if strings.Contains(body, "the-code") || strings.Contains(body, "theirs") {
					t.Errorf("%s: the page repeats the request", row.rule)
				}
			}
			resp, body := visit(t, "GET", back, nil)
			if resp.StatusCode != 200 || !strings.Contains(body, "You are signed in") {
				t.Errorf("the person saw %d %s", resp.StatusCode, body)
			}
		})
		return nil
	}, func(_ context.Context, c Code) error {
		got = c
		finished++
		return nil
	})
	visits.Wait()
	if err != nil || finished != 1 || got.Code.Reveal() != "the-code" || got.Verifier.IsZero() || got.Nonce == "" {
		t.Fatalf("got %v, %+v, finished %d times", err, got, finished)
	}
}

// S13: headers that keep the page, and the code in its address, to itself.
func checkHead(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %s is %q, want %q", what, name, h.Get(name), want)
		}
	}
	if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("%s: Content-Security-Policy is %q", what, csp)
	}
	for _, name := range []string{"Access-Control-Allow-Origin", "Set-Cookie", "Location"} {
		if h.Get(name) != "" {
			t.Errorf("%s: %s is %q", what, name, h.Get(name))
		}
	}
}

// S4: an answer at the path of another authorization server is none.
func TestRedirectPath(t *testing.T) {
	for _, path := range []string{"callback", "//evil.example/", "/a?b", "/a#b", "/%2e", "http://evil.example/"} {
		r := testRequest()
		r.RedirectPath = path
		err := Browser(bounded(t), r, func(context.Context, string) error { return errors.New("opened") }, content)
		if err == nil || err.Error() == "opened" {
			t.Errorf("%q: got %v", path, err)
		}
	}
	r := testRequest()
	r.RedirectPath = "/callback/mine"
	var visits sync.WaitGroup
	err := Browser(bounded(t), r, func(_ context.Context, address string) error {
		back := callback(t, address)
		visits.Go(func() {
			for _, other := range []string{"/callback?", "/callback/theirs?", "/callback/mine/?"} {
				if resp, _ := visit(t, "GET", strings.Replace(back, "/callback/mine?", other, 1), nil); resp.StatusCode != 404 {
					t.Errorf("%s: status %d, want 404", other, resp.StatusCode)
				}
			}
			visit(t, "GET", back, nil)
		})
		return nil
	}, content)
	visits.Wait()
	if err != nil {
		t.Error(err)
	}
}

func TestOneCallbackCounts(t *testing.T) {
	const visitors = 20
	statuses := make(chan int, visitors)
	var pages sync.WaitGroup
	finished := 0
	err := Browser(bounded(t), testRequest(), func(_ context.Context, address string) error {
		back := callback(t, address)
		for range visitors {
			pages.Go(func() {
				resp, _ := visit(t, "GET", back, nil)
				statuses <- resp.StatusCode
			})
		}
		return nil
	}, func(context.Context, Code) error {
		finished++
		for range visitors - 1 { // the one who came first waits longest
			if status := <-statuses; status != 400 {
				t.Errorf("status %d for one who came late, want 400", status)
			}
		}
		return nil
	})
	pages.Wait()
	if status := <-statuses; err != nil || finished != 1 || status != 200 {
		t.Fatalf("got %v, finished %d times, the first saw %d", err, finished, status)
	}
}

func TestThePageTellsHowItEnded(t *testing.T) {
	unhappy := errors.New("the ID token is not trusted")
	for _, row := range []struct {
		name   string
		answer []string
		finish error
		status int
		text   string
	}{
		{"signed in", nil, nil, 200, "You are signed in"},
		{"finish refuses", nil, unhappy, 403, "You are not signed in"},
		{"the IdP refuses", []string{"error", "access_denied", "error_description", "<script>alert(1)</script>"}, nil, 403, "You are not signed in"},
		{"another issuer", []string{"iss", "https://evil.example"}, nil, 403, "You are not signed in"},
		{"consent", nil, nil, 200, "You are connected"},
		{"consent, but finish refuses", nil, unhappy, 403, "You are not connected"},
		{"consent declined", []string{"error", "access_denied"}, nil, 403, "You are not connected"},
		{"consent at another issuer", []string{"iss", "https://evil.example"}, nil, 403, "You are not connected"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := testRequest()
			if strings.HasPrefix(row.name, "consent") {
				r.OAuthOnly, r.Who = true, "the authorization server"
			}
			var page sync.WaitGroup
			err := Browser(bounded(t), r, func(_ context.Context, address string) error {
				page.Go(func() {
					resp, body := visit(t, "GET", callback(t, address, row.answer...), nil)
					if resp.StatusCode != row.status || !strings.Contains(body, row.text) || strings.Contains(body, "alert") {
						t.Errorf("the person saw %d %s", resp.StatusCode, body)
					}
					checkHead(t, row.name, resp.Header)
				})
				return nil
			}, func(context.Context, Code) error { return row.finish })
			page.Wait()
			if (err == nil) != (row.status == 200) || row.finish != nil && !errors.Is(err, row.finish) {
				t.Errorf("got %v", err)
			}
			if err != nil && row.finish == nil && !strings.Contains(err.Error(), r.who()) {
				t.Errorf("the error does not say who: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "evil") {
				t.Errorf("the error repeats the forged answer: %v", err)
			}
		})
	}
}

// The person closes the tab while the code is being spent: the sign-in goes on.
func TestTheTabIsClosedEarly(t *testing.T) {
	gone := make(chan struct{})
	finished := false
	var closeTab context.CancelFunc
	err := Browser(bounded(t), testRequest(), func(ctx context.Context, address string) error {
		var tab context.Context
		tab, closeTab = context.WithCancel(ctx)
		req, err := http.NewRequestWithContext(tab, "GET", callback(t, address), nil)
		if err != nil {
			return err
		}
		go func() {
			defer close(gone)
			http.DefaultTransport.RoundTrip(req)
		}()
		return nil
	}, func(context.Context, Code) error {
		closeTab()
		<-gone
		finished = true
		return nil
	})
	if err != nil || !finished {
		t.Fatalf("got %v, finished %v", err, finished)
	}
}
