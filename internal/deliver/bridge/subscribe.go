package bridge

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// change notes that the client wants, or no longer wants, to hear of a resource.
// The URI is JSON.
func (t *translation) change(uri string, wanted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uris = slices.DeleteFunc(t.uris, func(u string) bool { return u == uri })
	if wanted {
		t.uris = append(t.uris, uri)
	}
}

// subscribe opens the stream of changes: in the stateless era it takes a request of
// its own, subscriptions/listen, to hear of them. One that is open for what was
// wanted before is closed.
func (b *bridge) subscribe(t *translation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unlisten != nil {
		t.unlisten()
	}
	if len(t.changes) == 0 && len(t.uris) == 0 {
		return
	}
	wanted, _ := json.Marshal(t.changes) // of booleans: cannot fail
	list := strings.TrimSuffix(string(wanted), "}")
	if len(t.uris) > 0 {
		if len(t.changes) > 0 {
			list += ","
		}
		list += `"resourceSubscriptions":[` + strings.Join(t.uris, ",") + `]`
	}
	params := `{"notifications":` + list + `},"_meta":{` + t.meta + `}}`
	ctx, cancel := context.WithCancel(b.life)
	t.unlisten = cancel
	b.spawn(func() { b.hear(ctx, t, params) })
}

// hear keeps a stream of changes open.
func (b *bridge) hear(ctx context.Context, t *translation, params string) {
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		m, err := t.own("listen", "subscriptions/listen", params)
		if err != nil {
			return
		}
		heard, refused := b.hearOnce(ctx, m)
		if heard {
			wait = firstWait
		}
		if refused || b.sleep(ctx, wait) != nil {
			return
		}
	}
}

// hearOnce forwards the changes of one stream to its end. refused is true if the
// server wants no such stream.
func (b *bridge) hearOnce(ctx context.Context, m *message) (heard, refused bool) {
	resp, err := b.send(ctx, request{method: http.MethodPost, message: m})
	if err != nil {
		return false, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || mediaType(resp) != typeEvents {
		return false, resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests
	}
	in := b.events(resp)
	for {
		e, err := in.next()
		if err != nil {
			return heard, err == errTooLarge
		}
		msg, err := open(e.data)
		if err != nil || msg.isResponse() || msg.method == "notifications/subscriptions/acknowledged" {
			continue
		}
		heard = true
		b.out.send(e.data)
	}
}
