package vault

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
)

// What BenchmarkOpen is for the keychain: the file store keeps no copy of the data
// key, so that every process reads its key file and opens one age item.
func BenchmarkOpenInFileStore(b *testing.B) {
	d, key := state.Open(b.TempDir()), filepath.Join(b.TempDir(), "key")
	if err := NewKeyFile(key); err != nil {
		b.Fatal(err)
	}
	v, err := File(d, key, "")
	if err != nil {
		b.Fatal(err)
	}
	mustSeal(b, v, "n", strings.Repeat("x", 1200))
	b.ReportAllocs()
	for b.Loop() {
		v, err := File(d, key, "") // as in a new process
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Open(b.Context(), "n"); err != nil {
			b.Fatal(err)
		}
	}
}
