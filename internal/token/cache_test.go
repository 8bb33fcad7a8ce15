package token

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// S31: every member of the key makes another file, also when its text could be
// read as another member's.
func TestKeyNames(t *testing.T) {
	base := key{Mode: "ema", IdP: "https://idp.example", Subject: "alice", Resource: "https://mcp.example/mcp", AS: "https://as.example", Client: "cli", Scopes: "read write"}
	seen := map[string]string{base.name(): "base"}
	note := func(what string, k key) {
		if was, ok := seen[k.name()]; ok {
			t.Errorf("%s has the name of %s", what, was)
		}
		seen[k.name()] = what
	}
	v := reflect.ValueOf(&base).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i).Name
		changed := base
		reflect.ValueOf(&changed).Elem().Field(i).SetString(v.Field(i).String() + "x")
		note(field, changed)
		empty := base
		reflect.ValueOf(&empty).Elem().Field(i).SetString("")
		note("no "+field, empty)
	}
	note("moved text", key{Mode: base.Mode, IdP: base.IdP + `","Subject":"alice`, Resource: base.Resource, AS: base.AS, Client: base.Client, Scopes: base.Scopes})
	if base.name() != (key{base.Mode, base.IdP, base.Subject, base.Resource, base.AS, base.Client, base.Scopes}).name() {
		t.Error("one key has two names")
	}
	if strings.Contains(base.name(), "alice") {
		t.Error("the name of the file tells who it is about")
	}
}

func keyOf(s *Source, id state.Identity, a Ask) key {
	f, _, _ := s.State.Read()
	return s.key(f, holder{issuer: id.Issuer, subject: id.Subject, since: id.SignedIn}, config.ModeEMA, a)
}

// The same through the cache: what was stored under one key is not found by another.
func TestLookupComparesTheKey(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	l.mustGet(t, s, Ask{})
	hit := func(s *Source, id state.Identity, a Ask) bool {
		_, ok := s.lookup(t.Context(), keyOf(s, id, a))
		return ok
	}
	id, err := s.Provider.Known()
	if err != nil || !hit(s, id, Ask{}) {
		t.Fatalf("the token is not found: %v", err)
	}
	for name, change := range map[string]func(*Source, *state.Identity, *Ask){
		"issuer of the IdP":    func(_ *Source, id *state.Identity, _ *Ask) { id.Issuer += "/" },
		"subject":              func(_ *Source, id *state.Identity, _ *Ask) { id.Subject = "bob" },
		"resource":             func(s *Source, _ *state.Identity, _ *Ask) { s.Server.OAuth.Resource = "urn:other" },
		"authorization server": func(s *Source, _ *state.Identity, _ *Ask) { s.Server.OAuth.Issuer = "https://other.example" },
		"client":               func(s *Source, _ *state.Identity, _ *Ask) { s.Server.OAuth.ASClientID = "other" },
		"scopes":               func(_ *Source, _ *state.Identity, a *Ask) { a.Scopes = []string{"write"} },
		"configured scopes":    func(s *Source, _ *state.Identity, _ *Ask) { s.Server.OAuth.Scopes = []string{"write"} },
		"server":               func(s *Source, _ *state.Identity, _ *Ask) { s.Server.URL += "/other" },
	} {
		s, id, a := l.source(t), id, Ask{}
		change(s, &id, &a)
		if hit(s, id, a) {
			t.Errorf("%s: another key finds the token", name)
		}
	}
	if !hit(s, id, Ask{}) {
		t.Error("the token is gone")
	}
	// What is sealed under the right name for somebody else is not believed.
	k := keyOf(s, id, Ask{})
	plain, err := s.Vault.Open(t.Context(), k.name())
	if err != nil {
		t.Fatal(err)
	}
	k.Subject = "bob"
	if err := s.Vault.Seal(t.Context(), k.name(), plain); err != nil {
		t.Fatal(err)
	}
	id.Subject = "bob"
	if hit(s, id, Ask{}) {
		t.Error("the token of another key is found under the name of this one")
	}
}

func TestScopesAreASet(t *testing.T) {
	s := &Source{}
	if got := joined(s.scopes(Ask{Scopes: []string{"b", "a", "b"}})); got != "a b" {
		t.Errorf("got %q", got)
	}
	s.Server.OAuth.Scopes = []string{"z"}
	if got := joined(s.scopes(Ask{})); got != "z" {
		t.Errorf("configured: got %q", got)
	}
}

func TestGood(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		life, age, minTTL time.Duration
		want              bool
	}{
		{15 * time.Minute, 0, 0, true},
		{15 * time.Minute, 12*time.Minute + 29*time.Second, 0, true}, // then it may be (RenewAt)
		{15 * time.Minute, 14 * time.Minute, 0, false},               // a minute is left
		{5 * time.Minute, 3*time.Minute + 59*time.Second, 0, true},
		{5 * time.Minute, 4*time.Minute + 30*time.Second, 0, false}, // a tenth is left
		{10 * time.Second, 7 * time.Second, 0, true},
		{10 * time.Second, 9 * time.Second, 0, false},
		{15 * time.Minute, 9 * time.Minute, 5 * time.Minute, true},
		{15 * time.Minute, 10 * time.Minute, 5 * time.Minute, false},
		{15 * time.Minute, 14 * time.Minute, time.Second, false}, // never less than the margin
		{0, 0, 0, false},
		{time.Minute, 2 * time.Minute, 0, false},
	} {
		s := &Source{Now: func() time.Time { return start.Add(row.age) }}
		e := entry{obtained: start, Token: Token{AccessToken: secret.New("t"), Expires: start.Add(row.life)}}
		if got := s.good(e, Ask{MinTTL: row.minTTL}); got != row.want {
			t.Errorf("life %v, age %v, min %v: got %v, want %v", row.life, row.age, row.minTTL, got, row.want)
		}
		if s.good(e, Ask{MinTTL: row.minTTL, Refused: secret.New("t")}) {
			t.Errorf("life %v: good although the server refused it", row.life)
		}
	}
}

func TestOrElse(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	weather := &endpoint.Error{Status: 503}
	for _, row := range []struct {
		name string
		ok   bool
		left time.Duration
		a    Ask
		err  error
		want bool
	}{
		{"bad weather", true, time.Second, Ask{}, weather, true},
		{"bad weather, longer asked for", true, time.Second, Ask{MinTTL: time.Hour}, weather, true},
		{"somebody else is at it", true, time.Second, Ask{}, fmt.Errorf("wait: %w", &state.Busy{}), true},
		{"the keychain is locked", true, time.Second, Ask{}, fmt.Errorf("read the sign-in: %w", vault.ErrLocked), true},
		{"the keychain is away", true, time.Second, Ask{}, fmt.Errorf("read the sign-in: %w", vault.ErrUnavailable), true},
		{"the keychain has lost it", true, time.Second, Ask{}, fmt.Errorf("read the sign-in: %w", vault.ErrNotFound), false},
		{"nothing cached", false, time.Second, Ask{}, weather, false},
		{"expired", true, 0, Ask{}, weather, false},
		{"fresh asked for", true, time.Second, Ask{Fresh: true}, weather, false},
		{"refused by the server", true, time.Second, Ask{Refused: secret.New("t")}, weather, false},
		{"a decision", true, time.Second, Ask{}, &endpoint.Error{Status: 403, Code: "access_denied"}, false},
		{"a change", true, time.Second, Ask{}, &Changed{}, false},
		{"another issuer", true, time.Second, Ask{}, &discover.IssuerMismatch{}, false},
		{"who knows", true, time.Second, Ask{}, errors.New("x"), false},
	} {
		s := &Source{Now: func() time.Time { return now }}
		tok, err := s.orElse(entry{Token: Token{AccessToken: secret.New("t"), Expires: now.Add(row.left)}}, row.ok, row.a, row.err)
		if (err == nil) != row.want || row.want != !tok.AccessToken.IsZero() || row.want != (len(tok.Warnings) == 1) {
			t.Errorf("%s: got %v, %v", row.name, tok, err)
		}
	}
}

// Who asks for other scopes at every call fills neither the record nor the disk.
func TestManyScopes(t *testing.T) {
	l := newLaptop(t)
	s := l.source(t)
	k := func(i int) key { return key{Resource: "r", AS: "a", Scopes: fmt.Sprint(i)} }
	chain := Chain{Token: Token{AccessToken: secret.New("t"), Expires: l.Now().Add(time.Hour)}}
	for i := range 40 + maxSealed {
		s.store(t.Context(), k(i), chain)
		s.store(t.Context(), k(40), chain) // one that is in use all the time
	}
	record, err := s.State.ReadFile("state.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if files, names := l.sealedFiles(t), strings.Count(string(record), "access token "); files != maxSealed || names != files {
		t.Errorf("%d files, %d on record, want %d", files, names, maxSealed)
	}
	for _, i := range []int{40, 39 + maxSealed} {
		if _, ok := s.lookup(t.Context(), k(i)); !ok {
			t.Errorf("token %d is gone", i)
		}
	}
	locks, err := filepath.Glob(filepath.Join(l.dir, "state", "locks", "*"))
	if err != nil || len(locks) > 300 {
		t.Errorf("%d lock files, %v", len(locks), err)
	}
	if err := Drop(t.Context(), s.State, s.Vault, s.Server.URL); err != nil || l.sealedFiles(t) != 0 {
		t.Errorf("%d files outlive a sign-out; %v", l.sealedFiles(t), err)
	}
}

func TestMetadataCache(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	d := state.Open(filepath.Join(t.TempDir(), "state"))
	d.Now = clock
	m := MetadataCache{State: d, Now: clock}
	m.Put("a", []byte("A"), time.Hour)
	m.Put("long", []byte("L"), 1000*time.Hour)
	has := func(url string) bool { _, ok := m.Get(url); return ok }
	if b, ok := m.Get("a"); !ok || string(b) != "A" || has("b") {
		t.Errorf("got %q, %v", b, ok)
	}
	d.SetCache("torn", []byte("1234567"))
	if has("torn") {
		t.Error("a torn entry is served")
	}
	now = now.Add(time.Hour)
	if has("a") || !has("long") {
		t.Error("an hour counts otherwise")
	}
	now = now.Add(23 * time.Hour)
	if has("long") {
		t.Error("no server can ask for more than a day")
	}

	m.Put("a", []byte("A"), time.Hour)
	blind := &watched{Cache: m, blind: true}
	if _, ok := blind.Get("a"); ok || blind.hit {
		t.Error("a blind cache sees")
	}
	seeing := &watched{Cache: m}
	if _, ok := seeing.Get("a"); !ok || !seeing.hit {
		t.Error("a hit is not noticed")
	}
	blind.Put("b", []byte("B"), time.Hour)
	if !has("b") {
		t.Error("a blind cache is not filled")
	}
	none := &watched{}
	none.Put("x", nil, 0)
	if _, ok := none.Get("x"); ok {
		t.Error("no cache serves something")
	}
}
