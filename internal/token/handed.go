package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// patience is how soon a second question is suspicious, and how often at most a
// token is replaced on suspicion.
const patience = 60 // seconds

// handed is what was last given to a header helper's caller. It holds no token.
type handed struct {
	token        string // a digest
	when, minted int64  // in Unix seconds; minted is the last time on suspicion
}

func (h handed) line() string { return fmt.Sprintf("%s %d %d", h.token, h.when, h.minted) }

// GetForHelper is Get for callers that have no way to say that the server has
// refused a token: MCP clients run their header helper again, and that is all.
// Who asks again for the same token within a minute gets a new one, at most once a
// minute. Several clients that start together look the same; that costs one token.
func (s *Source) GetForHelper(ctx context.Context, a Ask) (Token, error) {
	t, err := s.Get(ctx, a)
	if err != nil {
		return t, err
	}
	last, now := s.lastHanded(), s.now().Unix()
	next := handed{token: digest(t), when: now, minted: last.minted}
	if t.Cached && last.token == next.token && now-last.when < patience && now-last.minted >= patience {
		again := a
		again.Refused = t.AccessToken
		fresh, err := s.Get(ctx, again)
		switch {
		case err == nil:
			t = fresh
			next.token, next.minted = digest(t), now
		case !inconclusive(err): // access was taken away, which is what the server knew
			return Token{}, err
		}
	}
	// A crowd of helpers need not all write down that they were there.
	if next.token != last.token || next.minted != last.minted || now-last.when >= patience/6 || now < last.when {
		s.State.SetCache(s.handedKey(), []byte(next.line()))
	}
	return t, nil
}

func (s *Source) lastHanded() handed {
	b, _ := s.State.Cache(s.handedKey(), 2*patience*time.Second)
	part := strings.Fields(string(b))
	if len(part) != 3 {
		return handed{}
	}
	when, err1 := strconv.ParseInt(part[1], 10, 64)
	minted, err2 := strconv.ParseInt(part[2], 10, 64)
	if err1 != nil || err2 != nil {
		return handed{}
	}
	return handed{part[0], when, minted}
}

func (s *Source) handedKey() string { return "handed to helpers for " + s.Server.URL }

func digest(t Token) string {
	sum := sha256.Sum256([]byte(t.AccessToken.Reveal()))
	return hex.EncodeToString(sum[:16])
}
