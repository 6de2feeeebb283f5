package simulator

import (
	"encoding/json"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// pieces cuts a text into tokens: up to three letters, the space before a word going with it. Every count of tokens in
// the simulator is the length of such a list, so the same text costs the same always and everywhere.
func pieces(text string) []string {
	var out []string
	var piece []rune
	for _, r := range text {
		full := len(piece) >= 3 && (piece[0] != ' ' || len(piece) >= 4)
		if len(piece) > 0 && (full || r == ' ' || r == '\n') {
			out = append(out, string(piece))
			piece = piece[:0]
		}
		piece = append(piece, r)
	}
	if len(piece) > 0 {
		out = append(out, string(piece))
	}
	return out
}

// promptTokens counts the messages: three tokens frame each of them.
func promptTokens(messages []message) int {
	n := 1
	for _, m := range messages {
		n += 3 + len(pieces(m.text()))
	}
	return n
}

// answer is what the model says. It is a function of the request alone.
func answer(req *chatRequest) string {
	prompt := ""
	for _, m := range slices.Backward(req.Messages) {
		if m.Role == "user" {
			prompt = m.text()
			break
		}
	}
	word := wanted(prompt)
	switch req.ResponseFormat.Type {
	case "json_object":
		return encode(map[string]any{"answer": word})
	case "json_schema":
		return encode(example(req.ResponseFormat.JSONSchema.Schema, word, 0))
	}
	if word != "" {
		return word
	}
	sentences := []string{
		"The wind is from the north-west, steady and dry.",
		"Clear sky over the valley, gusts after noon.",
		"All quiet on this side of the mountains today.",
	}
	h := fnv.New32a()
	h.Write([]byte(prompt))
	return sentences[int(h.Sum32()%uint32(len(sentences)))]
}

// wanted finds the word that a ping asks for: "reply with pong", "answer only with 'ok'".
func wanted(prompt string) string {
	if strings.Contains(strings.ToLower(prompt), "pong") {
		return "pong"
	}
	asked := regexp.MustCompile(`(?i)\b(?:reply|answer|respond|say)\b[^"'.]*?\b(?:with|word|exactly|only|say)\b:?\s+["']?([\pL\pN_-]+)["']?\s*[.!]?\s*$`)
	if m := asked.FindStringSubmatch(prompt); m != nil {
		return m[1]
	}
	return ""
}

// schema is the part of JSON Schema that example understands.
type schema struct {
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
	Const      any               `json:"const"`
	Minimum    float64           `json:"minimum"`
}

// example makes the smallest value that fits the schema; depth keeps a schema that nests without end from doing so.
func example(s schema, word string, depth int) any {
	if s.Const != nil {
		return s.Const
	}
	if len(s.Enum) > 0 {
		if slices.Contains(s.Enum, any(word)) {
			return word
		}
		return s.Enum[0]
	}
	kind, _ := s.Type.(string)
	switch kind {
	case "object":
		return exampleObject(s, word, depth)
	case "array":
		if s.Items == nil || depth > 8 {
			return []any{}
		}
		return []any{example(*s.Items, word, depth+1)}
	case "integer", "number":
		return s.Minimum
	case "boolean":
		return true
	case "null":
		return nil
	}
	return word
}

func exampleObject(s schema, word string, depth int) any {
	value := map[string]any{}
	for name, property := range s.Properties {
		if depth <= 8 {
			value[name] = example(property, word, depth+1)
		}
	}
	return value
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // no channels, functions or cycles come here
		return "{}"
	}
	return string(data)
}
