package wire

import (
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"context"
)

// errStop is what a dial ends with in tests: the guard let the address pass, and
// no packet leaves.
var errStop = errors.New("stop before connecting")

// recorder notes which addresses passed the guard.
type recorder struct {
	mu    sync.Mutex
	dials []string
}

func (r *recorder) stop(address string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials = append(r.dials, address)
	return errStop
}

func (r *recorder) addresses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.dials...)
}

// onlyLoopback lets real connections to loopback happen, and no others.
func onlyLoopback(address string) error {
	if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().IsLoopback() {
		return errors.New("a test must not leave this machine: " + address)
	}
	return nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

func newNet(t testing.TB, o Options) *Net {
	t.Helper()
	if o.Proxy == nil {
		o.Proxy = noProxy
	}
	if o.Resolver == nil {
		o.Resolver = fakeDNS(nil)
	}
	if o.beforeConnect == nil {
		o.beforeConnect = onlyLoopback
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.CloseIdle)
	return n
}

// caFile writes a test server's certificate where Options.CAFile finds it.
func caFile(t testing.TB, srv *httptest.Server) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// fakeDNS answers each look-up of a name's IPv4 addresses with the next list of
// answers, and then with the last one; IPv6 addresses are taken from all lists.
// A name of "*" stands for all that have no answers of their own.
func fakeDNS(answers map[string][]string) *net.Resolver {
	var mu sync.Mutex
	asked := map[string]int{}
	lookup := func(name string, v6 bool) (addrs []netip.Addr, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		lists, ok := answers[name]
		if !ok {
			lists, ok = answers["*"]
		}
		if !ok {
			return nil, false
		}
		i := min(asked[name], len(lists)-1)
		if !v6 {
			asked[name]++
		}
		for j, list := range lists {
			for _, s := range strings.Fields(list) {
				if a := netip.MustParseAddr(s); a.Is6() == v6 && (v6 || i == j) {
					addrs = append(addrs, a)
				}
			}
		}
		return addrs, true
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serveDNS(server, lookup)
		return client, nil
	}}
}

// serveDNS speaks DNS over a stream (RFC 1035 section 4.2.2), one question a message.
func serveDNS(conn net.Conn, lookup func(name string, v6 bool) ([]netip.Addr, bool)) {
	defer conn.Close()
	for {
		var size uint16
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		end := 12
		var labels []string
		for query[end] != 0 {
			labels = append(labels, string(query[end+1:end+1+int(query[end])]))
			end += 1 + int(query[end])
		}
		kind := binary.BigEndian.Uint16(query[end+1:])
		addrs, ok := lookup(strings.ToLower(strings.Join(labels, ".")), kind == 28)
		flags := uint16(0x8180)
		if !ok {
			flags |= 3 // no such name
		}
		reply := binary.BigEndian.AppendUint16(query[:2:2], flags)
		reply = binary.BigEndian.AppendUint16(reply, 1)
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(addrs)))
		reply = append(append(reply, 0, 0, 0, 0), query[12:end+5]...)
		for _, a := range addrs {
			reply = append(reply, 0xc0, 12) // the name in the question
			reply = binary.BigEndian.AppendUint16(reply, kind)
			reply = append(reply, 0, 1, 0, 0, 0, 60)
			reply = binary.BigEndian.AppendUint16(reply, uint16(a.BitLen()/8))
			reply = append(reply, a.AsSlice()...)
		}
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}
