// Package nearest finds the word that somebody meant. It knows no words of its own.
package nearest

import "strings"

// Word is the one of words that is nearest to what was written, in upper or lower case, or "" where none is near: at most
// a third of its letters and at most three may differ.
func Word(written string, words []string) string {
	best, distance := "", 4
	folded := strings.ToLower(written)
	for _, w := range words {
		if d := levenshtein(folded, strings.ToLower(w), distance); d < distance && d <= max(1, (len(w)+1)/3) {
			best, distance = w, d
		}
	}
	return best
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
