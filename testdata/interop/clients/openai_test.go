package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// responses is POST /v1/responses of the OpenAI API.
func (m *model) responses(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		Tools []struct {
			Type, Name string
			Tools      []struct{ Name string } // of a namespace
		}
		// Input holds the whole conversation, each time.
		Input []struct {
			Type   string
			Output json.RawMessage
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		m.give(w, err)
		return
	}
	var tools, results []string
	namespace := map[string]string{} // by tool
	for _, t := range in.Tools {
		tools = append(tools, t.Name)
		for _, inner := range t.Tools {
			tools = append(tools, inner.Name)
			namespace[inner.Name] = t.Name
		}
	}
	for _, item := range in.Input {
		if item.Type == "function_call_output" {
			results = append(results, string(item.Output))
		}
	}
	call, text := m.next(string(body), tools, results)
	item := map[string]any{"type": "message", "id": fmt.Sprintf("msg_%02d", len(results)), "role": "assistant", "status": "completed",
		"content": []any{map[string]any{"type": "output_text", "text": text, "annotations": []any{}}}}
	if call != "" {
		item = map[string]any{"type": "function_call", "id": fmt.Sprintf("fc_%02d", len(results)), "call_id": fmt.Sprintf("call_%02d", len(results)),
			"name": call, "arguments": compact(searchArguments()), "status": "completed"}
		if namespace[call] != "" {
			item["namespace"] = namespace[call]
		}
	}
	response := map[string]any{"id": fmt.Sprintf("resp_%02d", len(results)), "object": "response", "status": "in_progress", "output": []any{}}
	s := stream{w: w}
	s.event("response.created", map[string]any{"response": response})
	s.event("response.output_item.added", map[string]any{"output_index": 0, "item": item})
	s.event("response.output_item.done", map[string]any{"output_index": 0, "item": item})
	response["status"], response["output"] = "completed", []any{item}
	response["usage"] = map[string]any{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
		"input_tokens_details": map[string]any{"cached_tokens": 0}, "output_tokens_details": map[string]any{"reasoning_tokens": 0}}
	s.event("response.completed", map[string]any{"response": response})
}
