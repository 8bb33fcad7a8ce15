package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
)

// At most so many browser windows are opened in so much time, over all processes,
// without a sign-in coming of it: a client that starts one whenever the last has
// failed must not bury a person in windows. Without a window (--no-browser) there
// is no limit.
const (
	windowsAtMost = 5
	windowsWithin = 10 * time.Minute
)

// tooManyWindows says that no further window is opened for now.
type tooManyWindows struct{ until time.Time }

func (e *tooManyWindows) Error() string {
	return fmt.Sprintf("%d sign-in windows were opened within %d minutes, and no further one is before %s",
		windowsAtMost, int(windowsWithin.Minutes()), e.until.Local().Format(time.TimeOnly))
}

// window records that a window is about to be opened, if there may be one more. A
// state that cannot be written is an error: it could not keep the sign-in either.
func (a *app) window(ctx context.Context) error {
	return a.state.Update(ctx, func(f *state.File) error {
		now := a.env.now()
		// A time to come means that the clock was set back.
		f.Windows = slices.DeleteFunc(f.Windows, func(t time.Time) bool { return t.After(now) || now.Sub(t) >= windowsWithin })
		if len(f.Windows) >= windowsAtMost {
			return &tooManyWindows{f.Windows[0].Add(windowsWithin)}
		}
		f.Windows = append(f.Windows, now)
		return nil
	})
}

// closed forgets the windows once somebody has signed in.
func (a *app) closed(ctx context.Context) {
	err := a.state.Update(ctx, func(f *state.File) error { f.Windows = nil; return nil })
	if err != nil {
		a.warn(err.Error())
	}
}

// agreed forgets the window in which a person agreed to a server, the first time in
// windowsWithin. An authorization server can send people back at once, without asking
// them anything, and end the consent right after: that it came to a good end says
// nothing about who wanted the window (attack S27).
func (a *app) agreed(ctx context.Context, serverURL string) {
	key := "agreed in a window: " + serverURL
	if _, again := a.state.Cache(key, windowsWithin); again {
		return
	}
	a.state.SetCache(key, nil)
	err := a.state.Update(ctx, func(f *state.File) error {
		f.Windows = f.Windows[:max(0, len(f.Windows)-1)]
		return nil
	})
	if err != nil {
		a.warn(err.Error())
	}
}
