package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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
type ends struct{ undo []func() }

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

func open(e *ends, ca *idjagtest.CA, rtt time.Duration) company {
	c := company{rtt: rtt}
	c.Company = idjagtest.New(e, func(f *idjagtest.Company) {
		f.CA = ca
		f.AS.JWT = true
		// All that the SDK's handler can do.
		f.IdPClient.Method, f.ASClient.Method = idjagtest.AuthPost, idjagtest.AuthPost
		if rtt > 0 {
			f.IdP.Issuer = afar(e, &f.IdP.Party, rtt)
			f.AS.Issuer = afar(e, &f.AS.Party, rtt)
			f.MCP.Resource = afar(e, &f.MCP.Party, rtt) + "/mcp"
		}
	})
	// The SDK reads no metadata without it, though there is no code flow here.
	c.AS.SetQuirks(idjagtest.Member(idjagtest.Metadata, "code_challenge_methods_supported", []string{"S256"}))
	c.server = c.MCP.Resource
	return c
}

// afar puts a party behind a delay and returns its origin there.
func afar(e *ends, p *idjagtest.Party, rtt time.Duration) string {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err, "open a port")
	e.Cleanup(func() { front.Close() })
	// The party opens its port itself; find it one that is free.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err, "find a port")
	p.Addr = free.Addr().String()
	free.Close()
	go delay(front, p.Addr, rtt)
	return "https://" + front.Addr().String()
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
