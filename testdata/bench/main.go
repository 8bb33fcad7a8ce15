// Command bench measures mcpauth as its users meet it: as whole processes, from
// fork to reap. It prints ratios to an empty Go program and to the go-sdk's own
// handler, taken in the same run, and asserts nothing. See the script "run".
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

func main() {
	e := &ends{}
	if len(os.Args) == 3 && os.Args[1] == "browser" {
		browser(e, os.Args[2])
		return
	}
	bin := flag.String("bin", "", "the `folder` with mcpauth, empty and peer")
	rounds := flag.Int("rounds", 200, "rounds for cached answers")
	cold := flag.Int("cold", 20, "rounds for new tokens on loopback")
	far := flag.Int("far", 9, "rounds for new tokens with a round-trip time")
	rtt := flag.Duration("rtt", 50*time.Millisecond, "the round-trip time")
	servers := flag.Int("servers", 50, "how many servers to warm at once")
	flag.Parse()
	defer e.all()
	// The far ends share the processors with what is measured: what they need not do
	// they do not.
	debug.SetGCPercent(2000)
	b := bench{ends: e, bin: *bin}
	b.prepare()
	b.noise()
	b.cached(*rounds)
	b.cold(*cold, 0)
	b.cold(*far, *rtt)
	b.many(min(*far, 5), *servers, *rtt)
}

type bench struct {
	*ends
	bin, dir, caFile string
}

func (b *bench) prepare() {
	var err error
	b.dir, err = os.MkdirTemp("", "mcpauth-bench-")
	b.must(err, "make a folder")
	b.Cleanup(func() { os.RemoveAll(b.dir) })
	b.caFile = filepath.Join(b.dir, "ca.pem")
	b.must(os.WriteFile(b.caFile, certificate(b.ends), 0o600), "write the certificate")
}

// noise says how far to trust the numbers.
func (b *bench) noise() {
	governor, load := "not visible", "unknown"
	if text, err := os.ReadFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"); err == nil {
		governor = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	fmt.Printf("CPU governor: %s; load average: %s. Trust ratios within one table, not milliseconds.\n", governor, load)
}

func (b *bench) program(name string, h home, args ...string) *program {
	return &program{name: "mcpauth " + name, argv: append([]string{h.bin}, args...), env: h.env}
}

func (b *bench) nothing() *program {
	return &program{name: "empty Go program", argv: []string{filepath.Join(b.bin, "empty")}, env: bare()}
}

// cached measures the answers that ask nobody.
func (b *bench) cached(rounds int) {
	c := open(b.ends, 0)
	stores := []string{"file"}
	if os.Getenv("MCPAUTH_TEST_KEYCHAIN") != "" {
		stores = append(stores, "keychain")
	}
	one := []*program{b.nothing()}
	many := []*program{b.nothing()}
	for _, store := range stores {
		h := signIn(b.ends, c, filepath.Join(b.dir, store), filepath.Join(b.bin, "mcpauth"), b.caFile, store, 0)
		_, err := h.run("token", "wiki")
		b.must(err, "get the first token")
		what := store
		if store == "keychain" {
			what = b.keychain(h)
		}
		c.requests()
		token := b.program("token, "+what, h, "token", "wiki")
		one = append(one, token, b.program("headers, "+what, h, "headers", "wiki"))
		many = append(many, b.program("token, "+what, h, "token", "wiki"))
	}
	h := signIn(b.ends, c, filepath.Join(b.dir, "many"), filepath.Join(b.bin, "mcpauth"), b.caFile, "file", 50)
	_, err := h.run("token", "wiki")
	b.must(err, "get the first token")
	c.requests()
	one = append(one, b.program("token, file, 50 servers", h, "token", "wiki"))
	interleave(b.ends, rounds, one...)
	together(b.ends, max(5, rounds/20), 100, many...)
	table(fmt.Sprintf("a cached token, %d rounds", rounds), "x empty", one[0], one)
	table(fmt.Sprintf("the same by 100 processes at once, %d rounds", max(5, rounds/20)), "x empty", many[0], many)
	if n := c.requests(); n != 0 {
		fmt.Printf("the company was asked %d times: a client that runs headers again within a minute gets another token, once a minute\n", n)
	}
}

// keychain says whether a hit has to ask the keychain: without a bus it can be
// answered only with the kernel's copy of the data key.
func (b *bench) keychain(h home) string {
	alone := h
	alone.env = append(slices.Clone(h.env), "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(b.dir, "no-bus"))
	if _, err := alone.run("token", "wiki"); err != nil {
		return "keychain asked"
	}
	return "keychain, key in kernel"
}

// cold measures new tokens for a person who is signed in.
func (b *bench) cold(rounds int, rtt time.Duration) {
	c := open(b.ends, rtt)
	h := signIn(b.ends, c, filepath.Join(b.dir, "cold "+rtt.String()), filepath.Join(b.bin, "mcpauth"), b.caFile, "file", 0)
	signedIn := h.keep(b.ends, "signed-in", "metadata")
	_, err := h.run("token", "wiki")
	b.must(err, "get the first token")
	learnt := h.keep(b.ends, "learnt", "sealed")
	from := func(p *program, state string) *program {
		p.before = func() { b.must(replaceTree(h.state(), state), "restore the state"); c.requests() }
		return p
	}
	env := c.peerEnv(b.ends, h.dir, b.caFile)
	peer := &program{name: "go-sdk, AS and resource pinned", argv: []string{filepath.Join(b.bin, "peer")}, env: env, before: func() { c.requests() }}
	probing := &program{name: "go-sdk, the same after its 401", argv: peer.argv, env: append(slices.Clone(env), "PROBE=1"), before: peer.before}
	all := []*program{
		peer, probing,
		from(b.program("nothing known", h, "token", "wiki"), signedIn),
		from(b.program("AS and resource pinned", h, "token", "pinned"), signedIn),
		from(b.program("metadata known", h, "token", "wiki"), learnt),
	}
	for _, p := range all {
		p.after = func() { p.asked = c.requests() }
	}
	if rtt == 0 {
		all = append(all, b.nothing())
	}
	interleave(b.ends, rounds, all...)
	table(fmt.Sprintf("a new token, %v per round trip, %d rounds", rtt, rounds), "x go-sdk", peer, all)
	if rtt > 0 {
		b.trips(all, rtt)
	}
}

func table(title, head string, yardstick *program, all []*program) {
	fmt.Printf("\n%-54s %9s %9s %9s %9s %9s %9s\n", title, head, "of minima", "requests", "median ms", "min", "max")
	for _, p := range all {
		least := slices.Min(p.took)
		fmt.Printf("  %-52s %9.2f %9.2f %9d %9.2f %9.2f %9.2f\n", p.name, p.ratio(yardstick),
			float64(least)/float64(slices.Min(yardstick.took)), p.asked, ms(p.median()), ms(least), ms(slices.Max(p.took)))
	}
}

func trusting(pem []byte) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}
