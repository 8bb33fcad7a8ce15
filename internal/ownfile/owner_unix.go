//go:build unix

package ownfile

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// WritableByOthers says who else could have written a file, "" for nobody. The
// administrator may own it: managed machines and containers work that way.
func WritableByOthers(info os.FileInfo) string {
	if uid := owner(info); uid != os.Geteuid() && uid != 0 {
		return fmt.Sprintf("it belongs to another account (uid %d)", uid)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 || mode&0o020 != 0 && !ownGroup(info) {
		return fmt.Sprintf("other accounts can write to it (mode %04o)", info.Mode().Perm())
	}
	return ""
}

// ownGroup reports whether nobody but this user is in a file's group. Where each user
// has a group to themselves, as on Ubuntu and Fedora, files are made group-writable.
func ownGroup(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() == 0 {
		return false
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false
	}
	groups, err := os.ReadFile("/etc/group")
	return err == nil && alone(string(users), string(groups), os.Geteuid(), int(st.Gid))
}

// alone reads it off the files passwd(5) and group(5). Users and groups that are kept
// elsewhere, in a directory of a company, are not known here and count as others.
func alone(users, groups string, uid, gid int) bool {
	me := ""
	for line := range strings.Lines(users) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[3] != strconv.Itoa(gid) {
			continue
		}
		if me != "" || f[2] != strconv.Itoa(uid) {
			return false // it is the first group of somebody else
		}
		me = f[0]
	}
	named := false
	for line := range strings.Lines(groups) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[2] != strconv.Itoa(gid) {
			continue
		}
		if named = f[0] == me; !named || f[3] != "" && f[3] != me {
			return false
		}
	}
	return named
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
