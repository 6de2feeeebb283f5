package config

import (
	"fmt"
	"slices"
	"strings"
)

// nearest returns a hint that names the right word, or "" where none is near: at most a third of the letters and at most
// three may differ.
func nearest(word string, words []string) string {
	best, distance := "", 4
	folded := strings.ToLower(word)
	for _, w := range words {
		if d := levenshtein(folded, strings.ToLower(w), distance); d < distance && d <= max(1, (len(w)+1)/3) {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// levenshtein is the least number of letters that differ, or limit where it is that or more.
func levenshtein(a, b string, limit int) int {
	if len(a) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit)
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
