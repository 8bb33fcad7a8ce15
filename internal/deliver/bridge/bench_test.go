package bridge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"net/http/httptest"

	"github.com/mcpauth/mcpauth/internal/deliver/bridge"
	"github.com/mcpauth/mcpauth/internal/wire"
)

// BenchmarkCall is a tools/call of a hundred bytes and back, with a token, one after
// the other and 32 at a time.
func BenchmarkCall(b *testing.B) {
	for _, flight := range []int{1, 32} {
		b.Run(fmt.Sprintf("flight=%d", flight), func(b *testing.B) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"0123456789"}]}}`)
			}))
			defer srv.Close()
			n, err := wire.New(wire.Options{})
			if err != nil {
				b.Fatal(err)
			}
			n.Configured(srv.URL)
			inR, in := io.Pipe()
			out, outW := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- bridge.Run(b.Context(), bridge.Options{Endpoint: srv.URL, Net: n, In: inR, Out: outW, Token: (&tokens{}).get})
			}()
			answers := make(chan struct{}, flight)
			go func() {
				lines := bufio.NewReader(out)
				for {
					if _, err := lines.ReadSlice('\n'); err != nil {
						return
					}
					<-answers
				}
			}()
			ask := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789"}}}` + "\n")
			b.ReportAllocs()
			for b.Loop() {
				answers <- struct{}{}
				if _, err := in.Write(ask); err != nil {
					b.Fatal(err)
				}
			}
			in.Close()
			<-ended
			out.Close()
		})
	}
}
