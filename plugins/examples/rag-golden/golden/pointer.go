package golden

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// placeholder is where the question goes in the request.
const placeholder = "{{question}}"

// fill is the template with the question in it.
func fill(template any, question string) any {
	switch t := template.(type) {
	case string:
		return strings.ReplaceAll(t, placeholder, question)
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = fill(t[i], question)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(t))
		for key, value := range t {
			out[key] = fill(value, question)
		}
		return out
	}
	return template
}

// asks reports whether the question has a place in the template.
func asks(template any) bool {
	switch t := template.(type) {
	case string:
		return strings.Contains(t, placeholder)
	case []any:
		return slices.ContainsFunc(t, asks)
	case map[string]any:
		for _, value := range t {
			if asks(value) {
				return true
			}
		}
	}
	return false
}

// validPointer says what is wrong with a JSON Pointer, "" for nothing.
func validPointer(pointer string) string {
	if pointer != "" && !strings.HasPrefix(pointer, "/") {
		return fmt.Sprintf("%q, want a JSON Pointer such as /answer", cut(pointer, 80))
	}
	return ""
}

// at is what a JSON Pointer (RFC 6901) points to, and false where nothing is there.
func at(value any, pointer string) (any, bool) {
	if pointer == "" {
		return value, true
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = unescape.Replace(part)
		switch v := value.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// cut is text as one line of at most so many bytes.
func cut(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= most {
		return text
	}
	const more = "…"
	end := most - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
