package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Algorithm is the one JWS algorithm that keys of this package sign with, as
// metadata names it in dpop_signing_alg_values_supported (RFC 9449 section 5.1).
const Algorithm = "ES256"

// Key is a P-256 private key that signs proofs. It prints as its thumbprint, and
// is safe for concurrent use. Make one with NewKey or ParseKey.
type Key struct {
	private    *ecdsa.PrivateKey
	thumbprint string
	head       string // of every proof: the header, encoded, and a dot
}

// NewKey makes a key that nobody else has.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errors.New("make a DPoP key: no key could be generated")
	}
	return newKey(private)
}

// ParseKey reads the text of Marshal: a private JWK (RFC 7517) of the curve P-256
// whose two halves belong together. Errors never show key material.
func ParseKey(text secret.Text) (*Key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON([]byte(text.Reveal())); err != nil {
		return nil, errors.New("read DPoP key: not a JWK")
	}
	found, ok := jwk.Key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("read DPoP key: not a private key of an elliptic curve")
	}
	// A JWK says its public half, too; proofs under another one prove nothing.
	scalar, err := found.Bytes()
	if err != nil {
		return nil, errors.New("read DPoP key: not a number of its curve")
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil || !private.PublicKey.Equal(&found.PublicKey) {
		return nil, errors.New("read DPoP key: its two halves are not one key of the curve P-256")
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes() // 4, then both coordinates in full
	if err != nil || len(point) != 1+2*coordinate {
		return nil, errors.New("use a DPoP key: its public half is no point")
	}
	// The very text that RFC 7638 section 3 hashes: required members, in order.
	public := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(point[1:1+coordinate]), encode(point[1+coordinate:]))
	sum := sha256.Sum256([]byte(public))
	head := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"%s","jwk":%s}`, Algorithm, public) // RFC 9449 section 4.2
	return &Key{private: private, thumbprint: encode(sum[:]), head: encode([]byte(head)) + "."}, nil
}

// Marshal returns the key as a private JWK, for a keychain.
func (k *Key) Marshal() (secret.Text, error) {
	text, err := jose.JSONWebKey{Key: k.private, KeyID: k.thumbprint, Algorithm: Algorithm, Use: "sig"}.MarshalJSON()
	if err != nil {
		return secret.Text{}, errors.New("write DPoP key: it cannot be written as a JWK")
	}
	return secret.New(string(text)), nil
}

// Thumbprint is the SHA-256 thumbprint of the public half (RFC 7638), base64url:
// the "jkt" that a bound token is recognised by (RFC 9449 section 6.1).
func (k *Key) Thumbprint() string { return k.thumbprint }

// Format implements fmt.Formatter for every verb: a key shows its thumbprint only.
func (k Key) Format(w fmt.State, _ rune) { io.WriteString(w, "[key "+k.thumbprint+"]") }

// coordinate is how many bytes P-256 has, and each half of an ES256 signature (RFC
// 7518 section 3.4).
const coordinate = 32

// sign returns header, payload and signature as a compact JWS.
func (k *Key) sign(payload []byte) (string, error) {
	text := k.head + encode(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", errors.New("the key cannot sign")
	}
	var signature [2 * coordinate]byte
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return text + "." + encode(signature[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
