package state

import (
	"bytes"
	"hash/crc32"
	"path"
	"strconv"
	"time"
)

// maxCached bounds one cached document, in bytes. It is what one remote answer
// may have.
const maxCached = 1 << 20

// A cached document stands after two lines: what it is, its checksum and the time
// when it was kept, and its key. The key makes a hash collision or a file that was
// copied to another name a miss; a copied file's own time would be new. The
// checksum is for accidents: a flipped bit in metadata would otherwise stop the
// person for as long as the metadata is kept.
const cacheMagic = "mcpauth cached 2 "

func cacheHead(key string, kept int64, data []byte) string {
	when := strconv.FormatInt(kept, 10)
	sum := crc32.Update(crc32.ChecksumIEEE(data), crc32.IEEETable, []byte(when+" "+key))
	return cacheMagic + strconv.FormatUint(uint64(sum), 16) + " " + when + "\n" + strconv.Quote(key) + "\n"
}

// Cache returns what SetCache kept under key less than maxAge ago. Every
// trouble is a miss. What it returns came from the network: judge it again.
func (d *Dir) Cache(key string, maxAge time.Duration) ([]byte, bool) {
	b, err := d.ReadFile(cacheFile(key), 2*maxCached)
	if err != nil {
		return nil, false
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	_, when, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(cacheMagic)), []byte(" "))
	kept, err := strconv.ParseInt(string(when), 10, 64)
	length := len(line) + 1 + len(strconv.Quote(key)) + 1
	if err != nil || len(b) < length || string(b[:length]) != cacheHead(key, kept, b[length:]) {
		return nil, false
	}
	// A time to come means that the clock was set back; nobody knows the age.
	if age := d.now().Sub(time.Unix(0, kept)); age < 0 || age >= maxAge {
		return nil, false
	}
	return b[length:], true
}

// SetCache keeps data under key if it can. A cache that cannot be written is
// slower, not broken, so that there is no error, and what a power cut leaves of it
// is a miss.
func (d *Dir) SetCache(key string, data []byte) {
	if len(data) <= maxCached {
		_ = d.replaceFile(cacheFile(key), append([]byte(cacheHead(key, d.now().UnixNano(), data)), data...), spare)
	}
}

func cacheFile(key string) string { return path.Join("metadata", Hash(key)) }

// DropCache forgets what SetCache kept under key, if it can.
func (d *Dir) DropCache(key string) { _ = d.Remove(cacheFile(key)) }
