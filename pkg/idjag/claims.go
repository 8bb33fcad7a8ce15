package idjag

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// MaxAssertion is the longest ID-JAG that is read, in bytes. Authorization
// servers in the field stop at 16 KiB.
const MaxAssertion = 64 << 10

// Claims is what an ID-JAG says (the draft, section 3.1). Claims that decide
// nothing for a client (email, act, tenant, …) are in Names only.
type Claims struct {
	Type      string // JOSE "typ", as written
	Algorithm string // JOSE "alg"
	KeyID     string // JOSE "kid"

	// Opaque is true for an encrypted ID-JAG (five parts): nothing below is known.
	Opaque bool

	Issuer   string
	Subject  string
	Audience []string
	ClientID string
	JTI      string
	Resource []string
	Scopes   []string
	HasScope bool // the claim is there, be it empty

	IssuedAt, NotBefore, Expires time.Time // zero when absent

	// KeyThumbprint is cnf.jkt (RFC 9449 section 6.1), empty when "cnf" has anything
	// besides, since it then asks for more than that key. Bound is true when there
	// is any "cnf", with whatever method.
	KeyThumbprint string
	Bound         bool

	Names []string // of all claims, sorted
}

// Parse reads an ID-JAG without checking its signature, which a client cannot
// rely on being able to do and does not have to: it has the ID-JAG from the
// identity provider over TLS. What is not a JWS with claims of the right JSON
// types, or stands in for one (alg none, unknown crit, a name twice), is an error.
// No value is checked: see ExchangeRequest and Verifier.
func Parse(assertion secret.Text) (Claims, error) {
	raw := assertion.Reveal()
	if len(raw) > MaxAssertion {
		return Claims{}, fmt.Errorf("read ID-JAG: longer than %d bytes", MaxAssertion)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 && len(parts) != 5 || parts[len(parts)-1] == "" {
		return Claims{}, errors.New("read ID-JAG: not a JWT")
	}
	for _, p := range parts { // the last ones too: an ID-JAG gets printed
		if _, err := decode(p); err != nil {
			return Claims{}, fmt.Errorf("read ID-JAG: %w", err)
		}
	}
	header, err := part(parts[0])
	if err != nil {
		return Claims{}, fmt.Errorf("read ID-JAG header: %w", err)
	}
	var c Claims
	f := fields{o: header}
	c.Type, c.Algorithm, c.KeyID = f.text("typ"), f.text("alg"), f.text("kid")
	if f.err != nil {
		return Claims{}, fmt.Errorf("read ID-JAG header: %w", f.err)
	}
	if len(parts) == 5 {
		if !header.Has("enc") { // RFC 7516 section 4.1.2
			return Claims{}, errors.New("read ID-JAG header: five parts and no encryption (enc)")
		}
		c.Opaque = true
		return c, nil
	}
	switch {
	case header.Has("crit"): // RFC 7515 section 4.1.11: we understand no extension
		return Claims{}, errors.New("read ID-JAG header: it has critical extensions")
	case !slices.Contains(algorithms, c.Algorithm):
		return Claims{}, fmt.Errorf("read ID-JAG header: algorithm %q is not an accepted signature", c.Algorithm)
	}
	payload, err := part(parts[1])
	if err != nil {
		return Claims{}, fmt.Errorf("read ID-JAG claims: %w", err)
	}
	if err := c.read(payload); err != nil {
		return Claims{}, fmt.Errorf("read ID-JAG claims: %w", err)
	}
	return c, nil
}

// algorithms are the signatures taken (rule T1, RFC 8725 section 3.1): public
// keys only, so that nobody can sign with what is public.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (c *Claims) read(payload strictjson.Object) error {
	f := fields{o: payload}
	c.Issuer, c.Subject, c.ClientID, c.JTI = f.text("iss"), f.text("sub"), f.text("client_id"), f.text("jti")
	c.Audience, c.Resource = f.texts("aud"), f.texts("resource")
	c.IssuedAt, c.NotBefore, c.Expires = f.time("iat"), f.time("nbf"), f.time("exp")
	c.Scopes, c.HasScope = strings.Fields(f.text("scope")), payload.Has("scope")
	c.Bound = payload.Has("cnf")
	if f.err == nil && c.Bound {
		var cnf strictjson.Object
		if cnf, f.err = payload.Object("cnf"); f.err == nil {
			c.KeyThumbprint, f.err = cnf.Text("jkt")
		}
		if len(cnf) != 1 {
			c.KeyThumbprint = ""
		}
	}
	for name := range payload {
		c.Names = append(c.Names, name)
	}
	slices.Sort(c.Names)
	return f.err
}

// isIDJAG compares a JOSE "typ" (rule X4): without regard to case, and with or
// without the prefix that RFC 7515 section 4.1.9 lets a producer leave out.
func (c Claims) isIDJAG() bool {
	typ := strings.ToLower(c.Type)
	return strings.TrimPrefix(typ, "application/") == JWTType
}

func part(s string) (strictjson.Object, error) {
	b, err := decode(s)
	if err != nil {
		return nil, err
	}
	return strictjson.Parse(b)
}

// decode reads base64url (RFC 7515 section 2). Package base64 skips line ends
// even when it is strict; in a header line they would start another one.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64url")
	}
	return b, nil
}

// fields reads members until the first one that has a wrong type.
type fields struct {
	o   strictjson.Object
	err error
}

func read[T any](f *fields, name string, get func(string) (T, error)) (v T) {
	if f.err == nil {
		v, f.err = get(name)
	}
	return v
}

func (f *fields) text(name string) string    { return read(f, name, f.o.Text) }
func (f *fields) texts(name string) []string { return read(f, name, f.o.Texts) }
func (f *fields) time(name string) time.Time { return read(f, name, f.o.Time) }
