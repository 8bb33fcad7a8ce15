package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
)

// roots loads the system's certificates while the first connection is made:
// loading costs about 9 ms of a process that otherwise takes 6. A program that
// sends no request, since its token was in the cache, loads nothing.
type roots struct {
	extra []byte // PEM, trusted besides the system's
	once  sync.Once
	pool  *x509.CertPool // filled before ready is closed, not read before
	ready chan struct{}
	err   error
}

func newRoots(extra []byte) *roots {
	return &roots{extra: extra, pool: x509.NewCertPool(), ready: make(chan struct{})}
}

func (r *roots) start() { r.once.Do(func() { go r.load() }) }

func (r *roots) load() {
	defer close(r.ready)
	system, err := x509.SystemCertPool()
	if err != nil {
		r.err = fmt.Errorf("load root certificates: %w", err)
		return
	}
	system.AppendCertsFromPEM(r.extra)
	*r.pool = *system
}

// wait returns when the certificates are there. Every dial that is not for plain
// http calls it after the TCP connection and so before the TLS handshake.
func (r *roots) wait(ctx context.Context) error {
	r.start()
	select {
	case <-r.ready:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *roots) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.pool}
}

func hasCertificate(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" {
			if _, err := x509.ParseCertificate(block.Bytes); err == nil {
				return true
			}
		}
		data = rest
	}
}
