package state

import (
	"encoding/json"
	"path"
	"time"
)

// maxCached bounds one cached document, in bytes. It is what one remote answer
// may have.
const maxCached = 1 << 20

// cached carries its key, so that a hash collision or a file that was copied to
// another name is a miss, and its time, since a copied file's own time is new.
type cached struct {
	Key  string    `json:"key"`
	Time time.Time `json:"time"`
	Data []byte    `json:"data"`
}

// Cache returns what SetCache kept under key less than maxAge ago. Every
// trouble is a miss. What it returns came from the network: judge it again.
func (d *Dir) Cache(key string, maxAge time.Duration) ([]byte, bool) {
	b, err := d.ReadFile(cacheFile(key), 2*maxCached)
	if err != nil {
		return nil, false
	}
	var c cached
	if json.Unmarshal(b, &c) != nil || c.Key != key {
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
	b, err := json.Marshal(cached{key, d.now(), data})
	if err != nil {
		return
	}
	_ = d.replaceFile(cacheFile(key), b, false)
}

func cacheFile(key string) string { return path.Join("metadata", Hash(key)+".json") }
