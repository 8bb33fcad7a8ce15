package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// patience is how long a helper's silence means that its token was taken, and how
// often at most a token is replaced on suspicion.
const patience = time.Minute

// handed is what was last given to a header helper's caller. It holds no token.
type handed struct {
	Token  string    `json:"token"` // a digest
	When   time.Time `json:"when"`
	Minted time.Time `json:"minted,omitzero"` // last time on suspicion
}

// GetForHelper is Get for callers that have no way to say that the server has
// refused a token: MCP clients run their header helper again, and that is all.
// Who asks again for the same token within a minute gets a new one, at most once a
// minute. Several clients that start together look the same; that costs one token.
func (s *Source) GetForHelper(ctx context.Context, a Ask) (Token, error) {
	t, err := s.Get(ctx, a)
	if err != nil {
		return t, err
	}
	last, now := s.lastHanded(), s.now()
	next := handed{Token: digest(t), When: now, Minted: last.Minted}
	if t.Cached && last.Token == next.Token && now.Sub(last.When) < patience && now.Sub(last.Minted) >= patience {
		again := a
		again.Refused = t.AccessToken
		fresh, err := s.Get(ctx, again)
		switch {
		case err == nil:
			t = fresh
			next.Token, next.Minted = digest(t), now
		case !temporary(err): // access was taken away, which is what the server knew
			return Token{}, err
		}
	}
	if b, err := json.Marshal(next); err == nil {
		s.State.SetCache(s.handedKey(), b)
	}
	return t, nil
}

func (s *Source) lastHanded() (h handed) {
	if b, ok := s.State.Cache(s.handedKey(), 2*patience); ok && json.Unmarshal(b, &h) != nil {
		return handed{}
	}
	return h
}

func (s *Source) handedKey() string { return "handed to helpers for " + s.Server.URL }

func digest(t Token) string {
	sum := sha256.Sum256([]byte(t.AccessToken.Reveal()))
	return hex.EncodeToString(sum[:16])
}
