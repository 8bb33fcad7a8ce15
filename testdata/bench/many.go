package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// many measures "mcpauth warm" for a number of servers, each with an authorization
// server of its own, behind one identity provider.
func (b *bench) many(rounds, servers int, rtt time.Duration) {
	c := open(b.ends, rtt)
	h := signIn(b.ends, c, filepath.Join(b.dir, "warm"), filepath.Join(b.bin, "mcpauth"), b.caFile, "file", 0)
	path := filepath.Join(h.dir, ".config", "mcpauth", "config.json")
	text, err := os.ReadFile(path)
	b.must(err, "read the configuration")
	var config map[string]any
	b.must(json.Unmarshal(text, &config), "read the configuration")
	list := map[string]any{}
	all := []company{c}
	for i := range servers {
		o := open(b.ends, rtt)
		all = append(all, o)
		o.AS.TrustIdP(c.IdP)
		c.IdP.AddConnection(idjagtest.Connection{Audience: o.AS.Issuer, Resource: o.server, ClientID: o.ASClient.ID, Scopes: []string{"read"}})
		secret := filepath.Join(h.dir, fmt.Sprint("secret", i))
		b.must(os.WriteFile(secret, []byte(o.ASClient.Secret), 0o600), "write a secret")
		list[fmt.Sprint("s", i)] = map[string]any{"url": o.server, "oauth": map[string]any{
			"clientId": o.ASClient.ID, "clientAuth": map[string]string{"method": "client_secret_post", "secretFile": secret}}}
	}
	config["mcpServers"] = list
	text, err = json.MarshalIndent(config, "", "  ")
	b.must(err, "write the configuration")
	b.must(os.WriteFile(path, text, 0o600), "write the configuration")
	requests := func() (n int) {
		for _, o := range all {
			n += o.requests()
		}
		return n
	}
	signedIn := h.keep(b.ends, "signed-in", "metadata")
	_, err = h.run("warm")
	b.must(err, "get the first tokens")
	learnt := h.keep(b.ends, "learnt", "sealed")
	from := func(name, state string) *program {
		p := b.program(name, h, "warm")
		p.before = func() { b.must(replaceTree(h.state(), state), "restore the state"); requests() }
		p.after = func() { p.asked = requests() }
		return p
	}
	// What those pay who have no such command: one process for each server.
	peer := &program{name: "go-sdk, one server", argv: []string{filepath.Join(b.bin, "peer")}, env: c.peerEnv(b.ends, h.dir, b.caFile),
		before: func() { requests() }}
	peer.after = func() { peer.asked = requests() }
	programs := []*program{peer, from("warm, nothing known", signedIn), from("warm, metadata known", learnt)}
	interleave(b.ends, rounds, programs...)
	table(fmt.Sprintf("%d servers, %v per round trip, %d rounds", servers, rtt, rounds), "x go-sdk", peer, programs)
	b.trips(programs, rtt)
}

// trips prints how many round trips each program took, in those of one byte there and
// back over the same line: a timer is late by half a millisecond here, and each round
// trip waits for two.
func (b *bench) trips(all []*program, rtt time.Duration) {
	real := roundTrip(b.ends, rtt)
	for _, p := range all {
		fmt.Printf("  %-52s %9.1f round trips of %.2f ms\n", p.name, float64(p.median())/float64(real), ms(real))
	}
}
