package state

import (
	"slices"
	"testing"
	"time"
)

// Every changed byte is seen, and every missing part, whatever JSON is left.
func TestEveryChangedByteIsSeen(t *testing.T) {
	b, err := encode(File{Version: Version, Servers: map[string]Server{"https://a.example": {URL: "https://a.example", Issuer: "https://as.example"}}, Windows: []time.Time{time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(b, every); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for _, flip := range []byte{1, 2, 0x20, 0x80, 0xff} {
			b[i] ^= flip
			if _, err := decode(b, every); err == nil {
				t.Fatalf("byte %d, changed by %#x, goes unseen", i, flip)
			}
			b[i] ^= flip
		}
	}
	for from := range b {
		for to := from + 1; to <= len(b); to++ {
			left := slices.Concat(b[:from], b[to:])
			if f, err := decode(left, every); err == nil {
				t.Fatalf("without the bytes %d to %d it is taken for %+v: %q", from, to, f, left)
			}
		}
	}
}
