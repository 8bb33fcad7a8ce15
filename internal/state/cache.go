package state

import (
	"encoding/json"
	"hash/crc32"
	"path"
	"time"
)

// maxCached bounds one cached document, in bytes. It is what one remote answer
// may have.
const maxCached = 1 << 20

// cached carries its key, so that a hash collision or a file that was copied to
// another name is a miss, and its time, since a copied file's own time is new. The
// checksum is for accidents: a flipped bit in metadata would otherwise stop the
// person for as long as the metadata is kept.
type cached struct {
	Key   string    `json:"key"`
	Time  time.Time `json:"time"`
	Data  []byte    `json:"data"`
	Check uint32    `json:"check"`
}

func (c cached) sum() uint32 {
	sum := crc32.ChecksumIEEE(c.Data)
	return crc32.Update(sum, crc32.IEEETable, []byte(c.Key+c.Time.Format(time.RFC3339Nano)))
}

// Cache returns what SetCache kept under key less than maxAge ago. Every
// trouble is a miss. What it returns came from the network: judge it again.
func (d *Dir) Cache(key string, maxAge time.Duration) ([]byte, bool) {
	b, err := d.ReadFile(cacheFile(key), 2*maxCached)
	if err != nil {
		return nil, false
	}
	var c cached
	if json.Unmarshal(b, &c) != nil || c.Key != key || c.Check != c.sum() {
		return nil, false
	}
	// A time to come means that the clock was set back; nobody knows the age.
	if age := d.now().Sub(c.Time); age < 0 || age >= maxAge {
		return nil, false
	}
	return c.Data, true
}

// SetCache keeps data under key if it can. A cache that cannot be written is
// slower, not broken, so that there is no error, and what a power cut leaves of it
// is a miss.
func (d *Dir) SetCache(key string, data []byte) {
	if len(data) > maxCached {
		return
	}
	c := cached{Key: key, Time: d.now().UTC(), Data: data}
	c.Check = c.sum()
	b, err := json.Marshal(c)
	if err != nil {
		return
	}
	_ = d.replaceFile(cacheFile(key), b, false)
}

// DropCache forgets what SetCache kept under key, if it can.
func (d *Dir) DropCache(key string) { _ = d.Remove(cacheFile(key)) }

func cacheFile(key string) string { return path.Join("metadata", Hash(key)+".json") }
