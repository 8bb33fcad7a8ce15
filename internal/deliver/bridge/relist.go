package bridge

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxPages bounds one reading of a server's list of tools.
const maxPages = 100

// mismatches reports whether the server misses headers of a call, for the first time
// (MCP 2026-07-28, Streamable HTTP: HeaderMismatch): the client has not listed the
// tools, or they have changed since.
func (m *message) mismatches(msg []byte, e envelope) bool {
	if m.method != "tools/call" || !m.modern() || e.failure.none() || m.mismatch != nil {
		return false
	}
	return errorCode(msg, e) == codeHeaderMismatch
}

// relist reads the server's list of tools in place of the client, and reports whether
// a call has other headers since.
func (b *bridge) relist(ctx context.Context, m *message) bool {
	b.relisting.Lock() // of many such calls at once one reads the list
	defer b.relisting.Unlock()
	if b.otherHeaders(m) {
		return true
	}
	cursor := ""
	for range maxPages {
		ask, err := m.list(cursor)
		if err != nil {
			return false
		}
		resp, err := b.send(ctx, request{method: http.MethodPost, message: ask})
		if err != nil {
			return false
		}
		answer, err := b.first(resp)
		resp.Body.Close()
		if err != nil {
			return false
		}
		e, err := open(answer)
		if err != nil || e.result.none() {
			return false
		}
		b.tools.learn(answer, e.result)
		next, err := member(answer, e.result, "nextCursor")
		if err != nil || next.none() || bytes.Equal(next.of(answer), []byte("null")) {
			break
		}
		cursor = string(next.of(answer))
	}
	return b.otherHeaders(m)
}

// otherHeaders reports whether a call would now have other headers than it had.
func (b *bridge) otherHeaders(m *message) bool {
	h := http.Header{}
	b.tools.headers(m, h)
	return !maps.EqualFunc(h, m.sent, slices.Equal)
}

// list is a tools/list that says of the client what the call says of it. cursor is
// JSON.
func (m *message) list(cursor string) (*message, error) {
	var meta []string
	for _, name := range []string{metaVersion, metaClientInfo, metaCapabilities} {
		if at, err := member(m.raw, m.meta, name); err == nil && !at.none() {
			meta = append(meta, `"`+name+`":`+string(at.of(m.raw)))
		}
	}
	params := `"_meta":{` + strings.Join(meta, ",") + `}`
	if cursor != "" {
		params += `,"cursor":` + cursor
	}
	return read([]byte(`{"jsonrpc":"2.0","id":"mcpauth-list","method":"tools/list","params":{` + params + `}}`))
}
