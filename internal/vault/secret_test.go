package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// However a vault is printed, no key and no value appears (rule S19).
func TestNothingShows(t *testing.T) {
	ctx := context.Background()
	keyFile := newKeyFile(t)
	content, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), "AGE-SECRET-KEY-")
	clear := []string{"canary-value", "canary-passphrase", strings.TrimSpace(after)}
	values := []any{}
	for _, v := range []*Vault{
		mustFile(t, state.Open(filepath.Join(t.TempDir(), "s")), keyFile, ""),
		mustFile(t, state.Open(filepath.Join(t.TempDir(), "s")), "", writeFile(t, "p", "canary-passphrase")),
	} {
		v.quick = &keeper{}
		if err := v.Set(ctx, "a", secret.New("canary-value")); err != nil {
			t.Fatal(err)
		}
		mustSeal(t, v, "n", "canary-value")
		key := v.key.Reveal()
		clear = append(clear, key, fmt.Sprintf("%x", key), base64.RawStdEncoding.EncodeToString([]byte(key)))
		values = append(values, v, v.store, *v.store.(*fileStore), v.quick, struct{ v *Vault }{v}, KeychainOptions{})
	}
	for _, value := range values {
		var out bytes.Buffer
		for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "d"} {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("it", "v", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("it", "v", value)
		b, _ := json.Marshal(value)
		out.Write(b)
		for _, c := range clear {
			if strings.Contains(out.String(), c) {
				t.Errorf("%T shows a secret of %d bytes", value, len(c))
			}
		}
	}
}
