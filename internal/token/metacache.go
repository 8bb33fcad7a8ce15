package token

import (
	"encoding/binary"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/discover"
)

// MetadataCache keeps metadata documents in the state folder. Their lifetime
// stands before the document, as seconds since 1970.
type MetadataCache struct {
	State *state.Dir
	Now   func() time.Time // nil means time.Now
}

var _ discover.Cache = MetadataCache{}

// day bounds what any server can ask for.
const day = 24 * time.Hour

// Get implements discover.Cache.
func (m MetadataCache) Get(url string) ([]byte, bool) {
	b, ok := m.State.Cache(url, day)
	if !ok || len(b) < 8 || m.now().Unix() >= int64(binary.BigEndian.Uint64(b)) {
		return nil, false
	}
	return b[8:], true
}

// Put implements discover.Cache.
func (m MetadataCache) Put(url string, body []byte, maxAge time.Duration) {
	until := m.now().Add(min(maxAge, day)).Unix()
	m.State.SetCache(url, append(binary.BigEndian.AppendUint64(nil, uint64(until)), body...))
}

func (m MetadataCache) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// watched tells whether a cache was of use. A blind one finds nothing and is
// still filled.
type watched struct {
	discover.Cache
	blind, hit bool
}

func (w *watched) Get(url string) ([]byte, bool) {
	if w.Cache == nil || w.blind {
		return nil, false
	}
	b, ok := w.Cache.Get(url)
	w.hit = w.hit || ok
	return b, ok
}

func (w *watched) Put(url string, body []byte, maxAge time.Duration) {
	if w.Cache != nil {
		w.Cache.Put(url, body, maxAge)
	}
}
