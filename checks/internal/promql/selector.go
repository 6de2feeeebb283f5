package promql

import (
	"slices"
	"strings"
)

// IsSelector reports whether text is one plain selector: a name, matchers in braces, or both. Only of such does
// timestamp() give the time of the samples: of any other expression it gives the time at which it was evaluated.
func IsSelector(text string) bool {
	text = strings.TrimSpace(text)
	name := text
	if i := strings.IndexByte(text, '{'); i >= 0 {
		name = strings.TrimSpace(text[:i])
		if !IsMatchers(text[i:]) {
			return false
		}
	} else if name == "" {
		return false
	}
	return !slices.Contains([]string{"nan", "inf"}, strings.ToLower(name)) && IsMetricName(name)
}

// IsMetricName is true for what may stand before the braces of a selector, which is also "".
func IsMetricName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r == ':' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return true
}

// IsMatchers reports whether text is one pair of braces and nothing after it. What stands between is the server's to
// parse; only quotes are followed, because braces may stand in them.
func IsMatchers(text string) bool {
	quote := byte(0)
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && c == '}':
			return i == len(text)-1
		case quote == 0 && (c == '{' || c == '#'):
			return false
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote = c
		case quote == c:
			quote = 0
		case quote != 0 && quote != '`' && c == '\\':
			i++
		}
	}
	return false
}
