package golden

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	maxPerRun   = 100
	maxRequest  = 64 << 10 // bytes of the template
	maxRefusals = 100
)

var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,100}$`)

// Params is the `with:` section.
type Params struct {
	URL             string                   `yaml:"url" jsonschema:"required" jsonschema_description:"The endpoint, which gets a POST with JSON: https://assistant.example.com/api/ask."`
	Headers         map[string]string        `yaml:"headers" jsonschema_description:"Headers that are not secret, by name."`
	SecretHeaders   map[string]checks.Secret `yaml:"secret_headers" jsonschema_description:"Headers whose whole values are secrets, by name: {Authorization: {secret: rag_token}}."`
	Request         map[string]any           `yaml:"request" jsonschema_description:"What is sent, as JSON, with {{question}} where the question goes. Default: {question: \"{{question}}\"}."`
	Answer          string                   `yaml:"answer" jsonschema_description:"Where the answer stands in the response, as a JSON Pointer; empty: the whole response is the answer, also where it is not JSON."`
	Sources         string                   `yaml:"sources" jsonschema_description:"Where the list of cited sources stands, as a JSON Pointer; empty: there is none."`
	Source          string                   `yaml:"source" jsonschema_description:"Where the name of a source stands in an entry of that list, as a JSON Pointer; empty: the entry is the name."`
	Refused         string                   `yaml:"refused" jsonschema_description:"Where the response says true when it refuses to answer, as a JSON Pointer; empty: only its words tell."`
	Refusals        []string                 `yaml:"refusals" jsonschema_description:"More wordings of a refusal, beside those that are built in."`
	Golden          string                   `yaml:"golden" jsonschema_description:"File of the golden set: an absolute path to a YAML list, or to JSONL where it ends in .jsonl. It is read again when it changes."`
	Questions       []Question               `yaml:"questions" jsonschema_description:"The golden set itself, in place of a file."`
	PerRun          int                      `yaml:"per_run" jsonschema_description:"How many questions one run asks, going round through the set, 1 to 100."`
	QuestionTimeout time.Duration            `yaml:"question_timeout" jsonschema_description:"How long one answer may take."`
	Budget          time.Duration            `yaml:"budget" jsonschema_description:"No question is asked later in a run than this. 0 is the run's timeout."`
	DegradedBelow   float64                  `yaml:"degraded_below" jsonschema_description:"Degraded when the run's score is lower, 0 to 1."`
	FailedBelow     float64                  `yaml:"failed_below" jsonschema_description:"Failed when the run's score is lower, 0 to 1."`
	MinPrecision    float64                  `yaml:"min_precision" jsonschema_description:"Share of the cited sources that must be expected ones for full marks, 0 to 1. Lower it for endpoints that always cite the same number."`
	PerQuestion     bool                     `yaml:"per_question" jsonschema_description:"Also measure rag.question.score, one series for each question."`
}

func defaults() Params {
	return Params{
		Answer: "/answer", Sources: "/sources", PerRun: 5,
		QuestionTimeout: 30 * time.Second, DegradedBelow: 0.8, FailedBelow: 0.5, MinPrecision: 0.5,
	}
}

// Validate checks everything that the types do not, the golden set included.
func (p Params) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	p.validateTarget(bad)
	p.validateShape(bad)
	for path, share := range map[string]float64{"degraded_below": p.DegradedBelow, "failed_below": p.FailedBelow, "min_precision": p.MinPrecision} {
		if !(share >= 0 && share <= 1) {
			bad(path, "%v, want 0 to 1", share)
		}
	}
	if p.FailedBelow > p.DegradedBelow {
		bad("failed_below", "%v is above degraded_below, %v", p.FailedBelow, p.DegradedBelow)
	}
	if p.PerRun < 1 || p.PerRun > maxPerRun {
		bad("per_run", "%d, want 1 to %d", p.PerRun, maxPerRun)
	}
	if p.QuestionTimeout <= 0 {
		bad("question_timeout", "%s, want more than 0", p.QuestionTimeout)
	}
	if p.Budget < 0 {
		bad("budget", "%s, want 0 or more", p.Budget)
	}
	p.validateSet(bad)
	return errors.Join(errs...)
}

// request is the template of what is sent.
func (p *Params) request() map[string]any {
	if len(p.Request) == 0 {
		return map[string]any{"question": placeholder}
	}
	return p.Request
}

type complain func(path, format string, args ...any)

func (p *Params) validateTarget(bad complain) {
	switch u, err := url.Parse(p.URL); {
	case p.URL == "":
		bad("url", "it is empty, want an address such as https://assistant.example.com/api/ask")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Fragment != "":
		bad("url", "it is not an http or https address")
	case u.User != nil:
		bad("url", "it holds a user, want credentials in secret_headers")
	}
	for name, value := range p.Headers {
		switch {
		case !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00"):
			bad("headers."+name, "it is no header")
		case slices.Contains([]string{"Authorization", "Cookie", "Proxy-Authorization"}, http.CanonicalHeaderKey(name)):
			bad("headers."+name, "it holds a credential, want it in secret_headers")
		}
	}
	for name, secret := range p.SecretHeaders {
		if !headerName.MatchString(name) {
			bad("secret_headers."+name, "it is no name of a header")
		}
		if secret.IsZero() {
			bad("secret_headers."+name, "it has no source, want {secret: NAME}")
		}
	}
}

func (p *Params) validateShape(bad complain) {
	for path, pointer := range map[string]string{"answer": p.Answer, "sources": p.Sources, "source": p.Source, "refused": p.Refused} {
		if problem := validPointer(pointer); problem != "" {
			bad(path, "%s", problem)
		}
	}
	switch text, err := json.Marshal(p.request()); {
	case err != nil:
		bad("request", "it cannot be written as JSON")
	case len(text) > maxRequest:
		bad("request", "%d bytes, want at most %d", len(text), maxRequest)
	case !asks(p.request()):
		bad("request", "%s stands nowhere in it", placeholder)
	}
	if len(p.Refusals) > maxRefusals {
		bad("refusals", "%d entries, want at most %d", len(p.Refusals), maxRefusals)
	}
	for i, phrase := range p.Refusals {
		if len(tokens(phrase)) == 0 {
			bad(fmt.Sprintf("refusals.%d", i), "it has no letter or digit")
		}
	}
}

func (p *Params) validateSet(bad complain) {
	switch {
	case p.Golden == "" && len(p.Questions) == 0:
		bad("golden", "there is neither a file nor a list of questions, want one")
	case p.Golden != "" && len(p.Questions) > 0:
		bad("questions", "there is a golden file, too, want one of them")
	case p.Golden != "" && !filepath.IsAbs(p.Golden):
		bad("golden", "%q, want an absolute path", cut(p.Golden, 80))
	case p.Golden != "":
		f := file{path: p.Golden}
		if _, err := f.read(); err != nil {
			bad("golden", "%s", err)
		}
	case len(p.Questions) > maxQuestions:
		bad("questions", "%d entries, want at most %d", len(p.Questions), maxQuestions)
	default:
		seen := map[string]bool{}
		for i, q := range p.Questions {
			for _, problem := range q.problems() {
				bad(fmt.Sprintf("questions.%d.%s", i, problem.field), "%s", problem.text)
			}
			if seen[q.ID] {
				bad(fmt.Sprintf("questions.%d.id", i), "%q is that of another question, want one of its own", cut(q.ID, 80))
			}
			seen[q.ID] = true
		}
	}
}
