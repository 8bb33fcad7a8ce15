package resilience

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// between stands before a party and can show a bad certificate, speak an old version
// of TLS, end a connection or let an answer come drop by drop.
type between struct {
	URL      string
	shows    atomic.Pointer[tls.Certificate] // nil: plain HTTP
	newest   atomic.Uint32                   // version of TLS; 0: the newest there is
	drips    atomic.Pointer[drops]
	leaves   atomic.Pointer[leaving]
	requests atomic.Int32
}

type drops struct{ at, of string } // where in the path; of headers or body

func newBetween(t testing.TB, h http.Handler, shows *tls.Certificate) *between {
	b := &between{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		if d := b.drips.Load(); d != nil && strings.Contains(r.URL.Path, d.at) {
			d.fall(w, r)
			return
		}
		if l := b.leaves.Load(); l != nil && strings.Contains(r.URL.Path, l.at) {
			l.leave(h, w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that hang up
	if shows == nil {
		s.Start()
	} else {
		b.shows.Store(shows)
		s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{
				Certificates: []tls.Certificate{*b.shows.Load()}, NextProtos: []string{"h2", "http/1.1"},
				MinVersion: tls.VersionTLS10, MaxVersion: uint16(b.newest.Load()),
			}, nil
		}}
		s.EnableHTTP2 = true
		s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
		s.StartTLS()
	}
	t.Cleanup(s.CloseClientConnections)
	b.URL = s.URL
	return b
}

// fall answers for ever.
func (d drops) fall(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	drop := "X-Drop: 1\r\n"
	_, err = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"))
	if d.of == "body" {
		_, err = conn.Write([]byte("Content-Length: 100000\r\n\r\n"))
		drop = " "
	}
	for err == nil {
		<-time.After(100 * time.Millisecond)
		_, err = conn.Write([]byte(drop))
	}
}

// Answers that come drop by drop, headers or body, end at the deadline, wherever they
// come from, and a good token is served.
func TestFaultsDrips(t *testing.T) {
	for _, of := range []string{"headers", "body"} {
		for _, who := range []string{"IdP /.well-known/", "IdP /token", "AS /.well-known/", "AS /token", "MCP /.well-known/"} {
			t.Run(of+" of "+who, func(t *testing.T) {
				t.Parallel()
				parties := map[string]*between{}
				l := newLaptop(t, 1, func(c *idjagtest.Company) {
					for name, h := range map[string]http.Handler{"IdP": c.IdP, "AS": c.AS, "MCP": c.MCP} {
						parties[name] = newBetween(t, h, nil)
					}
					c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = parties["IdP"].URL, parties["AS"].URL, parties["MCP"].URL+"/mcp"
				})
				l.signIn(false)
				good := l.token("s0") + "\n"
				name, at, _ := strings.Cut(who, " ")
				parties[name].drips.Store(&drops{at, of})
				start := time.Now()
				d := l.inside(0, "token", "s0", "--fresh")
				if took := time.Since(start); d.exit != 6 || d.out != "" || took > 8*time.Second {
					t.Errorf("after %v: %v", took, d)
				}
				if d := l.inside(0, "token", "s0"); d.out != good || d.err != "" {
					t.Errorf("with a valid token: %v", d)
				}
				parties[name].drips.Store(nil)
				if d := l.inside(0, "token", "s0", "--fresh"); !l.issued(d) {
					t.Errorf("when it is over: %v", d)
				}
			})
		}
	}
}

// authority signs certificates as a company's own does.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	a := authority{t: t}
	whole := a.leaf(func(c *x509.Certificate) {
		c.Subject.CommonName, c.SerialNumber = fmt.Sprint("authority ", time.Now().UnixNano()), big.NewInt(1)
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	a.key = whole.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	if a.cert, err = x509.ParseCertificate(whole.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// leaf makes a certificate for loopback; without an authority it signs itself.
func (a authority) leaf(change func(*x509.Certificate)) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "loopback"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(c)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newSecured is a laptop with parties that speak TLS and HTTP/2, somebody signed in,
// and her first token.
func newSecured(t *testing.T, ca authority, options ...func(*idjagtest.Company)) (l *laptop, parties map[string]*between, first done) {
	parties = map[string]*between{}
	l = newLaptop(t, 1, append(options, func(c *idjagtest.Company) {
		for name, h := range map[string]http.Handler{"IdP": c.IdP, "AS": c.AS, "MCP": c.MCP} {
			parties[name] = newBetween(t, h, ca.leaf(nil))
		}
		c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = parties["IdP"].URL, parties["AS"].URL, parties["MCP"].URL+"/mcp"
	})...)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	l.browses = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	l.configure(map[string]any{"kind": "file", "keyFile": filepath.Join(l.home, "key")}, l.write("ca.pem", ca.pem()))
	if d := l.inside(0, "login", "--timeout", "20s"); d.exit != 0 {
		t.Fatal(d)
	}
	if first = l.inside(0, "token", "s0"); !l.issued(first) {
		t.Fatal(first)
	}
	return l, parties, first
}

// A certificate that is not to be trusted stops everything before a request is sent,
// at every party, with a word on what is wrong with it; a good token is served.
func TestFaultsBadCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	l, parties, first := newSecured(t, ca)
	n := 0
	for name, p := range parties {
		for what, bad := range map[string]*tls.Certificate{
			"expired":       ca.leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }),
			"not yet valid": ca.leaf(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }),
			"of a name":     ca.leaf(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"} }),
			"of an address": ca.leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }),
			"self-signed":   authority{t: t}.leaf(nil),
			"unknown":       other.leaf(nil),
			"for clients":   ca.leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		} {
			good := p.shows.Swap(bad)
			before := p.requests.Load()
			if d := l.inside(0, "token", "s0", "--fresh"); d.exit != 7 || d.out != "" || !strings.Contains(d.err, "certificate") || !strings.Contains(d.err, "hint: ") {
				t.Errorf("%s, %s: %v", name, what, d)
			}
			if got := p.requests.Load() - before; got != 0 {
				t.Errorf("%s, %s: %d requests were sent", name, what, got)
			}
			if d := l.inside(0, "token", "s0"); d.out != first.out || d.err != "" {
				t.Errorf("%s, %s, with a valid token: %v", name, what, d)
			}
			p.shows.Store(good)
			n++
		}
	}
	if d := l.inside(0, "token", "s0", "--fresh"); !l.issued(d) {
		t.Errorf("when it is over: %v", d)
	}
	t.Logf("%d bad certificates", n)
}

// A party that offers only versions of TLS that are not safe any more (RFC 8996) is
// sent nothing, and it is said what its owner has to do, not what number the library
// has for it. A good token is served.
func TestFaultsOldTLS(t *testing.T) {
	l, parties, first := newSecured(t, newAuthority(t))
	for name, p := range parties {
		for _, version := range []uint32{tls.VersionTLS10, tls.VersionTLS11} {
			p.newest.Store(version)
			before := p.requests.Load()
			commands := [][]string{{"token", "s0", "--fresh"}, {"headers", "s0", "--fresh"}}
			if name == "IdP" {
				commands = append(commands, []string{"login", "--timeout", "20s"})
			}
			for _, args := range commands {
				d := l.inside(0, args...)
				if d.exit != 7 || d.out != "" || !strings.Contains(d.err, "it offers no version of TLS that is safe") || !strings.Contains(d.err, "hint: the owner of "+strings.TrimPrefix(p.URL, "https://")+" has to turn on TLS 1.2") {
					t.Errorf("%s, %s: %v", name, args[0], d)
				}
				if strings.Contains(d.err, "tls:") || strings.Contains(d.err, "remote error") {
					t.Errorf("%s, %s: not in plain words: %v", name, args[0], d)
				}
			}
			if got := p.requests.Load() - before; got != 0 {
				t.Errorf("%s: %d requests were sent", name, got)
			}
			if d := l.inside(0, "token", "s0"); d.out != first.out || d.err != "" {
				t.Errorf("%s, with a valid token: %v", name, d)
			}
			p.newest.Store(0)
		}
	}
	if d := l.inside(0, "token", "s0", "--fresh"); !l.issued(d) {
		t.Errorf("when it is over: %v", d)
	}
}

// Metadata that is redirected, or replaced by a portal's page: followed within its
// origin a few times, and to no other.
func TestFaultsRedirectedMetadata(t *testing.T) {
	var elsewhere atomic.Int32
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>Welcome to the hotel")
	}))
	t.Cleanup(portal.Close)
	l := newLaptop(t, 1)
	l.signIn(false)
	good := l.token("s0") + "\n"
	n := 0
	for name, p := range map[string]*idjagtest.Party{"IdP": &l.IdP.Party, "AS": &l.AS.Party, "MCP": &l.MCP.Party} {
		faults := map[string]idjagtest.Fault{"a page": idjagtest.HTML(), "a page with status 511": {Status: 511, Body: idjagtest.HTML().Body, ContentType: "text/html"}}
		for _, code := range []int{301, 302, 303, 307, 308} {
			faults[fmt.Sprint(code, " elsewhere")] = idjagtest.Fault{Redirect: portal.URL + "/login", Status: code}
			faults[fmt.Sprint(code, " to itself")] = idjagtest.Fault{Redirect: "?again", Status: code}
			faults[fmt.Sprint(code, " to nowhere")] = idjagtest.Fault{Redirect: "http://", Status: code}
		}
		for what, f := range faults {
			p.SetFault(idjagtest.Metadata, f)
			if d := l.inside(0, "token", "s0", "--fresh"); d.exit != 6 && d.exit != 7 || d.out != "" || !strings.Contains(d.err, "hint: ") {
				t.Errorf("%s, %s: %v", name, what, d)
			}
			if d := l.inside(0, "token", "s0"); d.out != good || d.err != "" {
				t.Errorf("%s, %s, with a valid token: %v", name, what, d)
			}
			f.Times = 1 // the second time it is the document
			if strings.HasSuffix(what, "itself") {
				p.SetFault(idjagtest.Metadata, f)
				if d := l.inside(0, "token", "s0", "--fresh"); !l.issued(d) {
					t.Errorf("%s, %s once: %v", name, what, d)
				} else {
					good = d.out
				}
			}
			p.ClearFaults()
			n++
		}
	}
	if got := elsewhere.Load(); got != 0 {
		t.Errorf("%d requests went to another origin", got)
	}
	t.Logf("%d ways of metadata", n)
}
