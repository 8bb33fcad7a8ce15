package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// block is a content block of the Messages API.
type block struct {
	Type      string         `json:"type"`
	Text      string         `json:"text,omitempty"`
	ID        string         `json:"id,omitempty"`
	Name      string         `json:"name,omitempty"`
	Input     map[string]any `json:"input,omitempty"`
	ToolUseID string         `json:"tool_use_id,omitempty"`
	Content   blocks         `json:"content,omitempty"`
}

// blocks is a list of blocks, or the text of the only one.
type blocks []block

func (b *blocks) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*b = blocks{{Type: "text", Text: text}}
		return nil
	}
	return json.Unmarshal(data, (*[]block)(b))
}

func (b blocks) text() string {
	var words []string
	for _, one := range b {
		words = append(words, one.Text)
	}
	return strings.Join(words, " ")
}

// messages is POST /v1/messages of the Anthropic API.
func (m *model) messages(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		Model  string
		Stream bool
		Tools  []struct{ Name string }
		// Messages holds the whole conversation, each time.
		Messages []struct{ Content blocks }
	}
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		m.give(w, err)
		return
	}
	var tools, results []string
	for _, t := range in.Tools {
		tools = append(tools, t.Name)
	}
	for _, message := range in.Messages {
		for _, b := range message.Content {
			if b.Type == "tool_result" {
				results = append(results, b.Content.text())
			}
		}
	}
	call, text := m.next(string(body), tools, results)
	answer, stop := block{Type: "text", Text: text}, "end_turn"
	if call != "" {
		answer, stop = block{Type: "tool_use", ID: fmt.Sprintf("toolu_%02d", len(results)), Name: call, Input: searchArguments()}, "tool_use"
	}
	message := map[string]any{"id": fmt.Sprintf("msg_%02d", len(results)), "type": "message", "role": "assistant", "model": in.Model,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": map[string]any{"input_tokens": 1, "output_tokens": 1}}
	if !in.Stream {
		message["content"], message["stop_reason"] = []block{answer}, stop
		reply(w, message)
		return
	}
	start, delta := map[string]any{"type": "text", "text": ""}, map[string]any{"type": "text_delta", "text": text}
	if call != "" {
		start = map[string]any{"type": "tool_use", "id": answer.ID, "name": call, "input": map[string]any{}}
		delta = map[string]any{"type": "input_json_delta", "partial_json": compact(answer.Input)}
	}
	s := stream{w: w}
	s.event("message_start", map[string]any{"message": message})
	s.event("content_block_start", map[string]any{"index": 0, "content_block": start})
	s.event("content_block_delta", map[string]any{"index": 0, "delta": delta})
	s.event("content_block_stop", map[string]any{"index": 0})
	s.event("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": map[string]any{"output_tokens": 1}})
	s.event("message_stop", map[string]any{})
}

// searchWord is in the title of one page.
const searchWord = "onboarding"

func searchArguments() map[string]any { return map[string]any{"query": searchWord} }

// give tells the client, and later the test, what the fake did not understand.
func (m *model) give(w http.ResponseWriter, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, compact(body))
}

// compact is for values that always have a JSON form.
func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// stream writes server-sent events whose data repeats their type, which is how
// both vendors do it.
type stream struct{ w http.ResponseWriter }

func (s stream) event(typ string, data map[string]any) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	data["type"] = typ
	fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", typ, compact(data))
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
}
