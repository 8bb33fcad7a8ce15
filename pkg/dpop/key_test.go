package dpop_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/dpop"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func marshal(t testing.TB, key *dpop.Key) map[string]string {
	t.Helper()
	text, err := key.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]string
	if err := json.Unmarshal([]byte(text.Reveal()), &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func TestKeyComesBack(t *testing.T) {
	for range 300 { // a number with leading zeros comes once in 256
		key := newProver(t).Key
		text, err := key.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := dpop.ParseKey(text)
		if err != nil || again.Thumbprint() != key.Thumbprint() {
			t.Fatalf("ParseKey = %v, %v", again, err)
		}
		p := &dpop.Prover{Key: again}
		proof, err := p.Proof("GET", server, secret.Text{})
		if err != nil {
			t.Fatal(err)
		}
		open(t, p, proof)
	}
}

// RFC 7638, by somebody else's code; and what the keychain gets is a JWK (RFC 7517).
func TestThumbprint(t *testing.T) {
	key := newProver(t).Key
	text, err := key.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON([]byte(text.Reveal())); err != nil || jwk.IsPublic() || !jwk.Valid() {
		t.Fatalf("no private JWK: %v", err)
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if want := base64.RawURLEncoding.EncodeToString(sum); err != nil || key.Thumbprint() != want {
		t.Errorf("thumbprint %s, want %s", key.Thumbprint(), want)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good, other := marshal(t, newProver(t).Key), marshal(t, newProver(t).Key)
	jwkOf := func(key any) string {
		text, err := jose.JSONWebKey{Key: key}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	with := func(name, value string) string {
		m := map[string]string{}
		for k, v := range good {
			m[k] = v
		}
		if m[name] = value; value == "" {
			delete(m, name)
		}
		text, _ := json.Marshal(m)
		return string(text)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "canary", "null": "null", "empty": "{}", "list": "[]",
		"public half": with("d", ""), "no point": with("x", ""), "other curve by name": with("crv", "P-384"),
		"other private half": with("d", other["d"]), "other x": with("x", other["x"]), "zero": with("d", zero), "short number": with("d", "AQ"),
		"too large a number": with("d", strings.Repeat("_", 42)+"8"),
		"P-384":              jwkOf(p384), "Ed25519": jwkOf(edwards), "symmetric": `{"kty":"oct","k":"` + good["d"] + `"}`,
	} {
		key, err := dpop.ParseKey(secret.New(text))
		if err == nil || key != nil {
			t.Errorf("%s: taken", name)
		} else if shown := err.Error(); strings.Contains(shown, good["d"]) || strings.Contains(shown, other["d"]) || strings.Contains(shown, "canary") || len(shown) > 100 {
			t.Errorf("%s: the error shows the key: %s", name, shown)
		}
	}
	if _, err := dpop.ParseKey(secret.New(with("kid", "any"))); err != nil {
		t.Errorf("another key id: %v", err)
	}
}

// S19: however a key, or what holds one, is printed.
func TestKeyIsNotPrinted(t *testing.T) {
	p := newProver(t)
	hidden := marshal(t, p.Key)["d"]
	raw, err := base64.RawURLEncoding.DecodeString(hidden)
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		Key  *dpop.Key
		key  dpop.Key
		List []*dpop.Key
	}{p.Key, *p.Key, []*dpop.Key{p.Key}}
	for _, v := range []any{p.Key, *p.Key, p, holder, &holder} {
		var out bytes.Buffer
		for _, verb := range strings.Split("v +v #v s q x X d", " ") {
			fmt.Fprintf(&out, "%"+verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("it", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("it", "v", v)
		text, _ := json.Marshal(v)
		out.Write(text)
		for _, form := range []string{hidden, fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprint(raw), strings.Trim(fmt.Sprint(raw), "[]")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("%T shows the key", v)
			}
		}
	}
	if got, want := fmt.Sprint(p.Key), "[key "+p.Key.Thumbprint()+"]"; got != want {
		t.Errorf("a key prints as %s, want %s", got, want)
	}
}
