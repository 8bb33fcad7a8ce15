package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// The last member of state.json is a checksum of the whole file with zeros in its
// own place. A flipped bit can leave good JSON with another pin or another
// person in it: that must be a damaged file, not an alarm about an attack. It is
// for accidents only; whoever may write the file may write the checksum too.
const (
	checkMember = `"check":`
	noCheck     = "00000000"
)

// encode writes f as it is kept on disk.
func encode(f File) ([]byte, error) {
	b, err := json.Marshal(struct {
		File
		Check string `json:"check"`
	}{f, noCheck})
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	b = append(b, '\n')
	copy(b[checkAt(b):], fmt.Sprintf("%08x", crc32.ChecksumIEEE(b)))
	return b, nil
}

// whole reports whether a file agrees with its checksum, if it has one: a later
// version may do without.
func whole(b []byte) bool {
	at := checkAt(b)
	if at < 0 {
		return true
	}
	end := at + len(noCheck)
	sum := crc32.ChecksumIEEE(b[:at])
	sum = crc32.Update(sum, crc32.IEEETable, []byte(noCheck))
	sum = crc32.Update(sum, crc32.IEEETable, b[end:])
	return string(b[at:end]) == fmt.Sprintf("%08x", sum)
}

// checkAt finds the digits of the checksum, or returns -1. Versions before the first
// release wrote a space before them.
func checkAt(b []byte) int {
	at := bytes.LastIndex(b, []byte(checkMember))
	if at < 0 {
		return -1
	}
	digits := bytes.TrimPrefix(b[at+len(checkMember):], []byte(" "))
	at = len(b) - len(digits) + len(`"`)
	if len(b) < at+len(noCheck) {
		return -1
	}
	return at
}
