package idjagtest

import (
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// metadata is RFC 8414 with the profile of JAG section 7.2, and what the switched
// on parts add.
func (a *AS) metadata(c *call) *refusal {
	base := a.base()
	body := map[string]any{
		"issuer":                                a.Issuer,
		"token_endpoint":                        base + "/token",
		"revocation_endpoint":                   base + "/revoke",
		"jwks_uri":                              base + "/jwks",
		"response_types_supported":              []string{},
		"grant_types_supported":                 a.grants(),
		"token_endpoint_auth_methods_supported": a.methods(),
		"token_endpoint_auth_signing_alg_values_supported": []string{ES256, RS256},
	}
	if !a.NoIDJAG {
		body["authorization_grant_profiles_supported"] = []string{ProfileIDJAG}
	}
	if a.Consent {
		body["authorization_endpoint"] = a.AuthorizationEndpoint()
		body["response_types_supported"] = []string{"code"}
		body["scopes_supported"] = a.scopesSupported()
		body["code_challenge_methods_supported"] = []string{"S256"}
		body["authorization_response_iss_parameter_supported"] = true
	}
	if a.Registration {
		body["registration_endpoint"] = a.RegistrationEndpoint()
	}
	if a.CIMD != nil {
		body["client_id_metadata_document_supported"] = true
	}
	a.DPoP.announce(body)
	return a.reply(c, body)
}

// grants lists the grant types this server has. Client credentials are among them
// once a client may use them.
func (a *AS) grants() []string {
	list := []string{}
	a.state.Lock()
	if !a.NoIDJAG || len(a.platforms) > 0 {
		list = append(list, GrantJWTBearer)
	}
	a.state.Unlock()
	if a.anyMayUse(grantOwn) {
		list = append(list, grantOwn)
	}
	if a.Consent {
		list = append(list, grantCodeFlow, grantRefreshing)
	}
	return list
}

func (a *AS) scopesSupported() []string {
	a.state.Lock()
	defer a.state.Unlock()
	list := []string{}
	for _, scopes := range a.resources {
		list = append(list, scopes...)
	}
	if a.OfflineAccess {
		list = append(list, "offline_access")
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// methods lists how clients may authenticate: AuthMethods, else what the
// registered clients use and what others may.
func (a *AS) methods() []string {
	if a.AuthMethods != nil {
		return a.AuthMethods
	}
	list := []string{}
	if a.Registration {
		list = append(list, AuthNone, AuthBasic, AuthPost)
	}
	if a.CIMD != nil {
		list = append(list, AuthNone, AuthPrivateKeyJWT)
	}
	list = append(list, a.usedMethods()...)
	slices.Sort(list)
	return slices.Compact(list)
}

func (s *clients) usedMethods() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.byID {
		list = append(list, c.method())
	}
	return list
}

func (a *AS) jwks(c *call) *refusal {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: publicHalves([]*Key{a.key})})
	if err != nil {
		return refuse("server_error", "publish keys: %v", err)
	}
	var set map[string]any
	if err := json.Unmarshal(text, &set); err != nil {
		return refuse("server_error", "publish keys: %v", err)
	}
	return a.reply(c, set)
}
