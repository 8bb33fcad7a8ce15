package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// place puts a value somewhere into a request. kinds are those that may stand
// there, written down here a second time on purpose; strict places refuse
// strangers as well.
type place struct {
	name   string
	kinds  []Kind
	strict bool
	put    func(method, rawURL, value string) *http.Request
}

func newRequest(method, rawURL, body string) *http.Request {
	var req *http.Request
	var err error
	if method == http.MethodPost {
		req, err = http.NewRequest(method, rawURL, strings.NewReader(body))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		req, err = http.NewRequest(method, rawURL, nil)
	}
	if err != nil {
		panic(err)
	}
	return req
}

func header(name, format string, encode func(string) string) func(method, rawURL, value string) *http.Request {
	return func(method, rawURL, value string) *http.Request {
		req := newRequest(method, rawURL, "grant_type=x")
		req.Header[name] = []string{fmt.Sprintf(format, encode(value))}
		return req
	}
}

func field(name string) func(method, rawURL, value string) *http.Request {
	return func(_, rawURL, value string) *http.Request {
		return newRequest("POST", rawURL, url.Values{"grant_type": {"x"}, name: {value}}.Encode())
	}
}

func inURL(edit func(u *url.URL, value string)) func(method, rawURL, value string) *http.Request {
	return func(method, rawURL, value string) *http.Request {
		req := newRequest(method, rawURL, "grant_type=x")
		edit(req.URL, value)
		return req
	}
}

// jsonBody posts JSON; with a value of text it holds that text, escaped as JSON has it.
func jsonBody(format string, escape func(string) string) func(method, rawURL, value string) *http.Request {
	return func(_, rawURL, value string) *http.Request {
		req := newRequest("POST", rawURL, fmt.Sprintf(format, escape(value)))
		req.Header.Set("Content-Type", "application/json")
		return req
	}
}

// quote writes a JSON string without its quotes; spell writes every byte as \uXXXX.
func quote(s string) string {
	data, _ := json.Marshal(s)
	return string(data[1 : len(data)-1])
}

func spell(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\u%04x`, s[i])
	}
	return b.String()
}

// proofFor is a proof for the request, with one more member in a part of it.
func proofFor(req *http.Request, part int, name, value string) string {
	htu := *req.URL
	htu.RawQuery, htu.Fragment, htu.User = "", "", nil
	parts := []map[string]any{
		{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}},
		{"jti": "j", "htm": req.Method, "htu": htu.String(), "iat": 1},
	}
	parts[part][name] = value
	enc := base64.RawURLEncoding.EncodeToString
	header, _ := json.Marshal(parts[0])
	payload, _ := json.Marshal(parts[1])
	return enc(header) + "." + enc(payload) + "." + enc([]byte("signature"))
}

func inProof(part int) func(method, rawURL, value string) *http.Request {
	return func(method, rawURL, value string) *http.Request {
		req := newRequest(method, rawURL, "grant_type=x")
		req.Header.Set("DPoP", proofFor(req, part, "x", value))
		return req
	}
}

func places() []place {
	raw := func(s string) string { return s }
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	list := []place{
		{"Basic, encoded", []Kind{ClientSecret}, true, header("Authorization", "Basic %s", func(s string) string { return b64("id:" + url.QueryEscape(s)) })},
		{"Basic, raw", []Kind{ClientSecret}, true, header("Authorization", "basic %s", func(s string) string { return b64("id:" + s) })},
		{"Basic, as the id", nil, true, header("Authorization", "Basic %s", func(s string) string { return b64(url.QueryEscape(s) + ":x") })},
		{"Basic, no colon", nil, true, header("Authorization", "Basic %s", b64)},
		{"Basic, not base64", nil, true, header("Authorization", "Basic id:%s", raw)},
		{"Bearer", []Kind{AccessToken}, true, header("Authorization", "Bearer %s", raw)},
		{"DPoP", []Kind{AccessToken}, true, header("Authorization", "DPoP %s", raw)},
		{"other scheme", nil, true, header("Authorization", "Token %s", raw)},
		{"no scheme", nil, true, header("Authorization", "%s", raw)},
		{"second Authorization", nil, true, func(method, rawURL, value string) *http.Request {
			req := newRequest(method, rawURL, "")
			req.Header["Authorization"] = []string{"Bearer " + value, "Bearer " + value}
			return req
		}},
		{"Authorization in lower case", nil, true, header("authorization", "Bearer %s", raw)},
		{"Proxy-Authorization", nil, true, header("Proxy-Authorization", "Bearer %s", raw)},
		{"Cookie", nil, true, header("Cookie", "a=b; sid=%s", raw)},
		{"API key header", nil, false, header("X-Api-Key", "%s", raw)},
		{"header, encoded", nil, false, header("X-Note", "k=%s;v=1", url.QueryEscape)},
		{"Referer", nil, false, header("Referer", "https://a.example/?c=%s&d=1", url.QueryEscape)},
		{"query", nil, false, inURL(func(u *url.URL, s string) { u.RawQuery = "x=" + url.QueryEscape(s) })},
		{"query, credential name", nil, true, inURL(func(u *url.URL, s string) { u.RawQuery = "access_token=" + url.QueryEscape(s) })},
		{"query, twice encoded", nil, false, inURL(func(u *url.URL, s string) { u.RawQuery = "x=" + url.QueryEscape(url.QueryEscape(s)) })},
		{"path", nil, false, inURL(func(u *url.URL, s string) { u.Path += "/" + s })},
		{"path, as a part", nil, false, inURL(func(u *url.URL, s string) { u.Path += "/a-" + s + "-b" })},
		{"fragment", nil, false, inURL(func(u *url.URL, s string) { u.Fragment = s })},
		{"user", nil, true, inURL(func(u *url.URL, s string) { u.User = url.User(s) })},
		{"password", nil, true, inURL(func(u *url.URL, s string) { u.User = url.UserPassword("id", s) })},
		{"form field name", nil, false, func(_, rawURL, value string) *http.Request {
			return newRequest("POST", rawURL, url.Values{value: {"1"}}.Encode())
		}},
		{"form field scope", nil, false, field("scope")},
		{"form field in other case", nil, false, field("Client_Secret")},
		{"form field id_token_hint", nil, false, field("id_token_hint")},
		{"JSON string", nil, false, jsonBody(`{"client_name":"%s"}`, quote)},
		{"JSON string, escaped", nil, false, jsonBody(`{"a":[{"b":"x%s"}]}`, spell)},
		{"JSON name", nil, false, jsonBody(`{"a":1,"%s":2}`, quote)},
		{"JSON behind JSON", nil, true, jsonBody(`{} ["%s"]`, quote)},
		{"JSON string, of a URL", nil, false, jsonBody(`{"client_uri":"https://a.example/?x=%s"}`, url.QueryEscape)},
		{"DPoP header", nil, true, header("Dpop", "%s", raw)},
		{"DPoP header in other case", nil, true, header("DPoP", "%s", raw)},
		{"DPoP header of the proof", nil, false, inProof(0)},
		{"DPoP claim of the proof", nil, false, inProof(1)},
		{"DPoP signature of the proof", nil, false, func(method, rawURL, value string) *http.Request {
			req := newRequest(method, rawURL, "grant_type=x")
			req.Header.Set("DPoP", proofFor(req, 1, "a", "b")+base64.RawURLEncoding.EncodeToString([]byte("---"+value)))
			return req
		}},
		{"form field inside of a word", nil, false, func(_, rawURL, value string) *http.Request {
			return newRequest("POST", rawURL, url.Values{"scope": {"read-" + value + "-write"}}.Encode())
		}},
	}
	for name, kinds := range map[string][]Kind{
		"client_secret": {ClientSecret}, "client_assertion": {ClientAssertion}, "assertion": {IDJAG, WorkloadToken},
		"subject_token": {SubjectToken}, "actor_token": {SubjectToken}, "refresh_token": {RefreshToken},
		"code": {Code}, "code_verifier": {Code}, "device_code": {Code},
		"token": {RefreshToken, AccessToken}, "access_token": {AccessToken},
	} {
		list = append(list,
			place{"form field " + name, kinds, true, field(name)},
			place{"second form field " + name, nil, true, func(_, rawURL, value string) *http.Request {
				return newRequest("POST", rawURL, url.Values{name: {"other", value}}.Encode())
			}})
	}
	return list
}

const permitted = "https://as.example/oauth/token?p=1"

// where lists destinations beside the permitted one.
var where = []struct {
	name, method, url string
	same              bool // the wire cannot tell it from the permitted one
}{
	{"the endpoint", "POST", permitted, true},
	{"default port spelled out", "POST", "https://as.example:443/oauth/token?p=1", true},
	{"host in upper case", "POST", "https://AS.Example/oauth/token?p=1", true},
	{"scheme in upper case", "POST", "HTTPS://as.example/oauth/token?p=1", true},
	{"by GET", "GET", permitted, false},
	{"by DELETE", "DELETE", permitted, false},
	{"other path", "POST", "https://as.example/oauth/evil?p=1", false},
	{"no path", "POST", "https://as.example/?p=1", false},
	{"path below", "POST", "https://as.example/oauth/token/x?p=1", false},
	{"path with more letters", "POST", "https://as.example/oauth/tokenx?p=1", false},
	{"trailing slash", "POST", "https://as.example/oauth/token/?p=1", false},
	{"path in upper case", "POST", "https://as.example/OAuth/token?p=1", false},
	{"dot segments", "POST", "https://as.example/x/../oauth/token?p=1", false},
	{"encoded dot segments", "POST", "https://as.example/x/%2e%2e/oauth/token?p=1", false},
	{"encoded slash", "POST", "https://as.example/oauth%2Ftoken?p=1", false},
	{"encoded letter", "POST", "https://as.example/oauth/%74oken?p=1", false},
	{"doubled slash", "POST", "https://as.example//oauth/token?p=1", false},
	{"path parameter", "POST", "https://as.example/oauth/token;x?p=1", false},
	{"other query", "POST", "https://as.example/oauth/token?p=2", false},
	{"no query", "POST", "https://as.example/oauth/token", false},
	{"longer query", "POST", "https://as.example/oauth/token?p=1&q=2", false},
	{"other port", "POST", "https://as.example:8443/oauth/token?p=1", false},
	{"http", "POST", "http://as.example/oauth/token?p=1", false},
	{"http on port 443", "POST", "http://as.example:443/oauth/token?p=1", false},
	{"other host", "POST", "https://evil.example/oauth/token?p=1", false},
	{"subdomain", "POST", "https://x.as.example/oauth/token?p=1", false},
	{"parent domain", "POST", "https://example/oauth/token?p=1", false},
	{"same beginning", "POST", "https://as.example.evil.example/oauth/token?p=1", false},
	{"same ending", "POST", "https://evilas.example/oauth/token?p=1", false},
	{"trailing dot", "POST", "https://as.example./oauth/token?p=1", false},
	{"user information", "POST", "https://as.example@evil.example/oauth/token?p=1", false},
	{"user information, right host", "POST", "https://evil.example@as.example/oauth/token?p=1", false},
	{"letter that folds to ASCII", "POST", "https://a\u017f.example/oauth/token?p=1", false},
}

// TestWalk sends every kind of secret in every place to every destination, and
// sees it leave exactly where it was permitted to (S6).
func TestWalk(t *testing.T) {
	const canary, odd = "canary-0123456789abcdef", "canary 01+/%41=&:;89"
	dns := fakeDNS(map[string][]string{"*": {"93.184.216.34"}})
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			var logged strings.Builder
			rec := &recorder{}
			log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			for kind := Code; kind <= WorkloadToken; kind++ {
				for _, value := range []string{canary, odd} {
					n := newNet(t, Options{Resolver: dns, beforeConnect: rec.stop, Log: log})
					n.Permit(kind, secret.New(value), Endpoint(permitted))
					n.Permit(kind, secret.New("unrelated-0123456789"), Endpoint("https://evil.example/oauth/token?p=1"))
					for _, d := range where {
						req := p.put(d.method, d.url, value)
						same := d.same || d.url == permitted // fields are always posted
						want := same && slices.Contains(p.kinds, kind) && req.Method == "POST"
						checkSend(t, n, rec, req, want, fmt.Sprintf("%s (%q) to %s", kind, value, d.name), value)
					}
				}
			}
			if s := logged.String(); holds(s, canary) || holds(s, odd) {
				t.Errorf("the log holds the secret: %s", s)
			}
			n := newNet(t, Options{Resolver: dns, beforeConnect: rec.stop})
			checkSend(t, n, rec, p.put("POST", permitted, canary), !p.strict, "a stranger", "no-such-text")
		})
	}
}

func checkSend(t *testing.T, n *Net, rec *recorder, req *http.Request, want bool, what, value string) {
	t.Helper()
	before := len(rec.addresses())
	_, err := n.Client().Do(req)
	dialed := len(rec.addresses()) > before
	var refusal *Refusal
	var blocked *Blocked
	switch {
	case want && (!dialed || !errors.Is(err, errStop)):
		t.Errorf("%s was refused: %v", what, err)
	case !want && dialed:
		t.Errorf("%s was let through", what)
	case !want && !errors.As(err, &refusal) && !errors.As(err, &blocked):
		t.Errorf("%s: %v, want a refusal", what, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, refusal); holds(text, value) {
		t.Errorf("%s: the error shows the secret: %s", what, text)
	}
}

// holds reports whether text has the value in any encoding used here.
func holds(text, value string) bool {
	for _, v := range []string{value, url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value))} {
		if strings.Contains(text, v) {
			return true
		}
	}
	return false
}

// What has no credentials is none of the table's business.
func TestNothingToInspect(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	n.Permit(AccessToken, secret.New("read"), Prefix("https://mcp.example/mcp"))
	jsonPost := newRequest("POST", "https://mcp.example/mcp", `{"jsonrpc":"2.0"}`)
	jsonPost.Header.Set("Content-Type", "application/json; charset=utf-8")
	jsonPost.Header.Set("Authorization", "Bearer read")
	for what, req := range map[string]*http.Request{
		"metadata":                    newRequest("GET", "https://as.example/.well-known/oauth-authorization-server/x?y=z", ""),
		"form without credentials":    newRequest("POST", "https://as.example/par", "scope=reader&client_secret="),
		"short secret inside of word": newRequest("GET", "https://as.example/readers/already", ""),
		"common words in a query":     newRequest("GET", "https://as.example/?code=1&token=2", ""),
		"JSON with a bearer token":    jsonPost,
		"JSON of the largest size":    jsonBody("\"%s\"", quote)("", "https://as.example/register", strings.Repeat("x", maxJSON-2)),
		"JSON with a longer word":     jsonBody("%s", func(s string) string { return s })("", "https://as.example/register", `{"scope":"reader","n":1.5}`),
		"POST without a body":         func() *http.Request { r, _ := http.NewRequest("POST", "https://as.example/x", nil); return r }(),
	} {
		checkSend(t, n, rec, req, true, what, "no-such-text")
	}
	other := newRequest("POST", "https://as.example/x", "hello")
	other.Header.Set("Content-Type", "text/plain")
	noType := newRequest("POST", "https://as.example/x", "subject_token=x")
	noType.Header.Del("Content-Type")
	coded := newRequest("POST", "https://as.example/x", "a=b")
	coded.Header.Set("Content-Encoding", "gzip")
	host := newRequest("GET", "https://as.example/x", "")
	host.Host = "evil.example"
	body := newRequest("POST", "https://as.example/x", "a=b")
	body.Method = "GET"
	typed := newRequest("POST", "https://as.example/x", "{}")
	typed.Header["Content-Type"] = []string{"application/json", "application/json"}
	codedJSON := newRequest("POST", "https://as.example/x", "{}")
	codedJSON.Header = http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	jsonOf := func(body string) *http.Request {
		return jsonBody("%s", func(s string) string { return s })("", "https://as.example/x", body)
	}
	trailer := newRequest("GET", "https://as.example/x", "")
	trailer.Trailer = http.Header{"X": nil}
	opaque := newRequest("GET", "https://as.example/x", "")
	opaque.URL.Opaque = "//evil.example/x"
	for what, req := range map[string]*http.Request{
		"text body": other, "body without a type": noType, "encoded body": coded, "other Host header": host,
		"GET with a body": body, "trailer": trailer, "opaque URL": opaque,
		"TRACE":                     newRequest("TRACE", "https://as.example/x", ""),
		"CONNECT":                   newRequest("CONNECT", "https://as.example/x", ""),
		"form that cannot be read":  newRequest("POST", "https://as.example/x", "a=%zz"),
		"form with semicolons":      newRequest("POST", "https://as.example/x", "a=b;c=d"),
		"form that is too large":    newRequest("POST", "https://as.example/x", "a="+strings.Repeat("x", maxForm)),
		"JSON of two types":         typed,
		"JSON, encoded":             codedJSON,
		"JSON that is too large":    jsonOf(`"` + strings.Repeat("x", maxJSON-1) + `"`),
		"JSON that cannot be read":  jsonOf(`{"a":`),
		"JSON body without JSON":    jsonOf(" "),
		"JSON with a comment":       jsonOf(`{"a":1}//`),
		"JSON that is not UTF-8":    jsonOf("\"\xff\""),
		"short secret in JSON":      jsonOf(`{"scope":"write read"}`),
		"short secret as a segment": newRequest("GET", "https://as.example/read", ""),
		"short secret as a word":    newRequest("GET", "https://as.example/?a=read&b", ""),
		"short secret as a scope":   newRequest("POST", "https://as.example/", "scope=write+read"),
	} {
		checkSend(t, n, rec, req, false, what, "no-such-text")
	}
}
