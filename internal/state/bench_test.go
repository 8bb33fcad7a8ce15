package state_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

// Every token call pays for ReadServer, also when the token is in the cache.
func BenchmarkReadServer(b *testing.B) {
	for _, servers := range []int{1, 50} {
		b.Run(fmt.Sprint(servers, " servers"), func(b *testing.B) {
			d := state.Open(b.TempDir())
			err := d.Update(b.Context(), func(f *state.File) error {
				f.Identities["idp"] = state.Identity{Issuer: "https://idp.example", ClientID: "c", Subject: "alice", Email: "alice@acme.example"}
				for i := range servers {
					url := fmt.Sprintf("https://s%d.example/mcp", i)
					f.Servers[url] = state.Server{
						URL: url, Resource: url, ResourceMatch: "exact", Issuer: "https://as.example", Pinned: time.Now(), Client: "c",
						LastOK: time.Now(), Expires: time.Now(), Scopes: []string{"read", "write"}, Sealed: []string{"access token " + state.Hash(url)},
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				d := state.Open(d.Path()) // as a process of its own
				if f, warnings, _ := d.ReadServer("https://s0.example/mcp"); len(warnings) > 0 || len(f.Servers) != 1 {
					b.Fatal(warnings)
				}
			}
		})
	}
}
