package simulator

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// maxInputs is the longest list that one embedding request may hold.
const maxInputs = 256

type embedRequest struct {
	Model     string          `json:"model"`
	Input     json.RawMessage `json:"input"` // a string, or a list of them
	Dimension *int            `json:"output_dimension"`
	DType     string          `json:"output_dtype"`
	Encoding  string          `json:"encoding_format"`
}

func (x *exchange) embeddings() {
	var req embedRequest
	fields := []string{"model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format"}
	if e := x.decode(&req, fields, []string{"model", "input"}); e != nil {
		x.fail(*e)
		return
	}
	texts, e := req.texts()
	var m *model
	if e == nil {
		m, e = x.usable(req.Model)
	}
	width := 0
	if e == nil {
		width, e = req.width(m)
	}
	if e != nil {
		x.fail(*e)
		return
	}
	if !x.wait(x.fault.TimeToFirstToken) {
		x.abandon()
		return
	}
	x.announce(m)
	x.embed(&req, m, texts, width)
}

func (x *exchange) embed(req *embedRequest, m *model, texts []string, width int) {
	tokens := 0
	data := make([]any, 0, len(texts))
	for i, text := range texts {
		tokens += len(pieces(text)) + 1
		v := []float32{}
		if !x.fault.EmptyContent {
			v = vector(m.Name+"\x00"+text, width)
		}
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": v})
	}
	x.s.bill(m.Name, x.call.key, Billed{Calls: 1, PromptTokens: int64(tokens)})
	x.replyFor(map[string]any{
		"id": x.answerID(), "object": "list", "model": req.Model, "data": data,
		"usage": map[string]any{
			"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens, "prompt_audio_seconds": nil,
			"prompt_tokens_details": nil, "service_tier": nil,
		},
	}, tokens)
}

func (r *embedRequest) texts() ([]string, *failure) {
	var one string
	if json.Unmarshal(r.Input, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if err := json.Unmarshal(r.Input, &many); err != nil {
		e := unprocessable("type_error", "input", "Input should be a string or a list of strings", nil)
		return nil, &e
	}
	e := presets()["invalid_args"]
	e.kind, e.code = "invalid_request_prompt", "3210"
	switch {
	case len(many) == 0:
		e.message = "The list of inputs is empty."
	case len(many) > maxInputs:
		e.message = "Too many inputs in request, split into more batches."
	default:
		return many, nil
	}
	return nil, &e
}

// width is how long the vectors are; only the code model lets the caller choose.
func (r *embedRequest) width(m *model) (int, *failure) {
	e := presets()["invalid_args"]
	switch {
	case m.Width == 0:
		e.message = fmt.Sprintf("Model %s makes no embeddings", r.Model)
	case r.Encoding != "" && r.Encoding != "float", r.DType != "" && r.DType != "float":
		e.message = "The simulator makes float embeddings only"
	case r.Dimension == nil:
		return m.Width, nil
	case m.Name != "codestral-embed" || *r.Dimension < 1 || *r.Dimension > 3072:
		e.message = fmt.Sprintf("output_dimension %d is not available for this model", *r.Dimension)
	default:
		return *r.Dimension, nil
	}
	return 0, &e
}

// vector is a unit vector that depends on the text and on nothing else.
func vector(text string, width int) []float32 {
	h := fnv.New64a()
	h.Write([]byte(text))
	luck := rand.New(rand.NewPCG(h.Sum64(), uint64(width))) //nolint:gosec // the same text has the same vector
	raw := make([]float64, width)
	var square float64
	for i := range raw {
		raw[i] = luck.NormFloat64()
		square += raw[i] * raw[i]
	}
	out := make([]float32, width)
	for i, f := range raw {
		out[i] = float32(f / math.Sqrt(square))
	}
	return out
}
