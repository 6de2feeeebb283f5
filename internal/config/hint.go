package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/internal/nearest"
)

// near is a hint that names the right word, or "" where none is near.
func near(word string, words []string) string {
	best := nearest.Word(word, words)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// oneOf reads "want one of a, b, c".
func oneOf(words []string) string {
	switch len(words) {
	case 0:
		return "want none"
	case 1:
		return "want " + words[0]
	}
	return "want one of " + strings.Join(words, ", ")
}

func sortedCopy(words []string) []string {
	return slices.Sorted(slices.Values(words))
}
