package cimd

import (
	"crypto"
	"encoding/base64"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Compare says in what a published document differs from what a computer that
// uses it would publish, and what comes of it. Members that generated leaves empty
// are not compared, and what is for people only (name, logo, pages) never is. When
// the published keys are at a jwks_uri, put them into published.JWKS beforehand;
// without them no keys are compared.
//
// The first of the generated keys is the one that signs.
func Compare(published, generated Document) []Finding {
	r := &report{}
	const here = "this computer"
	if generated.ClientID != "" && published.ClientID != generated.ClientID {
		r.error("differs-client-id", here, "this computer calls itself %s and the document is about %s", shown(generated.ClientID), shown(published.ClientID))
	}
	for _, uri := range generated.RedirectURIs {
		same := func(p string) bool { return withoutPort(p) == withoutPort(uri) }
		if !slices.ContainsFunc(published.RedirectURIs, same) {
			r.error("differs-redirect-uri", here, "add %s to \"redirect_uris\": this computer has people come back to it", shown(uri))
		}
	}
	if m := generated.TokenEndpointAuthMethod; m != "" {
		is := published.TokenEndpointAuthMethod
		if is == "" {
			is = MethodNone
		}
		if is != m {
			r.error("differs-auth-method", here, "this computer authenticates by %s, the document says %s", shown(m), shown(is))
		}
	}
	for _, g := range generated.GrantTypes {
		if !slices.Contains(published.GrantTypes, g) {
			r.warn("differs-grant-types", here, "add %q to \"grant_types\": mcpauth uses it", g)
		}
	}
	for _, p := range generated.GrantProfiles {
		if !slices.Contains(published.GrantProfiles, p) {
			r.warn("differs-grant-profile", here, "add %q to \"authorization_grant_profiles_supported\": mcpauth uses it", p)
		}
	}
	if generated.JWKS != nil && published.JWKS != nil {
		r.compareKeys(*published.JWKS, generated.JWKS.Keys)
	}
	return r.list
}

func (r *report) compareKeys(published jose.JSONWebKeySet, ours []jose.JSONWebKey) {
	const here = "this computer"
	known := map[string][]string{}
	for _, k := range published.Keys {
		known[thumbprint(k)] = append(known[thumbprint(k)], k.KeyID)
	}
	for i, k := range ours {
		names, ok := known[thumbprint(k)]
		switch {
		case !ok && i == 0:
			r.error("differs-keys", here, "publish the key %s: this computer signs with it", shown(k.KeyID))
		case !ok:
			r.warn("differs-keys", here, "publish the next key %s before you let it sign", shown(k.KeyID))
		case k.KeyID != "" && !slices.Contains(names, k.KeyID):
			r.warn("differs-key-id", here, "give the published key the \"kid\" %s, which this computer's signatures name", shown(k.KeyID))
		}
	}
}

// thumbprint is what a key is known by (RFC 7638). Every key that ParseKeys
// returns has one.
func thumbprint(k jose.JSONWebKey) string {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
