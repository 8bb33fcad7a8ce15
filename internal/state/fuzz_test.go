package state

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// An error comes with a zero File; what was read, written and read again is the
// same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"store":{"kind":"file","keyFile":"/k"},"identities":{"a":{"issuer":"https://idp.example","expires":"2026-01-02T03:04:05Z","scopes":["openid"]}},"servers":{"u":{"url":"u","lastError":{"code":"x"}}}}`,
		`{"version":2,"servers":[]}`, "null", "[]", "",
	} {
		f.Add([]byte(s))
	}
	whole, err := encode(File{Version: Version, Store: &Store{Kind: "file"}, Servers: map[string]Server{"u": {URL: "u", LastError: &Failure{Code: "x"}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b, every)
		if err != nil {
			if diff := cmp.Diff(File{}, got); diff != "" {
				t.Fatalf("%v comes with a value: %s", err, diff)
			}
			return
		}
		again, err := encode(got)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got2, err := decode(again, every)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, got2, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("changed by a round trip: %s", diff)
		}
	})
}
