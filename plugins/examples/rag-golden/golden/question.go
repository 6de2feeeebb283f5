package golden

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// The bounds of a golden set.
const (
	maxFile      = 4 << 20 // bytes of the file
	maxQuestions = 1000
	maxText      = 8 << 10 // bytes of a question, a fact or a reference
	maxFacts     = 100     // entries of each list of one question
	maxWeight    = 1000
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Question is one entry of the golden set.
type Question struct {
	ID             string     `json:"id" yaml:"id" jsonschema:"required" jsonschema_description:"Name of the question in results: 1 to 64 letters, digits, dots, - and _."`
	Question       string     `json:"question" yaml:"question" jsonschema:"required" jsonschema_description:"What is asked."`
	MustContain    []string   `json:"must_contain" yaml:"must_contain" jsonschema_description:"Facts: each must stand in the answer, its words in this order."`
	AnyOf          [][]string `json:"any_of" yaml:"any_of" jsonschema_description:"More facts, each written as the list of its wordings: one of them must stand in the answer."`
	MustNotContain []string   `json:"must_not_contain" yaml:"must_not_contain" jsonschema_description:"What must not stand in the answer: with any of it the question's score is 0."`
	Sources        []string   `json:"sources" yaml:"sources" jsonschema_description:"Sources that the answer must cite. One that ends in * stands for all that begin so."`
	Refusal        bool       `json:"refusal" yaml:"refusal" jsonschema_description:"The right answer is a refusal: the documents do not hold it."`
	Reference      string     `json:"reference" yaml:"reference" jsonschema_description:"A good answer. The overlap with it (token F1) is measured."`
	MinOverlap     float64    `json:"min_overlap" yaml:"min_overlap" jsonschema_description:"Overlap with the reference that is enough, above 0, at most 1. 0 is 0.5."`
	Weight         float64    `json:"weight" yaml:"weight" jsonschema_description:"How much the question counts. 0 is 1."`
	Tolerance      float64    `json:"tolerance" yaml:"tolerance" jsonschema_description:"How far below 1 its score may be and still count as 1, 0 to 0.99."`
}

// problem is what is wrong with one field of a question.
type problem struct{ field, text string }

func (p problem) String() string { return p.field + ": " + p.text }

// problems are all that is wrong with a question by itself.
func (q *Question) problems() []problem {
	var all []problem
	bad := func(field, format string, args ...any) {
		all = append(all, problem{field, fmt.Sprintf(format, args...)})
	}
	if !idForm.MatchString(q.ID) {
		bad("id", "%q, want 1 to 64 letters, digits, dots, - and _", cut(q.ID, 80))
	}
	if strings.TrimSpace(q.Question) == "" || len(q.Question) > maxText {
		bad("question", "%d bytes, want 1 to %d", len(q.Question), maxText)
	}
	wordings("must_contain", q.MustContain, bad)
	wordings("must_not_contain", q.MustNotContain, bad)
	if len(q.AnyOf) > maxFacts {
		bad("any_of", "%d entries, want at most %d", len(q.AnyOf), maxFacts)
	}
	for i, group := range q.AnyOf {
		if len(group) == 0 {
			bad("any_of", "entry %d is empty, want the wordings of a fact", i)
		}
		wordings("any_of", group, bad)
	}
	q.sources(bad)
	q.scoring(bad)
	return all
}

func (q *Question) sources(bad func(field, format string, args ...any)) {
	if len(q.Sources) > maxFacts {
		bad("sources", "%d entries, want at most %d", len(q.Sources), maxFacts)
	}
	for i, s := range q.Sources {
		if len(s) > maxText || strings.Trim(s, "* ") == "" {
			bad("sources", "entry %d is empty or too long, want the name of a source", i)
		}
	}
}

func (q *Question) scoring(bad func(field, format string, args ...any)) {
	if q.Reference != "" && (len(q.Reference) > maxText || len(tokens(q.Reference)) == 0) {
		bad("reference", "%d bytes without a word, or more than %d", len(q.Reference), maxText)
	}
	if q.Reference == "" && q.MinOverlap != 0 {
		bad("min_overlap", "it is given, and there is no reference to overlap with")
	}
	within := func(field string, value, most float64) {
		if !(value >= 0 && value <= most) {
			bad(field, "%v, want 0 to %v", value, most)
		}
	}
	within("min_overlap", q.MinOverlap, 1)
	within("weight", q.Weight, maxWeight)
	within("tolerance", q.Tolerance, 0.99)
	if q.Refusal && (q.Reference != "" || len(q.Sources) > 0) {
		bad("refusal", "it is expected together with a reference or sources, want one or the other")
	}
	if !q.expects() {
		bad("id", "nothing is expected of the answer, want one of must_contain, any_of, must_not_contain, sources, refusal, reference")
	}
}

func (q *Question) expects() bool {
	return len(q.MustContain)+len(q.AnyOf)+len(q.MustNotContain)+len(q.Sources) > 0 || q.Refusal || q.Reference != ""
}

// wordings judges a list of texts that are looked for.
func wordings(field string, list []string, bad func(field, format string, args ...any)) {
	if len(list) > maxFacts {
		bad(field, "%d entries, want at most %d", len(list), maxFacts)
	}
	for i, text := range list {
		if len(text) > maxText || len(tokens(text)) == 0 {
			bad(field, "entry %d has no letter or digit, or more than %d bytes", i, maxText)
		}
	}
}

func (q *Question) weight() float64 {
	if q.Weight == 0 {
		return 1
	}
	return q.Weight
}

func (q *Question) enough() float64 {
	if q.MinOverlap == 0 {
		return 0.5
	}
	return q.MinOverlap
}

// key names the question as it is: a score that is kept for it is not that of another wording.
func (q *Question) key() string {
	text, err := json.Marshal(q)
	if err != nil {
		return q.ID // no text at all cannot happen: the numbers were checked
	}
	h := fnv.New64a()
	_, _ = h.Write(text)
	return strconv.FormatUint(h.Sum64(), 16)
}
