package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

func jwt(claims map[string]any) string {
	data, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"ES256"}`)) + "." + enc(data) + "." + enc([]byte("signature"))
}

func TestPermitAssertion(t *testing.T) {
	const issuer, endpoint = "https://as.example", "https://as.example/token"
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	n.PermitAssertion("me", Endpoint(endpoint), issuer)
	n.PermitAssertion("me", Endpoint(endpoint), endpoint)
	n.PermitAssertion("me", Endpoint("https://idp.example/token"), "https://idp.example")
	n.PermitAssertion("", Endpoint(endpoint), issuer)
	idJAG := jwt(map[string]any{"iss": "me", "sub": "me", "aud": issuer, "jti": "an ID-JAG"})
	n.Permit(IDJAG, secret.New(idJAG), Endpoint(endpoint))

	const hidden = "id-token-0123456789"
	n.Permit(SubjectToken, secret.New(hidden), Endpoint("https://idp.example/token"))

	claims := func(edit func(map[string]any)) string {
		c := map[string]any{"iss": "me", "sub": "me", "aud": issuer}
		edit(c)
		return jwt(c)
	}
	for _, tt := range []struct {
		name, to, value string
		want            bool
	}{
		{"issuer as audience", endpoint, claims(func(map[string]any) {}), true},
		{"endpoint as audience", endpoint, claims(func(c map[string]any) { c["aud"] = endpoint }), true},
		{"both", endpoint, claims(func(c map[string]any) { c["aud"] = []string{issuer, endpoint} }), true},
		{"one foreign audience", endpoint, claims(func(c map[string]any) { c["aud"] = []string{issuer, "https://evil.example"} }), false},
		{"another party's audience", endpoint, claims(func(c map[string]any) { c["aud"] = "https://idp.example" }), false},
		{"no audience", endpoint, claims(func(c map[string]any) { delete(c, "aud") }), false},
		{"empty audience", endpoint, claims(func(c map[string]any) { c["aud"] = []string{} }), false},
		{"audience is a number", endpoint, claims(func(c map[string]any) { c["aud"] = 1 }), false},
		{"other issuer", endpoint, claims(func(c map[string]any) { c["iss"] = "https://idp.example" }), false},
		{"other subject", endpoint, claims(func(c map[string]any) { c["sub"] = "you" }), false},
		{"other client", endpoint, claims(func(c map[string]any) { c["iss"], c["sub"] = "you", "you" }), false},
		{"no client", endpoint, claims(func(c map[string]any) { c["iss"], c["sub"] = "", "" }), false},
		{"members in upper case", endpoint, jwt(map[string]any{"ISS": "me", "SUB": "me", "AUD": issuer}), false},
		{"other endpoint", "https://evil.example/token", claims(func(map[string]any) {}), false},
		{"other party's endpoint", "https://idp.example/token", claims(func(map[string]any) {}), false},
		{"an ID-JAG", endpoint, idJAG, false},
		{"hides an ID-JAG", endpoint, claims(func(map[string]any) {}) + idJAG, false},
		{"hides a secret in its signature", endpoint, claims(func(map[string]any) {}) + hidden, false},
		{"not a JWT", endpoint, "me.me.me", false},
		{"two parts", endpoint, "me.me", false},
		{"null", endpoint, jwt(nil), false},
	} {
		checkSend(t, n, rec, field("client_assertion")("", tt.to, tt.value), tt.want, tt.name, tt.value)
		if tt.value != idJAG {
			checkSend(t, n, rec, field("assertion")("", tt.to, tt.value), false, tt.name+" as an ID-JAG", tt.value)
		}
	}
}

func TestPermitsAddUpAndEnd(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	token := secret.New("refresh-token-0123456789")
	n.Permit(RefreshToken, token, Endpoint("https://idp.example/token"))
	n.Permit(SubjectToken, token, Endpoint("https://idp.example/token"))
	n.Permit(RefreshToken, token, Endpoint("https://idp.example/revoke"))
	n.Permit(ClientSecret, secret.Text{}, Endpoint("https://idp.example/token"))
	send := func(name, to string, want bool) {
		t.Helper()
		checkSend(t, n, rec, field(name)("", to, token.Reveal()), want, name+" to "+to, token.Reveal())
	}
	send("refresh_token", "https://idp.example/token", true)
	send("subject_token", "https://idp.example/token", true)
	send("token", "https://idp.example/revoke", true)
	send("subject_token", "https://idp.example/revoke", false)
	send("client_secret", "https://idp.example/token", false)
	both := newRequest("POST", "https://idp.example/token", url.Values{"refresh_token": {token.Reveal()}, "client_secret": {"stranger"}}.Encode())
	checkSend(t, n, rec, both, false, "one good field, one stranger", token.Reveal())
	n.Forget(token)
	send("refresh_token", "https://idp.example/token", false)
}

// A good secret does not carry another one along as its user name.
func TestSecretAsUserName(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	n.Permit(ClientSecret, secret.New("client-secret-0123"), Endpoint("https://as.example/token"))
	n.Permit(IDJAG, secret.New("id-jag-0123456789"), Endpoint("https://as.example/token"))
	for id, want := range map[string]bool{"client": true, "id-jag-0123456789": false} {
		req := newRequest("POST", "https://as.example/token", "grant_type=x")
		req.SetBasicAuth(id, "client-secret-0123")
		checkSend(t, n, rec, req, want, id, "client-secret-0123")
	}
}

// The table itself shows nothing when it is printed (S19).
func TestTableIsNotPrinted(t *testing.T) {
	n := newNet(t, Options{})
	n.Permit(AccessToken, secret.New("canary-0123456789"), Prefix("https://mcp.example"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, &n.table) + fmt.Sprintf(verb, n); strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
			t.Errorf("%s shows the secret", verb)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	rec := &recorder{}
	n := newNet(t, Options{Resolver: fakeDNS(map[string][]string{"*": {"93.184.216.34"}}), beforeConnect: rec.stop})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			own, to := secret.New(fmt.Sprintf("token-0123456789-%d", i)), fmt.Sprintf("https://mcp%d.example/mcp", i)
			n.Permit(AccessToken, own, Prefix(to))
			n.PermitAssertion("me", Endpoint(to), to)
			n.Configured(to)
			req := newRequest("GET", to, "")
			req.Header.Set("Authorization", "Bearer "+own.Reveal())
			if _, err := n.Client().Do(req); Classify(err) == Stopped {
				t.Errorf("%d: %v", i, err)
			}
			req.URL.Host = fmt.Sprintf("mcp%d.example", i+1)
			req.Host = req.URL.Host
			if _, err := n.Client().Do(req); Classify(err) != Stopped {
				t.Errorf("%d: a token went to its neighbour: %v", i, err)
			}
			n.Forget(own)
		})
	}
	wg.Wait()
}

// A known secret in a form that goes elsewhere, whatever surrounds it, is refused.
func FuzzSecretInForm(f *testing.F) {
	f.Add("scope", "", "", byte(0))
	f.Add("subject_token", "eyJ", ".x", byte(1))
	f.Add("x%y", "a+b", "%2", byte(2))
	f.Add("client_assertion", "%25", "&", byte(3))
	canary := "canary+0123/456789 %41"
	n := newNet(f, Options{beforeConnect: func(string) error { return errStop }})
	n.Permit(SubjectToken, secret.New(canary), Endpoint("https://idp.example/token"))
	halfEscape := regexp.MustCompile(`%[0-9a-fA-F]?$`) // would eat the first letters of an encoded secret
	f.Fuzz(func(t *testing.T, name, before, after string, times byte) {
		if times%3 > 0 && halfEscape.MatchString(fold(before)) {
			return
		}
		value := canary
		for range times % 3 {
			value = url.QueryEscape(value)
		}
		body := "grant_type=x&" + url.Values{name: {before + value + after}}.Encode()
		if _, err := n.inspect(newRequest("POST", "https://evil.example/token", body), false); err == nil {
			t.Fatalf("let through: %q", body)
		}
	})
}
