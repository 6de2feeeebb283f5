package golden

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// opening is how many words of an answer are searched for a refusal: one that answers first and hedges later does not
// refuse.
const opening = 60

// grade is what one answer is worth.
type grade struct {
	score     float64 // 0 to 1
	facts     int     // found
	wanted    int     // facts that were looked for
	forbidden int     // found
	cites     bool    // whether sources were expected
	precision float64 // share of the cited sources that were expected
	recall    float64 // share of the expected sources that were cited
	overlap   float64 // with the reference; -1 where there is none
	refused   bool    // the answer is a refusal
	wrongly   bool    // it is one and should not be, or the other way round
	took      time.Duration
}

// rubric is how answers are graded, beside what each question says.
type rubric struct {
	refusals     [][]string // wordings of a refusal
	minPrecision float64
}

// grade compares an answer with what is expected of it. The score is the mean of what is asked for: the share of the facts,
// the overlap as a share of what is enough, the citations, the refusal. It is 0 with forbidden content, and where the answer
// refuses without need.
func (r rubric) grade(q *Question, a *answer) grade {
	words := tokens(a.text)
	g := grade{overlap: -1, took: a.took}
	g.find(q, words)
	g.refused = a.refused || r.refuses(words)
	var parts []float64
	if g.wanted > 0 {
		parts = append(parts, float64(g.facts)/float64(g.wanted))
	}
	if q.Reference != "" {
		g.overlap = overlap(words, tokens(q.Reference))
		parts = append(parts, min(1, g.overlap/q.enough()))
	}
	if len(q.Sources) > 0 {
		parts = append(parts, g.cite(q.Sources, a.sources, r.minPrecision))
	}
	if q.Refusal {
		g.wrongly = !g.refused
		parts = append(parts, share(g.refused))
	} else {
		g.wrongly = g.refused && (g.wanted == 0 || g.facts < g.wanted)
	}
	g.score = 1
	if len(parts) > 0 {
		sum := 0.0
		for _, p := range parts {
			sum += p
		}
		g.score = sum / float64(len(parts))
	}
	if g.forbidden > 0 || g.wrongly {
		g.score = 0
	}
	return g
}

func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// find looks for the facts and for what is forbidden.
func (g *grade) find(q *Question, words []string) {
	g.wanted = len(q.MustContain) + len(q.AnyOf)
	stands := func(text string) bool { return holds(words, tokens(text)) }
	for _, fact := range q.MustContain {
		if stands(fact) {
			g.facts++
		}
	}
	for _, wordings := range q.AnyOf {
		if slices.ContainsFunc(wordings, stands) {
			g.facts++
		}
	}
	for _, text := range q.MustNotContain {
		if stands(text) {
			g.forbidden++
		}
	}
}

// refuses reports whether the answer begins as a refusal does.
func (r rubric) refuses(words []string) bool {
	head := words[:min(len(words), opening)]
	return slices.ContainsFunc(r.refusals, func(phrase []string) bool { return holds(head, phrase) })
}

// cite compares the sources that were cited, each once, with those that were expected, and is what that is worth: the
// recall, less where the precision is below what is enough.
func (g *grade) cite(expected, cited []string, enough float64) float64 {
	g.cites = true
	distinct := map[string]bool{}
	for _, s := range cited {
		distinct[strings.TrimSpace(s)] = true
	}
	good := 0
	for s := range distinct {
		if slices.ContainsFunc(expected, func(e string) bool { return names(e, s) }) {
			good++
		}
	}
	found := 0
	for _, e := range expected {
		for s := range distinct {
			if names(e, s) {
				found++
				break
			}
		}
	}
	if len(distinct) > 0 {
		g.precision = float64(good) / float64(len(distinct))
	}
	g.recall = float64(found) / float64(len(expected))
	if enough == 0 {
		return g.recall
	}
	return g.recall * min(1, g.precision/enough)
}

// names reports whether an expected source is the cited one.
func names(expected, cited string) bool {
	if prefix, ok := strings.CutSuffix(strings.TrimSpace(expected), "*"); ok {
		return strings.HasPrefix(cited, prefix)
	}
	return cited == strings.TrimSpace(expected)
}

// detail is the grade in one line, in numbers only.
func (g *grade) detail() string {
	parts := []string{fmt.Sprintf("score %.2f in %s", g.score, g.took.Round(time.Millisecond))}
	if g.wanted > 0 {
		parts = append(parts, fmt.Sprintf("facts %d of %d", g.facts, g.wanted))
	}
	if g.overlap >= 0 {
		parts = append(parts, fmt.Sprintf("overlap %.2f", g.overlap))
	}
	if g.cites {
		parts = append(parts, fmt.Sprintf("citations precision %.2f, recall %.2f", g.precision, g.recall))
	}
	if g.forbidden > 0 {
		parts = append(parts, fmt.Sprintf("forbidden content %d times", g.forbidden))
	}
	switch {
	case g.wrongly && g.refused:
		parts = append(parts, "refused without need")
	case g.wrongly:
		parts = append(parts, "answered, want a refusal")
	}
	return strings.Join(parts, ", ")
}

// refusals are wordings of a refusal in the languages that most assistants here speak, and those that the team adds.
func refusals(more []string) [][]string {
	common := []string{
		"I don't know", "I do not know", "I can't answer", "I cannot answer", "I can't help", "I cannot help", "I'm unable to", "I am unable to",
		"unable to answer", "not able to answer", "couldn't find", "could not find", "can't find", "cannot find", "don't have information",
		"do not have information", "don't have any information", "do not have any information", "don't have enough information",
		"do not have enough information", "no information about", "no information on", "not mentioned in the", "not in the provided",
		"je ne sais pas", "je ne peux pas répondre", "je ne suis pas en mesure", "je n'ai pas trouvé", "je n'ai pas d'information",
		"je ne dispose pas", "je ne trouve pas", "aucune information", "ne mentionnent pas", "ne contiennent pas",
		"ich weiß nicht", "ich weiß es nicht", "kann ich nicht beantworten", "ich kann diese Frage nicht", "ich kann Ihre Frage nicht",
		"keine Informationen", "keine Angaben", "liegen mir nicht vor",
		"no lo sé", "no puedo responder", "no tengo información", "no encuentro información", "no he encontrado",
		"non lo so", "non posso rispondere", "non ho informazioni", "não sei", "não posso responder", "não tenho informações",
	}
	phrases := make([][]string, 0, len(common)+len(more))
	for _, phrase := range slices.Concat(common, more) {
		phrases = append(phrases, tokens(phrase))
	}
	return phrases
}
