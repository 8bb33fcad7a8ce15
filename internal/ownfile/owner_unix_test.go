//go:build unix

package ownfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that another account owns is refused; the administrator's is not.
func TestForeignOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if why := WritableByOthers(foreign{info, 4711}); why != "it belongs to another account (uid 4711)" {
		t.Errorf("foreign owner: %q", why)
	}
	if why := WritableByOthers(foreign{info, 0}); why != "" {
		t.Errorf("administrator: %q", why)
	}
	if why := readableByOthers(foreign{info, 4711}); why != "" {
		t.Errorf("mode 0600: %q", why)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if why := readableByOthers(foreign{info, 4711}); why != "other accounts can read it (mode 0644)" {
		t.Errorf("mode 0644: %q", why)
	}
	if why := readableByOthers(foreign{info, 0}); why != "" {
		t.Errorf("a mounted secret: %q", why)
	}
}

// foreign is a file of another owner, without needing to be root to make one.
type foreign struct {
	os.FileInfo
	uid uint32
}

func (f foreign) Sys() any {
	st := *f.FileInfo.Sys().(*syscall.Stat_t)
	st.Uid = f.uid
	return &st
}

// A group counts as others as soon as anybody else is in it.
func TestAlone(t *testing.T) {
	const users = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"
	const groups = "root:x:0:\nstaff:x:50:\nada:x:1000:\nbob:x:1001:ada\n"
	for _, row := range []struct {
		name          string
		users, groups string
		uid, gid      int
		want          bool
	}{
		{"her own", users, groups, 1000, 1000, true},
		{"her own, which says so", users, strings.Replace(groups, "1000:", "1000:ada", 1), 1000, 1000, true},
		{"with a member", users, strings.Replace(groups, "1000:", "1000:www-data", 1), 1000, 1000, false},
		{"with her and a member", users, strings.Replace(groups, "1000:", "1000:ada,bob", 1), 1000, 1000, false},
		{"somebody's first group", users + "eve:x:1002:1000::/:/bin/sh\n", groups, 1000, 1000, false},
		{"a second name of hers", users + "ada2:x:1000:1000::/:/bin/sh\n", groups, 1000, 1000, false},
		{"somebody else's", users, groups, 1000, 1001, false},
		{"everybody's", users, groups, 1000, 50, false},
		{"of another name", users, strings.Replace(groups, "ada:x", "web:x", 1), 1000, 1000, false},
		{"two of a number", users, groups + "web:x:1000:\n", 1000, 1000, false},
		{"known elsewhere", "", "", 1000, 1000, false},
		{"the group known elsewhere", users, "", 1000, 1000, false},
		{"the user known elsewhere", "", groups, 1000, 1000, false},
	} {
		if got := alone(row.users, row.groups, row.uid, row.gid); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}
