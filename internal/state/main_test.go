package state_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/mcpauth/mcpauth/internal/state"
)

// The test binary is also the other process in tests about two of them.
const roleVariable = "MCPAUTH_STATE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role, state.Open(os.Args[1]), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role string, d *state.Dir, arg string) error {
	ctx := context.Background()
	switch role {
	case "hold": // takes the lock and never gives it back
		if _, err := d.Lock(ctx, arg); err != nil {
			return err
		}
		fmt.Println("locked")
		_, err := os.Stdin.Read(make([]byte, 1)) // until it is killed
		return err
	case "add": // adds twenty servers, one at a time
		for i := range 20 {
			if err := addServer(ctx, d, fmt.Sprintf("%s-%d", arg, i)); err != nil {
				return err
			}
		}
		return nil
	case "churn": // writes until it is killed
		for i := 0; ; i++ {
			if err := addServer(ctx, d, fmt.Sprintf("churn-%d", i%50)); err != nil {
				return err
			}
			if i == 0 {
				fmt.Println("writing")
			}
		}
	}
	return fmt.Errorf("unknown role %q", role)
}

func addServer(ctx context.Context, d *state.Dir, url string) error {
	return d.Update(ctx, func(f *state.File) error {
		s := f.Servers[url]
		s.URL = url
		s.Scopes = append(s.Scopes, "s")
		f.Servers[url] = s
		return nil
	})
}

func process(t *testing.T, role, path, arg string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, path, arg)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	return c
}
