package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// newMemoryVault returns a vault on a memory store, and what it warns about.
func newMemoryVault(t testing.TB) (*Vault, *memory, *warnings) {
	t.Helper()
	m, w := &memory{}, &warnings{}
	return &Vault{Warn: w.add, dir: state.Open(filepath.Join(t.TempDir(), "s")), store: m}, m, w
}

func (v *Vault) file(name string) string { return filepath.Join(v.dir.Path(), sealedFile(name)) }

func mustSeal(t testing.TB, v *Vault, name, value string) []byte {
	t.Helper()
	if err := v.Seal(context.Background(), name, []byte(value)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(v.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantMiss(t testing.TB, v *Vault, name string) {
	t.Helper()
	if got, err := v.Open(context.Background(), name); !errors.Is(err, ErrNotFound) || got != nil {
		t.Errorf("Open(%q) = %q, %v; want ErrNotFound", name, got, err)
	}
}

func wantSealed(t testing.TB, v *Vault, name, value string) {
	t.Helper()
	if got, err := v.Open(context.Background(), name); err != nil || string(got) != value {
		t.Errorf("Open(%q) = %q, %v; want %q", name, got, err, value)
	}
}

func TestSealedMutations(t *testing.T) {
	v, _, warned := newMemoryVault(t)
	good := mustSeal(t, v, "n", "the token")
	random := rand.New(rand.NewPCG(5, 6))
	mutants := map[string][]byte{"empty": nil, "doubled": append(bytes.Clone(good), good...), "zeroes": make([]byte, len(good))}
	for i := range good {
		mutants[fmt.Sprintf("cut at %d", i)] = good[:i]
	}
	for i := range 200 {
		b := bytes.Clone(good)
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		mutants[fmt.Sprintf("mutation %d", i)] = b
	}
	for name, b := range mutants {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(v.file("n"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			v.keyLost = false // as in a process of its own
			wantMiss(t, v, "n")
			warned.want(t, 1)
			wantMiss(t, v, "n")
			warned.want(t, 0) // once is enough
			mustSeal(t, v, "n", "new")
			wantSealed(t, v, "n", "new")
		})
	}
}

// A lost data key takes all sealed files with it, and is told once.
func TestLostKeyIsToldOnce(t *testing.T) {
	ctx, d := context.Background(), state.Open(filepath.Join(t.TempDir(), "s"))
	key := newKeyFile(t)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		mustSeal(t, mustFile(t, d, key, ""), name, "value")
	}
	file := filepath.Join(d.Path(), itemPath(keyName))
	if err := os.WriteFile(file, []byte("no item"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(copyFile); err != nil {
		t.Fatal(err)
	}
	for process := range 3 {
		v := mustFile(t, d, key, "")
		var warned warnings
		v.Warn = warned.add
		for _, name := range names {
			wantMiss(t, v, name)
		}
		warned.want(t, max(1-process, 0))
		if process == 0 {
			if err := v.Seal(ctx, "a", []byte("new")); err != nil {
				t.Fatal(err)
			}
			names = []string{"b", "c"}
		}
	}
	if _, err := os.Lstat(file + ".bad"); err != nil {
		t.Errorf("not moved aside: %v", err)
	}
	v := mustFile(t, d, key, "")
	wantSealed(t, v, "a", "new")
	if err := v.Forget(ctx); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), storeFolder, "*")); left != nil {
		t.Errorf("Forget leaves %q", left)
	}
}

func TestSealedIsBoundToItsName(t *testing.T) {
	v, _, warned := newMemoryVault(t)
	b := mustSeal(t, v, "a", "for a")
	if err := os.WriteFile(v.file("b"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, v, "b")
	warned.want(t, 1)
	wantSealed(t, v, "a", "for a")
	if bytes.Contains(b, []byte("for a")) {
		t.Error("the file shows the value")
	}
}

// A slow reader of a damaged file must not remove what a fast one has put in
// its place since.
func TestDamageIsRemovedOnlyWhileItIsThere(t *testing.T) {
	v, _, _ := newMemoryVault(t)
	mustSeal(t, v, "n", "new")
	v.discardSame("n", []byte("the damaged content"))
	wantSealed(t, v, "n", "new")

	unlock, err := v.dir.LockShared(context.Background(), sealedLock)
	if err != nil {
		t.Fatal(err)
	}
	mustSeal(t, v, "other", "a second writer") // waits for nobody
	if err := os.WriteFile(v.file("n"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, v, "n") // while a writer is at it
	if _, err := os.Lstat(v.file("n")); err != nil {
		t.Errorf("removed while a writer had its turn: %v", err)
	}
	unlock()
	wantMiss(t, v, "n")
	if _, err := os.Lstat(v.file("n")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not removed: %v", err)
	}
}

func TestHotPathAsksNoStore(t *testing.T) {
	v, m, _ := newMemoryVault(t)
	v.quick = &keeper{}
	mustSeal(t, v, "n", "x")
	next := &Vault{dir: v.dir, store: m, quick: v.quick} // the next process
	before := m.calls
	wantSealed(t, next, "n", "x")
	wantMiss(t, next, "other")
	if m.calls != before {
		t.Errorf("the store was asked %d times", m.calls-before)
	}
}

func TestStaleCopy(t *testing.T) {
	v, m, warned := newMemoryVault(t)
	mustSeal(t, v, "n", "x")
	stale := secret.New(strings.Repeat("s", keySize))
	k := &keeper{key: stale}
	next := &Vault{Warn: warned.add, dir: v.dir, store: m, quick: k}
	before := m.calls
	wantSealed(t, next, "n", "x")
	if m.calls != before+1 {
		t.Errorf("the store was asked %d times, want once", m.calls-before)
	}
	if k.get().Equal(stale) {
		t.Error("the stale copy is still there")
	}
	wantSealed(t, next, "n", "x")
	if m.calls != before+1 {
		t.Error("the new copy is not used")
	}

	// While the store does not answer, nobody knows whether the copy or the
	// file is at fault: keep both, and say what the store said.
	k.put(stale)
	m.fail = ErrLocked
	locked := &Vault{Warn: warned.add, dir: v.dir, store: m, quick: k}
	if _, err := locked.Open(context.Background(), "n"); !errors.Is(err, ErrLocked) {
		t.Errorf("Open = %v, want ErrLocked", err)
	}
	if k.get().IsZero() {
		t.Error("the copy was dropped")
	}
	m.fail = nil
	wantSealed(t, locked, "n", "x")
	warned.want(t, 0)
}

func TestLostDataKey(t *testing.T) {
	for name, lose := range map[string]func(*memory){
		"gone":       func(m *memory) { delete(m.items, keyName) },
		"short":      func(m *memory) { m.items[keyName] = "AAAA" },
		"not base64": func(m *memory) { m.items[keyName] = "%" },
		"empty":      func(m *memory) { m.items[keyName] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			v, m, _ := newMemoryVault(t)
			mustSeal(t, v, "n", "x")
			lose(m)
			k := &keeper{}
			next := &Vault{dir: v.dir, store: m, quick: k}
			wantMiss(t, next, "n")
			mustSeal(t, next, "n", "y")
			wantSealed(t, &Vault{dir: v.dir, store: m}, "n", "y")
		})
	}
}

// A store that says no is not a store that has nothing: no new data key.
func TestStoreErrorsStayApart(t *testing.T) {
	for _, want := range []error{ErrLocked, ErrUnavailable, ErrRefused, ErrTimeout} {
		v, m, warned := newMemoryVault(t)
		mustSeal(t, v, "n", "x")
		key := m.items[keyName]
		m.fail = want
		ctx := context.Background()
		next := &Vault{Warn: warned.add, dir: v.dir, store: m, maxItem: 10}
		_, getErr := next.Get(ctx, "a")
		_, openErr := next.Open(ctx, "n")
		for verb, err := range map[string]error{
			"Get": getErr, "Open": openErr, "Seal": next.Seal(ctx, "m", nil), "Delete": next.Delete(ctx, "a"),
			"Set": next.Set(ctx, "a", secret.New("x")), "Set big": next.Set(ctx, "a", secret.New(strings.Repeat("x", 11))),
		} {
			if !errors.Is(err, want) || errors.Is(err, ErrNotFound) {
				t.Errorf("%s = %v, want %v", verb, err, want)
			}
		}
		m.fail = nil
		wantSealed(t, next, "n", "x")
		if m.items[keyName] != key {
			t.Errorf("%v replaced the data key", want)
		}
		warned.want(t, 0)
	}
}

func TestForgetDoesWhatItCan(t *testing.T) {
	v, m, _ := newMemoryVault(t)
	v.quick = &keeper{}
	mustSeal(t, v, "n", "x")
	m.fail = ErrUnavailable
	if err := v.Forget(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Forget = %v, want ErrUnavailable", err)
	}
	if _, err := os.Lstat(v.file("n")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the sealed file is still there")
	}
	if !v.quick.get().IsZero() {
		t.Error("the copy is still there")
	}
}

// Values too big for the store: what a crash between two steps leaves behind.
func TestBigItems(t *testing.T) {
	ctx := context.Background()
	big, bigger := strings.Repeat("b", 200), strings.Repeat("c", 300)
	v, m, warned := newMemoryVault(t)
	v.maxItem = 60
	file := v.file(itemFile("a"))
	set := func(value string) {
		t.Helper()
		if err := v.Set(ctx, "a", secret.New(value)); err != nil {
			t.Fatal(err)
		}
	}
	get := func() string {
		t.Helper()
		s, err := v.Get(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		return s.Reveal()
	}
	set("small")
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a small item has a file")
	}
	// The file is written, then the store fails: the old value stays.
	m.fail = nil
	key, err := v.makeKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.seal(ctx, key, itemFile("a"), []byte(big), v.dir.WriteFile); err != nil {
		t.Fatal(err)
	}
	if get() != "small" {
		t.Error("a file without its item is a value")
	}
	set(big)
	if get() != big || m.items["a"] != inFile {
		t.Error("a big item is not in its file")
	}
	set(bigger)
	if get() != bigger {
		t.Error("a big item is not replaced")
	}
	set("small again")
	if _, err := os.Lstat(file); get() != "small again" || !errors.Is(err, os.ErrNotExist) {
		t.Error("shrinking back leaves the file")
	}
	set(big)
	if err := v.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("Delete leaves the file")
	}
	warned.want(t, 0)

	// The file is damaged or gone: not found, and not for ever.
	for name, harm := range map[string]func() error{
		"gone":    func() error { return os.Remove(file) },
		"damaged": func() error { return os.WriteFile(file, []byte(magic+"and something else altogether"), 0o600) },
	} {
		set(big)
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
		set(big)
		if get() != big {
			t.Errorf("%s: a new value is not kept", name)
		}
	}
}

// outdated answers the first question with what was there a moment ago.
type outdated struct {
	*memory
	asked int
}

func (o *outdated) get(ctx context.Context, name string) (string, error) {
	if o.asked++; o.asked == 1 {
		return inFile, nil
	}
	return o.memory.get(ctx, name)
}

// An item that shrinks while it is read is never not found.
func TestItemShrinksWhileRead(t *testing.T) {
	v, m, warned := newMemoryVault(t)
	m.items = map[string]string{"a": "small"}
	v.store = &outdated{memory: m}
	if s, err := v.Get(context.Background(), "a"); err != nil || s.Reveal() != "small" {
		t.Errorf("Get: %v, or a wrong value", err)
	}
	warned.want(t, 0)
}

// Processes that start at once agree on one data key.
func TestProcessesMakeOneKey(t *testing.T) {
	for round := range 2 {
		dir := t.TempDir()
		if err := NewKeyFile(filepath.Join(dir, "key")); err != nil {
			t.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		var children []*exec.Cmd
		for i := range 8 {
			c := exec.Command(self, dir, fmt.Sprint(i))
			c.Env = []string{roleVariable + "=seal"}
			c.Stderr = os.Stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			children = append(children, c)
		}
		for _, c := range children {
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		v, err := File(state.Open(filepath.Join(dir, "s")), filepath.Join(dir, "key"), "")
		if err != nil {
			t.Fatal(err)
		}
		for i := range children {
			wantSealed(t, v, fmt.Sprint(i), fmt.Sprint(i))
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// The whole of what a cache hit asks of this package. On Linux with the kernel
// keyring, where keyctl is allowed.
func BenchmarkOpen(b *testing.B) {
	v, _, _ := newMemoryVault(b)
	v.quick = kernelCopy(v.dir.Path())
	mustSeal(b, v, "n", strings.Repeat("x", 1200))
	defer v.dropCopies()
	for b.Loop() {
		v.key = secret.Text{} // as in a new process
		if _, err := v.Open(context.Background(), "n"); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key := secret.New(strings.Repeat("k", keySize))
	gcm, err := newGCM(key)
	if err != nil {
		f.Fatal(err)
	}
	// The nonce is fixed, since every fuzzing process has to make the same file.
	file := func(name, plain string) []byte {
		nonce := []byte(strings.Repeat("n", gcm.NonceSize()))
		return gcm.Seal(append([]byte(magic), nonce...), nonce, []byte(plain), []byte(magic+name))
	}
	good, moved := file("n", "the token"), file("m", "another")
	for _, b := range [][]byte{good, moved, good[:40], []byte(magic), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := decrypt(key, "n", b)
		if err == nil && !bytes.Equal(b, good) {
			t.Fatalf("%q opens as %q", b, plain)
		}
		if err != nil && plain != nil {
			t.Fatalf("%v comes with a value", err)
		}
	})
}
