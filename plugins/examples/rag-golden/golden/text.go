package golden

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// marks are the citation marks that models put into their sentences: [1], [^2]. They would stand between the words of a fact.
var marks = regexp.MustCompile(`\[\^?\d{1,3}\]`)

// tokens cuts a text into what is compared: words, numbers, and the signs that give a number its meaning. Case, accents,
// compatibility forms (ﬁ, ２, ²), punctuation, Markdown and citation marks make no difference; the ways to write one number
// do not either (see number). Scripts that are written without spaces give one token per character.
func tokens(text string) []string {
	text = groupSpaces(marks.ReplaceAllString(strings.ToValidUTF8(text, " "), " "))
	s := scanner{in: []rune(cases.Fold().String(norm.NFKD.String(text)))}
	for s.at < len(s.in) {
		s.next()
	}
	return s.out
}

// groupSpaces turns the spaces that French and SI put between the digits of a number into apostrophes, before the
// normalisation makes ordinary spaces of them.
func groupSpaces(text string) string {
	in := []rune(text)
	for i, r := range in {
		between := i > 0 && i+1 < len(in) && unicode.IsDigit(in[i-1]) && unicode.IsDigit(in[i+1])
		if between && (r == '\u00a0' || r == '\u202f' || r == '\u2009') {
			in[i] = '\''
		}
	}
	return string(in)
}

type scanner struct {
	in  []rune
	at  int
	out []string
}

func (s *scanner) next() {
	r := s.in[s.at]
	switch {
	case unicode.IsDigit(r):
		s.number("")
	case isMinus(r) && s.signs():
		s.at++
		s.number("-")
	case unicode.IsLetter(r):
		s.word()
	case unicode.Is(unicode.Sc, r) || r == '%' || r == '‰' || r == '°':
		s.out = append(s.out, string(r))
		s.at++
	default:
		s.at++
	}
}

func isMinus(r rune) bool { return r == '-' || r == '\u2212' }

// signs reports whether the minus at the present place belongs to the number behind it: 10-20 is a range.
func (s *scanner) signs() bool {
	if s.at+1 >= len(s.in) || !unicode.IsDigit(s.in[s.at+1]) {
		return false
	}
	return s.at == 0 || unicode.IsSpace(s.in[s.at-1]) || s.in[s.at-1] == '('
}

func (s *scanner) word() {
	alone := unicode.In(s.in[s.at], unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
	var word strings.Builder
	for first := true; s.at < len(s.in); s.at++ {
		r := s.in[s.at]
		switch {
		case accent(r):
			continue
		case unicode.IsMark(r) || unicode.IsLetter(r) && (first || !alone):
			word.WriteRune(r)
			first = false
			continue
		}
		break
	}
	s.out = append(s.out, word.String())
}

// accent reports whether r only decorates a letter: diacritics, the points of Hebrew and the vowels of Arabic. In other
// scripts marks are letters of their own.
func accent(r rune) bool {
	return r >= 0x0300 && r <= 0x036f || r >= 0x0591 && r <= 0x05c7 && unicode.IsMark(r) || r >= 0x064b && r <= 0x065f || r == 0x0670
}

// number reads digits and what may stand between them.
func (s *scanner) number(sign string) {
	groups, seps := []string{s.digits()}, []rune(nil)
	for s.at+1 < len(s.in) && unicode.IsDigit(s.in[s.at+1]) {
		sep := separator(s.in[s.at])
		if sep == 0 {
			break
		}
		s.at++
		seps = append(seps, sep)
		groups = append(groups, s.digits())
	}
	found := number(groups, seps)
	found[0] = sign + found[0]
	s.out = append(s.out, found...)
}

func separator(r rune) rune {
	switch r {
	case '.', '\u066b':
		return '.'
	case ',', '\u066c':
		return ','
	case '\'', '\u2019', '_':
		return '\''
	}
	return 0
}

// digits reads digits of any script as those of ASCII.
func (s *scanner) digits() string {
	var b strings.Builder
	for ; s.at < len(s.in) && unicode.IsDigit(s.in[s.at]); s.at++ {
		b.WriteByte('0' + value(s.in[s.at]))
	}
	return b.String()
}

// value is what a decimal digit stands for: Unicode keeps the ten digits of a script together, in order.
func value(r rune) byte {
	for _, t := range unicode.Nd.R16 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte(r-rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte(r-rune(t.Lo)) % 10
		}
	}
	return 0
}

// number writes a number one way: 1,000 and 1'000 are 1000, 1.234,56 is 1234.56, 2,50 is 2.5. What could be two numbers stays as
// it is: 1.000 is neither 1 nor 1000. Versions and dates keep their points, and lists fall apart.
func number(groups []string, seps []rune) []string {
	if len(seps) == 0 {
		return groups
	}
	last := len(seps) - 1
	whole := len(groups[0]) <= 3 && groups[0][0] != '0'
	switch {
	case whole && inThrees(groups[1:]) && same(seps) && (seps[0] != '.' || last > 0):
		return []string{strings.Join(groups, "")}
	case last == 0 && seps[0] == '.' && whole && len(groups[1]) == 3:
		return []string{groups[0] + "." + groups[1]}
	case last == 0 && seps[0] != '\'':
		return []string{decimal(groups[0], groups[1])}
	case last > 0 && whole && same(seps[:last]) && seps[last] != seps[0] && seps[last] != '\'' && inThrees(groups[1:last+1]):
		return []string{decimal(strings.Join(groups[:last+1], ""), groups[last+1])}
	case same(seps) && seps[0] == '.':
		return []string{strings.Join(groups, ".")}
	}
	return groups
}

func same(seps []rune) bool {
	return !slices.ContainsFunc(seps, func(r rune) bool { return r != seps[0] })
}

func inThrees(groups []string) bool {
	return !slices.ContainsFunc(groups, func(g string) bool { return len(g) != 3 })
}

func decimal(whole, part string) string {
	return strings.TrimSuffix(whole+"."+strings.TrimRight(part, "0"), ".")
}

// holds reports whether the words of part stand in all, one after the other.
func holds(all, part []string) bool {
	for i := 0; i+len(part) <= len(all); i++ {
		if slices.Equal(all[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// overlap is the F1 of the two as bags of words: the harmonic mean of how much of got is wanted and how much of want is
// there, 0 to 1 (as in SQuAD, https://arxiv.org/abs/1606.05250, without its list of English articles).
func overlap(got, want []string) float64 {
	if len(got) == 0 || len(want) == 0 {
		return 0
	}
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	shared := 0
	for _, g := range got {
		if left[g] > 0 {
			left[g]--
			shared++
		}
	}
	return 2 * float64(shared) / float64(len(got)+len(want))
}
