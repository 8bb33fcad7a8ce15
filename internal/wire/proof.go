package wire

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// inspectProof lets a DPoP header pass that is a proof of possession for this very
// request (RFC 9449 section 4.2): one that is for another could be used there by
// whoever is shown it. It is no secret, but could hold one, and the private half of
// the key above all. The signature is not checked: the proof is ours.
func (n *Net) inspectProof(req *http.Request, values []string) error {
	host := req.URL.Host
	const place = "DPoP header"
	if kind, ok := n.table.find(strings.Join(values, " ")); ok {
		return &Refusal{Kind: kind, Host: host, Place: place}
	}
	noProof := &Blocked{Host: host, Reason: "its DPoP header is no proof for this request"}
	if len(values) != 1 {
		return noProof
	}
	parts := strings.Split(values[0], ".")
	if len(parts) != 3 || parts[2] == "" {
		return noProof
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return noProof
		}
	}
	for _, part := range decoded[:2] {
		if kind, ok, err := n.table.findInJSON(part); err != nil {
			return noProof
		} else if ok {
			return &Refusal{Kind: kind, Host: host, Place: place}
		}
	}
	if kind, ok := n.table.find(string(decoded[2])); ok {
		return &Refusal{Kind: kind, Host: host, Place: place}
	}
	header, claims := members(decoded[0]), members(decoded[1])
	key := members(header["jwk"])
	_, private := key["d"]   // RFC 7518 sections 6.2.2 and 6.3.2
	_, symmetric := key["k"] // section 6.4.1
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	if text(header["typ"]) != "dpop+jwt" || key == nil || private || symmetric ||
		text(claims["htm"]) != method || text(claims["htu"]) != req.URL.Scheme+"://"+host+wirePath(req.URL) {
		return noProof
	}
	return nil
}

// members reads an object by exact names; a struct would match without regard to
// case.
func members(data []byte) (m map[string]json.RawMessage) {
	if json.Unmarshal(data, &m) != nil {
		return nil
	}
	return m
}

func text(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
