package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mcpauth/mcpauth/pkg/secret"
)

// Kind says what a secret is, and so in which place of a request it may stand.
type Kind int

const (
	Code            Kind = iota + 1 // authorization code, PKCE verifier, device code
	SubjectToken                    // what an ID-JAG is asked with: ID token, IdP refresh token
	RefreshToken                    // in a refresh grant or in a revocation
	ClientSecret                    // Basic or client_secret
	ClientAssertion                 // client_assertion; see PermitAssertion
	IDJAG                           // assertion
	AccessToken                     // Bearer, DPoP, or in a revocation
	WorkloadToken                   // assertion: what a platform says about the program that it runs
)

func (k Kind) String() string {
	names := [...]string{"secret", "authorization code", "subject token", "refresh token", "client secret", "client assertion", "ID-JAG", "access token", "workload token"}
	if k < 0 || int(k) >= len(names) {
		k = 0
	}
	return names[k]
}

// Permit says that this secret, as this kind, may go to d. What is not permitted
// anywhere goes nowhere; permits add up. A zero secret is ignored.
func (n *Net) Permit(kind Kind, s secret.Text, d Destination) {
	if !s.IsZero() {
		n.table.add(s, grant{kind, d})
	}
}

// Forget takes every permit of a secret back. A long-lived program calls it for
// what is spent. The table then no longer knows the secret where it stands astray,
// either.
func (n *Net) Forget(s secret.Text) {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	delete(n.table.known, sha256.Sum256([]byte(s.Reveal())))
}

type grant struct {
	kind Kind
	to   Destination
}

// table holds the very Text that its caller holds, not a copy of the bytes: a
// digest alone could not find a secret inside of a longer value.
type table struct {
	mu         sync.RWMutex
	known      map[[sha256.Size]byte]*entry
	assertions map[assertion][]string // to the audiences that are right
}

type entry struct {
	text   secret.Text
	folded secret.Text // the same decoded to the end
	grants []grant
}

func (t *table) add(s secret.Text, g grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[[sha256.Size]byte]*entry{}
	}
	key := sha256.Sum256([]byte(s.Reveal()))
	if t.known[key] == nil {
		t.known[key] = &entry{text: s, folded: secret.New(fold(s.Reveal()))}
	}
	if !slices.Contains(t.known[key].grants, g) {
		t.known[key].grants = append(t.known[key].grants, g)
	}
}

// grants returns what is known of a value, nil for a stranger. What is in the list
// does not change any more.
func (t *table) grants(value string) []grant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.known[sha256.Sum256([]byte(value))]; e != nil {
		return slices.Clip(e.grants)
	}
	return nil
}

// minSubstring is the length from which a secret is looked for inside of other
// words. A shorter one must be a whole word, or "read" would be found everywhere.
const minSubstring = 12

// find looks for any known secret in a place where none may stand: as it is, at
// each depth of percent-decoding, and with both sides decoded to the end, since
// "+" may be a space at any depth.
func (t *table) find(text string) (Kind, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.known) == 0 || text == "" {
		return 0, false
	}
	whole := text
	for range maxDecode {
		if kind, ok := t.search(text, func(e *entry) secret.Text { return e.text }); ok {
			return kind, true
		}
		next := unescape(text)
		if next == text {
			break
		}
		text = next
	}
	return t.search(fold(whole), func(e *entry) secret.Text { return e.folded })
}

func (t *table) search(text string, spelling func(*entry) secret.Text) (Kind, bool) {
	for _, e := range t.known {
		s := spelling(e).Reveal()
		if text == s || len(s) >= minSubstring && strings.Contains(text, s) || len(s) < minSubstring && hasWord(text, s) {
			return e.grants[0].kind, true
		}
	}
	return 0, false
}

func hasWord(text, word string) bool {
	for w := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(`/?&=;,:@#" `, r) }) {
		if w == word {
			return true
		}
	}
	return false
}

// findInJSON looks for a known secret in all strings, names and numbers, as they
// read once JSON's own escapes are taken off. An error says that the data is not one
// JSON value.
func (t *table) findInJSON(data []byte) (Kind, bool, error) {
	// The decoder would change what is not UTF-8, and its reader might not.
	if !utf8.Valid(data) || !json.Valid(data) {
		return 0, false, errors.New("not a JSON value")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		word := ""
		switch v := token.(type) {
		case string:
			word = v
		case json.Number:
			word = v.String()
		}
		if kind, ok := t.find(word); ok {
			return kind, true, nil
		}
	}
}

// fold decodes a text until nothing changes any more.
func fold(s string) string {
	for {
		next := unescape(strings.ReplaceAll(s, "+", " "))
		if next == s {
			return s
		}
		s = next
	}
}
