package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

const (
	roleVariable     = "MCPAUTH_VAULT_TEST_ROLE"
	keychainVariable = "MCPAUTH_TEST_KEYCHAIN" // set by testdata/with-keyring.sh
)

// The test binary is also the other process in tests about several of them.
func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	out, err := play(role, os.Args[1:])
	for _, k := range []error{ErrNotFound, ErrLocked, ErrUnavailable, ErrRefused, ErrTimeout} {
		if errors.Is(err, k) {
			fmt.Printf("kind: %v\n", k)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(out)
}

func play(role string, args []string) (string, error) {
	ctx := context.Background()
	switch role {
	case "seal": // FOLDER NAME: seals NAME under NAME in the file store
		v, err := File(state.Open(filepath.Join(args[0], "s")), filepath.Join(args[0], "key"), "")
		if err != nil {
			return "", err
		}
		return "", v.Seal(ctx, args[1], []byte(args[1]))
	case "get": // FOLDER SERVICE NAME: reads from the keychain
		v := Keychain(state.Open(args[0]), KeychainOptions{Service: args[1], Deadline: 200 * time.Millisecond})
		s, err := v.Get(ctx, args[2])
		return s.Reveal(), err
	case "lock, then get": // FOLDER: locks the collection after writing to it
		v := Keychain(state.Open(args[0]), KeychainOptions{})
		if err := v.Set(ctx, "a", secret.New("value")); err != nil {
			return "", err
		}
		lock := exec.Command("dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets",
			"org.freedesktop.Secret.Service.Lock", "array:objpath:/org/freedesktop/secrets/collection/login")
		if out, err := lock.CombinedOutput(); err != nil {
			return "", fmt.Errorf("lock the collection: %w: %s", err, out)
		}
		if err := v.Set(ctx, "a", secret.New("other")); !errors.Is(err, ErrLocked) {
			return "", fmt.Errorf("set in a locked collection: %w", err)
		}
		s, err := v.Get(ctx, "a")
		return s.Reveal(), err
	case "get without bus":
		k := &keychain{service: "mcpauth-test", deadline: 5 * time.Second, calls: NewCalls()}
		return k.get(ctx, "x")
	}
	return "", fmt.Errorf("unknown role %q", role)
}

// process runs the test binary in a role with env and nothing else, and returns
// what it printed and whether it ended well.
func process(role string, env []string, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	c := exec.Command(self, args...)
	c.Env = append(env, roleVariable+"="+role)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

// memory is a store for tests, which counts and fails on demand.
type memory struct {
	mu    sync.Mutex
	items map[string]string
	calls int
	fail  error
}

func (m *memory) do(f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fail == nil {
		f()
	}
	return m.fail
}

func (m *memory) get(ctx context.Context, name string) (value string, err error) {
	if ctx.Err() != nil {
		return "", ended(ctx.Err())
	}
	found := false
	if err := m.do(func() { value, found = m.items[name] }); err != nil {
		return "", err
	}
	if !found {
		return "", ErrNotFound
	}
	return value, nil
}

func (m *memory) set(ctx context.Context, name, value string) error {
	if ctx.Err() != nil {
		return ended(ctx.Err())
	}
	return m.do(func() {
		if m.items == nil {
			m.items = map[string]string{}
		}
		m.items[name] = value
	})
}

func (m *memory) delete(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return ended(ctx.Err())
	}
	return m.do(func() { delete(m.items, name) })
}

// keeper is a kernel keyring for tests.
type keeper struct {
	mu  sync.Mutex
	key secret.Text
}

func (k *keeper) get() secret.Text { k.mu.Lock(); defer k.mu.Unlock(); return k.key }
func (k *keeper) put(t secret.Text) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = t
}
func (k *keeper) drop() { k.put(secret.Text{}) }

// warnings collects what a vault warns about.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) add(s string) { w.mu.Lock(); defer w.mu.Unlock(); w.list = append(w.list, s) }

func (w *warnings) want(t *testing.T, n int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) != n {
		t.Errorf("%d warnings, want %d: %q", len(w.list), n, w.list)
	}
	w.list = nil
}

// vaults is the table of the contract tests: each entry opens the vault of the
// folder again, as the next process would.
func vaults(t *testing.T) map[string]func(folder string) *Vault {
	t.Helper()
	dir := t.TempDir()
	keyFile, passFile := filepath.Join(dir, "key"), filepath.Join(dir, "pass")
	if err := NewKeyFile(keyFile); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(passFile, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(key, pass string) func(string) *Vault {
		return func(folder string) *Vault {
			v, err := File(state.Open(folder), key, pass)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	inMemory := func(max int) func(string) *Vault {
		stores := map[string]*memory{}
		return func(folder string) *Vault {
			if stores[folder] == nil {
				stores[folder] = &memory{}
			}
			return &Vault{dir: state.Open(folder), store: stores[folder], maxItem: max}
		}
	}
	all := map[string]func(string) *Vault{
		"key file":     file(keyFile, ""),
		"passphrase":   file("", passFile),
		"memory":       inMemory(-1),
		"small items":  inMemory(60),
		"sealed items": inMemory(1), // every item goes into a file, the data key does not
	}
	if os.Getenv(keychainVariable) == "1" {
		for name, max := range map[string]int{"keychain": 0, "keychain, small items": 60} {
			all[name] = func(folder string) *Vault {
				return Keychain(state.Open(folder), KeychainOptions{Service: "mcpauth-test-" + state.Hash(folder), MaxItem: max})
			}
		}
	}
	return all
}
