//go:build unix

package ownfile

import (
	"fmt"
	"os"
	"syscall"
)

// WritableByOthers says who else could have written a file, "" for nobody. The
// administrator may own it: managed machines and containers work that way.
func WritableByOthers(info os.FileInfo) string {
	if uid := owner(info); uid != os.Geteuid() && uid != 0 {
		return fmt.Sprintf("it belongs to another account (uid %d)", uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Sprintf("other accounts can write to it (mode %04o)", info.Mode().Perm())
	}
	return ""
}

// readableByOthers says who else can read a secret, "" for nobody.
func readableByOthers(info os.FileInfo) string {
	if owner(info) != 0 && info.Mode().Perm()&0o077 != 0 {
		return fmt.Sprintf("other accounts can read it (mode %04o)", info.Mode().Perm())
	}
	return ""
}

func owner(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
