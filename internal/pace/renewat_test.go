package pace

import (
	"fmt"
	"testing"
	"time"
)

// Tokens that were had in the same second are renewed at times that are spread
// over a tenth of their life, each always at the same one.
func TestRenewalsAreSpread(t *testing.T) {
	obtained := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	expires := obtained.Add(time.Hour)
	perMinute := map[int]int{}
	for i := range 6000 {
		name := fmt.Sprint("token ", i)
		at := RenewAt(name, obtained, expires)
		if at != RenewAt(name, obtained, expires) {
			t.Fatal("two processes would not agree")
		}
		perMinute[int(at.Sub(obtained).Minutes())]++
	}
	for minute := range 60 {
		n := perMinute[minute]
		if spread := minute >= 53 && minute < 59; spread && (n < 800 || n > 1200) || !spread && n > 0 {
			t.Errorf("%d of 6000 renewals in minute %d", n, minute)
		}
	}
}
