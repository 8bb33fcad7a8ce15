package stage

import (
	"errors"
	"fmt"
	"testing"
)

func TestAt(t *testing.T) {
	if At(Login, Parties{}, nil) != nil {
		t.Error("no error became one")
	}
	cause := errors.New("cause")
	inner := At(Exchange, Parties{Server: "wiki"}, cause)
	outer := At(Redeem, Parties{Server: "other"}, fmt.Errorf("wrapped: %w", inner))
	var e *Error
	if !errors.As(outer, &e) || e.Stage != Exchange || e.Server != "wiki" || !errors.Is(outer, cause) {
		t.Errorf("got %#v, want the stage that was nearer", outer)
	}
}

func TestEveryStageHasWords(t *testing.T) {
	for _, s := range []Stage{Login, Renewal, ResourceMetadata, ServerMetadata, IdPMetadata, Exchange, Redeem} {
		if words[s] == "" {
			t.Errorf("%s has none", s)
		}
	}
}
