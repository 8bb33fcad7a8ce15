package idjag_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func newProver(t testing.TB) *dpop.Prover {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &dpop.Prover{Key: key, Now: atEpoch}
}

// serveBound starts a token endpoint that wants its nonce and then gives this answer.
// It returns the grant types and nonces of the requests that came with a proof.
func serveBound(t testing.TB, answer []byte) (endpoint string, seen *[]string) {
	t.Helper()
	seen = new([]string)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims struct{ HTM, HTU, Nonce string }
		if parts := strings.Split(r.Header.Get("DPoP"), "."); len(parts) == 3 {
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			if json.Unmarshal(payload, &claims) != nil || claims.HTM != "POST" || claims.HTU != "http://"+r.Host+"/" {
				t.Errorf("proof %+v", claims)
			}
			*seen = append(*seen, r.FormValue("grant_type")+" "+claims.Nonce)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("DPoP-Nonce", "n1")
		if claims.Nonce == "" {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":"use_dpop_nonce"}`)
			return
		}
		w.Write(answer)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, seen
}

// X13 and X14 (the draft, section 9.8): what became of our proof is in the claim only.
func TestExchangeBound(t *testing.T) {
	ours := newProver(t)
	jkt := ours.Key.Thumbprint()
	other := newProver(t).Key.Thumbprint()
	none := json.RawMessage(nil)
	for _, tt := range []struct {
		name            string
		cnf             any
		prover, require bool
		rule            string // empty: taken
		warns           bool
	}{
		{"X13 ours", object{"jkt": jkt}, true, false, "", false},
		{"X13 ours, required", object{"jkt": jkt}, true, true, "", false},
		{"X13 none", none, true, false, "", true},
		{"X13 none, required", none, true, true, "X13", false},
		{"X13 null", json.RawMessage("null"), true, false, "", true},
		{"X13 null, required", json.RawMessage("null"), true, true, "X13", false},
		{"X13 another key", object{"jkt": other}, true, false, "X13", false},
		{"X13 another key, required", object{"jkt": other}, true, true, "X13", false},
		{"X13 in other case", object{"jkt": strings.ToLower(jkt)}, true, false, "X13", false},
		{"X13 with padding", object{"jkt": jkt + "="}, true, false, "X13", false},
		{"X13 empty", object{}, true, false, "X13", false},
		{"X13 empty thumbprint", object{"jkt": ""}, true, false, "X13", false},
		{"X13 another method", object{"x5t#S256": jkt}, true, false, "X13", false},
		{"X13 another method besides", object{"jkt": jkt, "x5t#S256": "x"}, true, false, "X13", false},
		{"X13 JKT is not jkt", object{"JKT": jkt}, true, false, "X13", false},
		{"X14 ours, not shown", object{"jkt": jkt}, false, false, "X14", false},
		{"X14 another method", object{"x5t#S256": "x"}, false, false, "X14", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := goodClaims()
			if raw, ok := tt.cnf.(json.RawMessage); !ok || raw != nil {
				claims["cnf"] = tt.cnf
			}
			answer := exchangeAnswer(newKey(t).sign(t, goodHeader(), claims))
			r := goodExchange()
			r.RequireBound = tt.require
			if tt.prover {
				r.Prover = ours
			}
			r.Endpoint = as + "token"
			client := &http.Client{Transport: canned{string(encode(t, answer))}}
			g, err := idjag.Exchange(context.Background(), client, r)
			if tt.rule != "" {
				var check *idjag.CheckError
				if !errors.As(err, &check) || check.Rule != tt.rule || !check.Security || !g.Assertion.IsZero() {
					t.Errorf("Exchange = %+v, %v; want rule %s", g, err, tt.rule)
				}
				return
			}
			if err != nil || tt.warns != strings.Contains(strings.Join(g.Warnings, "\n"), "not bound to our key") || !tt.warns && g.Warnings != nil {
				t.Errorf("Exchange = %+v, %v", g, err)
			}
			if bound := g.Claims.KeyThumbprint == jkt; bound == tt.warns {
				t.Errorf("thumbprint %q", g.Claims.KeyThumbprint)
			}
		})
	}
}

// 4.15: what nobody can read is not known to be bound.
func TestExchangeBoundOpaque(t *testing.T) {
	jwe := b64([]byte(`{"typ":"oauth-id-jag+jwt","alg":"RSA-OAEP-256","enc":"A256GCM"}`)) + ".a2V5.aXY.dGV4dA.dGFn"
	for _, require := range []bool{false, true} {
		r := goodExchange()
		r.Prover, r.RequireBound, r.Endpoint = newProver(t), require, as+"token"
		g, err := idjag.Exchange(context.Background(), &http.Client{Transport: canned{string(encode(t, exchangeAnswer(jwe)))}}, r)
		var check *idjag.CheckError
		if require && (!errors.As(err, &check) || check.Rule != "X13" || !check.Security || !g.Assertion.IsZero()) || !require && (err != nil || !g.Claims.Opaque) {
			t.Errorf("required %v: Exchange = %+v, %v", require, g, err)
		}
	}
}

// Both legs show the key, each server gets the nonce it wants, and what was bound
// stays so.
func TestBoundFlow(t *testing.T) {
	p := newProver(t)
	idpURL, atIDP := serveBound(t, encode(t, exchangeAnswer(newKey(t).sign(t, goodHeader(), with(goodClaims(), "cnf", object{"jkt": p.Key.Thumbprint()})))))
	x := goodExchange()
	x.Endpoint, x.Prover, x.RequireBound = idpURL, p, true
	g, err := idjag.Exchange(context.Background(), nil, x)
	if err != nil {
		t.Fatal(err)
	}
	asURL, atAS := serveBound(t, encode(t, with(redeemAnswer(), "token_type", "DPoP")))
	r := goodRedeem()
	r.Endpoint, r.Prover, r.RequireBound, r.Grant = asURL, p, true, g
	token, err := idjag.Redeem(context.Background(), nil, r)
	if err != nil || token.Type != "DPoP" || token.Warnings != nil {
		t.Errorf("Redeem = %+v, %v", token, err)
	}
	// Section 9.8 has a grant type of its own for this; the field has the usual one (4.1).
	if want := []string{idjag.GrantTypeTokenExchange + " ", idjag.GrantTypeTokenExchange + " n1"}; !slices.Equal(*atIDP, want) {
		t.Errorf("at the identity provider %q, want %q", *atIDP, want)
	}
	if want := []string{idjag.GrantTypeJWTBearer + " ", idjag.GrantTypeJWTBearer + " n1"}; !slices.Equal(*atAS, want) {
		t.Errorf("at the authorization server %q, want %q", *atAS, want)
	}
}

// A3 by way of Redeem; the matrix is package endpoint's.
func TestRedeemBound(t *testing.T) {
	p := newProver(t)
	bound := idjag.Claims{Bound: true, KeyThumbprint: p.Key.Thumbprint()}
	for _, tt := range []struct {
		name, typ string
		claims    idjag.Claims
		prover    *dpop.Prover
		require   bool
		rule      string
		sent      bool
	}{
		{"bound", "DPoP", bound, p, true, "", true},
		{"A3 downgrade", "Bearer", bound, p, true, "A3", true},
		{"A3 downgrade that is heard", "Bearer", bound, p, false, "", true},
		{"an unbound ID-JAG may give a bound token", "DPoP", idjag.Claims{}, p, true, "", true},
		{"A3 a stranger's key", "DPoP", idjag.Claims{}, nil, false, "A3", true},
		{"bound, no key", "DPoP", bound, nil, false, "-", false},
		{"bound, a prover without a key", "DPoP", bound, &dpop.Prover{}, false, "-", false},
		{"bound, another key", "DPoP", bound, newProver(t), false, "-", false},
		{"bound by another method", "DPoP", idjag.Claims{Bound: true}, p, false, "-", false},
		{"required, no key", "Bearer", idjag.Claims{}, nil, true, "-", false},
	} {
		sent := false
		client := &http.Client{Transport: noted{canned{string(encode(t, with(redeemAnswer(), "token_type", tt.typ)))}, &sent}}
		r := goodRedeem()
		r.Endpoint, r.Grant.Claims, r.Prover, r.RequireBound = as+"token", tt.claims, tt.prover, tt.require
		got, err := idjag.Redeem(context.Background(), client, r)
		var check *idjag.CheckError
		isCheck := errors.As(err, &check)
		if (err != nil) != (tt.rule != "") || isCheck != (tt.rule != "" && tt.rule != "-") || isCheck && (check.Rule != tt.rule || !check.Security) ||
			sent != tt.sent || err == nil && got.Type != tt.typ || err != nil && !got.AccessToken.IsZero() {
			t.Errorf("%s: sent %v, Redeem = %+v, %v", tt.name, sent, got, err)
		}
	}
	x := goodExchange()
	x.Endpoint, x.RequireBound = as+"token", true
	sent := false
	if _, err := idjag.Exchange(context.Background(), &http.Client{Transport: noted{canned{"{}"}, &sent}}, x); err == nil || sent {
		t.Errorf("required, no key: sent %v, Exchange = %v", sent, err)
	}
}

type noted struct {
	canned
	sent *bool
}

func (n noted) RoundTrip(r *http.Request) (*http.Response, error) {
	*n.sent = true
	return n.canned.RoundTrip(r)
}

// A refresh token is dropped: only so does revocation take effect.
func TestRedeemDropsRefreshToken(t *testing.T) {
	r := goodRedeem()
	r.Endpoint = serve(t, redeemForm(), encode(t, with(redeemAnswer(), "refresh_token", "canary-rt")))
	if got, err := idjag.Redeem(context.Background(), nil, r); err != nil || !got.RefreshToken.IsZero() || len(got.Warnings) != 1 {
		t.Errorf("Redeem = %+v, %v", got, err)
	}
}

// The other side: an authorization server that has checked a proof.
func TestVerifyBound(t *testing.T) {
	key := newKey(t)
	for _, tt := range []struct {
		name  string
		cnf   any
		shown string
		code  string
	}{
		{"the same key", object{"jkt": "t"}, "t", ""},
		{"not bound, a key shown", nil, "t", ""},
		{"not bound, none shown", nil, "", ""},
		{"another key", object{"jkt": "t"}, "u", "invalid_grant"},
		{"none shown", object{"jkt": "t"}, "", "invalid_grant"},
		{"empty thumbprint", object{"jkt": ""}, "", "invalid_grant"},
		{"empty thumbprint, a key shown", object{"jkt": ""}, "t", "invalid_grant"},
		{"another method", object{"x5t#S256": "t"}, "t", "invalid_grant"},
		{"another method besides", object{"jkt": "t", "kid": "t"}, "t", "invalid_grant"},
		{"other case", object{"jkt": "T"}, "t", "invalid_grant"},
	} {
		token := secret.New(key.sign(t, goodHeader(), with(goodClaims(), "cnf", tt.cnf)))
		v := verifier(key.Public())
		c, err := v.VerifyBound(context.Background(), token, "cli-at-as", tt.shown)
		if refusal(err) != tt.code || err == nil && (c.Subject != "alice" || c.Bound != (tt.cnf != nil)) || err != nil && c.Issuer != "" {
			t.Errorf("%s: VerifyBound = %+v, %v", tt.name, c, err)
		}
		if tt.name == "another key" { // refused is not used up
			if _, err := v.VerifyBound(context.Background(), token, "cli-at-as", "t"); err != nil {
				t.Errorf("with the right key afterwards: %v", err)
			}
		}
	}
}
