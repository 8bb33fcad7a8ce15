package endpoint

import (
	"fmt"
	"strings"
)

// CheckError says that an answer is not what was asked for. Got and Want are
// what the other side wrote and what was expected; both may be long and hold any
// character. It never holds a token.
type CheckError struct {
	Rule string // "X6", for documentation and tests
	What string // what was looked at, or the whole complaint when Got and Want are empty
	Got  string
	Want string

	// Security is true when going on would have used a token of another kind or of
	// another issuer, or one bound to another key than ours or to none, and false
	// when a misconfiguration is the likely cause.
	Security bool
}

func (e *CheckError) Error() string {
	if e.Got == "" && e.Want == "" {
		return e.What
	}
	text := fmt.Sprintf("%s is %q, want %q", e.What, e.Got, e.Want)
	if e.Got != e.Want && strings.TrimSuffix(e.Got, "/") == strings.TrimSuffix(e.Want, "/") {
		text += "; they differ only in the final slash, which counts"
	}
	return text
}
