package idjagtest

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DPoPPolicy says what a party does with proofs of possession (RFC 9449). The zero
// policy takes no notice of them, as a party that never heard of DPoP: what it
// issues is a bearer token, proof or not.
type DPoPPolicy struct {
	// Accept announces DPoP in the metadata, checks the proofs that come and binds
	// to their key what is issued: ID-JAGs by cnf, access tokens, and the refresh
	// tokens of public clients.
	Accept bool
	// Require refuses requests without a proof, and means Accept. At the IdP it is
	// about exchanges alone: people sign in without one.
	Require bool
	// Nonce demands the party's current nonce in proofs, and means Accept.
	// RotateNonce makes a new one.
	Nonce bool
}

func (d DPoPPolicy) on() bool { return d.Accept || d.Require || d.Nonce }

// announce adds the algorithms to a metadata document (RFC 9449 section 5.1, RFC
// 9728 section 2).
func (d DPoPPolicy) announce(body map[string]any) {
	if d.on() {
		body["dpop_signing_alg_values_supported"] = []string{ES256}
	}
}

// tokenType is what an access token is called that came of this request.
func (c *call) tokenType() string {
	if c.entry.Thumbprint != "" {
		return "DPoP"
	}
	return "Bearer"
}

// RotateNonce makes the party ask for a new nonce in proofs, with Nonce: those
// with the old one are answered use_dpop_nonce.
func (p *Party) RotateNonce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonce = random()
}

func (p *Party) currentNonce() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonce == "" {
		p.nonce = random()
	}
	return p.nonce
}

// proof checks the DPoP proof of a request to htu (RFC 9449 section 4.3) and puts
// the thumbprint of its key into the entry, where all that binds looks for it.
// accessToken is what ath has to be of, "" at a token endpoint.
func (p *Party) proof(c *call, htu, accessToken string, required bool) *refusal {
	values := c.r.Header.Values("DPoP")
	if !p.DPoP.on() {
		if len(values) > 0 {
			c.entry.Notes = append(c.entry.Notes, "a DPoP proof came to a party that takes no notice of it")
		}
		return nil
	}
	if p.DPoP.Nonce {
		c.w.Header().Set("DPoP-Nonce", p.currentNonce()) // also with good answers, RFC 9449 section 8.2
	}
	switch {
	case len(values) > 1:
		return refuse("invalid_dpop_proof", "there are %d DPoP headers", len(values))
	case len(values) == 0 && required:
		return refuse("invalid_dpop_proof", "there is no DPoP proof")
	case len(values) == 0:
		return nil
	}
	t, thumbprint, err := openProof(values[0])
	if err != nil {
		return refuse("invalid_dpop_proof", "proof: %v", err)
	}
	if err := checkProof(t, c.r.Method, htu, accessToken, p.Clock()); err != nil {
		return refuse("invalid_dpop_proof", "proof: %v", err)
	}
	if !p.firstUse(thumbprint + " " + t.text("jti")) {
		return refuse("invalid_dpop_proof", "proof: its jti was used before")
	}
	if p.DPoP.Nonce && t.text("nonce") != p.currentNonce() {
		return refuse("use_dpop_nonce", "proof: its nonce is %q, which is not the current one", t.text("nonce"))
	}
	c.entry.Thumbprint = thumbprint
	return nil
}

func (p *Party) firstUse(proof string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proofs[proof] {
		return false
	}
	if p.proofs == nil {
		p.proofs = map[string]bool{}
	}
	p.proofs[proof] = true
	return true
}

// openProof checks form and signature of a proof, with the key that it carries.
func openProof(compact string) (token, string, error) {
	head, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return token{}, "", errors.New("it is not a compact JWS")
	}
	var header struct {
		Type      string         `json:"typ"`
		Algorithm string         `json:"alg"`
		JWK       map[string]any `json:"jwk"`
	}
	if json.Unmarshal(raw, &header) != nil {
		return token{}, "", errors.New("its header is not a JSON object")
	}
	t := token{typ: header.Type}
	switch {
	case !t.hasType("dpop+jwt"):
		return token{}, "", fmt.Errorf("its typ is %q, want dpop+jwt", header.Type)
	case header.Algorithm != ES256:
		return token{}, "", fmt.Errorf("its alg is %q, want ES256", header.Algorithm)
	case header.JWK == nil:
		return token{}, "", errors.New("it carries no jwk")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, leaked := header.JWK[private]; leaked {
			return token{}, "", errors.New("its jwk has a private part")
		}
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return token{}, "", errors.New("it is not a compact JWS with a public key for ES256")
	}
	key := signed.Signatures[0].Header.JSONWebKey
	payload, err := signed.Verify(key)
	if err != nil {
		return token{}, "", errors.New("its signature does not verify with its own jwk")
	}
	if json.Unmarshal(payload, &t.claims) != nil || t.claims == nil {
		return token{}, "", errors.New("its payload is not a JSON object")
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return token{}, "", errors.New("its jwk has no thumbprint")
	}
	return t, base64.RawURLEncoding.EncodeToString(sum), nil
}

// checkProof compares the claims with the request. htu has to be the very URL,
// without query and fragment.
func checkProof(t token, method, htu, accessToken string, now time.Time) error {
	iat := time.Unix(t.seconds("iat"), 0)
	switch {
	case t.text("jti") == "":
		return errors.New("it has no jti")
	case t.text("htm") != method:
		return fmt.Errorf("its htm is %q, want %q", t.text("htm"), method)
	case t.text("htu") != htu:
		return fmt.Errorf("its htu is %q, want %q", t.text("htu"), htu)
	case iat.Before(now.Add(-time.Minute)) || iat.After(now.Add(time.Minute)):
		return errors.New("it has no iat or one that is over a minute away")
	case accessToken == "" && t.claims["ath"] != nil:
		return errors.New("it has an ath where no access token is presented")
	case accessToken != "" && t.text("ath") != athOf(accessToken):
		return errors.New("its ath is not the hash of the access token")
	}
	return nil
}

// athOf is RFC 9449 section 4.2.
func athOf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Thumbprint returns the RFC 7638 thumbprint of the public half, SHA-256 and
// base64url: the jkt of DPoP.
func (k *Key) Thumbprint() string {
	public := k.Public()
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err) // cannot be: the keys are of two known types
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// MintProof signs a DPoP proof, for tests of a server. accessToken and nonce may
// be empty; mutate, when not nil, changes header and claims before the signature.
func (k *Key) MintProof(method, url, accessToken, nonce string, mutate func(header, claims map[string]any)) (string, error) {
	header := map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: k.private.Public()}}
	claims := map[string]any{"jti": random(), "htm": method, "htu": url, "iat": time.Now().Unix()}
	if accessToken != "" {
		claims["ath"] = athOf(accessToken)
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if mutate != nil {
		mutate(header, claims)
	}
	return k.Sign(header, claims)
}
