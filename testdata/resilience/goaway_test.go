package resilience

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

type connKey struct{}

// leaving is how an HTTP/2 server goes away (RFC 9113 section 6.8).
type leaving struct {
	at    string // where in the path
	how   string
	times atomic.Int32
}

const (
	afterwards = "after the answer"
	acted      = "having acted upon it"
	untouched  = "not having acted upon it"
)

func (l *leaving) leave(h http.Handler, w http.ResponseWriter, r *http.Request) {
	if l.times.Add(1) > 1 && l.how == untouched {
		h.ServeHTTP(w, r)
		return
	}
	conn := r.Context().Value(connKey{}).(net.Conn)
	var last uint32 // stream that the server has acted upon
	switch l.how {
	case afterwards:
		w.Header().Set("Connection", "close") // to package http this is a graceful shutdown
		h.ServeHTTP(w, r)
		return
	case acted:
		h.ServeHTTP(httptest.NewRecorder(), r)
		last = math.MaxInt32
	}
	goAway := []byte{0, 0, 8, 7, 0, 0, 0, 0, 0}
	goAway = binary.BigEndian.AppendUint32(goAway, last)
	_, _ = conn.Write(binary.BigEndian.AppendUint32(goAway, 0)) // NO_ERROR
	conn.Close()
	<-r.Context().Done()
}

// A server that goes away between requests is connected to anew. One that does so in
// the middle of a post is asked again by the same command only if it says that it has
// not acted upon it: what is good for one use is not shown twice. Meanwhile a good
// token is served, and the next command succeeds.
func TestFaultsGoAway(t *testing.T) {
	for _, row := range []struct {
		name, kind string // of the party, and of what is posted to it
		stale      bool   // so that the sign-in is renewed first
	}{{"IdP", idjagtest.Exchange, false}, {"AS", idjagtest.Redeem, false}, {"IdP", idjagtest.Refresh, true}} {
		t.Run(row.name+" "+row.kind, func(t *testing.T) {
			t.Parallel()
			l, parties, _ := newSecured(t, newAuthority(t), func(c *idjagtest.Company) { c.IdP.NoRotation = true })
			p, party := parties[row.name], &l.IdP.Party
			if row.name == "AS" {
				party = &l.AS.Party
			}
			stale := func() {
				if row.stale {
					l.IdP.SetIDTokenLifetime(30 * time.Second)
					if d := l.inside(0, "login", "--timeout", "20s"); d.exit != 0 {
						t.Fatal(d)
					}
					l.IdP.SetIDTokenLifetime(time.Hour)
				}
				l.forget()
			}
			for _, how := range []string{afterwards, untouched, acted} {
				good := l.inside(0, "token", "s0")
				stale()
				for _, at := range []string{"", "/token"} {
					if at == "" && how != afterwards {
						continue // what is only read may be read again
					}
					p.leaves.Store(&leaving{at: at, how: how})
					asked := fmt.Sprintf("%s at %q", how, at)
					if d := l.inside(0, "token", "s0"); d.out != good.out || d.err != "" {
						t.Errorf("%s, with a valid token: %v", asked, d)
					}
					d := l.inside(0, "token", "s0", "--fresh")
					switch n := party.Count(row.kind); {
					case n != 1:
						t.Errorf("%s: %d posts were acted upon: %v", asked, n, d)
					case how != acted && !l.issued(d):
						t.Errorf("%s: %v", asked, d)
					case how == acted && (d.exit != 6 || d.out != "" || !strings.Contains(d.err, "broke before its answer was whole") || strings.Contains(d.err, "http2")):
						t.Errorf("%s: %v", asked, d)
					}
					p.leaves.Store(nil)
					stale()
					if d := l.inside(0, "token", "s0", "--fresh"); !l.issued(d) {
						t.Errorf("%s, when it is over: %v", asked, d)
					} else {
						good = d
					}
					stale()
				}
			}
		})
	}
}
