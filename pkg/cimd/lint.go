package cimd

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/mcpauth/mcpauth/internal/strictjson"
)

// Severity says what comes of a finding.
type Severity string

const (
	Error   Severity = "error"   // a rule is broken: authorization servers refuse the document, or should
	Warning Severity = "warning" // it may work, and is worth a change
)

// Finding is one thing that is wrong with a document.
type Finding struct {
	Rule     string   `json:"rule"` // a short name that does not change
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what to change; one line, with the document's own words in quotes
	Source   string   `json:"source"`  // where the rule stands
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s [%s] %s (%s)", f.Severity, f.Rule, f.Message, f.Source)
}

// Broken reports whether a rule is broken: whether one of the findings is an Error.
func Broken(list []Finding) bool {
	return slices.ContainsFunc(list, func(f Finding) bool { return f.Severity == Error })
}

// Where the rules stand. The draft is draft-ietf-oauth-client-id-metadata-document.
const (
	draftID       = "client-id-metadata-document section 3"
	draftDocument = "client-id-metadata-document section 4.1"
	draftFetch    = "client-id-metadata-document section 4"
	draftSecurity = "client-id-metadata-document section 6"
	mcpClient     = "MCP 2026-07-28 client registration"
	mcpSecurity   = "MCP 2026-07-28 security considerations"
	rfc7591       = "RFC 7591 section 2"
	rfc8252       = "RFC 8252 section 7.3"
	oidcClient    = "OpenID Connect Registration section 2"
	idJAG         = "identity-assertion-authz-grant section 8"
	advice        = "advice"
)

// report collects findings.
type report struct{ list []Finding }

func (r *report) add(s Severity, rule, source, format string, args ...any) {
	r.list = append(r.list, Finding{rule, s, fmt.Sprintf(format, args...), source})
}

func (r *report) error(rule, source, format string, args ...any) {
	r.add(Error, rule, source, format, args...)
}

func (r *report) warn(rule, source, format string, args ...any) {
	r.add(Warning, rule, source, format, args...)
}

// shown quotes a stranger's text, at a length that leaves room for ours.
func shown(s string) string {
	const max = 120
	if len(s) > max {
		s = s[:max] + "…"
	}
	return fmt.Sprintf("%+q", s)
}

// Lint checks a document against the draft, MCP 2026-07-28 and the specifications
// that these build upon. url is where the document is published, and so the client
// ID; body is the document. It does no requests: whether the URL answers as it
// must is for Fetch to say, and keys at a jwks_uri are for LintKeys.
//
// No finding means that nothing is wrong; findings stand in the order of the
// document's own sections.
func Lint(url string, body []byte) []Finding {
	r := &report{}
	base := r.url(url)
	if len(body) > MaxSize {
		r.warn("size", draftSecurity, "shorten the document: it has %d bytes, and authorization servers may read no more than %d", len(body), MaxSize)
	}
	o, err := strictjson.Parse(body)
	if err != nil {
		r.error("json", draftDocument, "make the document one JSON object with every name once: %v", err)
		return r.list
	}
	m := &reader{members: o}
	d := document{url: url, base: base, reader: m}
	d.identity(r)
	d.redirects(r)
	d.grants(r)
	d.proof(r)
	d.pages(r)
	for _, w := range m.wrong {
		r.error("member-type", rfc7591, "make %q %s", w.name, w.want)
	}
	return r.list
}

// identity is about who the document says it is.
func (d *document) identity(r *report) {
	switch id := d.text("client_id"); {
	case !d.members.Has("client_id"):
		r.error("client-id", draftDocument, "add \"client_id\" with the document's own URL, %s", shown(d.url))
	case id != d.url:
		r.error("client-id", draftDocument, "make \"client_id\" exactly the URL of the document: it is %s and the URL is %s%s", shown(id), shown(d.url), almost(id, d.url))
	}
	switch name := d.text("client_name"); {
	case strings.TrimSpace(name) == "" && !d.isWrong("client_name"):
		r.error("client-name", mcpClient, "add \"client_name\", which people are shown when they are asked for consent")
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.error("client-name", advice, "take the characters out of \"client_name\" that cannot be seen")
	case len([]rune(name)) > 60:
		r.warn("client-name", advice, "shorten \"client_name\": consent pages have little room")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at", "registration_access_token"} {
		if d.members.Has(name) {
			r.error("no-secrets", draftDocument, "take out %q: everybody can read this document, and a secret in it is none; change it wherever it is used", name)
		}
	}
}

// almost names the differences that are hard to see.
func almost(a, b string) string {
	switch {
	case strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/"):
		return "; only the slash at the end differs"
	case strings.EqualFold(a, b):
		return "; only capital letters differ"
	}
	return ""
}

// grants is about what the client asks for.
func (d *document) grants(r *report) {
	grants := d.list("grant_types")
	has := func(g string) bool { return slices.Contains(grants, g) }
	if !d.members.Has("grant_types") { // which means the authorization code
		r.warn("grant-types", rfc7591, "add \"grant_types\": without it the client may use the authorization code alone, and neither refresh nor enterprise-managed sign-ins")
	}
	for _, g := range grants {
		if g == "implicit" || g == "password" {
			r.error("grant-types", "OAuth 2.1", "take %q out of \"grant_types\": MCP's authorization servers know it no longer", g)
		}
	}
	if has(GrantAuthorizationCode) && !has(GrantRefreshToken) {
		r.warn("refresh-token", mcpClient, "add \"refresh_token\" to \"grant_types\", or people consent again whenever a token has expired")
	}
	if has("client_credentials") && d.method() == MethodNone {
		r.error("grant-types", "RFC 6749 section 4.4", "take \"client_credentials\" out of \"grant_types\", or let the client authenticate by private_key_jwt: anybody could use it")
	}
	profiles := d.list("authorization_grant_profiles_supported")
	switch profile := slices.Contains(profiles, ProfileIDJAG); {
	case profile && !has(GrantJWTBearer):
		r.error("grant-profile", idJAG, "add %q to \"grant_types\": the profile for enterprise-managed sign-ins is one of that grant", GrantJWTBearer)
	case profile && !has(GrantTokenExchange):
		r.warn("grant-profile", idJAG, "add %q to \"grant_types\", for identity providers that know the client by this URL as well", GrantTokenExchange)
	case !profile && has(GrantJWTBearer):
		r.warn("grant-profile", idJAG, "add \"authorization_grant_profiles_supported\" with %q, which says what the JWT bearer grant is for", ProfileIDJAG)
	}
	if has(GrantJWTBearer) && d.method() == MethodNone {
		r.warn("public-client", "identity-assertion-authz-grant section 9.1", "let the client authenticate by private_key_jwt: enterprise-managed sign-ins should be for clients that can prove who they are")
	}
	types := d.list("response_types")
	if d.members.Has("response_types") && (has(GrantAuthorizationCode) || !d.members.Has("grant_types")) && !slices.Contains(types, "code") {
		r.error("response-types", rfc7591, "add \"code\" to \"response_types\": the authorization code grant needs it")
	}
	for _, t := range types {
		if t != "code" && t != "none" {
			r.warn("response-types", "OAuth 2.1", "take %s out of \"response_types\": MCP's authorization servers know \"code\" alone", shown(t))
		}
	}
	if scope := d.text("scope"); scope != "" && !isScope(scope) {
		r.error("scope", "RFC 6749 section 3.3", "write \"scope\" as words with one space between two of them, without quotes or backslashes")
	}
}

func isScope(s string) bool {
	for word := range strings.SplitSeq(s, " ") {
		if word == "" || strings.ContainsFunc(word, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return false
		}
	}
	return true
}

// pages is about what people are shown of the client.
func (d *document) pages(r *report) {
	for _, name := range []string{"client_uri", "logo_uri", "tos_uri", "policy_uri"} {
		text := d.text(name)
		if text == "" {
			continue
		}
		u, why := webURL(text)
		switch {
		case why != "":
			r.error("page", rfc7591, "make %q the URL of a page on the web: %s %s", name, shown(text), why)
		case u.Scheme != "https":
			r.warn("page", advice, "write %q with https", name)
		case name == "client_uri" && d.base != nil && !sameHost(u, d.base):
			r.warn("page-host", draftSecurity, "put \"client_uri\" on the host of the document, %s: authorization servers show no page of another host", shown(d.base.Host))
		}
	}
}
