package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/mcpauth/mcpauth/internal/ownfile"
	"github.com/mcpauth/mcpauth/internal/state"
)

const (
	storeFolder = "store"
	maxItemFile = 4 << 20  // bytes of an age file
	maxKeyFile  = 64 << 10 // bytes

	// A passphrase in a file is not typed, and is best made by a machine. Slow
	// hashing then costs every call and protects nothing: who can read the
	// items can as a rule read the file as well. 2^12 takes about 10 ms.
	workFactor = 12
	// A planted file must not be able to burn minutes.
	maxWorkFactor = 16
)

// File returns a vault of age files in the state folder, for machines without
// a keychain. Exactly one of keyFile (an age X25519 identity, see NewKeyFile)
// and passphraseFile is given. There is no copy of the data key in the kernel,
// since machines without a keychain run containers, which share it; with a key file
// there is one in a file, which the key file opens.
func File(d *state.Dir, keyFile, passphraseFile string) (*Vault, error) {
	s := &fileStore{dir: d}
	v := &Vault{dir: d, store: s}
	switch {
	case keyFile != "" && passphraseFile == "":
		s.source = "key file " + keyFile
		b, err := readKey(keyFile)
		if err != nil {
			return nil, err
		}
		s.keys = sync.OnceValues(func() (ageKeys, error) { return parseKey(b) })
		if v.quick = keyFileCopy(d, b); !v.copyOfKey().IsZero() {
			return v, nil // this very key file was good before
		}
	case keyFile == "" && passphraseFile != "":
		s.source = "passphrase file " + passphraseFile
		b, err := readKey(passphraseFile)
		if err != nil {
			return nil, err
		}
		s.keys = sync.OnceValues(func() (ageKeys, error) { return parsePassphrase(b) })
	default:
		return nil, errors.New("open the file store: want a key file or a passphrase file, and not both")
	}
	if _, err := s.keys(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRefused, s.source, err)
	}
	return v, nil
}

// NewKeyFile makes an age identity file with mode 0600. It never overwrites: an
// error that is fs.ErrExist tells that path is taken.
func NewKeyFile(path string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make key file %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	err = f.Chmod(0o600) // also under a umask that takes the owner's bits
	if err == nil {
		_, err = fmt.Fprintf(f, "# key of the mcpauth file store\n# public key: %s\n%s\n", id.Recipient(), id)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("make key file %s: %w", path, err)
	}
	return nil
}

func readKey(path string) ([]byte, error) {
	b, err := ownfile.ReadSecret(path, maxKeyFile)
	if u := new(ownfile.Unsafe); errors.As(err, &u) {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return b, nil
}

// parseKey takes the file that NewKeyFile or age-keygen wrote. With several
// identities, the first one seals and every one opens.
func parseKey(b []byte) (ageKeys, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		// The parser's error may quote the line, which is the key.
		return ageKeys{}, errors.New("it holds no age identity")
	}
	x, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return ageKeys{}, errors.New("its first age identity is not of the kind AGE-SECRET-KEY-1")
	}
	return ageKeys{ids, x.Recipient()}, nil
}

func parsePassphrase(b []byte) (ageKeys, error) {
	pass := strings.TrimRight(string(b), "\r\n")
	if pass == "" {
		return ageKeys{}, errors.New("it is empty")
	}
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return ageKeys{}, err
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	to, err := age.NewScryptRecipient(pass)
	if err != nil {
		return ageKeys{}, err
	}
	to.SetWorkFactor(workFactor)
	return ageKeys{[]age.Identity{id}, to}, nil
}

// fileStore keeps one age file per item.
type fileStore struct {
	dir    *state.Dir
	source string                  // for messages: where the key is
	keys   func() (ageKeys, error) // reading them takes as long as the rest of a token from the cache
}

type ageKeys struct {
	identities []age.Identity // each of which opens
	recipient  age.Recipient
}

func (s *fileStore) get(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", ended(err)
	}
	b, err := s.dir.ReadFile(itemPath(name), maxItemFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotFound
	}
	file := filepath.Join(s.dir.Path(), itemPath(name))
	if u := new(state.Unusable); errors.As(err, &u) && u.Path == file {
		return "", s.aside(name, nil, u.Why)
	} else if errors.As(err, &u) { // a folder, which the next write narrows
		return "", &damaged{file, u.Why}
	}
	if err != nil {
		return "", err
	}
	sealed, ok := unframe(b)
	if !ok {
		return "", s.aside(name, b, "it is not as mcpauth left it")
	}
	keys, err := s.keys()
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrRefused, s.source, err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), keys.identities...)
	if no := new(age.NoIdentityMatchError); errors.As(err, &no) {
		return "", fmt.Errorf("%w: %s does not open with the %s", ErrRefused, file, s.source)
	}
	if err != nil {
		return "", s.aside(name, b, "it is not a whole age file")
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxItemFile))
	if err != nil {
		return "", s.aside(name, b, "it is not a whole age file")
	}
	// Bind the name, which age does not: a copy under another name is no item.
	value, ok := strings.CutPrefix(string(plain), name+"\n")
	if !ok {
		return "", s.aside(name, b, "it holds another item")
	}
	return value, nil
}

// A checksum stands before each age file. It tells a damaged file, which is no item,
// from one that another key opens, which a person has to look for: to age the two
// look alike.
const frameFormat = "mcpauth item 1 %08x\n"

func frame(sealed []byte) []byte {
	return append(fmt.Appendf(nil, frameFormat, crc32.ChecksumIEEE(sealed)), sealed...)
}

// unframe takes age files without a checksum as well: those were written before
// there was one.
func unframe(b []byte) (sealed []byte, ok bool) {
	if bytes.HasPrefix(b, []byte("age-encryption.org/")) {
		return b, true
	}
	sealed = b[bytes.IndexByte(b, '\n')+1:]
	return sealed, bytes.Equal(b, frame(sealed))
}

// aside moves an item with the content b out of the way, so that it is reported
// once, unless another process has put a better one there meanwhile.
func (s *fileStore) aside(name string, b []byte, why string) error {
	d := &damaged{filepath.Join(s.dir.Path(), itemPath(name)), why}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return d // the writer replaces the item, or the next reader comes here again
	}
	defer unlock()
	now, err := s.dir.ReadFile(itemPath(name), maxItemFile)
	if u := new(state.Unusable); errors.As(err, &u) || err == nil && bytes.Equal(now, b) {
		d.why += ", " + s.dir.Aside(itemPath(name))
	}
	return d
}

// lock lets writers and aside take turns; readers wait for nobody.
func (s *fileStore) lock(ctx context.Context, name string) (unlock func(), err error) {
	return lock(ctx, s.dir, "item file "+name)
}

func (s *fileStore) set(ctx context.Context, name, value string) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	keys, err := s.keys()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, s.source, err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, keys.recipient)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, name+"\n"+value); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	return s.dir.WriteFile(itemPath(name), frame(b.Bytes()))
}

func (s *fileStore) delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	return s.dir.Remove(itemPath(name))
}

func itemPath(name string) string { return path.Join(storeFolder, state.Hash(name)+".age") }
