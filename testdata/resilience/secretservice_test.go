package resilience

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// secretService is a keychain on a bus of its own that can be made to misbehave. It
// speaks as much of the Secret Service as the program needs: plain sessions and one
// collection.
type secretService struct {
	t       testing.TB
	address string // of the bus

	mu      sync.Mutex
	conn    *dbus.Conn
	items   map[string]item // by path
	calls   int             // since the last behave
	behaves misbehaviour
	release chan struct{} // closed: who hangs goes on
}

type item struct {
	attributes map[string]string
	value      []byte
}

// misbehaviour begins with the From-th call.
type misbehaviour struct {
	From   int
	Slow   time.Duration // each call takes so long
	Die    bool          // the service leaves the bus without an answer
	Locked bool          // asks the person, who never answers
	Says   string        // refuses to keep items with these words
	Big    int           // refuses items of more bytes
	Wrong  bool          // answers with values of wrong types
	Drops  bool          // says that items are kept, and keeps none
}

const (
	serviceName    = "org.freedesktop.secrets"
	servicePath    = dbus.ObjectPath("/org/freedesktop/secrets")
	collectionPath = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	promptPath     = dbus.ObjectPath("/org/freedesktop/secrets/prompt/1")
	serviceIface   = "org.freedesktop.Secret."
	noPrompt       = dbus.ObjectPath("/")
)

// newSecretService starts a bus, and the service on it.
func newSecretService(t testing.TB) *secretService {
	t.Helper()
	needs(t, "dbus-daemon")
	dir, err := os.MkdirTemp("", "bus") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "bus")
	s := &secretService{t: t, address: "unix:path=" + socket, items: map[string]item{}}
	config := filepath.Join(dir, "conf")
	text := fmt.Sprintf(`<busconfig><type>session</type><listen>%s</listen><policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, s.address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dbus-daemon", "--config-file="+config, "--nofork")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	eventually(t, "the bus listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s.behave(misbehaviour{})
	return s
}

// behave changes the behaviour, and brings the service back if it died.
func (s *secretService) behave(m misbehaviour) {
	s.t.Helper()
	s.mu.Lock()
	if s.release != nil {
		close(s.release)
	}
	s.release, s.behaves, s.calls = make(chan struct{}), m, 0
	alive := s.conn != nil && s.conn.Connected()
	s.mu.Unlock()
	if alive {
		return
	}
	conn, err := dbus.Connect(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	for iface, methods := range map[string]map[string]any{
		serviceIface + "Service":          {"OpenSession": s.openSession, "Unlock": s.unlock},
		serviceIface + "Collection":       {"SearchItems": s.search, "CreateItem": s.create},
		"org.freedesktop.DBus.Properties": {"Get": s.property},
		serviceIface + "Prompt":           {"Prompt": s.prompt},
		serviceIface + "Session":          {"Close": s.closeSession},
		serviceIface + "Item":             {"GetSecret": s.secret, "Delete": s.remove},
	} {
		if err := conn.ExportSubtreeMethodTable(methods, servicePath, iface); err != nil {
			s.t.Fatal(err)
		}
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	if _, err := conn.RequestName(serviceName, dbus.NameFlagReplaceExisting); err != nil {
		s.t.Fatal(err)
	}
}

// enter is the beginning of each call.
func (s *secretService) enter() misbehaviour {
	s.mu.Lock()
	s.calls++
	m, release, conn := s.behaves, s.release, s.conn
	if s.calls < m.From {
		m = misbehaviour{}
	}
	s.mu.Unlock()
	if m.Die {
		conn.Close()
	}
	if m.Slow > 0 {
		select {
		case <-time.After(m.Slow):
		case <-release:
		}
	}
	return m
}

// count is how many calls came since behave.
func (s *secretService) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// names lists what is kept.
func (s *secretService) names() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range maps.Values(s.items) {
		list = append(list, i.attributes["username"])
	}
	slices.Sort(list)
	return list
}

// keep copies what is kept, and returns what puts it back.
func (s *secretService) keep() (back func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := maps.Clone(s.items)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.items = maps.Clone(kept)
	}
}

func (s *secretService) property(iface, name string) (dbus.Variant, *dbus.Error) {
	if m := s.enter(); m.Wrong {
		return dbus.MakeVariant(17), nil
	}
	return dbus.MakeVariant([]dbus.ObjectPath{collectionPath}), nil
}

func (s *secretService) openSession(algorithm string, input dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	s.enter()
	return dbus.MakeVariant(""), servicePath + "/session/1", nil
}

func (s *secretService) closeSession() *dbus.Error { s.enter(); return nil }

func (s *secretService) unlock(paths []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	switch m := s.enter(); {
	case m.Locked:
		return nil, promptPath, nil
	case m.Wrong:
		return nil, noPrompt, nil
	}
	return paths, noPrompt, nil
}

// prompt shows a window that nobody looks at.
func (s *secretService) prompt(window string) *dbus.Error { s.enter(); return nil }

func (s *secretService) search(attributes map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	s.enter()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []dbus.ObjectPath{}
	for path, i := range s.items {
		if maps.Equal(i.attributes, attributes) {
			found = append(found, dbus.ObjectPath(path))
		}
	}
	return found, nil
}

// secretStruct is a Secret of the specification.
type secretStruct struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

func (s *secretService) create(properties map[string]dbus.Variant, sec secretStruct, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	m := s.enter()
	if m.Says != "" {
		return noPrompt, noPrompt, dbus.NewError(serviceIface+"Error.Failed", []any{m.Says})
	}
	if m.Big > 0 && len(sec.Value) > m.Big {
		return noPrompt, noPrompt, dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"the item is too big"})
	}
	attributes, ok := properties[serviceIface+"Item.Attributes"].Value().(map[string]string)
	if !ok {
		return noPrompt, noPrompt, dbus.MakeFailedError(fmt.Errorf("no attributes"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := fmt.Sprintf("%s/%x", collectionPath, strings.Join([]string{attributes["service"], attributes["username"]}, "\n"))
	if !m.Drops {
		s.items[path] = item{attributes, sec.Value}
	}
	return dbus.ObjectPath(path), noPrompt, nil
}

func (s *secretService) secret(msg dbus.Message, session dbus.ObjectPath) (secretStruct, *dbus.Error) {
	s.enter()
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.items[string(pathOf(msg))]
	if !ok {
		return secretStruct{}, dbus.NewError(serviceIface+"Error.NoSuchObject", []any{"no such item"})
	}
	return secretStruct{Session: session, Parameters: []byte{}, Value: i.value, ContentType: "text/plain"}, nil
}

func (s *secretService) remove(msg dbus.Message) (dbus.ObjectPath, *dbus.Error) {
	s.enter()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, string(pathOf(msg)))
	return noPrompt, nil
}

func pathOf(msg dbus.Message) dbus.ObjectPath {
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	return path
}
