package vault

import (
	"crypto/hkdf"
	"crypto/sha256"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// sealedCopy keeps a copy of the data key in a file that the key file opens, as
// the age file of the same item is: but without X25519, which is slower than all
// the rest of a token from the cache. What was made of another key file, or is
// damaged, is no copy. There is none under a passphrase, which may be guessed, and
// must stay as slow to guess as age makes it.
type sealedCopy struct {
	dir *state.Dir
	key secret.Text
}

const copyFile = "data-key.copy"

// keyFileCopy takes the content of the key file, whatever it is: put comes after age
// has opened an item with it.
func keyFileCopy(d *state.Dir, keyFile []byte) keyKeeper {
	key, err := hkdf.Key(sha256.New, keyFile, nil, "mcpauth copy of the data key 1", keySize)
	if err != nil {
		return nil
	}
	return sealedCopy{d, secret.New(string(key))}
}

func (c sealedCopy) get() secret.Text {
	b, err := c.dir.ReadFile(copyFile, maxKeyFile)
	if err != nil {
		return secret.Text{}
	}
	plain, err := decrypt(c.key, copyFile, b)
	if err != nil || len(plain) != keySize {
		return secret.Text{}
	}
	return secret.New(string(plain))
}

func (c sealedCopy) put(key secret.Text) {
	if b, err := encrypt(c.key, copyFile, []byte(key.Reveal())); err == nil {
		_ = c.dir.WriteSpare(copyFile, b)
	}
}

func (c sealedCopy) drop() { _ = c.dir.Remove(copyFile) }
