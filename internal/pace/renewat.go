package pace

import (
	"hash/fnv"
	"strconv"
	"time"
)

// RenewAt is when a token is replaced though it is still good: a tenth of its life
// or a minute before its end, whichever is less, so that it does not expire on its
// way, and earlier by up to another tenth. That part is different for each token,
// and the same for all processes: the tokens that a company gets at nine o'clock
// must not all be asked for again in the same minute an hour later.
func RenewAt(name string, obtained, expires time.Time) time.Time {
	life := expires.Sub(obtained)
	h := fnv.New32a()
	_, _ = h.Write([]byte(name + strconv.FormatInt(obtained.Unix(), 10)))
	spread := time.Duration(float64(life) / 10 * float64(h.Sum32()) / (1 << 32))
	return expires.Add(-min(life/10, time.Minute) - spread)
}
