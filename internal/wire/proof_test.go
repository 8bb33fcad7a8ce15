package wire

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// What our own prover makes passes, over both clients.
func TestProofPasses(t *testing.T) {
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &dpop.Prover{Key: key}
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	token := secret.New("access-0123456789")
	for _, at := range []string{"https://mcp.example/mcp", "https://mcp.example", "https://mcp.example:443/a%20b?x=y#z", "https://MCP.example/"} {
		n.Permit(AccessToken, token, Prefix(strings.TrimSuffix(at, "#z")))
		for _, method := range []string{"GET", "POST", "DELETE", ""} {
			req := newRequest(method, at, "a=b")
			if err := p.Sign(req, token); err != nil {
				t.Fatal(err)
			}
			checkSend(t, n, rec, req, true, method+" "+at, token.Reveal())
		}
	}
}

// A proof for another request could be used by whoever is shown it (S6; RFC 9449
// sections 4.3 and 11.1).
func TestProofForAnotherRequest(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	const at = "https://mcp.example/mcp"
	good := newRequest("POST", at, "a=b")
	proof := proofFor(good, 1, "a", "b")
	header, payload, _ := strings.Cut(proof, ".")
	enc := base64.RawURLEncoding.EncodeToString
	withKey := func(member string) string {
		text, _ := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]any{"kty": "EC", "x": "eA", member: "eA"}})
		return enc(text) + "." + payload
	}
	for name, tt := range map[string]struct {
		req    *http.Request
		values []string
		want   bool
	}{
		"ours":               {good, []string{proof}, true},
		"other method":       {newRequest("GET", at, ""), []string{proof}, false},
		"other path":         {newRequest("POST", at+"/x", "a=b"), []string{proof}, false},
		"other host":         {newRequest("POST", "https://evil.example/mcp", "a=b"), []string{proof}, false},
		"other port":         {newRequest("POST", "https://mcp.example:8443/mcp", "a=b"), []string{proof}, false},
		"other query":        {newRequest("POST", at+"?x=y", "a=b"), []string{proof}, true},
		"two":                {good, []string{proof, proof}, false},
		"two in one":         {good, []string{proof + ", " + proof}, false},
		"none":               {good, []string{}, false},
		"empty":              {good, []string{""}, false},
		"no signature":       {good, []string{strings.Join(strings.Split(proof, ".")[:2], ".") + "."}, false},
		"four parts":         {good, []string{proof + ".x"}, false},
		"not base64url":      {good, []string{proof + "="}, false},
		"line end":           {good, []string{proof + "\n"}, false},
		"no JSON":            {good, []string{enc([]byte("{")) + "." + payload}, false},
		"claims no JSON":     {good, []string{header + "." + enc([]byte("x")) + ".c2ln"}, false},
		"private half (d)":   {good, []string{withKey("d")}, false},
		"shared key (k)":     {good, []string{withKey("k")}, false},
		"key without secret": {good, []string{withKey("y")}, true},
		"no key":             {good, []string{enc([]byte(`{"typ":"dpop+jwt","alg":"ES256"}`)) + "." + payload}, false},
		"other type":         {good, []string{proofFor(good, 0, "typ", "JWT")}, false},
		"HTM is not htm":     {good, []string{header + "." + enc([]byte(`{"HTM":"POST","HTU":"`+at+`"}`)) + ".c2ln"}, false},
	} {
		req := tt.req.Clone(t.Context())
		req.Header["Dpop"] = tt.values
		if tt.req.GetBody != nil {
			req.Body, _ = tt.req.GetBody()
		}
		checkSend(t, n, rec, req, tt.want, name, "no-such-text")
	}
}

// The two clients differ in this: the JSON of a stream is sent as it comes.
func TestJSONOfAStream(t *testing.T) {
	const hidden = "client-secret-0123456789"
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
	}))
	defer srv.Close()
	n := newNet(t, Options{})
	n.Configured(srv.URL)
	n.Permit(ClientSecret, secret.New(hidden), Endpoint("https://as.example/token"))
	body := `{"client_secret":"` + hidden + `"}` + strings.Repeat(" ", maxJSON)
	for _, tt := range []struct {
		client *http.Client
		body   string
		want   bool
	}{
		{n.Client(), `{"client_name":"mcpauth"}`, true}, {n.Client(), body, false}, {n.Client(), body[:60], false}, {n.Streaming(), body, true},
	} {
		got = ""
		resp, err := tt.client.Post(srv.URL, "application/json", strings.NewReader(tt.body))
		if err == nil {
			resp.Body.Close()
		}
		if sent := err == nil && got == tt.body; sent != tt.want || !sent && (got != "" || Classify(err) != Stopped) {
			t.Errorf("%.40s: sent %v, %v; want %v", tt.body, sent, err, tt.want)
		}
	}
}

// A known secret in JSON is found, however it is written there.
func FuzzSecretInJSON(f *testing.F) {
	canary := `canary+0123/"456789\ %41<&>é`
	f.Add(canary, "", byte(0))
	f.Add("redirect_uris", "https://a.example/", byte(1))
	n := newNet(f, Options{beforeConnect: func(string) error { return errStop }})
	n.Permit(ClientSecret, secret.New(canary), Endpoint("https://as.example/token"))
	f.Fuzz(func(t *testing.T, name, before string, how byte) {
		text := quote(before + canary)
		switch how % 3 {
		case 1:
			text = quote(before) + spell(canary[:len("canary+0123/")]) + quote(canary[len("canary+0123/"):])
		case 2:
			text = strings.ReplaceAll(text, "/", `\/`)
		}
		body := `{"x":[{"` + quote(name) + `":"` + text + `"}]}`
		req := jsonBody("%s", func(s string) string { return s })("", "https://evil.example/register", body)
		if _, err := n.inspect(req, false); err == nil {
			t.Fatalf("let through: %q", body)
		}
	})
}
