//go:build !unix

package state

import (
	"io/fs"
	"os"
	"time"
)

const nonBlock, noFollow = 0, 0

// distrust trusts the access control list that the user's profile folder hands
// down: mode bits and numeric owners mean nothing here.
func distrust(fs.FileInfo, int) string { return "" }

// Mine cannot tell here, and says yes.
func Mine(fs.FileInfo) bool { return true }

// replace tries again for a moment, because Windows refuses to replace a file
// that another process is reading.
func replace(from, to string) (err error) {
	for range 20 {
		if err = os.Rename(from, to); err == nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

func syncFolder(string) error { return nil }
