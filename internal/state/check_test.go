package state

import (
	"testing"
	"time"
)

// Every changed byte is seen, whatever JSON is left; the one exception is the
// name of the checksum itself, without which the file is taken as it is.
func TestEveryChangedByteIsSeen(t *testing.T) {
	b, err := encode(File{Version: Version, Servers: map[string]Server{"https://a.example": {URL: "https://a.example", Issuer: "https://as.example"}}, Windows: []time.Time{time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(b, ""); err != nil {
		t.Fatal(err)
	}
	name := checkAt(b) - len(checkMember)
	for i := range b {
		if i >= name && i < name+len(checkMember) {
			continue
		}
		for _, flip := range []byte{1, 2, 0x20, 0x80, 0xff} {
			b[i] ^= flip
			if _, err := decode(b, ""); err == nil {
				t.Fatalf("byte %d, changed by %#x, goes unseen", i, flip)
			}
			b[i] ^= flip
		}
	}
	if _, err := decode([]byte(`{"version":1}`), ""); err != nil {
		t.Errorf("a file of before: %v", err)
	}
}
