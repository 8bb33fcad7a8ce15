package bridge

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mcpauth/mcpauth/internal/wire"
)

// codeBridge is the code of every error that the bridge itself answers with. MCP
// keeps -32020 to -32099 for itself and leaves -32000 to -32019 to implementations;
// clients give -32000 and -32001 meanings of their own. What it was stands in
// data.mcpauth.code.
const codeBridge = -32010

// Codes of JSON-RPC and of MCP that the bridge answers with or reads.
const (
	codeParse          = -32700
	codeInvalid        = -32600
	codeNoMethod       = -32601
	codeHeaderMismatch = -32020
	codeVersion        = -32022
)

// Failure is an error in words for the client and for the model behind it.
type Failure struct {
	Code    string // a word for programs
	Stage   string // the leg of the flow, if it was one
	Message string
	Hint    string // what to do about it
}

// Error is what can go wrong between the bridge and the server.
type Error struct {
	Code    string // a word for programs
	Message string
	Hint    string
	Status  int   // of HTTP, if that was it
	Err     error // may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// rpcError is a JSON-RPC error response of our own.
type rpcError struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   rpcFailure      `json:"error"`
}

type rpcFailure struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Data    *rpcData `json:"data,omitempty"`
}

type rpcData struct {
	Mcpauth rpcReason `json:"mcpauth"`
}

type rpcReason struct {
	Code  string `json:"code"`
	Stage string `json:"stage,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// answerFailure is the response that says what went wrong. Many clients show the
// message only, so the hint is part of it.
func answerFailure(id []byte, f Failure) []byte {
	text := "mcpauth: " + wire.Clean(f.Message)
	if f.Hint != "" {
		text += " (" + wire.Clean(f.Hint) + ")"
	}
	return answerError(id, codeBridge, text, &rpcData{rpcReason{f.Code, f.Stage, wire.Clean(f.Hint)}})
}

// answerError is a response with an error; a nil id is null.
func answerError(id []byte, code int, text string, data *rpcData) []byte {
	b, err := json.Marshal(rpcError{"2.0", id, rpcFailure{code, text, data}})
	if err != nil { // never: an id is JSON
		return nil
	}
	return b
}

// withID is a response of the server with the id that it should have: what comes
// with an HTTP error may have none.
func withID(msg []byte, failure span, id []byte) []byte {
	var b strings.Builder
	b.WriteString(`{"jsonrpc":"2.0","id":`)
	b.Write(id)
	b.WriteString(`,"error":`)
	b.Write(failure.of(msg))
	b.WriteString("}")
	return []byte(b.String())
}
