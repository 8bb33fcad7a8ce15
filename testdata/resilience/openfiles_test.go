package resilience

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// From so few open files that nothing can be read to enough of them, a command
// succeeds, or says what is wrong and what to type. It takes nothing for absent that
// it could not open: no sign-in is lost, no file is moved aside, no token is another.
func TestFaultsOpenFiles(t *testing.T) {
	const enough = 64
	const signedIn, hasToken, stale, agreed = 1, 2, 3, 4
	for _, row := range []struct {
		name, command, server string
		before, exit          int // exit: with enough open files
	}{
		{"kept token", "token s0", "s0", hasToken, 0},
		{"first token", "token s0", "s0", signedIn, 0},
		{"fresh token", "token s0 --fresh", "s0", hasToken, 0},
		{"renewal", "token s0", "s0", stale, 0},
		{"renewal of a consent", "token tracker", "tracker", agreed, 0},
		{"sign-in that nobody comes to", "login --no-browser --timeout 100ms", "s0", signedIn, 3},
		{"sign-out", "logout", "s0", signedIn, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t, 1)
			tracker := l.addAbroad("tracker", map[string]any{})
			issued := func(d done) bool { return l.issued(d) || tracker.issued(d) }
			for n := 3; n <= enough; n++ {
				if n == times(17, 40) {
					n = enough
				}
				var kept string
				switch row.before {
				case agreed:
					tracker.AS.TokenLifetime = time.Millisecond
					l.must("login", "tracker", "--timeout", "30s")
					tracker.AS.TokenLifetime = 0
				default:
					l.signIn(row.before == stale)
				}
				if row.before == hasToken {
					kept = l.token("s0") + "\n"
				}
				d := l.shell(nil, fmt.Sprintf("ulimit -n %d; exec $M %s", n, row.command))
				asks := strings.HasPrefix(row.command, "token")
				switch {
				case d.exit == row.exit && (!asks || issued(d)):
				case n < enough && d.exit == 6 && d.out == "" && strings.Contains(d.err, "too many files are open") && strings.Contains(d.err, "hint: ") && strings.Contains(d.err, "ulimit -n "):
				default:
					t.Errorf("%d open files: %v", n, d)
				}
				if row.name == "kept token" && d.exit == 0 && (d.out != kept || d.err != "") {
					t.Errorf("%d open files: another token than the kept one, or a word about it: %v", n, d)
				}
				bad, err := filepath.Glob(filepath.Join(l.state(), "*.bad*"))
				if more, _ := filepath.Glob(filepath.Join(l.state(), "*", "*.bad*")); err != nil || len(bad)+len(more) > 0 {
					t.Errorf("%d open files: moved aside: %q, %q", n, bad, more)
				}
				signedOut := row.command == "logout" && d.exit == 0
				if after := l.try("token", row.server); issued(after) == signedOut || !signedOut && after.err != "" {
					t.Errorf("%d open files: %v; after it: %v", n, d, after)
				}
			}
		})
	}
}
