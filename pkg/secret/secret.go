// Package secret holds strings that must not be printed: tokens, client
// secrets, codes and verifiers.
//
// A named string type with a String method is not enough, since fmt cannot call
// methods on unexported fields and prints their memory. Text therefore keeps
// its bytes behind a pointer: however a struct that holds a Text is printed,
// logged or marshaled, the clear text does not appear. The only way out is
// Reveal, so that searching a program for "Reveal()" is its audit.
//
//	tok := secret.New("s3cret")
//	fmt.Printf("%+v", struct{ tok secret.Text }{tok}) // an address, never the text
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Text is a string that refuses to be printed. The zero value holds nothing.
// Text is immutable and safe for concurrent use. It does not protect against
// a reader of the process's memory, and it is never wiped: Go strings cannot be.
type Text struct{ p *string }

// New returns a Text that holds s. An empty s gives the zero Text.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the clear text, empty for the zero Text.
func (t Text) Reveal() string {
	if t.p == nil {
		return ""
	}
	return *t.p
}

// IsZero reports whether t holds nothing.
func (t Text) IsZero() bool { return t.p == nil }

// Equal compares in a time that depends on the lengths only. Do not use ==,
// which compares addresses.
func (t Text) Equal(u Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(u.Reveal())) == 1
}

// Format implements fmt.Formatter for every verb and flag.
func (t Text) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, and so covers encoding/json.
// Storing a secret is therefore always a deliberate Reveal.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
