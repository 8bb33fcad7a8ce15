package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Version is the format of state.json that this program reads and writes.
// Members it does not know are ignored, and gone after the next write: whoever
// adds a member that must not be lost raises the version, which older programs
// then refuse to overwrite.
const Version = 1

const (
	fileName = "state.json"
	maxFile  = 4 << 20 // bytes; fifty servers need about 30 kB
)

// File is the content of state.json. The zero File means: never used.
type File struct {
	Version    int                 `json:"version"`
	Store      *Store              `json:"store,omitempty"`
	Identities map[string]Identity `json:"identities,omitempty"` // by name of the IdP in the configuration
	Servers    map[string]Server   `json:"servers,omitempty"`    // by URL of the MCP server
	Windows    []time.Time         `json:"windows,omitempty"`    // browser windows that were opened lately
}

// Store says where the secrets of this folder are, as decided at the first
// login. It is never switched silently.
type Store struct {
	Kind           string `json:"kind"` // "keychain" or "file"
	KeyFile        string `json:"keyFile,omitempty"`
	PassphraseFile string `json:"passphraseFile,omitempty"`
}

// Identity is who is signed in at an IdP. Its tokens are in the vault.
type Identity struct {
	Issuer     string    `json:"issuer"`
	ClientID   string    `json:"clientId"` // at the IdP
	Subject    string    `json:"subject"`
	Name       string    `json:"name,omitempty"`
	Email      string    `json:"email,omitempty"`
	SignedIn   time.Time `json:"signedIn,omitzero"`
	Issued     time.Time `json:"issued,omitzero"`  // the ID token, by the IdP's clock
	Expires    time.Time `json:"expires,omitzero"` // of the ID token
	AuthTime   time.Time `json:"authTime,omitzero"`
	Nonce      string    `json:"nonce,omitempty"`
	Renewable  bool      `json:"renewable,omitempty"` // there is a refresh token
	Imported   bool      `json:"imported,omitempty"`
	Unverified bool      `json:"unverified,omitempty"`
	Slot       string    `json:"slot,omitempty"` // which of two places its tokens are in
	Scopes     []string  `json:"scopes,omitempty"`
}

// Server is what is known of an MCP server.
type Server struct {
	URL           string    `json:"url"`
	Resource      string    `json:"resource,omitempty"`
	ResourceMatch string    `json:"resourceMatch,omitempty"` // "exact" or "prefix"
	Issuer        string    `json:"issuer,omitempty"`        // of the pinned authorization server (rules S3, S5)
	Pinned        time.Time `json:"pinned,omitzero"`
	Client        string    `json:"client,omitempty"` // the client ID at the authorization server
	LastOK        time.Time `json:"lastOk,omitzero"`
	Expires       time.Time `json:"expires,omitzero"` // of the access token
	Scopes        []string  `json:"scopes,omitempty"`
	LastError     *Failure  `json:"lastError,omitempty"`
	LastAsked     string    `json:"lastAsked,omitempty"` // a hash of the question that LastError answered
	Sealed        []string  `json:"sealed,omitempty"`    // names of the access tokens in the vault

	Mode         string        `json:"mode,omitempty"`         // by which the last token was had: config.ModeEMA and so on
	ModeWhy      string        `json:"modeWhy,omitempty"`      // for people
	Managed      bool          `json:"managed,omitempty"`      // was seen to be enterprise-managed, and must stay so (S28)
	DPoP         bool          `json:"dpop,omitempty"`         // its tokens are bound to a key
	Consent      *Consent      `json:"consent,omitempty"`      // the person's own, outside EMA
	Registration *Registration `json:"registration,omitempty"` // that mcpauth made itself, good at Issuer only
}

// Consent is a person's yes to one server. Its refresh token is in the vault.
type Consent struct {
	Issuer    string    `json:"issuer"`
	ClientID  string    `json:"clientId"`
	When      time.Time `json:"when,omitzero"`
	Scopes    []string  `json:"scopes,omitempty"`    // granted
	Asked     []string  `json:"asked,omitempty"`     // scopes, the union of all steps so far
	Renewable bool      `json:"renewable,omitempty"` // there is a refresh token
}

// Registration is a client that an authorization server made for us (RFC 7591).
// Its secret, if it has one, is in the vault.
type Registration struct {
	Issuer        string    `json:"issuer"`
	ClientID      string    `json:"clientId"`
	Method        string    `json:"method,omitempty"` // of token endpoint authentication
	RedirectPath  string    `json:"redirectPath,omitempty"`
	Made          time.Time `json:"made,omitzero"`
	SecretExpires time.Time `json:"secretExpires,omitzero"`
}

// Failure is the last thing that went wrong with a server.
type Failure struct {
	When    time.Time `json:"when,omitzero"`
	Stage   string    `json:"stage,omitempty"`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	Check   string    `json:"check,omitempty"` // the complaint alone, when the code is a check's rule
}

// clone returns a File that can be changed while f stays as it is.
func (f File) clone() File {
	f.Store = copied(f.Store)
	f.Windows = slices.Clone(f.Windows)
	f.Identities = maps.Clone(f.Identities)
	for name, id := range f.Identities {
		id.Scopes = slices.Clone(id.Scopes)
		f.Identities[name] = id
	}
	f.Servers = maps.Clone(f.Servers)
	for url, s := range f.Servers {
		s.Scopes, s.Sealed = slices.Clone(s.Scopes), slices.Clone(s.Sealed)
		s.LastError, s.Registration = copied(s.LastError), copied(s.Registration)
		if s.Consent = copied(s.Consent); s.Consent != nil {
			s.Consent.Scopes, s.Consent.Asked = slices.Clone(s.Consent.Scopes), slices.Clone(s.Consent.Asked)
		}
		f.Servers[url] = s
	}
	return f
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// Warning tells that state was lost or could not be used, and why.
type Warning struct{ Path, Why string }

func (w Warning) String() string { return w.Path + ": " + w.Why }

// Newer reports a file that a later version of this program wrote.
type Newer struct {
	Path    string
	Version int
}

func (e *Newer) Error() string {
	return fmt.Sprintf("%s has version %d, which only a newer mcpauth can change", e.Path, e.Version)
}

// broken is content that no version of this program has written.
type broken struct{ why string }

func (e *broken) Error() string { return e.why }

// every takes the records of all servers.
func every(string) bool { return true }

// Read returns the state. Without a file the File is zero; so it is, with one
// warning, when the file is of no use. A damaged file is moved aside to
// state.json.bad, so that it is reported once and never stands in the way. Read
// takes no lock, except to move a damaged file. The File may be shared with other
// callers: it is not for changing.
//
// An error is for trouble that may pass, such as too many open files. Nothing is
// known then: who took that for an empty state would take the person for signed out,
// and every server for one that was never seen.
func (d *Dir) Read() (File, []Warning, error) { return d.read(every) }

// ReadServer is Read without the records of other servers, for who wants to know
// of none: with fifty of them most of the time goes into the others.
func (d *Dir) ReadServer(url string) (File, []Warning, error) {
	return d.read(func(u string) bool { return u == url })
}

// ReadIdentities is Read without the records of servers.
func (d *Dir) ReadIdentities() (File, []Warning, error) {
	return d.read(func(string) bool { return false })
}

func (d *Dir) read(server func(url string) bool) (File, []Warning, error) {
	f, err := d.load(server)
	var newer *Newer
	switch {
	case err == nil:
		return f, nil, nil
	case !damaged(err) && !errors.As(err, &newer):
		return File{}, nil, err
	}
	w := Warning{filepath.Join(d.path, fileName), err.Error()}
	if damaged(err) {
		// A writer may be replacing the file right now. Without the lock this
		// could move its good file aside; when the lock is taken, leave it.
		ctx, cancel := context.WithTimeout(context.Background(), moment)
		defer cancel()
		if unlock, lockErr := d.Lock(ctx, fileName); lockErr == nil {
			defer unlock()
			_ = d.makeFolder(d.path) // narrows it: what is in it may be good
			if f, again := d.load(server); again == nil {
				return f, nil, nil
			} else if damaged(again) {
				w.Why += ", " + d.Aside(fileName)
			}
		}
	}
	return File{}, []Warning{w}, nil
}

// load returns a File that others may have as well.
func (d *Dir) load(server func(url string) bool) (File, error) {
	b, err := d.text()
	if f, ok := d.memo.of(b); ok || b == nil {
		return f, err
	}
	return d.decode(b, server)
}

// text returns nil, and no error, when there is no file.
func (d *Dir) text() ([]byte, error) {
	b, err := d.ReadFile(fileName, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func (d *Dir) decode(b []byte, server func(url string) bool) (File, error) {
	f, err := decode(b, server)
	var newer *Newer
	if errors.As(err, &newer) {
		newer.Path = filepath.Join(d.path, fileName)
	}
	return f, err
}

// memo is what the file held when a process read it last. The second time that it
// reads the same it will read it many times more, for one server after the other, as
// warm does for fifty. Then all of it is decoded, once.
type memo struct {
	mu   sync.Mutex
	text []byte
	all  *File
}

func (m *memo) of(text []byte) (File, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text == nil || !bytes.Equal(text, m.text) {
		m.text, m.all = text, nil
		return File{}, false
	}
	if m.all == nil {
		f, err := decode(text, every)
		if err != nil {
			return File{}, false // decode will say so again
		}
		m.all = &f
	}
	return *m.all, true
}

// wrote says what the file holds now: it will be read again, and not as it was given,
// since times lose their monotonic part on the way.
func (m *memo) wrote(text []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text, m.all = text, nil
}

// decode returns a zero File with every error. It may leave out the records of the
// servers for which server is false.
func decode(b []byte, server func(url string) bool) (File, error) {
	var f File
	if !whole(b) {
		return f, &broken{"it is not as mcpauth left it"}
	}
	if checkAt(b) >= 0 {
		if f, ok := fast(b, server); ok {
			return f, nil
		}
	}
	if err := json.Unmarshal(b, &f); err != nil || f.Version != Version {
		return File{}, whyNot(b)
	}
	if checkAt(b) < 0 {
		return File{}, &broken{"it has no checksum"}
	}
	return f, nil
}

// whyNot says what is wrong with content that cannot be used. The version comes
// first: the rest of a newer file may have another shape.
func whyNot(b []byte) error {
	var head struct {
		Version int `json:"version"`
	}
	switch err := json.Unmarshal(b, &head); {
	case err == nil && head.Version > Version:
		return &Newer{Version: head.Version}
	case err == nil && head.Version != Version:
		return &broken{fmt.Sprintf("its version is %d, want %d", head.Version, Version)}
	}
	return &broken{"it is not the JSON that mcpauth writes"}
}

// damaged tells files that will never get better from trouble that may pass,
// such as too many open files, and from a newer version's file.
func damaged(err error) bool {
	var b *broken
	var u *Unusable
	return errors.As(err, &b) || errors.As(err, &u)
}

// Aside moves a file that is of no use out of the way, in place of the one that was
// moved before, and says where to. The caller holds the lock under which the file is
// written: a good one must not go.
func (d *Dir) Aside(name string) string {
	path, err := d.join(name)
	if err != nil {
		return "could not be moved aside"
	}
	to := path + asideSuffix
	if os.Remove(to); os.Rename(path, to) != nil {
		// A folder that is not empty may sit there. Never fail for it.
		to = fmt.Sprintf("%s.%d", to, d.now().UnixNano())
		if err := os.Rename(path, to); err != nil {
			return "could not be moved aside"
		}
	}
	return "moved aside to " + to
}

// asideSuffix is added to the names of files that are moved aside.
const asideSuffix = ".bad"
