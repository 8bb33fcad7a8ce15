package clientkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

var epoch = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func keeper(t *testing.T) *Keeper {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "store.key")
	if err := vault.NewKeyFile(key); err != nil {
		t.Fatal(err)
	}
	d := state.Open(filepath.Join(dir, "state"))
	v, err := vault.File(d, key, "")
	if err != nil {
		t.Fatal(err)
	}
	return &Keeper{Vault: v, State: d, Now: func() time.Time { return epoch }}
}

func TestLife(t *testing.T) {
	for _, alg := range Algorithms() {
		t.Run(alg, func(t *testing.T) {
			k, ctx := keeper(t), t.Context()
			first, err := k.Generate(ctx, "acme", alg)
			if err != nil {
				t.Fatal(err)
			}
			if first.Next != nil || first.Current.Algorithm() != alg || !first.Current.Made.Equal(epoch) || len(first.Keys()) != 1 {
				t.Errorf("made %+v", first)
			}
			if pub := first.Current.Public(); !pub.IsPublic() || pub.KeyID != first.Current.ID() || len(pub.KeyID) != 43 {
				t.Errorf("the public half is %+v", pub)
			}

			rotated, err := k.Rotate(ctx, "acme", "")
			if err != nil {
				t.Fatal(err)
			}
			if rotated.Next == nil || rotated.Next.ID() == first.Current.ID() || rotated.Next.Algorithm() != alg || len(rotated.Keys()) != 2 {
				t.Errorf("rotated to %+v", rotated)
			}
			signs, err := Current(ctx, k.Vault, "acme", "")
			if err != nil || signs.ID() != first.Current.ID() {
				t.Errorf("before the end of the rotation %v signs, %v", signs, err)
			}
			if _, err := k.Rotate(ctx, "acme", ""); !is[*Pending](err) {
				t.Errorf("a second rotation: %v", err)
			}

			done, err := k.Finish(ctx, "acme")
			if err != nil || done.Next != nil || done.Current.ID() != rotated.Next.ID() {
				t.Errorf("finished with %+v, %v", done, err)
			}
			if signs, err = Current(ctx, k.Vault, "acme", "name-at-as"); err != nil || signs.ID() != "name-at-as" {
				t.Errorf("with a key ID of its own %v signs, %v", signs, err)
			}
			if _, err := k.Finish(ctx, "acme"); !is[*Pending](err) {
				t.Errorf("a second end: %v", err)
			}

			if err := k.Remove(ctx, "acme"); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(ctx, k.Vault, "acme"); !is[*Missing](err) {
				t.Errorf("after its removal: %v", err)
			}
			if err := k.Remove(ctx, "acme"); !is[*Missing](err) {
				t.Errorf("a second removal: %v", err)
			}
		})
	}
}

func TestGenerateOverwritesNothing(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	first, err := k.Generate(ctx, "acme", "")
	if err != nil {
		t.Fatal(err)
	}
	if first.Current.Algorithm() != "ES256" {
		t.Errorf("the default is %s", first.Current.Algorithm())
	}
	if _, err := k.Generate(ctx, "acme", "RS256"); !is[*Exists](err) {
		t.Errorf("got %v", err)
	}
	if p, err := Load(ctx, k.Vault, "acme"); err != nil || p.Current.ID() != first.Current.ID() {
		t.Errorf("it became %+v, %v", p, err)
	}
}

func TestRefuses(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	for _, name := range []string{"", "-x", ".x", "a b", "a/b", "schlüssel", "a\nb", strings.Repeat("a", 65)} {
		if _, err := k.Generate(ctx, name, ""); !is[*Unusable](err) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := Current(ctx, k.Vault, name, ""); !is[*Unusable](err) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, alg := range []string{"HS256", "none", "es256", "PS256"} {
		if _, err := k.Generate(ctx, "acme", alg); !is[*Unusable](err) || !strings.Contains(err.Error(), "ES256, EdDSA, RS256") {
			t.Errorf("%q: %v", alg, err)
		}
	}
	if _, err := k.Rotate(ctx, "acme", ""); !is[*Missing](err) {
		t.Errorf("rotation of nothing: %v", err)
	}
	if _, err := k.Finish(ctx, "acme"); !is[*Missing](err) {
		t.Errorf("the end of nothing: %v", err)
	}
	if list, err := k.List(ctx); len(list) != 0 || err != nil {
		t.Errorf("there is %v, %v", list, err)
	}
}

func TestList(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	for _, name := range []string{"b", "a", "c", "d"} {
		if _, err := k.Generate(ctx, name, "EdDSA"); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Remove(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	// One that was interrupted, and one that nobody can read.
	if err := k.Vault.Delete(ctx, item("a")); err != nil {
		t.Fatal(err)
	}
	if err := k.Vault.Set(ctx, item("d"), secret.New(`{"version":1,"key":{"d":"hunter2"}}`)); err != nil {
		t.Fatal(err)
	}
	list, err := k.List(ctx)
	if len(list) != 1 || list[0].Name != "b" || !is[*Unusable](err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, %v", list, err)
	}
	// The broken one can still be removed.
	if err := k.Remove(ctx, "d"); err != nil {
		t.Error(err)
	}
	if list, err := k.List(ctx); len(list) != 1 || err != nil {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestStoredOtherwise(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	if _, err := k.Generate(ctx, "acme", ""); err != nil {
		t.Fatal(err)
	}
	whole, err := k.Vault.Get(ctx, item("acme"))
	if err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]string{
		"newer mcpauth":  strings.Replace(whole.Reveal(), `"version":1`, `"version":2`, 1),
		"not a key":      "torn",
		"cannot be used": `{"version":1,"made":"2026-11-23T09:00:00Z","key":{"kty":"oct","k":"hunter2"}}`,
	} {
		if err := k.Vault.Set(ctx, item("acme"), secret.New(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(ctx, k.Vault, "acme"); !is[*Unusable](err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What an end of a rotation leaves that was cut off between its two steps.
func TestFinishCutOff(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	if _, err := k.Generate(ctx, "acme", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(ctx, "acme", ""); err != nil {
		t.Fatal(err)
	}
	next, err := k.Vault.Get(ctx, nextItem("acme"))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Vault.Set(ctx, item("acme"), next); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(ctx, k.Vault, "acme"); err != nil || p.Next != nil {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := k.Rotate(ctx, "acme", ""); err != nil || p.Next == nil {
		t.Errorf("got %+v, %v", p, err)
	}
}

// Ten at once make one key.
func TestTakeTurns(t *testing.T) {
	k, ctx := keeper(t), t.Context()
	var mu sync.Mutex
	made := 0
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := k.Generate(ctx, "acme", "EdDSA")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !is[*Exists](err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d keys were made", made)
	}
}

// An RSA key is the biggest, and has to fit into an item of every keychain.
func TestFitsIntoAnItem(t *testing.T) {
	jwk, err := generate("RS256")
	if err != nil {
		t.Fatal(err)
	}
	text, err := format(jwk, epoch)
	if err != nil || len(text.Reveal()) > 2000 {
		t.Errorf("%d bytes, %v", len(text.Reveal()), err)
	}
}

func TestPrintsNoKey(t *testing.T) {
	k := keeper(t)
	p, err := k.Generate(context.Background(), "acme", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Vault.Get(t.Context(), item("acme"))
	if err != nil {
		t.Fatal(err)
	}
	_, private, _ := strings.Cut(text.Reveal(), `"d":"`)
	private, _, _ = strings.Cut(private, `"`)
	if len(private) < 40 {
		t.Fatal("no private half to look for")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb+verb, p, p.Current); strings.Contains(s, private) {
			t.Errorf("%s shows the key", verb)
		}
	}
	for _, keyID := range []string{"", "ours"} {
		list := p.Public(keyID)
		pub, err := list[0].MarshalJSON()
		if err != nil || len(list) != 1 || strings.Contains(string(pub), `"d"`) || list[0].KeyID != cmp.Or(keyID, p.Current.ID()) {
			t.Errorf("published: %s, %v", pub, err)
		}
	}
	if !slices.Contains(Algorithms(), p.Current.Algorithm()) {
		t.Error(p.Current.Algorithm())
	}
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
