package vault

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mcpauth/mcpauth/internal/state"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// findBus makes sure that the library has a bus to talk to, since without one
// it would run dbus-launch and so start another bus, with an empty keychain, at
// every call. Callers with a bare environment, such as the helpers of MCP
// clients, get the bus of the person's session.
//
// The D-Bus library reads the address from the environment only, and sets it
// itself when it finds a bus, so that this does nothing that it would not do.
//
// folders are where the socket of the session may be.
func findBus(folders []string) error {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return nil
	}
	if a := os.Getenv(busVariable); a != "" && a != "autolaunch:" {
		return nil
	}
	path := busSocket(folders)
	if path == "" {
		return fmt.Errorf("%w: there is no session bus", ErrUnavailable)
	}
	return os.Setenv(busVariable, "unix:path="+escapeAddress(path))
}

// runtimeFolders lists the standard places of the user's bus. A caller with a
// bare environment has only the second.
func runtimeFolders() []string {
	return []string{os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Geteuid())}
}

// busSocket returns the first socket "bus" of the user in the folders, or "".
func busSocket(folders []string) string {
	for _, f := range folders {
		path := filepath.Join(f, "bus")
		if !filepath.IsAbs(path) {
			continue
		}
		if fi, err := os.Stat(path); err == nil && fi.Mode().Type() == fs.ModeSocket && state.Mine(fi) {
			return path
		}
	}
	return ""
}

// escapeAddress follows the D-Bus specification, "Server Addresses".
func escapeAddress(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_/.\\*", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
