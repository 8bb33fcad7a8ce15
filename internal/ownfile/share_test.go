package ownfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// Who reads a file while it is replaced gets the old content or the new one, and is
// in nobody's way.
func TestReplaceWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 5000) }
	if err := ownfile.Replace(path, content(0), 0o600); err != nil {
		t.Fatal(err)
	}
	var replaced atomic.Bool
	read := make(chan error, 1)
	go func() {
		var err error
		for err == nil && !replaced.Load() {
			var got []byte
			if got, _, err = ownfile.Read(path, 1<<20); err == nil && !bytes.Equal(got, content(int(got[0]))) {
				err = errors.New("it is torn")
			}
		}
		read <- err
	}()
	for i := range 50 {
		if err := ownfile.Replace(path, content(i), 0o600); err != nil {
			t.Error(err)
		}
	}
	replaced.Store(true)
	if err := <-read; err != nil {
		t.Error(err)
	}
	if err := ownfile.Remove(path); err != nil {
		t.Error(err)
	}
	if _, err := ownfile.Open(path); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
