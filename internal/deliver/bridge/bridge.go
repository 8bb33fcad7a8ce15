// Package bridge is a stdio MCP server that forwards to a remote one over
// streamable HTTP, and puts the access token on. It is for the MCP clients that
// take a command to start and nothing else.
//
// Messages pass byte for byte in both eras of the protocol: that of sessions (MCP
// 2025-03-26 to 2025-11-25) and the stateless one (2026-07-28). Which of them is
// spoken client and server agree on; the bridge reads it off the messages. It
// decodes of them what the transport needs, and changes one thing: the client's
// capabilities get the extension that mcpauth is. Where a client and a server have no
// era in common it translates: translate.go one way, backward.go the other.
//
// Every message of the client is one POST. Notifications, responses and initialize
// are sent in the order in which they came, and nothing that came later is sent
// before the server has accepted them, or a while is over: for a response, which the
// server may be waiting for, a short one. Requests go side by side, and their answers
// come as they come.
package bridge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// Options are what Run needs to know.
type Options struct {
	Endpoint string    // the server's URL
	Net      *wire.Net // which must be allowed to reach it
	In       io.Reader // the client's messages
	Out      io.Writer // what it reads; nothing else is written there

	// Token gives the token. It runs in one goroutine at a time. Nil is for a server
	// that wants none.
	Token func(context.Context, token.Ask) (token.Token, error)

	// Scopes are the configured ones, and MaxScopes those that the server may make
	// the bridge ask for on top. Nil leaves that to the identity provider.
	Scopes, MaxScopes []string

	// TokenTime bounds one attempt to get a token; 0 means 30 s. It is not the time
	// of any caller: what one of them began the others wait for.
	TokenTime time.Duration

	// AcceptTime is how long a message that the server does not accept holds up those
	// behind it; 0 means 10 s. Nothing is sent before initialize is answered.
	AcceptTime time.Duration

	MaxMessage int // bytes of one message of the server; 0 means 64 MiB

	Explain func(error) Failure // nil: the error's own words
	Warn    func(text string)   // nil drops warnings
	Now     func() time.Time    // nil means time.Now
}

// inFlight is how many messages may be under way. When there are more, the client
// is not read; none that is known comes near.
const inFlight = 1024

// ending is what requests under way get when the client has closed its end, and then
// once more a client that does not read what is being written to it.
const ending = 500 * time.Millisecond

// settled is when what the start needed, a third of the memory, is given back: a
// bridge runs all day, most of it idle, one for every server and client.
const settled = time.Second

// garbage is the percentage of a very small heap that may be garbage. Go's standard
// would collect it once for every three hundred calls.
const garbage = 300

// bridge is one client in front of one server.
type bridge struct {
	Options
	http  http.RoundTripper
	blank *http.Request // to the server, with nothing in it
	out   *out
	fixed values
	auth  *auth
	tools tools
	life  context.Context // ends with Run
	work  sync.WaitGroup
	asks  sync.WaitGroup // for tokens
	slots chan struct{}
	jobs  chan job
	idle  atomic.Int32 // goroutines that wait for a job

	mu      sync.Mutex
	over    bool
	session *session
	batches bool   // the negotiated version has them
	era     string // the version of the stateless era that the client speaks
	calls   map[string]*call

	translation *translation // nil: none is needed
	backward    *backward    // nil: none is needed

	probed     bool // server/discover was refused once
	stateless  bool // the server knows the stateless era
	noSessions bool // it does not know that of sessions

	restarting sync.Mutex
	relisting  sync.Mutex
}

// call is a request under way.
type call struct {
	modern bool
	cancel context.CancelFunc
}

// Run forwards until the client closes its end, which is no error, or ctx ends.
// When it returns nothing is left, but for a read of In, or a write to Out of a client
// that does not read, that cannot be interrupted.
func Run(ctx context.Context, o Options) error {
	b, err := newBridge(o)
	if err != nil {
		return err
	}
	life, end := context.WithCancel(ctx)
	defer end()
	b.life, b.out.broken = life, end
	b.auth.spawn = func(f func(context.Context)) { b.spawnIn(&b.asks, func() { f(life) }) }
	if b.Token != nil {
		b.spawn(func() { _, _ = b.auth.bearer(life) }) // while the client makes up its mind
	}
	in, done := polled(o.In, o.Out)
	defer done()
	b.In = in
	defer time.AfterFunc(settled, debug.FreeOSMemory).Stop()
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	err = b.serve(life)
	if err == nil {
		b.settle(life, ending)
	}
	end()
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	b.asks.Wait() // what the identity provider has issued must not be lost
	if !finish(&b.work, ending) {
		b.out.abandon()
	}
	if s := b.current(); s != nil {
		b.retire(context.WithoutCancel(ctx), s)
	}
	b.Net.CloseIdle()
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil // the client reads no more, and so has gone
	}
	return err
}

func newBridge(o Options) (*bridge, error) {
	if o.TokenTime == 0 {
		o.TokenTime = 30 * time.Second
	}
	blank, err := http.NewRequest(http.MethodPost, o.Endpoint, nil)
	if err != nil {
		return nil, &Error{Code: "bad_url", Message: "the server's URL cannot be read"}
	}
	o.Now = wall(o.Now)
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Explain == nil {
		o.Explain = func(err error) Failure { return Failure{Code: "unexpected", Message: err.Error()} }
	}
	if o.AcceptTime == 0 {
		o.AcceptTime = 10 * time.Second
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = maxMessage
	}
	return &bridge{
		Options: o,
		// Without the Client around it, which would only follow redirects.
		http: o.Net.Streaming().Transport, blank: blank, fixed: newValues(),
		out: newOut(o.Out), slots: make(chan struct{}, inFlight), jobs: make(chan job), calls: map[string]*call{},
		auth: &auth{have: &carried{}, get: o.Token, net: o.Net, endpoint: o.Endpoint, now: o.Now, warn: o.Warn, atMost: o.TokenTime, configured: o.Scopes, most: o.MaxScopes},
	}, nil
}

// wall is a clock without the monotonic reading, which stands still while a laptop
// sleeps: what may not be asked for in the next minute may be asked for after that.
func wall(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().Round(0) }
}

// serve reads the client's messages to their end. A read cannot be interrupted, so
// it has a goroutine of its own, which may outlive Run and does nothing any more
// then.
func (b *bridge) serve(ctx context.Context) error {
	end := make(chan error, 1)
	go func() { end <- b.read(ctx) }()
	select {
	case err := <-end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bridge) read(ctx context.Context) error {
	in := &frames{r: bufio.NewReaderSize(b.In, 64<<10)}
	before := make(chan struct{}) // what must be accepted before the next message is sent
	close(before)
	for {
		line, err := in.next()
		switch {
		case err == io.EOF:
			return nil
		case err == errTooLong:
			e, _ := open(line)
			b.out.send(answerError(idOf(e, line), codeInvalid, "mcpauth: "+err.Error(), nil))
			continue
		case err != nil:
			return err
		}
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		before = b.dispatch(ctx, line, before)
	}
}

func idOf(e envelope, msg []byte) []byte {
	if e.id.none() {
		return nil
	}
	return e.id.of(msg)
}

// settle waits until nothing is under way, but not for long.
func (b *bridge) settle(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for range inFlight {
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// spawn runs f in a goroutine that Run waits for. When Run is at its end already
// there is nothing left to do.
func (b *bridge) spawn(f func()) { b.spawnIn(&b.work, f) }

func (b *bridge) spawnIn(group *sync.WaitGroup, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		group.Go(f)
	}
}

// finish waits for a group, but not for long.
func finish(group *sync.WaitGroup, atMost time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(atMost):
		return false
	}
}

func (b *bridge) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
