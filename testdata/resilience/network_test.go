package resilience

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// keepable serves what h does, and lets its metadata be kept, which the fakes forbid
// and real parties do not. It returns where.
func keepable(h http.Handler) string {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/.well-known/") {
			h.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Cache-Control", "max-age=3600")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})).URL
}

// cacheable puts such a server in front of each party.
func cacheable(c *idjagtest.Company) {
	c.IdP.Issuer, c.AS.Issuer, c.MCP.Resource = keepable(c.IdP), keepable(c.AS), keepable(c.MCP)+"/mcp"
}

// soon is when a token of a quarter of an hour is to be replaced, and is good for a
// minute more.
const soon = 14*time.Minute + time.Second

// weather is one bad day of a party.
type weather struct {
	name  string
	fault idjagtest.Fault
	exit  int
	says  string // in the message or the hint
}

// weathers lists what a token endpoint may answer instead of a token. The exit is
// the one for a first token; what is temporary serves a token that is still good.
func weathers(elsewhere string) []weather {
	status := func(n int) idjagtest.Fault { return idjagtest.Fault{Status: n, Body: idjagtest.Text("")} }
	list := []weather{
		{"reset", idjagtest.Fault{Reset: true}, 6, "network"},
		{"lost reply", idjagtest.Fault{LoseReply: true}, 6, "network"},
		{"500", status(500), 6, "try again"},
		{"502 web page", idjagtest.Fault{Status: 502, Body: idjagtest.HTML().Body, ContentType: "text/html"}, 6, "try again"},
		{"captive portal", idjagtest.HTML(), 6, "hotel"},
		{"malformed", idjagtest.Malformed(), 7, ""},
		{"duplicate", idjagtest.DuplicateKey(), 7, ""},
		{"deep", idjagtest.Deep(100_000), 7, ""},
		{"empty", idjagtest.Empty(), 7, ""},
		{"null", idjagtest.Fault{Body: idjagtest.Text("null")}, 7, ""},
		{"huge", idjagtest.Fault{Huge: 4 << 20}, 7, ""},
		{"gzip bomb", idjagtest.Fault{GzipBomb: 64 << 20}, 7, ""},
	}
	for _, after := range []string{"", "1", "0", "-5", "1000000000", "99999999999999999999999", "1.5", "soon", "Mon, 23 Nov 2099 00:00:00 GMT", "Mon, 23 Nov 1999 00:00:00 GMT"} {
		for _, code := range []int{429, 503} {
			f := status(code)
			f.RetryAfter = after
			list = append(list, weather{fmt.Sprintf("%d after %q", code, after), f, 6, ""})
		}
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		list = append(list, weather{fmt.Sprint(code, " elsewhere"), idjagtest.Fault{Redirect: elsewhere, Status: code}, 7, ""})
		list = append(list, weather{fmt.Sprint(code, " to itself"), idjagtest.Fault{Redirect: "/token", Status: code}, 7, ""})
	}
	return list
}

// Every bad day of the identity provider and the authorization server: the exit
// code that is documented, no answer on standard output, nothing to another
// origin, and a token that is still good is served to its end.
func TestFaultsNetwork(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stolen.Add(1) }))
	t.Cleanup(elsewhere.Close)
	l := newLaptop(t, 1)
	l.signIn(false)
	cold := l.keep("cold")
	good := l.token("s0") + "\n"
	warm := l.keep("warm")
	n := 0
	for _, where := range []struct {
		name, kind string
		party      *idjagtest.Party
	}{{"IdP", idjagtest.Exchange, &l.IdP.Party}, {"AS", idjagtest.Redeem, &l.AS.Party}} {
		for i, w := range weathers(elsewhere.URL + "/token") {
			name := where.name + ", " + w.name
			cold()
			if i%10 == 0 { // one that lasts for the next ten
				good = l.token("s0") + "\n"
				warm = l.keep("warm")
				cold()
			}
			where.party.SetFault(where.kind, w.fault)
			d := l.inside(0, "token", "s0")
			if d.exit != w.exit || d.out != "" || !strings.Contains(d.err, w.says) || !strings.HasPrefix(d.err, "mcpauth: ") {
				t.Errorf("%s: want exit %d and %q, got %v", name, w.exit, w.says, d)
			}
			warm()
			if d := l.inside(0, "token", "s0"); d.exit != 0 || d.out != good || d.err != "" {
				t.Errorf("%s: with a valid token: %v", name, d)
			}
			l.Advance(soon)
			if d := l.inside(soon, "token", "s0"); d.exit != 0 || d.out != good || !strings.Contains(d.err, "warning: using a token that expires") {
				t.Errorf("%s: with little time left: %v", name, d)
			}
			l.Advance(-soon)
			where.party.ClearFaults()
			cold()
			if d := l.inside(0, "token", "s0"); !l.issued(d) {
				t.Errorf("%s: when it is over: %v", name, d)
			}
			n++
		}
	}
	if got := stolen.Load(); got != 0 {
		t.Errorf("%d requests went to another origin", got)
	}
	t.Logf("%d bad days", n)
}

// A party that hangs, or drips: the deadline ends it, and a good token is served.
func TestFaultsHang(t *testing.T) {
	for _, where := range []string{"IdP metadata", "IdP exchange", "AS metadata", "AS redeem", "MCP metadata", "IdP refused", "AS refused", "MCP drips"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t, 1)
			l.signIn(false)
			good := l.token("s0") + "\n"
			who, kind, _ := strings.Cut(where, " ")
			party := map[string]*idjagtest.Party{"IdP": &l.IdP.Party, "AS": &l.AS.Party, "MCP": &l.MCP.Party}[who]
			switch kind {
			case "refused":
				party.Close()
			case "drips":
				party.SetFault(idjagtest.Metadata, idjagtest.Fault{Redirect: drip(t)})
			default:
				party.SetFault(kind, idjagtest.Fault{Hang: true})
			}
			start := time.Now()
			d := l.inside(0, "token", "s0", "--fresh")
			if took := time.Since(start); d.exit != 6 || d.out != "" || took > 8*time.Second {
				t.Errorf("after %v: %v", took, d)
			}
			if d := l.inside(0, "token", "s0"); d.exit != 0 || d.out != good || d.err != "" {
				t.Errorf("with a valid token: %v", d)
			}
			l.Advance(soon)
			if d := l.inside(soon, "token", "s0"); d.exit != 0 || d.out != good {
				t.Errorf("with little time left: %v", d)
			}
		})
	}
}

// drip answers a byte at a time, for ever.
func drip(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			<-time.After(100 * time.Millisecond)
		}
	}))
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// 300 MiB and a gzip bomb cost no more memory than a good answer, within 8 MiB.
func TestFaultsMemory(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	usual, _ := l.start("token", "s0", "--fresh").watched()
	var most int64
	for name, f := range map[string]idjagtest.Fault{"300 MiB": {Huge: 300 << 20}, "gzip bomb": {GzipBomb: 300 << 20}} {
		for where, p := range map[string]*idjagtest.Party{"IdP": &l.IdP.Party, "AS": &l.AS.Party, "MCP": &l.MCP.Party} {
			for _, kind := range []string{idjagtest.Metadata, idjagtest.Token} {
				if where == "MCP" && kind == idjagtest.Token {
					continue
				}
				p.SetFault(kind, f)
				memory, d := l.start("token", "s0", "--fresh").watched()
				p.ClearFaults()
				if d.exit != 7 || memory > usual+8<<10 || memory == 0 {
					t.Errorf("%s from %s, %s: %d KiB after %d KiB: %v", name, where, kind, memory, usual, d)
				}
				most = max(most, memory)
			}
		}
	}
	t.Logf("peak with a good answer: %d KiB, with the worst: %d KiB", usual, most)
}

// What a token may be and how long it may last.
func TestFaultsTokenContents(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, 1)
	l.signIn(false)
	for _, row := range []struct {
		member string
		value  any
		exit   int
	}{
		{"expires_in", nil, 0}, {"expires_in", "900", 0}, {"expires_in", 0, 0}, {"expires_in", -1, 0}, {"expires_in", 3.5, 0},
		{"expires_in", 1e18, 0}, {"expires_in", "9223372036854775808", 0}, {"expires_in", "soon", 0}, {"expires_in", true, 0}, {"expires_in", []int{1}, 0},
		{"access_token", "a\r\nX-Injected: yes", 8}, {"access_token", "a\nb", 8}, {"access_token", "a\x00b", 8}, {"access_token", "", 7}, {"access_token", nil, 7}, {"access_token", 17, 7},
		{"access_token", strings.Repeat("t", 64<<10), 0},
		{"token_type", nil, 7}, {"token_type", "dpop", 8}, {"token_type", "N_A", 7},
	} {
		l.AS.SetQuirks(idjagtest.Member(idjagtest.Redeem, row.member, row.value))
		for _, args := range [][]string{{"token", "s0", "--fresh"}, {"headers", "s0", "--fresh"}} {
			d := l.inside(0, args...)
			if d.exit != row.exit || d.exit != 0 && d.out != "" || strings.Count(d.out, "\n") > 1 || strings.Contains(d.err, "X-Injected: yes\n") {
				t.Errorf("%s %.40q, %s: want exit %d, got %.300s", row.member, fmt.Sprint(row.value), args[0], row.exit, d.String())
			}
		}
	}
}

// A certificate that is not to be trusted stops everything before a secret is sent.
func TestFaultsCertificates(t *testing.T) {
	ca, err := idjagtest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	l := newLaptop(t, 1, func(c *idjagtest.Company) { c.CA = ca })
	store := map[string]any{"kind": "file", "keyFile": filepath.Join(l.home, "key")}
	if d := l.inside(0, "login", "--timeout", "20s"); d.exit != 7 || !strings.Contains(d.err, "ca-file") {
		t.Errorf("unknown authority: %v", d)
	}
	l.configure(store, l.write("ca.pem", string(ca.PEM())))
	if d := l.inside(0, "login", "--timeout", "20s"); d.exit != 0 {
		t.Errorf("with the authority: %v", d)
	}
}
