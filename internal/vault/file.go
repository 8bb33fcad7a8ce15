package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

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
// since machines without a keychain run containers, which share it.
func File(d *state.Dir, keyFile, passphraseFile string) (*Vault, error) {
	s := &fileStore{dir: d}
	switch {
	case keyFile != "" && passphraseFile == "":
		s.source = "key file " + keyFile
		b, err := readKey(keyFile)
		if err != nil {
			return nil, err
		}
		if s.identities, s.recipient, err = parseKey(b); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRefused, s.source, err)
		}
	case keyFile == "" && passphraseFile != "":
		s.source = "passphrase file " + passphraseFile
		b, err := readKey(passphraseFile)
		if err != nil {
			return nil, err
		}
		if s.identities, s.recipient, err = parsePassphrase(b); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRefused, s.source, err)
		}
	default:
		return nil, errors.New("open the file store: want a key file or a passphrase file, and not both")
	}
	return &Vault{dir: d, store: s}, nil
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
func parseKey(b []byte) ([]age.Identity, age.Recipient, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		// The parser's error may quote the line, which is the key.
		return nil, nil, errors.New("it holds no age identity")
	}
	x, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return nil, nil, errors.New("its first age identity is not of the kind AGE-SECRET-KEY-1")
	}
	return ids, x.Recipient(), nil
}

func parsePassphrase(b []byte) ([]age.Identity, age.Recipient, error) {
	pass := strings.TrimRight(string(b), "\r\n")
	if pass == "" {
		return nil, nil, errors.New("it is empty")
	}
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return nil, nil, err
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	to, err := age.NewScryptRecipient(pass)
	if err != nil {
		return nil, nil, err
	}
	to.SetWorkFactor(workFactor)
	return []age.Identity{id}, to, nil
}

// fileStore keeps one age file per item.
type fileStore struct {
	dir        *state.Dir
	source     string // for messages: where the key is
	identities []age.Identity
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
	if u := new(state.Unusable); errors.As(err, &u) {
		return "", &damaged{file, u.Why}
	}
	if err != nil {
		return "", err
	}
	r, err := age.Decrypt(bytes.NewReader(b), s.identities...)
	if no := new(age.NoIdentityMatchError); errors.As(err, &no) {
		if s.opensAnother(itemPath(name)) {
			return "", &damaged{file, "it does not open with the key that opens others"}
		}
		return "", fmt.Errorf("%w: %s does not open with the %s", ErrRefused, file, s.source)
	}
	if err != nil {
		return "", &damaged{file, "it is not a whole age file"}
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxItemFile))
	if err != nil {
		return "", &damaged{file, "it is not a whole age file"}
	}
	// Bind the name, which age does not: a copy under another name is no item.
	value, ok := strings.CutPrefix(string(plain), name+"\n")
	if !ok {
		return "", &damaged{file, "it holds another item"}
	}
	return value, nil
}

// opensAnother tells a damaged file from a wrong key, which to age look alike: the
// key is right if it opens any other item.
func (s *fileStore) opensAnother(than string) bool {
	entries, _ := os.ReadDir(filepath.Join(s.dir.Path(), storeFolder))
	for _, e := range entries {
		other := path.Join(storeFolder, e.Name())
		if other == than || path.Ext(other) != ".age" {
			continue
		}
		if b, err := s.dir.ReadFile(other, maxItemFile); err == nil {
			if _, err := age.Decrypt(bytes.NewReader(b), s.identities...); err == nil {
				return true
			}
		}
	}
	return false
}

func (s *fileStore) set(ctx context.Context, name, value string) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, s.recipient)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, name+"\n"+value); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.dir.WriteFile(itemPath(name), b.Bytes())
}

func (s *fileStore) delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	return s.dir.Remove(itemPath(name))
}

func itemPath(name string) string { return path.Join(storeFolder, state.Hash(name)+".age") }
