package idjag_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/pkg/idjag"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestParse(t *testing.T) {
	header, claims := `{"alg":"PS384","typ":"X","kid":"k"}`, `{"iss":"i","aud":["a","b"],"resource":"r","scope":" x  y","nbf":1.5,"exp":0,
		"sub":null,"cnf":{"jkt":"t"},"act":{"sub":"agent"},"ISS":"no"}`
	got, err := idjag.Parse(secret.New(raw(header, claims)))
	want := idjag.Claims{Type: "X", Algorithm: "PS384", KeyID: "k", Issuer: "i", Audience: []string{"a", "b"}, Resource: []string{"r"},
		Scopes: []string{"x", "y"}, HasScope: true, NotBefore: time.Unix(1, 5e8), Expires: time.Unix(0, 0), KeyThumbprint: "t", Bound: true,
		Names: []string{"ISS", "act", "aud", "cnf", "exp", "iss", "nbf", "resource", "scope", "sub"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	const header, claims = `{"alg":"ES256","typ":"oauth-id-jag+jwt"}`, `{"iss":"i"}`
	good := raw(header, claims)
	parts := strings.Split(good, ".")
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	tests := []struct{ name, token, want string }{
		{"empty", "", "not a JWT"},
		{"one part", "opaque", "not a JWT"},
		{"two parts", parts[0] + "." + parts[1], "not a JWT"},
		{"four parts", good + ".x", "not a JWT"},
		{"six parts", good + ".x.x.x", "not a JWT"},
		{"no signature", parts[0] + "." + parts[1] + ".", "not a JWT"},
		{"five parts without enc", good + ".c2ln.c2ln", "no encryption (enc)"},
		{"huge", parts[0] + "." + parts[1] + "." + strings.Repeat("A", idjag.MaxAssertion), "longer than"},
		{"dots", strings.Repeat(".", idjag.MaxAssertion), "not a JWT"},
		{"padding", parts[0] + "=." + parts[1] + ".c2ln", "not base64url"},
		{"standard base64", parts[0] + "." + parts[1] + ".+/+/", "not base64url"},
		{"bits beyond the end", parts[0] + "." + parts[1] + ".c2l", "not base64url"},
		{"line end in the header", parts[0] + "\r\n." + parts[1] + ".c2ln", "not base64url"},
		{"line end in the claims", parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:] + ".c2ln", "not base64url"},
		{"line end in the signature", good + "\n", "not base64url"},
		{"escape in the signature", good + "\x1b", "not base64url"},
		{"line end in an encrypted part", b64([]byte(`{"typ":"x","enc":"y"}`)) + ".a2V5.a\n2V5.a2V5.a2V5", "not base64url"},
		{"alg none", raw(`{"alg":"none"}`, claims), `algorithm "none"`},
		{"alg None", raw(`{"alg":"None"}`, claims), `algorithm "None"`},
		{"alg HS256", raw(`{"alg":"HS256"}`, claims), `algorithm "HS256"`},
		{"alg absent", raw(`{}`, claims), `algorithm ""`},
		{"alg no text", raw(`{"alg":["ES256"]}`, claims), "alg"},
		{"Alg", raw(`{"Alg":"ES256"}`, claims), `algorithm ""`},
		{"crit", raw(`{"alg":"ES256","crit":["b64"],"b64":false}`, claims), "critical"},
		{"crit empty", raw(`{"alg":"ES256","crit":[]}`, claims), "critical"},
		{"alg twice", raw(`{"alg":"ES256","alg":"none"}`, claims), `"alg" stands twice`},
		{"iss twice", raw(header, `{"iss":"a","iss":"b"}`), `"iss" stands twice`},
		{"iss twice, once escaped", raw(header, `{"iss":"a","\u0069ss":"b"}`), `"iss" stands twice`},
		{"twice inside a claim", raw(header, `{"act":{"sub":"a","sub":"b"}}`), `"sub" stands twice`},
		{"twice inside a list", raw(header, `{"x":[{"sub":"a","sub":"b"}]}`), `"sub" stands twice`},
		{"claims a list", raw(header, `[]`), "not a JSON object"},
		{"claims null", raw(header, `null`), "not a JSON object"},
		{"claims and more", raw(header, `{}{}`), "more than one"},
		{"claims no JSON", raw(header, `{iss}`), "not valid JSON"},
		{"claims no UTF-8", raw(header, "{\"iss\":\"\xff\"}"), "UTF-8"},
		{"claims too deep", raw(header, deep), "too deeply"},
		{"iss no text", raw(header, `{"iss":1}`), "iss"},
		{"aud a number", raw(header, `{"aud":1}`), "aud"},
		{"aud a list with null", raw(header, `{"aud":["a",null]}`), "aud"},
		{"aud a list in a list", raw(header, `{"aud":[["a"]]}`), "aud"},
		{"resource an object", raw(header, `{"resource":{}}`), "resource"},
		{"scope a list", raw(header, `{"scope":["read"]}`), "scope"},
		{"exp words", raw(header, `{"exp":"soon"}`), "exp"},
		{"exp below zero", raw(header, `{"exp":-1}`), "exp"},
		{"exp beyond numbers", raw(header, `{"exp":1e999}`), "exp"},
		{"cnf no object", raw(header, `{"cnf":"x"}`), "cnf"},
		{"jkt no text", raw(header, `{"cnf":{"jkt":1}}`), "jkt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := idjag.Parse(secret.New(tt.token))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(idjag.Claims{}, c); diff != "" {
				t.Errorf("an error with claims: %s", diff)
			}
		})
	}
}

// An error has no claims; what is taken has three or five clean parts and an
// accepted algorithm, and reads the same twice.
func FuzzParse(f *testing.F) {
	f.Add(newKey(f).sign(f, goodHeader(), goodClaims()), "", "")
	f.Add("a.b.c", `{"alg":"RS256"}`, `{"exp":1e400,"iss":null}`)
	f.Add("a.b.c.d.e", `{"alg":"none","enc":"x"}`, "\n")
	f.Fuzz(func(t *testing.T, token, header, claims string) {
		for _, tok := range []string{token, raw(header, claims), strings.Replace(token, ".", "."+b64([]byte(claims)), 1)} {
			c, err := idjag.Parse(secret.New(tok))
			again, err2 := idjag.Parse(secret.New(tok))
			if (err == nil) != (err2 == nil) || !cmp.Equal(c, again) {
				t.Fatalf("%q reads in two ways: %+v, %v; %+v, %v", tok, c, err, again, err2)
			}
			if err != nil {
				if !cmp.Equal(idjag.Claims{}, c) {
					t.Fatalf("an error with claims: %+v", c)
				}
				continue
			}
			if n := strings.Count(tok, "."); n != 2 && n != 4 || c.Opaque != (n == 4) || len(tok) > idjag.MaxAssertion {
				t.Fatalf("%d dots taken, opaque %v", n, c.Opaque)
			}
			if !c.Opaque && !strings.Contains(" RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA ", " "+c.Algorithm+" ") {
				t.Fatalf("algorithm %q taken", c.Algorithm)
			}
			if strings.Trim(tok, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
				t.Fatalf("taken: %q", tok)
			}
			for _, at := range []time.Time{c.IssuedAt, c.NotBefore, c.Expires} {
				if !at.IsZero() && at.Unix() < 0 {
					t.Fatalf("time before 1970: %v", at)
				}
			}
		}
	})
}

// raw is a token with a signature that is none.
func raw(header, claims string) string {
	return b64([]byte(header)) + "." + b64([]byte(claims)) + ".c2ln"
}
