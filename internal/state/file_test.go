package state_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpauth/mcpauth/internal/state"
)

func full() state.File {
	when := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return state.File{
		Version: state.Version,
		Store:   &state.Store{Kind: "file", KeyFile: "/k"},
		Identities: map[string]state.Identity{"acme": {
			Issuer: "https://idp.example", ClientID: "c", Subject: "s", Name: "Ada", Email: "ada@acme.example",
			SignedIn: when, Expires: when.Add(time.Hour), AuthTime: when, Nonce: "n",
			Renewable: true, Imported: true, Unverified: true, Scopes: []string{"openid", "email"},
		}},
		Servers: map[string]state.Server{"https://wiki.example/mcp": {
			URL: "https://wiki.example/mcp", Resource: "https://wiki.example/mcp", ResourceMatch: "exact",
			Issuer: "https://as.example", Pinned: when, Client: "wiki", LastOK: when, Expires: when, Scopes: []string{"read"},
			LastError: &state.Failure{When: when, Stage: "redeem", Code: "invalid_grant", Message: "no"},
		}},
	}
}

func set(f state.File) func(*state.File) error {
	return func(g *state.File) error { *g = f; return nil }
}

func TestUpdateThenRead(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	if err := d.Update(context.Background(), set(full())); err != nil {
		t.Fatal(err)
	}
	got, warnings, _ := state.Open(d.Path()).Read()
	if len(warnings) != 0 {
		t.Error(warnings)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestUpdateWritesOnlyChanges(t *testing.T) {
	ctx := context.Background()
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	file := filepath.Join(d.Path(), "state.json")
	nothing := func(f *state.File) error {
		if f.Identities == nil || f.Servers == nil {
			t.Error("Update hands out nil maps")
		}
		f.Version = 77 // is not the caller's
		return nil
	}
	if err := d.Update(ctx, nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made for no change: %v", err)
	}
	if err := d.Update(ctx, set(full())); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(file)
	if err := d.Update(ctx, nothing); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	err := d.Update(ctx, func(f *state.File) error { f.Servers["x"] = state.Server{}; return refused })
	if !errors.Is(err, refused) {
		t.Errorf("error is %v, want that of the function", err)
	}
	if after, _ := os.Stat(file); !os.SameFile(before, after) {
		t.Error("the file was written again")
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Update(ctx, nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made for no change, in place of a damaged one: %v", err)
	}
}

func TestUpdateObeysContext(t *testing.T) {
	d := state.Open(t.TempDir())
	unlock, err := d.Lock(context.Background(), "state.json")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = d.Update(ctx, func(*state.File) error { t.Error("called without the lock"); return nil })
	var busy *state.Busy
	if !errors.As(err, &busy) {
		t.Errorf("error is %v, want *Busy", err)
	}
}

func TestBadContent(t *testing.T) {
	good, _ := json.Marshal(full())
	for name, content := range map[string][]byte{
		"empty": nil, "null": []byte("null"), "array": []byte("[]"), "text": []byte("hello"),
		"zeroes": make([]byte, 512), "truncated": good[:len(good)/2], "doubled": append(good, good...), "tail": append(good, "}"...),
		"version 0": []byte(`{"servers":{}}`), "version -1": []byte(`{"version":-1}`), "version text": []byte(`{"version":"1"}`),
		"wrong type": []byte(`{"version":1,"servers":[]}`), "bad time": []byte(`{"version":1,"servers":{"a":{"pinned":"yesterday"}}}`),
		"deep": append([]byte(`{"version":1,"x":`), bytes.Repeat([]byte("["), 1<<20)...), "huge": bytes.Repeat([]byte(" "), 5<<20),
	} {
		t.Run(name, func(t *testing.T) {
			d := state.Open(t.TempDir())
			file := filepath.Join(d.Path(), "state.json")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			f, warnings, _ := d.Read()
			if diff := cmp.Diff(state.File{}, f); diff != "" || len(warnings) != 1 {
				t.Errorf("Read = %s, %v; want zero and one warning", diff, warnings)
			}
			if b, err := os.ReadFile(file + ".bad"); err != nil || !bytes.Equal(b, content) {
				t.Errorf("not kept aside: %v", err)
			}
			if _, warnings, _ := d.Read(); len(warnings) != 0 {
				t.Errorf("warned twice: %v", warnings)
			}
			if err := d.Update(context.Background(), set(full())); err != nil {
				t.Error(err)
			}
		})
	}
}

// A reader must not move aside the good file that a writer is putting there.
func TestBadContentWhileSomebodyWrites(t *testing.T) {
	d := state.Open(t.TempDir())
	file := filepath.Join(d.Path(), "state.json")
	unlock, err := d.Lock(context.Background(), "state.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, warnings, _ := d.Read(); len(warnings) != 1 {
		t.Errorf("warnings: %v, want one", warnings)
	}
	if _, err := os.Lstat(file); err != nil {
		t.Errorf("moved without the lock: %v", err)
	}
	unlock()
	d.Read()
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not moved with the lock: %v", err)
	}
}

func TestAsideIsTaken(t *testing.T) {
	d := state.Open(t.TempDir())
	file := filepath.Join(d.Path(), "state.json")
	if err := os.MkdirAll(filepath.Join(file+".bad", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Read()
	if _, warnings, _ := d.Read(); len(warnings) != 0 {
		t.Errorf("stands in the way for ever: %v", warnings)
	}
}

func TestNewerVersion(t *testing.T) {
	d := state.Open(t.TempDir())
	content := []byte(`{"version":2,"servers":["another","shape"]}`)
	file := filepath.Join(d.Path(), "state.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, warnings, _ := d.Read()
	if diff := cmp.Diff(state.File{}, f); diff != "" || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "newer") {
		t.Errorf("Read = %s, %v", diff, warnings)
	}
	var newer *state.Newer
	if err := d.Update(context.Background(), set(full())); !errors.As(err, &newer) || newer.Version != 2 || newer.Path != file {
		t.Errorf("Update = %v, want *Newer", err)
	}
	if b, _ := os.ReadFile(file); !bytes.Equal(b, content) {
		t.Errorf("the file is now %q", b)
	}
}

// Decided: an unknown member of the same version is read over, and goes with
// the next write.
func TestUnknownMember(t *testing.T) {
	d := state.Open(t.TempDir())
	text := `{"version":1,"later":true,"servers":{"a":{"url":"a"}},"check": "00000000"}`
	text = strings.Replace(text, "00000000", fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))), 1)
	if err := os.WriteFile(filepath.Join(d.Path(), "state.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, warnings, _ := d.Read(); f.Servers["a"].URL != "a" || len(warnings) != 0 {
		t.Errorf("Read = %+v, %v", f, warnings)
	}
}

func TestMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	d := state.Open(t.TempDir())
	if err := d.Update(t.Context(), func(f *state.File) error { *f = full(); return nil }); err != nil {
		t.Fatal(err)
	}
	good, err := d.ReadFile("state.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		b := mutate(random, good)
		if err := os.WriteFile(filepath.Join(d.Path(), "state.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, warnings, _ := d.Read()
		if len(warnings) > 1 || len(warnings) == 1 && f.Servers != nil {
			t.Fatalf("mutation %d: %v with %+v", i, warnings, f)
		}
		err := d.Update(context.Background(), func(f *state.File) error {
			f.Servers["https://new.example"] = state.Server{URL: fmt.Sprint(i)}
			return nil
		})
		if newer := new(state.Newer); err != nil && !errors.As(err, &newer) {
			t.Fatalf("mutation %d bricks the state: %v\n%s", i, err, b)
		}
	}
}

func mutate(random *rand.Rand, good []byte) []byte {
	b := bytes.Clone(good)
	for range 1 + random.IntN(4) {
		i := random.IntN(len(b))
		switch random.IntN(4) {
		case 0:
			b[i] ^= 1 << random.IntN(8)
		case 1:
			b = append(b[:i:i], b[min(len(b), i+1+random.IntN(20)):]...)
		case 2:
			b = append(b[:i:i], append([]byte{byte(random.IntN(256))}, b[i:]...)...)
		case 3:
			b = append(b, b[i:]...)
		}
		if len(b) == 0 {
			return b
		}
	}
	return b
}

// Processes that change the state at once lose nothing of each other.
func TestProcessesUpdate(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	var children []*exec.Cmd
	for i := range 5 {
		c := process(t, "add", d.Path(), fmt.Sprint(i))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if f, warnings, _ := d.Read(); len(f.Servers) != 100 || len(warnings) != 0 {
		t.Errorf("%d servers, %v; want 100", len(f.Servers), warnings)
	}
}

// Whenever a writer is killed, the state is whole.
func TestKilledWriter(t *testing.T) {
	d := state.Open(filepath.Join(t.TempDir(), "s"))
	random := rand.New(rand.NewPCG(3, 4))
	for range 15 {
		c := process(t, "churn", d.Path(), "")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "writing\n" {
			t.Fatalf("child said %q, %v", line, err)
		}
		for range random.IntN(30) { // reading is also how time passes here
			if f, warnings, _ := d.Read(); len(f.Servers) == 0 || len(warnings) != 0 {
				t.Fatalf("Read = %+v, %v", f, warnings)
			}
		}
		c.Process.Kill()
		c.Wait()
		if f, warnings, _ := d.Read(); len(f.Servers) == 0 || len(warnings) != 0 {
			t.Fatalf("after the kill: %+v, %v", f, warnings)
		}
	}
}
