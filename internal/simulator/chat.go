package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// chatRequest is what the simulator reads of a chat request; the fields that it accepts are in chatFields.
type chatRequest struct {
	Model           string    `json:"model"`
	Messages        []message `json:"messages"`
	MaxTokens       *int      `json:"max_tokens"`
	Stream          bool      `json:"stream"`
	Temperature     *float64  `json:"temperature"`
	ReasoningEffort string    `json:"reasoning_effort"`
	ResponseFormat  struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema schema `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string, or a list of blocks
}

func (m *message) text() string {
	var plain string
	if json.Unmarshal(m.Content, &plain) == nil {
		return plain
	}
	var blocks []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(m.Content, &blocks) != nil {
		return ""
	}
	var all strings.Builder
	for _, b := range blocks {
		all.WriteString(b.Text)
	}
	return all.String()
}

// chatFields are the fields of Mistral's specification of August 2026. Any other is refused, those of OpenAI first.
func chatFields() []string {
	return []string{
		"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata", "response_format", "tools",
		"tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls", "reasoning_effort", "prompt_mode",
		"guardrails", "prompt_cache_key", "service_tier", "safe_prompt",
	}
}

// decode reads a request body as strictly as the real one: an unknown or missing field, or one of the wrong type, is 422.
func (x *exchange) decode(into any, fields, required []string) *failure {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(x.body, &raw); err != nil {
		e := unprocessable("json_invalid", "0", "JSON decode error", map[string]any{})
		return &e
	}
	var extra []violation
	for field, value := range raw {
		if !slices.Contains(fields, field) {
			extra = append(extra, forbidden(field, value, "").detail...)
		}
	}
	if len(extra) > 0 {
		slices.SortFunc(extra, func(a, b violation) int { return strings.Compare(a.Loc[1], b.Loc[1]) })
		e := forbidden("", nil, "nested_object")
		if extra[0].Loc[1] == "store" { // seen bare, where the others were seen within an error object
			e.shape = "detail_list"
		}
		e.detail = extra
		return &e
	}
	for _, field := range required {
		if _, ok := raw[field]; !ok {
			e := unprocessable("missing", field, "Field required", nil)
			return &e
		}
	}
	if err := json.Unmarshal(x.body, into); err != nil {
		field := "body"
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			field = wrong.Field
		}
		e := unprocessable("type_error", field, "Input should have another type", nil)
		return &e
	}
	return nil
}

func (x *exchange) chat() {
	var req chatRequest
	if e := x.decode(&req, chatFields(), []string{"model", "messages"}); e != nil {
		x.fail(*e)
		return
	}
	m, e := x.usable(req.Model)
	if e == nil {
		e = unsuitable(&req, m)
	}
	if e != nil {
		x.fail(*e)
		return
	}
	said := x.say(&req, m)
	x.announce(m)
	if req.Stream {
		x.stream(&req, m, said)
		return
	}
	x.whole(&req, m, said)
}

// unsuitable finds what this model cannot do with this request.
func unsuitable(req *chatRequest, m *model) *failure {
	bad := presets()["invalid_args"]
	prompt := promptTokens(req.Messages)
	switch {
	case len(req.Messages) == 0:
		bad.kind, bad.code, bad.message = "invalid_request_message_order", "3230", "Expected at least one message"
	case !m.can("completion_chat"):
		bad.message = fmt.Sprintf("Model %s does not answer chat requests", req.Model)
	case req.MaxTokens != nil && *req.MaxTokens < 0:
		bad = unprocessable("greater_than_equal", "max_tokens", "Input should be greater than or equal to 0", *req.MaxTokens)
	case req.Temperature != nil && (*req.Temperature < 0 || *req.Temperature > 1.5):
		bad = unprocessable("less_than_equal", "temperature", "Input should be 0 to 1.5", *req.Temperature)
	case prompt > m.Context:
		bad.message = fmt.Sprintf("The prompt has %d tokens; the context of this model ends at %d", prompt, m.Context)
	default:
		return nil
	}
	return &bad
}

// speech is what the model says, token by token.
type speech struct {
	thinking, text []string
	finish         string
	prompt         int
}

func (s *speech) tokens() int { return len(s.thinking) + len(s.text) }

// say makes the answer. Where max_tokens ends it, thinking has used its share first, as on the hybrid reasoners; an answer
// that fills max_tokens exactly is "length" too, for there was no token left to end it.
func (x *exchange) say(req *chatRequest, m *model) speech {
	s := speech{finish: "stop", prompt: promptTokens(req.Messages)}
	if x.fault.EmptyContent {
		return s
	}
	if m.can("reasoning") && req.ReasoningEffort != "" && req.ReasoningEffort != "none" {
		s.thinking = pieces("A short question, so a short answer will do.")
	}
	s.text = pieces(answer(req))
	if limit := req.MaxTokens; limit != nil && s.tokens() >= *limit {
		s.finish = "length"
		s.thinking = s.thinking[:min(len(s.thinking), *limit)]
		s.text = s.text[:*limit-len(s.thinking)]
	}
	return s
}

func (s *speech) usage() map[string]any {
	return map[string]any{
		"prompt_tokens": s.prompt, "completion_tokens": s.tokens(), "total_tokens": s.prompt + s.tokens(),
		"prompt_tokens_details": map[string]any{"cached_tokens": 0}, "service_tier": "standard",
	}
}

func thought(text string) map[string]any {
	return map[string]any{"type": "thinking", "thinking": []any{map[string]any{"type": "text", "text": text}}}
}

// content is a string, or blocks where the model thought aloud.
func (s *speech) content() any {
	text := strings.Join(s.text, "")
	if len(s.thinking) == 0 {
		return text
	}
	blocks := []any{thought(strings.Join(s.thinking, ""))}
	if text != "" {
		blocks = append(blocks, map[string]any{"type": "text", "text": text})
	}
	return blocks
}

// answerID is an id as chat and embeddings have it: 32 hexadecimal digits.
func (x *exchange) answerID() string {
	return fmt.Sprintf("%016x%016x", x.luck.Uint64(), x.luck.Uint64())
}

// whole sends an answer in one piece; it takes as long as the stream would.
func (x *exchange) whole(req *chatRequest, m *model, s speech) {
	if !x.wait(x.fault.TimeToFirstToken + time.Duration(max(0, s.tokens()-1))*x.fault.InterChunkGap) {
		x.abandon()
		return
	}
	x.s.bill(m.Name, x.call.key, Billed{Calls: 1, PromptTokens: int64(s.prompt), CompletionTokens: int64(s.tokens())})
	x.replyFor(map[string]any{
		"id": x.answerID(), "object": "chat.completion", "created": time.Now().Unix(), "model": req.Model, "usage": s.usage(),
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": s.finish,
			"message": map[string]any{"role": "assistant", "content": s.content(), "tool_calls": nil},
		}},
	}, s.prompt+s.tokens())
}

// stream sends an answer token by token: a first chunk with the role and nothing said, chunks with random padding, a last
// one with the finish reason and the usage together, [DONE]. Each token is billed before it is sent.
func (x *exchange) stream(req *chatRequest, m *model, s speech) {
	x.headers(s.prompt + s.tokens())
	h := x.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	x.override()
	x.s.bill(m.Name, x.call.key, Billed{Calls: 1, PromptTokens: int64(s.prompt)})
	x.count("200")
	x.w.WriteHeader(http.StatusOK)
	t := teller{x: x, id: x.answerID(), created: time.Now().Unix(), model: req.Model}
	all := s.tokens()
	if !t.chunk(map[string]any{"role": "assistant", "content": ""}, nil, nil) || x.breaks(0, all) {
		return
	}
	x.pause(x.fault.TimeToFirstToken)
	for i := range all {
		if i > 0 {
			x.pause(x.fault.InterChunkGap)
		}
		x.s.bill(m.Name, x.call.key, Billed{CompletionTokens: 1})
		if !t.chunk(map[string]any{"content": s.at(i)}, nil, map[string]any{"p": x.padding()}) || x.breaks(i+1, all) {
			return
		}
	}
	if t.chunk(map[string]any{"content": ""}, s.finish, map[string]any{"p": x.padding(), "usage": s.usage()}) {
		x.event("[DONE]")
	}
}

// at is the token of one chunk: text, or a block where the model thinks.
func (s *speech) at(i int) any {
	if i < len(s.thinking) {
		return []any{thought(s.thinking[i])}
	}
	return s.text[i-len(s.thinking)]
}

// teller writes the chunks of one stream.
type teller struct {
	x         *exchange
	id, model string
	created   int64
}

func (t *teller) chunk(delta map[string]any, finish any, more map[string]any) bool {
	c := map[string]any{
		"id": t.id, "object": "chat.completion.chunk", "created": t.created, "model": t.model,
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
	}
	maps.Copy(c, more)
	return t.x.event(encode(c))
}

func (x *exchange) event(data string) bool {
	var b bytes.Buffer
	b.WriteString("data: ")
	b.WriteString(data)
	b.WriteString("\n\n")
	return x.write(b.Bytes())
}

// pause waits within a stream, whose header is out: when it is cut short, so is the stream.
func (x *exchange) pause(d time.Duration) {
	if !x.wait(d) {
		panic(http.ErrAbortHandler)
	}
}

// breaks plays the fault that is due after so many tokens of all. One that is due later than the last is due then.
func (x *exchange) breaks(sent, all int) bool {
	due := func(n *int) bool { return n != nil && min(*n, all) == sent }
	f := x.fault
	switch {
	case due(f.StallAfter):
		x.stall()
	case due(f.TruncateAfter):
	case due(f.ErrorFrame):
		e := presets()["unavailable"]
		later(&e.message, f.Message)
		body, _ := e.body(x.id)
		x.event(body)
	case f.Reset != "" && sent == all/2:
		x.cut(f.Reset == "mid_body")
	default:
		return false
	}
	return true
}

func (x *exchange) padding() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	return alphabet[:1+x.luck.IntN(len(alphabet))]
}
