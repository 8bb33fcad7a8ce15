package resilience

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpauth/mcpauth/pkg/idjagtest"
)

// shell runs a script with the program as $M and the state folder as $S.
func (l *laptop) shell(wrapper []string, script string) done {
	argv := append(wrapper, "sh", "-euc", script)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(l.env, "M="+os.Getenv("MCPAUTH_BIN"), "S="+l.state(), "H="+l.home)
	return finish(cmd)
}

// mounts are for those who may mount a file system in a namespace of their own.
func mounts(t *testing.T) []string {
	t.Helper()
	for _, wrapper := range [][]string{{"unshare", "--mount"}, {"unshare", "--map-root-user", "--mount"}} {
		try := append(slices.Clone(wrapper), "mount", "-t", "tmpfs", "tmpfs", "/mnt")
		if exec.Command(try[0], try[1:]...).Run() == nil {
			return wrapper
		}
	}
	if os.Getuid() == 0 {
		t.Fatal("the administrator may not mount anything")
	}
	t.Skip("this user may not mount anything")
	return nil
}

// A token that was had is printed, whatever the disk says to keeping it, with one
// word about that. One that was kept before is printed without a word.
func TestFaultsDisk(t *testing.T) {
	wrapper := mounts(t)
	l := newLaptop(t, 1)
	l.signIn(false)
	back := l.keep("signed-in")
	full := `cp -a $S $H/copy; mount -t tmpfs -o mode=700,OPTION tmpfs $S; cp -a $H/copy/. $S/; rm -r $H/copy; `
	for name, script := range map[string]string{
		"read-only, first": `mount --bind $H $H; mount -o remount,ro,bind $H; exec $M token s0`,
		"read-only":        `$M token s0 >/dev/null; mount --bind $H $H; mount -o remount,ro,bind $H; exec $M token s0 --fresh`,
		"full":             strings.Replace(full, "OPTION", "size=128k", 1) + `cat /dev/zero >$S/fill 2>/dev/null || true; exec $M token s0`,
		"out of inodes":    strings.Replace(full, "OPTION", "nr_inodes=60", 1) + `i=0; while touch $S/fill$i 2>/dev/null; do i=$((i+1)); done; exec $M token s0`,
	} {
		back()
		d := l.shell(wrapper, script)
		if !l.issued(d) || strings.Count(d.err, "warning:") != 1 || strings.Count(d.err, "\n") != 1 {
			t.Errorf("%s: %v", name, d)
		}
		back()
		good := l.token("s0") + "\n"
		hit := strings.Replace(strings.Replace(script, "$M token s0 >/dev/null; ", "", 1), " --fresh", "", 1)
		if d := l.shell(wrapper, hit); d.exit != 0 || d.out != good || d.err != "" {
			t.Errorf("%s, with a token that was kept: %v", name, d)
		}
		back()
		if d := l.try("token", "s0"); !l.issued(d) || d.err != "" {
			t.Errorf("%s, when it is over: %v", name, d)
		}
	}
}

// Nor does it cost a consent: what is renewed with is used only where the next one
// can be kept, and else a good token is served, or it is said why there is none.
func TestFaultsDiskAndConsent(t *testing.T) {
	wrapper := mounts(t)
	l, tracker := tracking(t)
	back := l.keep("stale")
	for name, script := range map[string]string{
		"read-only":     `mount --bind $H $H; mount -o remount,ro,bind $H; exec $M token tracker`,
		"full":          `cp -a $S $H/copy; mount -t tmpfs -o mode=700,size=128k tmpfs $S; cp -a $H/copy/. $S/; rm -r $H/copy; cat /dev/zero >$S/fill 2>/dev/null || true; $M token tracker; e=$?; rm $S/fill; rm -rf $H/after; cp -a $S $H/after; exit $e`,
		"out of inodes": `cp -a $S $H/copy; mount -t tmpfs -o mode=700,nr_inodes=60 tmpfs $S; cp -a $H/copy/. $S/; rm -r $H/copy; i=0; while touch $S/fill$i 2>/dev/null; do i=$((i+1)); done; $M token tracker; e=$?; rm $S/fill*; rm -rf $H/after; cp -a $S $H/after; exit $e`,
	} {
		back()
		l.forget()
		d := l.shell(wrapper, script)
		spent := tracker.AS.Granted(idjagtest.Refresh)
		switch {
		case tracker.issued(d) && strings.Contains(d.err, "warning:"): // printed, and said to be lost
		case d.exit == 2 && d.out == "" && spent == 0 && strings.Contains(d.err, "hint: "):
		default:
			t.Errorf("%s, %d renewals: %v", name, spent, d)
		}
		if spent == 0 { // nothing was used up
			if d := l.try("token", "tracker"); !tracker.issued(d) {
				t.Errorf("%s, when it is over: %v", name, d)
			}
		}
		l.must("login", "tracker", "--timeout", "30s")
		if d := l.try("token", "tracker"); !tracker.issued(d) || d.err != "" {
			t.Errorf("%s, after a new consent: %v", name, d)
		}
		tracker.AS.TokenLifetime = time.Millisecond
		l.must("login", "tracker", "--timeout", "30s")
		tracker.AS.TokenLifetime = 0
		back = l.keep("stale")
	}
}

// Nor the sign-in, which is renewed with what can be used once.
func TestFaultsDiskAndSignIn(t *testing.T) {
	wrapper := mounts(t)
	l := newLaptop(t, 1)
	full := `cp -a $S $H/copy; mount -t tmpfs -o mode=700,OPTION tmpfs $S; cp -a $H/copy/. $S/; rm -r $H/copy; `
	for name, script := range map[string]string{
		"read-only":     `mount --bind $H $H; mount -o remount,ro,bind $H; exec $M token s0`,
		"full":          strings.Replace(full, "OPTION", "size=128k", 1) + `cat /dev/zero >$S/fill 2>/dev/null || true; exec $M token s0`,
		"out of inodes": strings.Replace(full, "OPTION", "nr_inodes=60", 1) + `i=0; while touch $S/fill$i 2>/dev/null; do i=$((i+1)); done; exec $M token s0`,
	} {
		l.try("logout")
		l.signIn(true)
		d := l.shell(wrapper, script)
		if d.exit != 2 || d.out != "" || !strings.Contains(d.err, "the sign-in is not renewed") || !strings.Contains(d.err, "hint: ") {
			t.Errorf("%s: %v", name, d)
		}
		if d := l.try("token", "s0"); !l.issued(d) || d.err != "" {
			t.Errorf("%s, when it is over: %v", name, d)
		}
	}
}

// Without a tmpfs: a limit on the size of files, and folders that cannot be written
// or are not there.
func TestFaultsLimits(t *testing.T) {
	l := newLaptop(t, 1)
	l.signIn(false)
	back := l.keep("signed-in")
	for name, script := range map[string]string{
		"no file may grow":   `ulimit -f 0; trap '' XFSZ; exec $M token s0`,
		"files of 512 bytes": `ulimit -f 1; trap '' XFSZ; exec $M token s0`,
	} {
		back()
		if d := l.shell(nil, script); !l.issued(d) || strings.Count(d.err, "warning:") != 1 {
			t.Errorf("%s: %v", name, d)
		}
		back()
		if d := l.try("token", "s0"); !l.issued(d) || d.err != "" {
			t.Errorf("%s, when it is over: %v", name, d)
		}
	}
	for name, script := range map[string]string{
		"the state folder is a file": `rm -r $S; touch $S; exec $M token s0`,
		"its parent is a file":       `rm -r $H/.local; touch $H/.local; exec $M token s0`,
		"sealed is a file":           `rm -rf $S/sealed; touch $S/sealed; exec $M token s0`,
		"locks is a file":            `rm -rf $S/locks; touch $S/locks; exec $M token s0`,
		"metadata is a file":         `rm -rf $S/metadata; touch $S/metadata; exec $M token s0`,
		"store is a file":            `rm -rf $S/store; touch $S/store; exec $M token s0`,
		"all is wide open":           `chmod -R 777 $S; exec $M token s0`,
		"the folder is a link":       `mv $S $S.real; ln -s $S.real $S; exec $M token s0`,
	} {
		back()
		d := l.shell(nil, script)
		if !l.issued(d) && (d.exit != 2 && d.exit != 3 || d.out != "" || !strings.Contains(d.err, "hint: ")) {
			t.Errorf("%s: %v", name, d)
		}
		if strings.HasSuffix(name, "is a file") {
			if err := os.RemoveAll(filepath.Join(l.home, ".local")); err != nil { // as the hint says
				t.Fatal(err)
			}
		}
		l.must("login")
		if d := l.try("token", "s0"); !l.issued(d) || d.err != "" {
			t.Errorf("%s, after a sign-in: %v", name, d)
		}
		if err := os.RemoveAll(filepath.Join(l.home, ".local")); err != nil {
			t.Fatal(err)
		}
	}
}

// A sign-in that could not be kept is not begun.
func TestFaultsDiskAtSignIn(t *testing.T) {
	wrapper := mounts(t)
	l := newLaptop(t, 1)
	l.signIn(false)
	before := l.windows()
	d := l.shell(wrapper, `mount --bind $H $H; mount -o remount,ro,bind $H; exec $M login --timeout 20s`)
	if d.exit != 2 || !strings.Contains(d.err, "hint: can this folder be written") || l.windows() != before {
		t.Errorf("%d windows: %v", l.windows()-before, d)
	}
}

// What some MCP clients give their helpers is enough, and a wide umask opens
// nothing to others.
func TestFaultsEnvironment(t *testing.T) {
	l := newLaptop(t, 1)
	if d := l.shell(nil, `umask 000; $M login --timeout 30s; $M token s0`); d.exit != 0 {
		t.Fatal(d)
	}
	err := filepath.WalkDir(l.state(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	want := l.token("s0") + "\n"
	if d := l.shell(nil, `exec env -i HOME=$HOME PATH=$PATH $M token s0`); d.out != want || d.err != "" {
		t.Errorf("with HOME and PATH alone: %v", d)
	}
	if d := l.shell(nil, `exec env -i HOME=/does/not/exist PATH=$PATH $M token s0`); d.exit != 2 || d.out != "" || !strings.Contains(d.err, "hint: ") {
		t.Errorf("without a home: %v", d)
	}
	if d := l.shell(nil, `exec env -i PATH=$PATH $M token s0`); d.exit != 2 || !strings.Contains(d.err, "HOME") {
		t.Errorf("without HOME: %v", d)
	}
}

// No bus, a bus without a keychain, one that is locked: each has its own word.
func TestFaultsKeychain(t *testing.T) {
	needs(t, "dbus-daemon")
	needs(t, "gnome-keyring-daemon")
	l := newLaptop(t, 1)
	l.configure(map[string]any{"kind": "keychain"}, "")
	bus := `export XDG_RUNTIME_DIR=$(mktemp -d); A="unix:path=$XDG_RUNTIME_DIR/bus"
printf '<busconfig><type>session</type><listen>%s</listen><policy context="default">POLICY<allow own="*"/></policy></busconfig>' "$A" >$XDG_RUNTIME_DIR/conf
dbus-daemon --config-file=$XDG_RUNTIME_DIR/conf --nofork & B=$!; trap 'kill $B' EXIT
while ! test -S $XDG_RUNTIME_DIR/bus; do sleep 0.02; done; export DBUS_SESSION_BUS_ADDRESS=$A; `
	open := strings.Replace(bus, "POLICY", `<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>`, 1)
	mute := strings.Replace(bus, "POLICY", `<allow send_destination="*"/>`, 1) // no answer may be received
	if d := l.shell(nil, mute+`$M login --timeout 30s`); d.exit != 6 || !strings.Contains(d.err, "keychain") {
		t.Errorf("a bus that does not answer: %v", d)
	}
	for _, row := range []struct{ name, script, says string }{
		{"no bus", `unset DBUS_SESSION_BUS_ADDRESS; XDG_RUNTIME_DIR=/does/not/exist $M login --timeout 5s`, "no session bus"},
		{"a bus that is gone", `DBUS_SESSION_BUS_ADDRESS=unix:path=/does/not/exist $M login --timeout 5s`, "not available"},
		{"a bus without a keychain", open + `$M login --timeout 5s`, "not available"},
	} {
		if d := l.shell(nil, row.script); d.exit != 2 || !strings.Contains(d.err, row.says) || !strings.Contains(d.err, "--store file") {
			t.Errorf("%s: %v", row.name, d)
		}
	}
}

// The whole way with a real gnome-keyring; then without the kernel's copy of the
// data key, and with a keychain that dies.
func TestFaultsRealKeychain(t *testing.T) {
	needs(t, "dbus-daemon")
	needs(t, "gnome-keyring-daemon")
	needs(t, "strace")
	l := newLaptop(t, 1)
	l.configure(map[string]any{"kind": "keychain"}, "")
	keyring, err := filepath.Abs("../../internal/vault/testdata/with-keyring.sh")
	if err != nil {
		t.Fatal(err)
	}
	d := l.shell([]string{keyring}, `export HOME=$H
$M login --timeout 30s 2>/dev/null
$M token s0 >$H/one
$M token s0 >$H/two; cmp $H/one $H/two
strace -f -qq -o /dev/null -e trace=keyctl,add_key -e inject=keyctl,add_key:error=EPERM $M token s0 >$H/three; cmp $H/one $H/three
env -u DBUS_SESSION_BUS_ADDRESS $M token s0 >$H/four; cmp $H/one $H/four
$M token s0 --fresh >$H/five; ! cmp -s $H/one $H/five
$M logout 2>/dev/null
! $M token s0 2>$H/six; grep -q 'mcpauth login' $H/six
echo all`)
	if d.out != "all\n" {
		t.Errorf("%v; %s", d, d.out)
	}
}
