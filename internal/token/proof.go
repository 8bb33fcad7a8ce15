package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/dpop"
)

// Bound says that a server's tokens are bound to a key (RFC 9449), so that one
// alone is of no use to who asked.
type Bound struct{ Server string }

func (e *Bound) Error() string {
	return fmt.Sprintf("the tokens of %q are bound to a key (DPoP), and whoever has only the token cannot use it", e.Server)
}

// prover returns what shows this server's key, nil when its tokens are not bound.
func (s *Source) prover(ctx context.Context, p Place, a Ask) (*dpop.Prover, error) {
	switch s.Server.OAuth.DPoPOrDefault() {
	case "off":
		return nil, nil
	case "auto":
		if !p.DPoPRequired {
			return nil, nil
		}
	}
	if !a.Proves {
		return nil, &Bound{s.Server.Name}
	}
	return s.proofs(ctx)
}

// DPoPKeyItem is the vault's name for the key that a server's tokens are bound to.
func DPoPKeyItem(serverURL string) string { return "DPoP key for " + serverURL }

// proofs returns the one prover of this source, whose nonces are those of all its
// requests. The key is made when it is first needed.
func (s *Source) proofs(ctx context.Context) (*dpop.Prover, error) {
	s.proving.Lock()
	defer s.proving.Unlock()
	if s.proves != nil {
		return s.proves, nil
	}
	item := DPoPKeyItem(s.Server.URL)
	text, err := s.Vault.Get(ctx, item)
	var key *dpop.Key
	switch {
	case err == nil:
		key, err = dpop.ParseKey(text)
	case errors.Is(err, vault.ErrNotFound):
		if key, err = dpop.NewKey(); err == nil {
			if text, err = key.Marshal(); err == nil {
				err = s.Vault.Set(ctx, item, text)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("get the key that tokens of %s are bound to: %w", s.Server.Name, err)
	}
	s.proves = &dpop.Prover{Key: key, Now: s.Now}
	return s.proves, nil
}

// proven adds to a bound token what shows its key.
func (s *Source) proven(ctx context.Context, t Token, a Ask) (Token, error) {
	if t.Type != "DPoP" {
		return t, nil
	}
	if !a.Proves {
		return Token{}, &Bound{s.Server.Name}
	}
	p, err := s.proofs(ctx)
	t.Prover = p
	return t, err
}
