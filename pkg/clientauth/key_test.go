package clientauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func TestParseKey(t *testing.T) {
	algs := map[string]string{
		"RSA PKCS8": "RS256", "RSA PKCS1": "RS256", "RSA JWK": "RS256", "P-256 PKCS8": "ES256", "P-256 SEC1": "ES256",
		"P-256 JWK": "ES256", "P-384 PKCS8": "ES384", "P-521 PKCS8": "ES512", "Ed25519 PKCS8": "EdDSA", "Ed25519 JWK": "EdDSA",
		"curve parameters first": "ES256", "certificate first": "ES256",
	}
	files := keyFiles(t)
	if len(files) != len(algs) {
		t.Fatalf("%d key files, %d expectations", len(files), len(algs))
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			k := parse(t, data)
			if k.Algorithm() != algs[name] {
				t.Errorf("algorithm %s, want %s", k.Algorithm(), algs[name])
			}
			pub := k.Public()
			if !pub.IsPublic() || pub.KeyID != k.ID() || pub.Algorithm != k.Algorithm() || pub.Use != "sig" {
				t.Errorf("public half is %+v", pub)
			}
			if !strings.HasSuffix(name, "JWK") { // the JWKs here have a kid
				sum, err := pub.Thumbprint(crypto.SHA256)
				if want := base64.RawURLEncoding.EncodeToString(sum); err != nil || k.ID() != want {
					t.Errorf("id %q, want the thumbprint %q (RFC 7638)", k.ID(), want)
				}
			} else if k.ID() != "own" {
				t.Errorf("id %q, want the kid of the JWK", k.ID())
			}
			if named, err := clientauth.ParseKey(data, "mine"); err != nil || named.ID() != "mine" {
				t.Errorf("ParseKey with an id = %v, %v", named, err)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := ecKey(t, elliptic.P256())
	good := ecPEM(t)
	legacy := &pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("cipher"), Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "neither PEM nor a JWK"},
		{"garbage", []byte("\x00\x1bnope"), "neither PEM nor a JWK"},
		{"RSA 1024", pkcs8(t, short), "1024 bits is too short"},
		{"P-224", pkcs8(t, p224), "this is another one"},
		{"public JWK", jwk(t, ec.Public()), "not a private key"},
		{"symmetric JWK", jwk(t, []byte("0123456789abcdef0123456789abcdef")), "not a private key"},
		{"JWK and more", append(jwk(t, ec), []byte(" {}")...), "neither PEM nor a JWK"},
		{"JWK set", []byte(`{"keys":[` + string(jwk(t, ec)) + `]}`), "neither PEM nor a JWK"},
		{"Ed25519 JWK of two halves", mixed(t, edKey(t), edKey(t)), "neither PEM nor a JWK"},
		{"P-256 JWK of two halves", mixed(t, ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())), "does not belong"},
		{"P-521 JWK of two halves", mixed(t, ecKey(t, elliptic.P521()), ecKey(t, elliptic.P521())), "does not belong"},
		{"public PEM", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(t, ec.Public())}), "no private key among"},
		{"encrypted PKCS8", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("cipher")}), "encrypted"},
		{"encrypted in the old way", pem.EncodeToMemory(legacy), "encrypted"},
		{"OpenSSH", pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")}), `"OPENSSH PRIVATE KEY"`},
		{"wrong label", bytes.ReplaceAll(good, []byte(" PRIVATE"), []byte(" RSA PRIVATE")), "no usable private key"},
		{"cut PEM", good[:len(good)/2], "neither PEM nor a JWK"},
		{"damaged DER", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("damaged")}), "no usable private key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := clientauth.ParseKey(tt.data, "")
			if k != nil || err == nil || !says(err, tt.want) {
				t.Fatalf("ParseKey = %v, %v; want %q", k, err, tt.want)
			}
			if shows(err.Error(), tt.data) {
				t.Errorf("the error shows key material: %v", err)
			}
		})
	}
}

// S19, style rule 8: whatever holds a key or a secret, whatever the verb.
func TestNeverPrinted(t *testing.T) {
	priv := ecKey(t, elliptic.P256())
	d, err := priv.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := parse(t, pkcs8(t, priv))
	c := clientauth.Client{ID: "c", Secret: secret.New("canary-7f3a"), Key: k}
	type hidden struct {
		c  clientauth.Client
		k  *clientauth.Key
		kv clientauth.Key
	}
	forms := []string{"canary-7f3a", fmt.Sprintf("%x", "canary-7f3a"), fmt.Sprintf("%x", d), fmt.Sprintf("%X", d), fmt.Sprint(d),
		strings.Trim(fmt.Sprint(d), "[]"), priv.D.String(), base64.RawURLEncoding.EncodeToString(d), base64.StdEncoding.EncodeToString(d)}
	check := func(how, out string) {
		t.Helper()
		for _, f := range forms {
			if strings.Contains(out, f) {
				t.Errorf("%s shows a secret", how)
			}
		}
	}
	for _, v := range []any{c, &c, k, *k, hidden{c, k, *k}, &hidden{c, k, *k}, []any{c, k, *k}, map[string]any{"c": c, "k": *k}} {
		for _, verb := range strings.Split("v +v #v s q x X d b o U T p e g t c", " ") {
			check(fmt.Sprintf("%%%s of %T", verb, v), fmt.Sprintf("%"+verb, v))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("it", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("it", "v", v)
		check(fmt.Sprintf("slog of %T", v), log.String())
	}
	c.Now = nil
	out, _ := json.Marshal(k)
	check("JSON of the key", string(out))
	if got := fmt.Sprintf("%v %d", k, *k); got != fmt.Sprintf("[key %q] [key %q]", k.ID(), k.ID()) {
		t.Errorf("a key prints as %s", got)
	}
}

// A key that ParseKey takes signs what its public half verifies; an error comes
// without a key and shows nothing of the file.
func FuzzParseKey(f *testing.F) {
	for _, data := range keyFiles(f) {
		f.Add(data, "")
	}
	f.Add(mixed(f, ecKey(f, elliptic.P256()), ecKey(f, elliptic.P256())), "")
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"), "k")
	f.Add([]byte(`{"kty":"oct","k":"c2VjcmV0"}`), "")
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		k, err := clientauth.ParseKey(data, id)
		if err != nil {
			if k != nil {
				t.Fatal("an error with a key")
			}
			if shows(err.Error(), data) {
				t.Fatalf("the error shows the file: %v", err)
			}
			return
		}
		if pub := k.Public(); id != "" && k.ID() != id || k.ID() == "" || !pub.IsPublic() {
			t.Fatalf("key %q, public %v", k.ID(), pub.IsPublic())
		}
		assertion(t, clientauth.Client{ID: "c", Key: k, Issuer: issuer})
	})
}

// shows reports whether text contains 12 bytes on end of data, but for the labels
// of PEM blocks.
func shows(text string, data []byte) bool {
	for line := range strings.Lines(string(data)) {
		for i := 0; i+12 <= len(line) && !strings.HasPrefix(line, "-----"); i++ {
			if strings.Contains(text, line[i:i+12]) {
				return true
			}
		}
	}
	return false
}

func keyFiles(t testing.TB) map[string][]byte {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := ecKey(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("der")})
	sec1PEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	return map[string][]byte{
		"RSA PKCS8":              pkcs8(t, rsaKey),
		"RSA PKCS1":              pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}),
		"RSA JWK":                jwk(t, rsaKey),
		"P-256 PKCS8":            pkcs8(t, ec),
		"P-256 SEC1":             sec1PEM,
		"P-256 JWK":              jwk(t, ec),
		"P-384 PKCS8":            pkcs8(t, ecKey(t, elliptic.P384())),
		"P-521 PKCS8":            pkcs8(t, ecKey(t, elliptic.P521())),
		"Ed25519 PKCS8":          pkcs8(t, ed),
		"Ed25519 JWK":            jwk(t, ed),
		"curve parameters first": append(params, sec1PEM...), // as openssl ecparam -genkey writes it
		"certificate first":      append(cert, pkcs8(t, ec)...),
	}
}

func parse(t testing.TB, data []byte) *clientauth.Key {
	t.Helper()
	k, err := clientauth.ParseKey(data, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecPEM(t testing.TB) []byte { t.Helper(); return pkcs8(t, ecKey(t, elliptic.P256())) }

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func spki(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func jwk(t testing.TB, key any) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "own"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mixed is a JWK with the public half of a and the private half of b.
func mixed(t testing.TB, a, b any) []byte {
	t.Helper()
	var halves [2]map[string]string
	for i, k := range []any{a, b} {
		if err := json.Unmarshal(jwk(t, k), &halves[i]); err != nil {
			t.Fatal(err)
		}
	}
	halves[0]["d"] = halves[1]["d"]
	text, err := json.Marshal(halves[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
