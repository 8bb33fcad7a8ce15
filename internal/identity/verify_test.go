package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjagtest"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const testNonce = "the-nonce-of-this-sign-in"

// One row per deviation, named after the rule that it breaks; rows with an empty
// rule are what must pass.
func TestVerify(t *testing.T) {
	l := newLaptop(t)
	now := l.Now()
	set := func(name string, value any) func(h, c map[string]any) {
		return func(_, c map[string]any) {
			if value == nil {
				delete(c, name)
				return
			}
			c[name] = value
		}
	}
	head := func(name string, value any) func(h, c map[string]any) {
		return func(h, _ map[string]any) { h[name] = value }
	}
	both := func(a, b func(h, c map[string]any)) func(h, c map[string]any) {
		return func(h, c map[string]any) { a(h, c); b(h, c) }
	}
	mine := l.IdPClient.ID
	browser := expected{nonce: testNonce}
	before := &state.Identity{Subject: l.Person.Subject, AuthTime: time.Unix(now.Unix(), 0)}
	for _, row := range []struct {
		name string
		bend func(h, c map[string]any)
		want expected
		rule string
	}{
		{"plain", nil, browser, ""},
		{"T4 a list of one", set("aud", []string{mine}), browser, ""},
		{"T4 more readers and azp", both(set("aud", []string{mine, "other"}), set("azp", mine)), browser, ""},
		{"T5 within the leeway", set("exp", now.Add(-50*time.Second).Unix()), browser, ""},
		{"T5 issued a little ahead", set("iat", now.Add(4*time.Minute).Unix()), browser, ""},
		{"T6 a renewed one without nonce", set("nonce", nil), expected{nonce: testNonce, nonceIfPresent: true}, ""},
		{"T7 fresh", nil, expected{nonce: testNonce, maxAge: time.Minute}, ""},
		{"T9 the same person", set("auth_time", before.AuthTime.Unix()), expected{before: before}, ""},
		{"T9 without auth_time", set("auth_time", nil), expected{before: before}, ""},
		{"T10 imported, nonce waived", set("nonce", "any"), expected{}, ""},

		{"crit", head("crit", []string{"exp"}), browser, "T1"},
		{"no subject", set("sub", nil), browser, "T1"},
		{"subject of a wrong type", set("sub", 7), browser, "T1"},
		{"expiry of a wrong type", set("exp", "soon"), browser, "T1"},
		{"audience of a wrong type", set("aud", map[string]any{}), browser, "T1"},
		{"another issuer", set("iss", "https://evil.example"), browser, "T3"},
		{"a slash more", set("iss", l.IdP.Issuer+"/"), browser, "T3"},
		{"no issuer", set("iss", nil), browser, "T3"},
		{"another client", set("aud", "other"), browser, "T4"},
		{"no audience", set("aud", nil), browser, "T4"},
		{"more readers without azp", set("aud", []string{mine, "other"}), browser, "T4"},
		{"azp of another client", set("azp", "other"), browser, "T4"},
		{"azp of another client among readers", both(set("aud", []string{mine, "other"}), set("azp", "other")), browser, "T4"},
		{"expired", set("exp", now.Add(-61*time.Second).Unix()), browser, "T5"},
		{"no expiry", set("exp", nil), browser, "T5"},
		{"no time of issue", set("iat", nil), browser, "T5"},
		{"from the future", set("iat", now.Add(6*time.Minute).Unix()), browser, "T5"},
		{"another nonce", set("nonce", "theirs"), browser, "T6"},
		{"no nonce", set("nonce", nil), browser, "T6"},
		{"another nonce in a renewal", set("nonce", "theirs"), expected{nonce: testNonce, nonceIfPresent: true}, "T6"},
		{"an old sign-in", set("auth_time", now.Add(-10*time.Minute).Unix()), expected{nonce: testNonce, maxAge: time.Minute}, "T7"},
		{"no auth_time", set("auth_time", nil), expected{nonce: testNonce, maxAge: time.Minute}, "T7"},
		{"another person", set("sub", "mallory"), expected{before: before}, "T9"},
		{"another sign-in", set("auth_time", now.Add(-time.Hour).Unix()), expected{before: before}, "T9"},
	} {
		t.Run(strings.TrimSpace(row.rule+" "+row.name), func(t *testing.T) {
			raw := secret.New(l.MintIDToken(func(h, c map[string]any) {
				c["nonce"] = testNonce
				if row.bend != nil {
					row.bend(h, c)
				}
			}))
			id, err := l.p.verify(t.Context(), raw, row.want)
			if got := ruleOf(err); got != row.rule {
				t.Fatalf("got rule %q (%v), want %q", got, err, row.rule)
			}
			if err != nil {
				if diff := cmp.Diff(state.Identity{}, id); diff != "" {
					t.Error("an identity beside the error: " + diff)
				}
			} else if id.Subject != l.Person.Subject || id.Issuer != l.IdP.Issuer || id.ClientID != mine || id.Unverified {
				t.Errorf("got %+v", id)
			}
		})
	}
}

// ruleOf is the rule that an error is about, "?" for one that is about none.
func ruleOf(err error) string {
	var u *Untrusted
	var w *Weak
	switch {
	case err == nil:
		return ""
	case errors.As(err, &u):
		return u.Rule
	case errors.As(err, &w):
		return "T7"
	}
	return "?"
}

// T1 and T2: signatures that are none, or not the identity provider's.
func TestVerifySignature(t *testing.T) {
	l := newLaptop(t)
	good := l.MintIDToken(nil)
	part := strings.Split(good, ".")
	stranger, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	payload, _ := base64.RawURLEncoding.DecodeString(part[1])
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	signed, err := stranger.Sign(map[string]any{"typ": "JWT"}, claims)
	if err != nil {
		t.Fatal(err)
	}
	var published struct{ Keys []map[string]any }
	if err := json.Unmarshal(l.IdP.JWKS(), &published); err != nil {
		t.Fatal(err)
	}
	theirKid := *stranger
	theirKid.ID = fmt.Sprint(published.Keys[0]["kid"])
	underTheirName, err := theirKid.Sign(map[string]any{"jwk": stranger.Public()}, claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	twice := strings.Replace(string(payload), "{", `{"sub":"mallory",`, 1)
	for _, row := range []struct{ rule, name, raw string }{
		{"", "good", good},
		{"T1", "alg none", enc(`{"alg":"none"}`) + "." + part[1] + "."},
		{"T1", "alg HS256", enc(`{"alg":"HS256"}`) + "." + part[1] + "." + part[2]},
		{"T1", "alg in another case", enc(`{"alg":"es256"}`) + "." + part[1] + "." + part[2]},
		{"T1", "alg that the provider does not list", enc(`{"alg":"ES512"}`) + "." + part[1] + "." + part[2]},
		{"T1", "no alg", enc(`{}`) + "." + part[1] + "." + part[2]},
		{"T1", "alg twice", enc(`{"alg":"ES256","alg":"none"}`) + "." + part[1] + "." + part[2]},
		{"T1", "a claim twice", part[0] + "." + enc(twice) + "." + part[2]},
		{"T1", "five parts", good + ".x.y"},
		{"T1", "two parts", part[0] + "." + part[1]},
		{"T1", "nothing", ""},
		{"T1", "too large", good + strings.Repeat("A", maxIDToken)},
		{"T2", "a stranger's key", signed},
		{"T2", "a stranger's key under the right kid, brought along", underTheirName},
		{"T2", "no signature", part[0] + "." + part[1] + "."},
		{"T2", "another signature", part[0] + "." + part[1] + "." + strings.Split(l.MintIDToken(nil), ".")[2]},
		{"T2", "other claims", part[0] + "." + enc(strings.Replace(string(payload), l.Person.Name, "Mallory", 1)) + "." + part[2]},
	} {
		t.Run(row.rule+" "+row.name, func(t *testing.T) {
			id, err := l.p.verify(t.Context(), secret.New(row.raw), expected{})
			if got := ruleOf(err); got != row.rule {
				t.Fatalf("got rule %q (%v), want %q", got, err, row.rule)
			}
			if err != nil && !cmp.Equal(id, state.Identity{}) {
				t.Errorf("an identity beside the error: %+v", id)
			}
			if err != nil && row.raw != "" && strings.Contains(err.Error(), part[1]) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

// T2: keys that change are found; keys that cannot be had are no verdict.
func TestVerifyKeys(t *testing.T) {
	l := newLaptop(t)
	if err := l.IdP.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	if _, err := l.p.verify(t.Context(), secret.New(l.MintIDToken(nil)), expected{}); err != nil {
		t.Errorf("after a change of keys: %v", err)
	}
	for name, f := range map[string]idjagtest.Fault{"reset": {Reset: true}, "busy": {Status: 503}} {
		l.IdP.SetFault(idjagtest.JWKS, f)
		id, err := l.p.verify(t.Context(), secret.New(l.MintIDToken(nil)), expected{})
		if ruleOf(err) != "?" || !cmp.Equal(id, state.Identity{}) {
			t.Errorf("%s: got %v, want an error that condemns nobody", name, err)
		}
	}
	var status *discover.StatusError
	_, err := l.p.verify(t.Context(), secret.New(l.MintIDToken(nil)), expected{})
	if !errors.As(err, &status) && !strings.Contains(err.Error(), "keys") {
		t.Errorf("got %v", err)
	}
	l.IdP.SetQuirks(idjagtest.NoJWKS())
	if _, err := l.provider(t).verify(t.Context(), secret.New(l.MintIDToken(nil)), expected{}); ruleOf(err) != "T2" {
		t.Errorf("without published keys: got %v", err)
	}
}

// T8 is a warning.
func TestVerifyAccessTokenHash(t *testing.T) {
	l := newLaptop(t)
	raw := secret.New(l.MintIDToken(func(_, c map[string]any) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }))
	if _, err := l.p.verify(t.Context(), raw, expected{accessToken: secret.New("at")}); err != nil {
		t.Fatal(err)
	}
	if w := l.warned(); len(w) != 1 || !strings.Contains(w[0], "at_hash") {
		t.Errorf("warnings: %q", w)
	}
}

func TestT10Import(t *testing.T) {
	l := newLaptop(t)
	stranger, err := idjagtest.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Sign(nil, map[string]any{"iss": l.IdP.Issuer, "aud": l.IdPClient.ID, "sub": "mallory",
		"iat": l.Now().Unix(), "exp": l.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.p.Import(t.Context(), secret.New(forged), false); ruleOf(err) != "T2" {
		t.Errorf("a forged one: %v", err)
	}
	if _, err := l.p.Known(); err == nil {
		t.Error("the forged one was kept")
	}
	id, err := l.p.Import(t.Context(), secret.New(l.MintIDToken(nil)), false)
	if err != nil || !id.Imported || id.Unverified || id.Renewable {
		t.Errorf("a good one: %+v, %v", id, err)
	}
	id, err = l.p.Import(t.Context(), secret.New(forged), true)
	if err != nil || !id.Imported || !id.Unverified {
		t.Errorf("one that is not to be verified: %+v, %v", id, err)
	}
	expired := l.MintIDToken(func(_, c map[string]any) { c["exp"] = l.Now().Add(-time.Hour).Unix() })
	if _, err := l.p.Import(t.Context(), secret.New(expired), true); ruleOf(err) != "T5" {
		t.Errorf("an expired one that is not to be verified: %v", err)
	}
}

// FuzzVerify: an error comes with a zero identity, and what is accepted is about
// the one person that the identity provider has signed for.
func FuzzVerify(f *testing.F) {
	l := newLaptop(f)
	good := l.MintIDToken(nil)
	part := strings.Split(good, ".")
	for _, raw := range []string{good, part[0] + "." + part[1] + ".", "a.b.c", "", part[1] + "." + part[1] + "." + part[2], good + "="} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		id, err := l.p.verify(t.Context(), secret.New(raw), expected{})
		if err != nil && !cmp.Equal(id, state.Identity{}) {
			t.Fatalf("an identity beside the error: %+v", id)
		}
		if err == nil && (id.Subject != l.Person.Subject || !strings.HasPrefix(raw, part[0]+"."+part[1]+".")) {
			t.Fatalf("accepted %q as %+v", raw, id)
		}
	})
}
