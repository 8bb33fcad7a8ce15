package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// company is one identity provider, one authorization server and one MCP server,
// strict fakes that speak TLS, each at the given distance.
type company struct {
	*idjagtest.Company
	server string // the URL of the MCP server
	rtt    time.Duration
}

// ends collects what is to be undone, and is the fakes' idea of a test.
type ends struct {
	undo  []func()
	front tls.Certificate
}

func (e *ends) Helper()                   {}
func (e *ends) Cleanup(f func())          { e.undo = append(e.undo, f) }
func (e *ends) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (e *ends) all() {
	for i := range e.undo {
		e.undo[len(e.undo)-1-i]()
	}
}
func (e *ends) must(err error, what string) {
	if err != nil {
		e.Fatalf("%s: %v", what, err)
	}
}

func open(e *ends, rtt time.Duration) company {
	c := company{rtt: rtt}
	c.Company = idjagtest.New(e, func(f *idjagtest.Company) {
		f.AS.JWT = true
		// All that the SDK's handler can do.
		f.IdPClient.Method, f.ASClient.Method = idjagtest.AuthPost, idjagtest.AuthPost
		f.IdP.Issuer = front(e, f.IdP, rtt)
		f.AS.Issuer = front(e, f.AS, rtt)
		f.MCP.Resource = front(e, f.MCP, rtt) + "/mcp"
	})
	// The SDK reads no metadata without it, though there is no code flow here.
	c.AS.SetQuirks(idjagtest.Member(idjagtest.Metadata, "code_challenge_methods_supported", []string{"S256"}))
	c.server = c.MCP.Resource
	return c
}

// front serves a party over TLS, lets its metadata be kept as real ones do, and
// puts it at a distance. It returns the origin there.
func front(e *ends, party http.Handler, rtt time.Duration) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/.well-known/") {
			w = keepable{w}
		}
		party.ServeHTTP(w, r)
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{e.cert()}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = distant{s.Listener, rtt}
	s.StartTLS()
	e.Cleanup(s.Close)
	return s.URL
}

// keepable is an answer that may be kept for an hour.
type keepable struct{ http.ResponseWriter }

func (k keepable) WriteHeader(status int) {
	k.Header().Set("Cache-Control", "max-age=3600")
	k.ResponseWriter.WriteHeader(status)
}

// cert is the certificate of every front. Its key is of the kind that costs a server
// least: in life the far ends do not use the processors that are measured.
func (e *ends) cert() tls.Certificate {
	if e.front.PrivateKey == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		e.must(err, "make a key")
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		e.must(err, "sign a certificate")
		e.front = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	return e.front
}

// certificate is cert in PEM.
func certificate(e *ends) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.cert().Certificate[0]})
}

// requests counts what the parties were asked since the last call.
func (c company) requests() int {
	n := 0
	for _, p := range []*idjagtest.Party{&c.IdP.Party, &c.AS.Party, &c.MCP.Party} {
		n += len(p.Requests())
		p.ForgetRequests()
	}
	return n
}

// peerEnv is the peer's configuration. The ID token is written into folder.
func (c company) peerEnv(e *ends, folder, caFile string) []string {
	file := filepath.Join(folder, "id-token")
	e.must(os.WriteFile(file, []byte(c.MintIDToken(nil)), 0o600), "keep the ID token")
	return []string{
		"HOME=" + folder, "ID_TOKEN_FILE=" + file, "SSL_CERT_FILE=" + caFile,
		"IDP=" + c.IdP.Issuer, "IDP_CLIENT=" + c.IdPClient.ID, "IDP_SECRET=" + c.IdPClient.Secret,
		"AS=" + c.AS.Issuer, "AS_CLIENT=" + c.ASClient.ID, "AS_SECRET=" + c.ASClient.Secret,
		"RESOURCE=" + c.server,
	}
}
