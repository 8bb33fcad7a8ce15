package idjagtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms the fakes sign with and accept.
const (
	ES256 = "ES256"
	RS256 = "RS256"
)

// Key is a key pair made at run time. It never leaves the process unless PEM is
// asked for.
type Key struct {
	ID        string // the JOSE "kid"
	Algorithm string // ES256 or RS256

	private crypto.Signer
}

// NewKey makes a key pair for ES256 (also for the empty string) or RS256.
func NewKey(algorithm string) (*Key, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "", ES256:
		algorithm = ES256
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("make signing key: algorithm %q is not ES256 or RS256", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return &Key{ID: random(), Algorithm: algorithm, private: private}, nil
}

// Public returns the public half as a JWK with kid, alg and use.
func (k *Key) Public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
}

// PEM returns the private half as PKCS #8, for a client that reads its key from
// a file.
func (k *Key) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic(err) // cannot be: NewKey makes only key types that PKCS #8 knows
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Sign returns a compact JWS over claims. The members of header are added to
// alg and kid; "typ" is the usual one.
func (k *Key) Sign(header, claims map[string]any) (string, error) {
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(k.Algorithm),
		Key:       jose.JSONWebKey{Key: k.private, KeyID: k.ID},
	}, options)
	if err != nil {
		return "", fmt.Errorf("sign JWT: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign JWT: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign JWT: %w", err)
	}
	return signed.CompactSerialize()
}

// token is a JWT whose signature has been checked and nothing else.
type token struct {
	typ    string
	claims map[string]any
}

// verify checks the signature of a compact JWS with the key that its kid names.
// Keys offered by the token itself (jwk, jku, x5c) are never looked at.
func verify(compact string, keys []jose.JSONWebKey) (token, error) {
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return token{}, errors.New("it is not a compact JWS signed with ES256 or RS256")
	}
	head := signed.Signatures[0].Header
	for _, key := range keys {
		if key.KeyID != head.KeyID || (key.Algorithm != head.Algorithm && key.Algorithm != "") {
			continue
		}
		payload, err := signed.Verify(key)
		if err != nil {
			return token{}, fmt.Errorf("its signature does not verify with key %q", key.KeyID)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil || claims == nil {
			return token{}, errors.New("its payload is not a JSON object")
		}
		typ, _ := head.ExtraHeaders[jose.HeaderType].(string)
		return token{typ: typ, claims: claims}, nil
	}
	return token{}, fmt.Errorf("its kid %q with alg %q names no published key", head.KeyID, head.Algorithm)
}

func (t token) text(name string) string {
	s, _ := t.claims[name].(string)
	return s
}

// seconds returns a NumericDate claim, 0 when it is absent or no number.
func (t token) seconds(name string) int64 {
	n, _ := t.claims[name].(float64)
	return int64(n)
}

// audience returns the one audience of the token. A string and an array of one
// are the same (RFC 7519 section 4.1.3); anything else is refused here, since no
// token in this flow may have two readers (JAG section 9.3).
func (t token) audience() (string, error) {
	switch aud := t.claims["aud"].(type) {
	case string:
		return aud, nil
	case []any:
		if len(aud) == 1 {
			if s, ok := aud[0].(string); ok {
				return s, nil
			}
		}
		return "", fmt.Errorf("its aud has %d members, want exactly one", len(aud))
	}
	return "", errors.New("it has no aud")
}

// hasType compares a JOSE typ as RFC 7515 section 4.1.9 wants: case does not
// matter and "application/" may be left out.
func (t token) hasType(want string) bool {
	got := strings.ToLower(t.typ)
	return strings.TrimPrefix(got, "application/") == want
}

// random returns 128 bits of randomness as base64url.
func random() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// leftHalf is the at_hash of OpenID Connect Core section 3.1.3.6 for the two
// algorithms in use, which both hash with SHA-256.
func leftHalf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func publicHalves(keys []*Key) []jose.JSONWebKey {
	list := make([]jose.JSONWebKey, len(keys))
	for i, k := range keys {
		list[i] = k.Public()
	}
	return list
}

// unverifiedIssuer reads iss before any check, to find out whose keys to use.
func unverifiedIssuer(compact string) string {
	var claims struct {
		Issuer string `json:"iss"`
	}
	decodePart(compact, 1, &claims)
	return claims.Issuer
}

// unverifiedType reads typ before any check, to find out which checks apply.
func unverifiedType(compact string) string {
	var header struct {
		Type string `json:"typ"`
	}
	decodePart(compact, 0, &header)
	return header.Type
}

// decodePart reads one part of a compact JWS; what is not one changes nothing.
func decodePart(compact string, part int, into any) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return
	}
	if text, err := base64.RawURLEncoding.DecodeString(parts[part]); err == nil {
		json.Unmarshal(text, into)
	}
}
