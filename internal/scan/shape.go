package scan

import (
	"math"
	"strings"
	"unicode"
)

// shape is what a value looks like by itself.
type shape int

const (
	plainText   shape = iota // words, numbers, paths, identifiers, placeholders
	hexadecimal              // a key, or a checksum
	mixed                    // drawn by lot from letters and digits
)

// shapeOf judges a run of characters. What it takes for a key has at least sixteen characters, twelve of them in one
// piece that changes between letters and digits, or capitals and others, about as often as chance does: words, versions,
// paths, dates and identifiers do not.
func shapeOf(v string) shape {
	v = strings.TrimRight(v, "=.")
	if len(v) < shortest || len(v) > 4096 || uuid(v) || placeholder(v) || filePath(v) {
		return plainText
	}
	piece := longestPiece(v)
	if len(piece) < 12 || !changing(piece) || entropy(piece) < 0.68*math.Log2(float64(min(len(piece), 36))) {
		return plainText
	}
	if allIn(piece, "0123456789abcdef") || allIn(piece, "0123456789ABCDEF") {
		return hexadecimal
	}
	return mixed
}

// likely says whether the rest of a known form looks drawn by lot.
func likely(rest string) bool {
	piece := longestPiece(rest)
	return len(piece) >= 12 && changing(piece) && !placeholder(rest)
}

// longestPiece is the longest part between separators. '+' and '/' separate where others do: without them they are base64's.
func longestPiece(v string) string {
	separators := "-_.~"
	if strings.ContainsAny(v, separators) {
		separators += "+/"
	}
	longest := ""
	for _, piece := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if len(piece) > len(longest) {
			longest = piece
		}
	}
	return longest
}

// changing says whether a piece changes between kinds of characters as often as chance would. A capital before small letters
// is no change: it begins a word.
func changing(piece string) bool {
	var changes, digits, upper, lower int
	for i := range len(piece) {
		c := classOf(piece[i])
		switch c {
		case '0':
			digits++
		case 'A':
			upper++
		case 'a':
			lower++
		}
		if i > 0 && c != classOf(piece[i-1]) && (c != 'a' || classOf(piece[i-1]) != 'A') {
			changes++
		}
	}
	if digits < 2 {
		return upper >= 4 && lower >= 4 && changes*100 >= 22*(len(piece)-1) && digits+upper+lower == len(piece) && len(piece) >= 24
	}
	return upper+lower >= 2 && changes*100 >= 15*(len(piece)-1)
}

func classOf(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case '0' <= c && c <= '9':
		return '0'
	}
	return '+'
}

// entropy is Shannon's, in bits for a character.
func entropy(s string) float64 {
	var counts [256]int
	for i := range len(s) {
		counts[s[i]]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(s))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

func allIn(s, set string) bool { return strings.Trim(s, set) == "" }

// filePath says whether a value is the name of a file: it begins as one, with a word in small letters.
func filePath(v string) bool {
	first, rest, more := strings.Cut(strings.TrimLeft(v, "."), "/")
	if !more || strings.Trim(first, "~") != "" {
		return false
	}
	first, _, more = strings.Cut(rest, "/")
	return more && len(first) > 1 && allIn(first, "abcdefghijklmnopqrstuvwxyz")
}

// uuid says whether a value is one: an identifier.
func uuid(v string) bool {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return false
	}
	return allIn(strings.ToLower(strings.ReplaceAll(v, "-", "")), "0123456789abcdef")
}

// placeholder says whether a value says of itself that it is none: words that stand in for a key, or a run of the keyboard.
func placeholder(v string) bool {
	lower := strings.ToLower(v)
	for _, word := range []string{
		"example", "placeholder", "changeme", "change-me", "change_me", "your", "insert", "replace", "dummy", "fake", "sample", "redacted",
		"xxxx", "****", "....", "0000", "1111", "aaaa", "todo", "fixme", "test", "mock", "demo", "foobar", "lorem", "notreal",
		"not-real", "not-a-", "not_a_", "invalid", "invented", "process.env", "secretkeyref", "deadbeef",
	} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return ascending(lower)*2 >= len(lower)
}

// ascending is how many characters stand in runs of at least six that follow each other: abcdef, 123456, 987654.
func ascending(v string) int {
	total := 0
	for i := 0; i < len(v); {
		j := i + 1
		for step := 0; j < len(v) && unicode.IsLetter(rune(v[j])) == unicode.IsLetter(rune(v[i])); j++ {
			d := int(v[j]) - int(v[j-1])
			if d != 1 && d != -1 || step != 0 && d != step {
				break
			}
			step = d
		}
		if j-i >= 6 {
			total += j - i
		}
		i = j
	}
	return total
}

// shapeOfAny is shapeOf for a text that may hold words beside a key, as key-of-shop-AbC…: placeholders count too.
func shapeOfAny(v string) shape {
	v = strings.TrimRight(v, "=.")
	piece := longestPiece(v)
	if uuid(v) || len(piece) < 20 || !changing(piece) || entropy(piece) < 3 {
		return plainText
	}
	if allIn(piece, "0123456789abcdef") || allIn(piece, "0123456789ABCDEF") {
		return hexadecimal
	}
	return mixed
}
