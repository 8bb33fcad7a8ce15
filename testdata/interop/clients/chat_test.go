package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// chat is POST /v1/chat/completions, which most vendors have and most clients can
// be pointed at.
func (m *model) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		Model  string
		Stream bool
		Tools  []struct{ Function struct{ Name string } }
		// Messages holds the whole conversation, each time.
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err == nil && !in.Stream {
		err = errors.New("the answer is not to be a stream")
	}
	if err != nil {
		m.give(w, err)
		return
	}
	var tools, results []string
	for _, t := range in.Tools {
		tools = append(tools, t.Function.Name)
	}
	for _, message := range in.Messages {
		if message.Role == "tool" {
			results = append(results, string(message.Content))
		}
	}
	call, text := m.next(string(body), tools, results)
	delta, reason := map[string]any{"role": "assistant", "content": text}, "stop"
	if call != "" {
		function := map[string]any{"name": call, "arguments": compact(searchArguments())}
		delta = map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{
			"index": 0, "id": fmt.Sprintf("call_%02d", len(results)), "type": "function", "function": function}}}
		reason = "tool_calls"
	}
	chunk := func(choices []any, usage any) {
		fmt.Fprintf(w, "data: %s\n\n", compact(map[string]any{"id": fmt.Sprintf("chat_%02d", len(results)),
			"object": "chat.completion.chunk", "created": 1, "model": in.Model, "choices": choices, "usage": usage}))
	}
	w.Header().Set("Content-Type", "text/event-stream")
	chunk([]any{map[string]any{"index": 0, "delta": delta, "finish_reason": nil}}, nil)
	chunk([]any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": reason}}, nil)
	chunk([]any{}, map[string]any{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
	fmt.Fprint(w, "data: [DONE]\n\n")
}
