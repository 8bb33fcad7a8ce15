package cli

import (
	"errors"
	"syscall"

	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// explainFiles comes before all others: that nothing can be opened is no fault of
// what could not be opened, and passes.
func explainFiles(err error, _ *stage.Error, r *report) bool {
	switch {
	case errors.Is(err, syscall.ENFILE):
		r.Message = "this computer has too many files open: mcpauth could not open what it needs"
		return r.is(exitNetwork, "too_many_files", "end programs that you do not need, and try again")
	case errors.Is(err, syscall.EMFILE), wire.Classify(err) == wire.Files:
		r.Message = "too many files are open here: mcpauth could not open what it needs"
		return r.is(exitNetwork, "too_many_files", "raise the limit of this shell, or open another one: ulimit -n 1024")
	}
	return false
}

func explainNetwork(err error, at *stage.Error, r *report) bool {
	var old *wire.OldTLS
	var proxy *wire.ProxyRefused
	what := wire.Classify(err)
	switch what {
	case wire.None, wire.Other:
		return false
	case wire.Stopped:
		return r.is(exitSecurity, "stopped")
	case wire.TLS, wire.Certificate, wire.WrongHost, wire.Expired:
		if errors.As(err, &old) {
			return r.is(exitBroken, "old_tls", "the owner of "+old.Host+" has to turn on TLS 1.2 or newer")
		}
		return r.is(exitBroken, "tls", "behind a company proxy: mcpauth --ca-file company-root.pem …")
	case wire.Size:
		return r.is(exitBroken, "too_large")
	case wire.Canceled:
		return r.is(exitUnexpected, "interrupted")
	}
	if at.Stage != "" {
		r.Message = at.Error()
	}
	if errors.As(err, &proxy) && proxy.WantsCredentials() {
		return r.is(exitNetwork, "proxy_credentials", "HTTPS_PROXY=http://NAME:PASSWORD@"+proxy.Proxy+" mcpauth …")
	}
	return r.is(exitNetwork, "network", "check your network or VPN, and try again")
}
