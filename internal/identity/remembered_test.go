package identity

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r remembered[int]
		failed := errors.New("failed")
		asking, answer := make(chan struct{}), make(chan error)
		first := make(chan error, 1)
		go func() {
			_, err := r.get(t.Context(), func() (int, error) { close(asking); return 1, <-answer })
			first <- err
		}()
		<-asking

		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.get(impatient, func() (int, error) { t.Error("asked twice at once"); return 0, nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("whoever waits does not obey its context: %v", err)
		}

		second := make(chan int, 1)
		go func() {
			v, err := r.get(t.Context(), func() (int, error) { return 2, nil })
			if err != nil {
				t.Errorf("the failure of another one: %v", err)
			}
			second <- v
		}()
		synctest.Wait()
		answer <- failed
		if err := <-first; !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
		if v := <-second; v != 2 {
			t.Errorf("got %d", v)
		}
		if v, err := r.get(impatient, func() (int, error) { t.Error("asked again"); return 3, nil }); v != 2 || err != nil {
			t.Errorf("got %d, %v, want what is known", v, err)
		}
	})
}
