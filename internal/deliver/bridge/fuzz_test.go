package bridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzSSE: however a stream is cut into reads, the same events come; a valid JSON
// object sent as an event comes back as it was; nothing is invented.
func FuzzSSE(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "\ufeffdata: a\r\n\r\n", "id: 1\rdata: a\rdata: b\r\r", ":c\n\nretry: 10\nevent: x\ndata\n\n", "data: {\"a\":1}\n\ndata", "id\ndata:x\n\n", "\n\n\r\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		read := func(r io.Reader) (list []event, err error) {
			in := &events{r: bufio.NewReaderSize(r, 16), max: 1 << 16}
			for {
				e, err := in.next()
				if err != nil {
					return list, err
				}
				list = append(list, e)
			}
		}
		whole, err1 := read(bytes.NewReader(stream))
		bytewise, err2 := read(iotest.OneByteReader(bytes.NewReader(stream)))
		if !reflect.DeepEqual(whole, bytewise) || err1 != err2 {
			t.Fatalf("%v %v\n%v %v", whole, err1, bytewise, err2)
		}
		if err1 != io.EOF && err1 != errTooLarge {
			t.Fatal(err1)
		}
		size := 0
		for _, e := range whole {
			size += len(e.data)
			if bytes.ContainsAny(e.data, "\r") {
				t.Fatalf("a line end inside of %q", e.data)
			}
		}
		if size > len(stream) {
			t.Fatal("more came out than went in")
		}
		if json.Valid(stream) && !bytes.ContainsAny(stream, "\r\n") {
			got, _ := read(strings.NewReader("data: " + string(stream) + "\n\n"))
			if len(got) != 1 || !bytes.Equal(got[0].data, stream) {
				t.Fatalf("%q came as %+v", stream, got)
			}
		}
	})
}

// FuzzFrame: the lines of the client are those between line ends, blank ones aside.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{"a\nb\n", "\r\n\r\na", "a", "\n", strings.Repeat("x", 100) + "\ny\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 64
		in := &frames{r: bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(stream)), 16), max: most}
		for _, want := range bytes.Split(stream, []byte("\n")) {
			long := len(want) >= most // with its end
			want = bytes.TrimSpace(want)
			if len(want) == 0 {
				continue
			}
			got, err := in.next()
			if err == errTooLong && long {
				continue
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
		}
		if got, err := in.next(); err == nil {
			t.Fatalf("a line too many: %q", got)
		}
	})
}

// FuzzInject: a message is changed in its capabilities only, and there only by the
// extension; and what the bridge reads of it is what any JSON reader reads.
func FuzzInject(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`,
		`{"id":"a","method":"initialize","params":{"capabilities":{"extensions":{"x":1}}}}`,
		`{"id":"a","method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"v","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}}`,
		`{"id":1,"method":"initialize","params":{"capabilities":{"extensions":null}}}`,
		`{"id":1,"method":"initi\u0061lize","p\u0061rams":{"capabilities": { } , "z":[{}]}}`,
		`{"id":1,"method":"x","params":{"_meta":{"` + metaVersion + `":"v"},"name":"n"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		m, err := read(line)
		if err != nil {
			if !json.Valid(before) && !errors.Is(err, errJSON) {
				t.Fatalf("%q: %v", before, err)
			}
			return
		}
		var was, is map[string]any
		if err := json.Unmarshal(before, &was); err != nil {
			t.Fatalf("%q was accepted: %v", before, err)
		}
		if method, _ := was["method"].(string); method != m.method {
			t.Fatalf("method %q, read as %q", method, m.method)
		}
		modern := m.modern()
		declare(m)
		if !bytes.Equal(line, before) {
			t.Fatal("the input was written to")
		}
		if err := json.Unmarshal(m.raw, &is); err != nil {
			t.Fatalf("%q became %q: %v", before, m.raw, err)
		}
		if bytes.Equal(m.raw, before) {
			return
		}
		capabilities := func(msg map[string]any) map[string]any {
			c, _ := msg["params"].(map[string]any)
			if modern {
				c, _ = c["_meta"].(map[string]any)
				c, _ = c[metaCapabilities].(map[string]any)
				return c
			}
			c, _ = c["capabilities"].(map[string]any)
			return c
		}
		extensions, _ := capabilities(is)["extensions"].(map[string]any)
		if _, ok := extensions[extension]; !ok {
			t.Fatalf("%q became %q", before, m.raw)
		}
		delete(extensions, extension)
		if _, had := capabilities(was)["extensions"]; !had && len(extensions) == 0 {
			delete(capabilities(is), "extensions")
		}
		if !reflect.DeepEqual(was, is) {
			t.Fatalf("%q became %q", before, m.raw)
		}
		if again, err := read(m.raw); err != nil {
			t.Fatal(err)
		} else if declare(again); !bytes.Equal(again.raw, m.raw) {
			t.Fatal("it was declared twice")
		}
	})
}
