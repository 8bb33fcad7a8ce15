package token

import (
	"context"
	"errors"
	"io/fs"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// clockWrong reports that nothing can be had while this computer's clock is as it is.
func clockWrong(err error) bool {
	var id *identity.Untrusted
	var check *idjag.CheckError
	return errors.As(err, &id) && id.Rule == "T5" || errors.As(err, &check) && check.Rule == "X9"
}

// inconclusive reports that an error says nothing about whether access is given, nor
// that going on is not safe: a token that is at hand stays as good as it was.
func inconclusive(err error) bool { return temporary(err) || unusable(err) || local(err) }

// local reports trouble on this computer: a keychain that is locked, a disk that is
// full. That there is no sign-in in the keychain any more is not that.
func local(err error) bool {
	var path *fs.PathError
	var file *state.Unusable
	for _, trouble := range []error{vault.ErrLocked, vault.ErrUnavailable, vault.ErrRefused, vault.ErrTimeout} {
		if errors.Is(err, trouble) {
			return true
		}
	}
	return errors.As(err, &path) || errors.As(err, &file)
}

// webPage is how package endpoint calls one.
const webPage = "a web page"

func temporary(err error) bool {
	var e *endpoint.Error
	var st *discover.StatusError
	var busy *state.Busy
	var page *discover.Malformed
	switch {
	case errors.As(err, &e):
		return e.Temporary() || e.Strange == webPage // a hotel's or a proxy's, in place of an answer
	case errors.As(err, &page):
		return page.WebPage
	case errors.As(err, &st):
		return st.Status >= 500 || st.Status == 429
	case errors.As(err, &busy), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	switch wire.Classify(err) {
	case wire.Timeout, wire.DNS, wire.Refused, wire.Unreachable, wire.Reset, wire.Proxy, wire.Files:
		return true
	}
	return false
}

// unusable reports that what came is no answer at all: of a party that is out of
// order, or of somebody in between.
func unusable(err error) bool {
	var e *endpoint.Error
	var st *discover.StatusError
	var page *discover.Malformed
	var check *idjag.CheckError
	var untrusted *identity.Untrusted
	switch {
	case errors.As(err, &untrusted):
		return untrusted.Rule == "T5" // a clock is wrong, and the token was had before it was
	case errors.As(err, &e):
		return e.Strange != ""
	case errors.As(err, &check):
		return !check.Security
	case errors.As(err, &st), errors.As(err, &page):
		return true
	}
	switch wire.Classify(err) {
	case wire.Certificate, wire.WrongHost, wire.Expired, wire.TLS, wire.Size:
		return true
	}
	return false
}
