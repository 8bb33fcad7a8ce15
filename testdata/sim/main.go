// Command sim counts what a company asks of its identity provider in a working
// day, with the renewal rule and the back-off of the real program, a made-up clock
// and no network.
//
// Everybody starts about nine o'clock, and the MCP client of each asks for all
// servers' tokens at once. Ten servers are then used every five minutes, the
// others once an hour, with exponential gaps. From eleven the identity provider
// is down for a while, when clients run their helpers again every five seconds.
// What is counted are requests that reach it: exchanges and renewals of sign-ins.
// That it gets slower under load is not modeled.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/mcpauth/mcpauth/internal/pace"
)

const (
	hour     = 3600
	opens    = 8 * hour
	closes   = 17 * hour
	downFrom = 11 * hour
	again    = 5 // seconds until a client runs a failed helper again
)

// world is what differs between the rows of the table.
type world struct {
	name    string
	jitter  bool
	backOff bool
}

type day struct {
	world
	people, servers int
	downTo          time.Duration
	life            time.Duration // of an access token
	random          *rand.Rand
	perSecond       [24 * hour]int
}

func main() {
	people := flag.Int("people", 10_000, "employees")
	servers := flag.Int("servers", 50, "servers of each")
	life := flag.Duration("life", time.Hour, "of an access token")
	outage := flag.Duration("outage", 15*time.Minute, "of the identity provider, from eleven")
	flag.Parse()
	fmt.Printf("%d employees x %d servers, access tokens of %v, an outage of %v; requests per second at the identity provider\n\n", *people, *servers, *life, *outage)
	fmt.Println("| with | mean, without the outage and what follows | peak 8:30-9:30 | peak 9:30-11 h, the echo of nine | peak in the outage | peak in the 10 min after it |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, w := range []world{
		{"neither", false, false}, {"jitter", true, false}, {"back-off", false, true}, {"both, as mcpauth has it", true, true},
	} {
		downTo := downFrom + int(outage.Seconds())
		d := day{world: w, people: *people, servers: *servers, downTo: seconds(downFrom) + *outage, life: *life, random: rand.New(rand.NewPCG(1, 2))}
		d.run()
		calm := downTo + hour/4
		mean := float64(d.total(opens, downFrom)+d.total(calm, closes)) / float64(closes-opens-(calm-downFrom))
		fmt.Printf("| %s | %.0f", w.name, mean)
		for _, span := range [][2]int{{opens + hour/2, 9*hour + hour/2}, {9*hour + hour/2, downFrom}, {downFrom, downTo}, {downTo, downTo + 600}} {
			peak := d.peak(span[0], span[1])
			fmt.Printf(" | %d (%.1fx)", peak, float64(peak)/mean)
		}
		fmt.Println(" |")
	}
}

func (d *day) total(from, to int) (n int) {
	for _, c := range d.perSecond[from:to] {
		n += c
	}
	return n
}

// peak is the busiest ten seconds, per second: no identity provider minds one.
func (d *day) peak(from, to int) (most int) {
	for s := from; s+10 <= to; s++ {
		most = max(most, d.total(s, s+10)/10)
	}
	return most
}

func (d *day) run() {
	for range d.people {
		d.employee()
	}
}

// held is a server's token on one laptop, as the cache of the program has it. Times
// are of the day.
type held struct {
	name             string
	next             time.Duration // when the server is used again
	renewAt, expires time.Duration
}

// employee goes through one person's day, use by use.
func (d *day) employee() {
	person := strconv.FormatUint(d.random.Uint64(), 36)
	start := seconds(9*hour + d.random.NormFloat64()*600)
	signIn := held{name: person} // the ID token
	d.get(&signIn, start, time.Hour)
	tokens := make([]held, d.servers)
	for i := range tokens {
		tokens[i] = held{name: person + strconv.Itoa(i), next: start + seconds(d.random.Float64()*3)}
	}
	var idp pace.Record // of the identity provider, which all processes share
	for {
		first := 0
		for i := range tokens {
			if tokens[i].next < tokens[first].next {
				first = i
			}
		}
		t, now := &tokens[first], tokens[first].next
		if now >= seconds(closes) {
			return
		}
		gap := float64(hour)
		if first < 10 {
			gap = 300
		}
		t.next = now + seconds(d.random.ExpFloat64()*gap)
		if now < t.renewAt {
			continue
		}
		refused := d.backOff && idp.Left(at(now), t.name) > 0
		if !refused {
			d.perSecond[int(now/time.Second)]++
			refused = now >= seconds(downFrom) && now < d.downTo
			if refused {
				idp = idp.Failed(at(now), at(now), t.name, 0, d.random.Float64())
			}
		}
		if refused {
			if now >= t.expires { // otherwise it is served all the same
				t.next = now + again*time.Second
			}
			continue
		}
		idp = pace.Record{}
		if now >= signIn.renewAt {
			d.perSecond[int(now/time.Second)]++
			d.get(&signIn, now, time.Hour)
		}
		d.get(t, now, d.life)
	}
}

// get is a new token, with the program's rule for when it is renewed, or with what
// that would be without jitter.
func (d *day) get(h *held, now, life time.Duration) {
	h.expires = now + life
	h.renewAt = h.expires - min(life/10, time.Minute)
	if d.jitter {
		h.renewAt = pace.RenewAt(h.name, at(now), at(h.expires)).Sub(at(0))
	}
}

// at is a time of the day that is modeled.
func at(t time.Duration) time.Time { return time.Unix(1_800_000_000, 0).Add(t) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
