package vault

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// picky is a keychain that takes no items of more than some bytes, and says so in no
// way that is known.
type picky struct {
	*memory
	most int
}

func (p picky) set(ctx context.Context, name, value string) error {
	if len(value) > p.most {
		return classify("linux", errors.New("something odd"))
	}
	return p.memory.set(ctx, name, value)
}

// An item that is too big for a keychain without a known limit is kept in a file;
// one that is small and refused all the same is an error.
func TestUnknownLimit(t *testing.T) {
	ctx, m := t.Context(), &memory{items: map[string]string{}}
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	big, small := strings.Repeat("b", 4000), strings.Repeat("s", 200)
	open := func(most int) *Vault { return &Vault{dir: d, store: picky{m, most}, maxItem: -1} }
	for _, value := range []string{big, small, big + big} {
		if err := open(300).Set(ctx, "a", secret.New(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := open(300).Get(ctx, "a"); err != nil || got.Reveal() != value {
			t.Errorf("%d bytes: %v, or a wrong value", len(value), err)
		}
	}
	if err := open(100).Set(ctx, "a", secret.New(small)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a small item: %v, want ErrUnavailable", err)
	}
	if err := open(10).Set(ctx, "a", secret.New(big)); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "something odd") {
		t.Errorf("a keychain that takes nothing: %v", err)
	}
	m.fail = ErrLocked
	if err := open(9000).Set(ctx, "a", secret.New(big)); !errors.Is(err, ErrLocked) {
		t.Errorf("a locked one: %v", err)
	}
	m.fail = nil
	if got, err := open(300).Get(ctx, "a"); err != nil || got.Reveal() != big && got.Reveal() != big+big {
		t.Errorf("neither the old value nor the new one: %v", err)
	}
	if err := open(300).Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), sealedFolder, "*")); left != nil {
		t.Errorf("Delete leaves %q", left)
	}
}
