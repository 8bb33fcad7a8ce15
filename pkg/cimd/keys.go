package cimd

import (
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpauth/mcpauth/internal/strictjson"
)

// method is how the client authenticates. What stands for none is a shared secret
// (RFC 7591 section 2), which such a client cannot have; so none it is.
func (d *document) method() string {
	if m := d.text("token_endpoint_auth_method"); m != "" {
		return m
	}
	return MethodNone
}

// proof is about how the client proves who it is.
func (d *document) proof(r *report) {
	inline, remote := d.members.Has("jwks"), d.text("jwks_uri")
	switch m := d.method(); {
	case !d.members.Has("token_endpoint_auth_method"):
		r.warn("auth-method", rfc7591, "add \"token_endpoint_auth_method\", \"none\" or \"private_key_jwt\": what stands for none is a client secret")
	case strings.HasPrefix(m, "client_secret"):
		r.error("auth-method", draftDocument, "make \"token_endpoint_auth_method\" \"private_key_jwt\" or \"none\": there is no way to share a secret for %s", shown(m))
	case m == MethodPrivateKeyJWT && !inline && remote == "":
		r.error("keys", draftSecurity, "add \"jwks\" with the public keys, or \"jwks_uri\": private_key_jwt needs them")
	case m == MethodNone && (inline || remote != ""):
		r.warn("keys", advice, "make \"token_endpoint_auth_method\" \"private_key_jwt\": the keys in the document are for nothing")
	case m != MethodNone && m != MethodPrivateKeyJWT && m != "tls_client_auth" && m != "self_signed_tls_client_auth":
		r.warn("auth-method", rfc7591, "make \"token_endpoint_auth_method\" \"private_key_jwt\" or \"none\": few authorization servers know %s", shown(m))
	}
	if alg := d.text("token_endpoint_auth_signing_alg"); alg == "none" || strings.HasPrefix(alg, "HS") {
		r.error("auth-alg", oidcClient, "make \"token_endpoint_auth_signing_alg\" the algorithm of the key, such as \"ES256\": %s takes no key pair", shown(alg))
	}
	if inline && remote != "" {
		r.error("keys", rfc7591, "take out \"jwks\" or \"jwks_uri\": a document has one of them")
	}
	if inline {
		r.keys("jwks", d.members["jwks"], d.text("token_endpoint_auth_signing_alg"))
	}
	if remote == "" {
		return
	}
	u, why := webURL(remote)
	switch {
	case why != "":
		r.error("jwks-uri", rfc7591, "make \"jwks_uri\" an https URL: %s %s", shown(remote), why)
	case u.Scheme != "https":
		r.error("jwks-uri", draftSecurity, "make \"jwks_uri\" an https URL: whoever can change the keys can be the client")
	case u.User != nil || strings.Contains(remote, "#"):
		r.error("jwks-uri", rfc7591, "take the user name or the fragment out of \"jwks_uri\"")
	case d.base != nil && !sameHost(u, d.base):
		r.warn("jwks-uri", draftSecurity, "put the keys on the host of the document, %s: whoever has that other host can be the client", shown(d.base.Host))
	}
}

// LintKeys checks the keys that a jwks_uri answers with. Their document may name
// the one algorithm that it signs with, else alg is empty.
func LintKeys(body []byte, alg string) []Finding {
	r := &report{}
	r.keys("jwks_uri", body, alg)
	return r.list
}

// privateParts are the members of private keys (RFC 7518 sections 6.2.2, 6.3.2).
var privateParts = []string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// keys checks a JSON Web Key Set (RFC 7517 section 5).
func (r *report) keys(where string, body []byte, alg string) {
	set, err := strictjson.Parse(body)
	var list []json.RawMessage
	if err != nil || !set.Has("keys") || json.Unmarshal(set["keys"], &list) != nil {
		r.error("jwks", "RFC 7517 section 5", "make %q a JSON Web Key Set: an object with the list \"keys\"", where)
		return
	}
	usable := 0
	var ids []string
	for i, raw := range list {
		id, ok := r.key(where, i+1, raw, alg)
		if ok {
			usable++
		}
		if id != "" && slices.Contains(ids, id) {
			r.error("jwks-kid", "RFC 7517 section 4.5", "give the keys of %q different \"kid\": %s stands twice", where, shown(id))
		}
		ids = append(ids, id)
	}
	if usable == 0 {
		r.error("jwks", "RFC 7517 section 5", "put a public key that checks signatures into %q: there is none", where)
	}
}

// key checks the key at a place, and reports whether assertions can be signed by it.
func (r *report) key(where string, at int, raw []byte, alg string) (id string, ok bool) {
	k, err := strictjson.Parse(raw)
	if err != nil {
		r.error("jwks", "RFC 7517 section 4", "make key %d of %q a JSON object with every name once", at, where)
		return "", false
	}
	kind, _ := k.Text("kty")
	if kind == "oct" || k.Has("k") {
		r.error("jwks-secret", draftDocument, "take key %d out of %q: it is a shared secret; change it wherever it is used", at, where)
		return "", false
	}
	if slices.ContainsFunc(privateParts, k.Has) {
		r.error("jwks-private", draftSecurity, "take the private half of key %d out of %q and make a new key: everybody has this one now", at, where)
		return "", false
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(raw) != nil || !jwk.Valid() {
		r.warn("jwks", "RFC 7517 section 4", "look at key %d of %q: it is of a kind or form that is not known here", at, where)
		return "", false
	}
	if rsaKey, isRSA := jwk.Key.(*rsa.PublicKey); isRSA && rsaKey.N.BitLen() < 2048 {
		r.error("jwks-weak", "RFC 7518 section 3.3", "replace key %d of %q: RSA keys need 2048 bits, it has %d", at, where, rsaKey.N.BitLen())
		return jwk.KeyID, false
	}
	if jwk.KeyID == "" {
		r.warn("jwks-kid", advice, "give key %d of %q a \"kid\", so that it can be replaced without a gap", at, where)
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return jwk.KeyID, false // for encryption, which is none of ours
	}
	if alg != "" && jwk.Algorithm != "" && jwk.Algorithm != alg {
		r.warn("jwks-alg", oidcClient, "make key %d of %q one for %s, as the document says, or change the document: it is for %s", at, where, shown(alg), shown(jwk.Algorithm))
		return jwk.KeyID, false
	}
	return jwk.KeyID, true
}
