//go:build unix

package cli

import (
	"context"
	"fmt"
	"syscall"
)

// homeVariable leads to the home folder.
const homeVariable = "HOME"

// run turns this program into another one. So there are no signals to pass on, no
// job control to imitate and no exit code to translate.
func (e Env) run(_ context.Context, path string, argv, environ []string) error {
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, environ))
}
