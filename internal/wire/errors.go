package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// Refusal means that a request was not sent because it carried a secret that was
// not permitted to go there (S6). It never holds the secret.
type Refusal struct {
	Kind  Kind   // 0 when it is not known what it was
	Host  string // where it would have gone; "" when the URL itself held the secret
	Place string // where in the request it stood
}

func (e *Refusal) Error() string {
	host := "this destination"
	if e.Host != "" {
		host = fmt.Sprintf("%q", e.Host)
	}
	return fmt.Sprintf("refuse to send a request to %s: its %s holds a credential (%s) that is not permitted there", host, e.Place, e.Kind)
}

// Blocked means that a request was not sent because of where it would have gone
// (S8, S9) or of its shape.
type Blocked struct {
	Host   string
	Reason string
}

func (e *Blocked) Error() string {
	if e.Host == "" {
		return "refuse to send a request: " + e.Reason
	}
	return fmt.Sprintf("refuse to send a request to %q: %s", e.Host, e.Reason)
}

// TooLarge means that a response had more bytes than Limit after decompression (S25).
type TooLarge struct {
	Host  string
	Limit int64
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("read response of %q: more than %d bytes", e.Host, e.Limit)
}

// ProxyRefused means that the HTTP proxy did not connect us.
type ProxyRefused struct {
	Proxy  string // host and port, without what proves who we are to it
	Status int
}

func (e *ProxyRefused) Error() string {
	if e.WantsCredentials() {
		return fmt.Sprintf("connect through the proxy %q: it wants a name and a password, or other ones", e.Proxy)
	}
	return fmt.Sprintf("connect through the proxy %q: it answered %d", e.Proxy, e.Status)
}

// WantsCredentials reports whether the proxy asks who we are.
func (e *ProxyRefused) WantsCredentials() bool { return e.Status == http.StatusProxyAuthRequired }

// Class says in clear text why a request got no usable answer. It holds no remote
// text and no URL, so it may be shown as it is.
type Class string

const (
	None        Class = ""
	Other       Class = "the request failed"
	Canceled    Class = "canceled"
	Timeout     Class = "timed out"
	DNS         Class = "the host name was not found"
	Refused     Class = "connection refused"
	Unreachable Class = "the network is unreachable"
	Reset       Class = "the connection broke"
	Certificate Class = "the server's certificate is not trusted"
	WrongHost   Class = "the server's certificate is for another host"
	Expired     Class = "the server's certificate is expired or not yet valid"
	TLS         Class = "no secure connection could be agreed on"
	Proxy       Class = "the proxy refused the connection"
	Files       Class = "too many files are open"
	Size        Class = "the answer is too large"
	Stopped     Class = "stopped for security"
)

// Explain is Classify as a string.
func Explain(err error) string { return string(Classify(err)) }

// Classify finds the class of an error of the HTTP client or of reading a body.
func Classify(err error) Class {
	var (
		refusal *Refusal
		blocked *Blocked
		large   *TooLarge
		proxy   *ProxyRefused
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
	)
	switch {
	case err == nil:
		return None
	case errors.As(err, &refusal), errors.As(err, &blocked):
		return Stopped
	case errors.As(err, &large):
		return Size
	case errors.As(err, &proxy):
		return Proxy
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	}
	if c := classifyTLS(err); c != None {
		return c
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return DNS
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.As(err, &dns):
		return DNS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isAny[*Broken](err), brokenHTTP2(err):
		return Reset
	}
	var number syscall.Errno
	errors.As(err, &number)
	switch number { // Windows has numbers of its own, which package syscall names on Windows only
	case syscall.EMFILE, syscall.ENFILE, 10024:
		return Files
	case syscall.ECONNREFUSED, 10061:
		return Refused
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, 10051, 10065:
		return Unreachable
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, 10053, 10054:
		return Reset
	}
	return Other
}

func classifyTLS(err error) Class {
	var (
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		roots     x509.SystemRootsError
		verify    *tls.CertificateVerificationError
		op        *net.OpError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &hostname):
		return WrongHost
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	case errors.As(err, &authority), errors.As(err, &invalid), errors.As(err, &roots), errors.As(err, &verify):
		return Certificate
	case isAny[*OldTLS](err), tooOld(err), begins(err, "tls: "),
		errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // so package tls names its alerts
		return TLS
	}
	return None
}
