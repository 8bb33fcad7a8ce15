// Command sim counts what a company asks of its identity provider in a working
// day, with the renewal rule of the real program, a made-up clock and no network.
//
// Everybody starts about nine o'clock, and the MCP client of each asks for all
// servers' tokens at once. Ten servers are then used every five minutes, the
// others once an hour, with exponential gaps. From eleven the identity provider
// is down for a quarter of an hour, when clients run their helpers again every
// five seconds. What is counted are requests that reach it: exchanges and
// renewals of sign-ins. That it gets slower under load is not modeled.
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
	downTo   = downFrom + hour/4
	again    = 5 // seconds until a client runs a failed helper again
)

// world is what differs between the rows of the table.
type world struct {
	name    string
	jitter  bool
	longest float64 // seconds that the back-off reaches; 0 means that there is none
}

type day struct {
	world
	people, servers int
	life            time.Duration // of an access token
	random          *rand.Rand
	perSecond       [24 * hour]int
}

func main() {
	people := flag.Int("people", 10_000, "employees")
	servers := flag.Int("servers", 50, "servers of each")
	life := flag.Duration("life", time.Hour, "of an access token")
	flag.Parse()
	fmt.Printf("%d employees x %d servers, access tokens of %v; requests per second at the identity provider\n\n", *people, *servers, *life)
	fmt.Println("| renewal | mean, without the half hour from eleven | peak 8:30-9:30 | peak 9:30-11 h, the echo of nine | peak in the outage | peak in the 10 min after it |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, w := range []world{
		{"plain", false, 0}, {"with jitter", true, 0}, {"with back-off to 1 min", false, 60},
		{"with both", true, 60}, {"with both, back-off to 5 min", true, 300},
	} {
		d := day{world: w, people: *people, servers: *servers, life: *life, random: rand.New(rand.NewPCG(1, 2))}
		d.run()
		mean := float64(d.total(opens, downFrom)+d.total(downTo+hour/4, closes)) / (closes - opens - hour/2)
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

// held is a server's token on one laptop.
type held struct {
	name    string
	next    float64 // when the server is used again
	renewAt float64
	expires float64
}

// employee goes through one person's day, second by second of use.
func (d *day) employee() {
	start := 9*hour + d.random.NormFloat64()*600
	signInGood := start + hour // of the ID token
	person := strconv.FormatUint(d.random.Uint64(), 36)
	tokens := make([]held, d.servers)
	for i := range tokens {
		tokens[i] = held{name: person + strconv.Itoa(i), next: start + d.random.Float64()*3}
	}
	var quietUntil, wait float64 // of the back-off, which all processes share
	for {
		first := 0
		for i := range tokens {
			if tokens[i].next < tokens[first].next {
				first = i
			}
		}
		t, now := &tokens[first], tokens[first].next
		if now >= closes {
			return
		}
		gap := float64(hour)
		if first < 10 {
			gap = 300
		}
		t.next = now + d.random.ExpFloat64()*gap
		if now < t.renewAt {
			continue
		}
		if now < quietUntil {
			if now >= t.expires {
				t.next = now + again
			}
			continue
		}
		d.perSecond[int(now)]++
		if now >= downFrom && now < downTo {
			if d.longest > 0 {
				wait = min(max(2*wait, 1), d.longest)
				quietUntil = now + wait/2 + d.random.Float64()*wait/2
			}
			if now >= t.expires {
				t.next = now + again
			}
			continue
		}
		wait = 0
		if now >= signInGood-60 {
			d.perSecond[int(now)]++
			signInGood = now + hour
		}
		t.expires = now + d.life.Seconds()
		t.renewAt = t.expires - min(d.life.Seconds()/10, 60)
		if d.jitter {
			at := func(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }
			t.renewAt = float64(pace.RenewAt(t.name, at(now), at(t.expires)).UnixNano()) / 1e9
		}
	}
}
