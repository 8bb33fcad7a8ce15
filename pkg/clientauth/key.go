package clientauth

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
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionLife is how long a client assertion is good for. It is used at once;
// the minute allows for clocks that differ.
const assertionLife = time.Minute

// Key is a private key that signs client assertions. It prints as its key ID.
type Key struct {
	id     string
	alg    jose.SignatureAlgorithm
	signer jose.Signer
	public jose.JSONWebKey
}

// ParseKey reads a private key from PEM (PKCS #8, PKCS #1 or SEC 1) or from a
// JWK. RSA of at least 2,048 bits, the P-256, P-384 and P-521 curves and Ed25519
// are taken. Of several PEM blocks the first private key counts: openssl writes
// the curve, and people the certificate, into the same file. id is the "kid" of
// the assertions; when empty it is the JWK's own. A key without any is known by
// its thumbprint (RFC 7638), and its assertions name no key: the server may know
// it by another name. Errors never show key material.
func ParseKey(data []byte, id string) (*Key, error) {
	priv, own, err := readPrivate(data)
	if err != nil {
		return nil, fmt.Errorf("read client key: %w", err)
	}
	alg, err := algorithm(priv)
	if err != nil {
		return nil, fmt.Errorf("read client key: %w", err)
	}
	if !paired(priv) {
		return nil, errors.New("read client key: its public half does not belong to its private half")
	}
	if id == "" {
		id = own
	}
	pub := jose.JSONWebKey{Key: priv.Public(), Algorithm: string(alg), Use: "sig"}
	kid := id
	if id == "" {
		sum, err := pub.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, errors.New("read client key: no thumbprint for this kind of key")
		}
		id = base64.RawURLEncoding.EncodeToString(sum)
	}
	pub.KeyID = id
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: priv, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, errors.New("read client key: this kind of key cannot sign")
	}
	return &Key{id: id, alg: alg, signer: signer, public: pub}, nil
}

// ID returns the key ID that assertions carry.
func (k *Key) ID() string { return k.id }

// Algorithm returns the JWS algorithm, for example "ES256".
func (k *Key) Algorithm() string { return string(k.alg) }

// Public returns the public half as a JWK, for registration.
func (k *Key) Public() jose.JSONWebKey { return k.public }

// Format implements fmt.Formatter: a key shows its ID only.
func (k Key) Format(w fmt.State, _ rune) { fmt.Fprintf(w, "[key %q]", k.id) }

func readPrivate(data []byte) (key crypto.Signer, id string, err error) {
	if block, rest := pem.Decode(data); block != nil {
		for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			block, rest = pem.Decode(rest)
		}
		if block == nil {
			return nil, "", errors.New("no private key among the PEM blocks")
		}
		key, err := readPEM(block)
		return key, "", err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil {
		return nil, "", errors.New("neither PEM nor a JWK")
	}
	if signer, ok := jwk.Key.(crypto.Signer); ok && jwk.Valid() {
		return signer, jwk.KeyID, nil
	}
	return nil, "", errors.New("the JWK is not a private key")
}

func readPEM(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" { // RFC 5958, RFC 1421
		return nil, errors.New("the key is encrypted; give an unencrypted one")
	}
	switch block.Type {
	case "PRIVATE KEY":
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := k.(crypto.Signer); ok {
				return signer, nil
			}
		}
	case "RSA PRIVATE KEY":
		if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return k, nil
		}
	case "EC PRIVATE KEY":
		if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no usable private key in the PEM block %q", block.Type)
}

func algorithm(k crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return "", fmt.Errorf("an RSA key of %d bits is too short, 2048 are needed", k.N.BitLen())
		}
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	}
	return "", errors.New("RSA, P-256, P-384, P-521 and Ed25519 keys are supported, this is another one")
}

// paired reports whether the two halves of a key belong together. In a JWK they are
// written down side by side, and a server would only say that the client is unknown.
func paired(k crypto.Signer) bool {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return k.Validate() == nil
	case *ecdsa.PrivateKey:
		private, err := k.ECDH()
		if err != nil {
			return false
		}
		public, err := k.PublicKey.ECDH()
		return err == nil && private.PublicKey().Equal(public)
	case ed25519.PrivateKey:
		return bytes.Equal(ed25519.NewKeyFromSeed(k.Seed()), k)
	}
	return false
}

// assertion makes a client assertion for one request (RFC 7523 section 3). It
// names one audience only, so that no other server can be shown it.
func (c Client) assertion(endpoint string) (string, error) {
	aud := c.Audience
	switch aud {
	case "", AudienceIssuer:
		aud = c.Issuer
	case AudienceTokenEndpoint:
		aud = endpoint
	}
	if aud == "" {
		return "", errors.New("private_key_jwt needs the authorization server's issuer")
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	jti := make([]byte, 16)
	rand.Read(jti) // never fails
	return jwt.Signed(c.Key.signer).Claims(map[string]any{
		"iss": c.ID, "sub": c.ID, "aud": aud,
		"jti": base64.RawURLEncoding.EncodeToString(jti),
		"iat": now().Unix(), "exp": now().Add(assertionLife).Unix(),
	}).Serialize()
}
