package golden

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	maxLine = 300 // bytes of a summary and of a step's detail
	maxLows = 3   // questions that a summary names
)

// Measurement says what a run measures.
type Measurement struct{ Name, Unit, Description string }

// Measurements are all that a run may hold, sorted by name.
func Measurements() []Measurement {
	return []Measurement{
		{"rag.answer.duration", "s", "Mean time to a whole answer."},
		{"rag.answer.duration.max", "s", "Longest time to a whole answer."},
		{"rag.citation.precision", "", "Share of the cited sources that were expected, mean over the questions that expect sources."},
		{"rag.citation.recall", "", "Share of the expected sources that were cited, mean over the questions that expect sources."},
		{"rag.fact_coverage", "", "Share of the facts that stood in the answers."},
		{"rag.forbidden", "{question}", "Answers with content that must not be there."},
		{"rag.overlap", "", "Token F1 with the reference answers, mean."},
		{"rag.question.score", "", "Score of one question, 0 to 1; attribute question is its id."},
		{"rag.questions.answered", "{question}", "Questions that got an answer."},
		{"rag.questions.asked", "{question}", "Questions that the run asked."},
		{"rag.questions.passed", "{question}", "Answers whose score is 1, or within the question's tolerance."},
		{"rag.questions.total", "{question}", "Questions of the golden set."},
		{"rag.refusals.wrong", "{question}", "Refusals without need, and answers where a refusal was right."},
		{"rag.score", "", "Score of the run, 0 to 1."},
		{"rag.set.known", "", "Share of the golden set that has a score so far."},
		{"rag.set.score", "", "Score of the whole golden set by the last score of each question, 0 to 1."},
	}
}

// result judges the run.
func (r *round) result() checks.Result {
	score, counted := r.score()
	res := checks.Pass("")
	switch final := r.final(); {
	case final != nil:
		res = failing(final, r.told(final))
		if counted {
			res.Summary = cut(fmt.Sprintf("%s, after %d answers", res.Summary, r.answered()), maxLine)
		}
	case r.answered() == 0 && r.trouble != nil:
		res = failing(r.trouble, r.told(r.trouble))
	case score < r.params.FailedBelow:
		res = r.below(checks.Failed, score, r.params.FailedBelow)
	case score < r.params.DegradedBelow || r.failed > 0:
		res = r.below(checks.Degraded, score, r.params.DegradedBelow)
	default:
		res.Summary = cut(fmt.Sprintf("score %.2f over %d of %d questions%s", score, len(r.graded), len(r.set), r.hurried()), maxLine)
	}
	res.Measurements = r.measurements(score, counted)
	res.Evidence = r.evidence()
	return res
}

// failing is a run that a trouble decides. A fault of ours is no verdict on the endpoint.
func failing(t *trouble, text string) checks.Result {
	status := checks.Failed
	if t.cause.Blame() == checks.BlameOurs {
		status = checks.Error
	}
	return checks.Result{Status: status, Cause: t.cause, Blame: t.blame, Summary: cut(text, maxLine)}
}

func (r *round) told(t *trouble) string {
	i := slices.IndexFunc(r.graded, func(g graded) bool { return g.trouble == t })
	return fmt.Sprintf("question %s: %s", r.graded[i].question.ID, t.text)
}

// below is a score that is too low, or one that is not but for which some answers are missing.
func (r *round) below(status checks.Status, score, want float64) checks.Result {
	res := checks.Result{Status: status, Cause: checks.CauseAssertion, Blame: checks.BlameApplication}
	text := fmt.Sprintf("score %.2f over %d questions%s, want at least %g", score, len(r.graded), r.hurried(), want)
	if score >= want {
		text = fmt.Sprintf("score %.2f over %d questions%s, %d of them without an answer", score, len(r.graded), r.hurried(), r.failed)
	}
	if r.trouble != nil {
		res.Cause, res.Blame = r.trouble.cause, r.trouble.blame
		text += "; " + r.told(r.trouble)
	}
	res.Summary = cut(text+r.lows(), maxLine)
	return res
}

func (r *round) hurried() string {
	if r.left == 0 {
		return ""
	}
	return fmt.Sprintf(" (no time for %d more)", r.left)
}

// lows names the worst answers.
func (r *round) lows() string {
	low := slices.DeleteFunc(slices.Clone(r.graded), func(g graded) bool { return g.grade == nil || g.counts == 1 })
	slices.SortStableFunc(low, func(a, b graded) int {
		switch {
		case a.counts < b.counts:
			return -1
		case a.counts > b.counts:
			return 1
		}
		return 0
	})
	var names []string
	for _, g := range low[:min(len(low), maxLows)] {
		names = append(names, fmt.Sprintf("%s %.2f", g.question.ID, g.grade.score))
	}
	if len(names) == 0 {
		return ""
	}
	return "; lowest: " + strings.Join(names, ", ")
}

// score is the mean by weight of what counts, and false where nothing does.
func (r *round) score() (score float64, counted bool) {
	var sum, weights float64
	for _, g := range r.graded {
		if g.trouble != nil && g.trouble.final {
			continue
		}
		sum += g.counts * g.question.weight()
		weights += g.question.weight()
	}
	if weights == 0 {
		return 0, false
	}
	return sum / weights, true
}

func (r *round) answered() int {
	n := 0
	for _, g := range r.graded {
		if g.grade != nil {
			n++
		}
	}
	return n
}

func (r *round) measurements(score float64, counted bool) []checks.Measurement {
	m := measuring{}
	m.add("rag.questions.total", float64(len(r.set)))
	m.add("rag.questions.asked", float64(len(r.graded)))
	m.add("rag.questions.answered", float64(r.answered()))
	if whole, known := r.kept.whole(r.set); known > 0 {
		m.add("rag.set.score", whole)
		m.add("rag.set.known", known)
	}
	if !counted {
		return m.all
	}
	m.add("rag.score", score)
	if r.answered() > 0 {
		r.totals(&m)
	}
	if r.params.PerQuestion {
		for _, g := range r.graded {
			if g.trouble == nil || !g.trouble.final {
				m.add("rag.question.score", g.counts, "question", g.question.ID)
			}
		}
	}
	return m.all
}

// totals measures the answers.
func (r *round) totals(m *measuring) {
	var facts, wanted, passed, forbidden, wrong, cites, overlaps float64
	var precision, recall, overlap float64
	var took, longest time.Duration
	for _, done := range r.graded {
		g := done.grade
		if g == nil {
			continue
		}
		facts, wanted = facts+float64(g.facts), wanted+float64(g.wanted)
		passed, wrong = passed+share(done.counts == 1), wrong+share(g.wrongly)
		forbidden += share(g.forbidden > 0)
		took, longest = took+g.took, max(longest, g.took)
		if g.cites {
			cites, precision, recall = cites+1, precision+g.precision, recall+g.recall
		}
		if g.overlap >= 0 {
			overlaps, overlap = overlaps+1, overlap+g.overlap
		}
	}
	m.add("rag.questions.passed", passed)
	m.add("rag.forbidden", forbidden)
	m.add("rag.refusals.wrong", wrong)
	m.add("rag.answer.duration", took.Seconds()/float64(r.answered()))
	m.add("rag.answer.duration.max", longest.Seconds())
	m.mean("rag.fact_coverage", facts, wanted)
	m.mean("rag.citation.precision", precision, cites)
	m.mean("rag.citation.recall", recall, cites)
	m.mean("rag.overlap", overlap, overlaps)
}

type measuring struct{ all []checks.Measurement }

func (m *measuring) add(name string, value float64, attr ...string) {
	one := checks.Measurement{Name: name, Value: value}
	for _, known := range Measurements() {
		if known.Name == name {
			one.Unit = known.Unit
		}
	}
	if len(attr) == 2 {
		one.Attrs = map[string]string{attr[0]: attr[1]}
	}
	m.all = append(m.all, one)
}

// mean adds a mean where there is something to take it of.
func (m *measuring) mean(name string, sum, n float64) {
	if n > 0 {
		m.add(name, sum/n)
	}
}

// evidence is one step for each question, by its id.
func (r *round) evidence() []checks.Step {
	steps := make([]checks.Step, 0, len(r.graded))
	for _, g := range r.graded {
		step := checks.Step{Name: g.question.ID, OK: g.counts == 1}
		if g.grade != nil {
			step.Detail = cut(g.grade.detail(), maxLine)
		} else {
			step.Detail = cut(fmt.Sprintf("%s: %s", g.trouble.cause, g.trouble.text), maxLine)
		}
		steps = append(steps, step)
	}
	return steps
}
