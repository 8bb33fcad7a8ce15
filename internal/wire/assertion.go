package wire

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

type assertion struct {
	clientID string
	to       Destination
}

// PermitAssertion lets client assertions of this client go to d. They are made
// afresh for every request, so they are known by their claims: issuer and subject
// must be clientID, and every audience one of those given here (RFC 7523 section
// 3). The signature is not checked: the assertion is ours.
func (n *Net) PermitAssertion(clientID string, d Destination, audience ...string) {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	if n.table.assertions == nil {
		n.table.assertions = map[assertion][]string{}
	}
	for _, a := range audience {
		if list := n.table.assertions[assertion{clientID, d}]; !slices.Contains(list, a) {
			n.table.assertions[assertion{clientID, d}] = append(list, a)
		}
	}
}

func (t *table) allowsAssertion(jwt string, req *http.Request) bool {
	client, audience, ok := assertionClaims(jwt)
	if _, leak := t.find(jwt); !ok || leak {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for a, right := range t.assertions {
		foreign := func(aud string) bool { return !slices.Contains(right, aud) }
		if a.clientID == client && a.to.covers(req.Method, req.URL) && !slices.ContainsFunc(audience, foreign) {
			return true
		}
	}
	return false
}

// assertionClaims reads who a JWT is from, when issuer and subject are the same,
// and whom it is for (RFC 7523 section 3).
func assertionClaims(jwt string) (client string, audience []string, ok bool) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "", nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", nil, false
	}
	var claims map[string]json.RawMessage // a struct would match names without regard to case
	var iss, sub string
	if json.Unmarshal(payload, &claims) != nil || json.Unmarshal(claims["iss"], &iss) != nil || json.Unmarshal(claims["sub"], &sub) != nil {
		return "", nil, false
	}
	var one string
	if json.Unmarshal(claims["aud"], &one) == nil {
		audience = []string{one}
	} else if json.Unmarshal(claims["aud"], &audience) != nil {
		return "", nil, false
	}
	return sub, audience, sub != "" && iss == sub && len(audience) > 0
}
