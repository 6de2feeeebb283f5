// Package golden asks a team's RAG endpoint the questions of a golden set and grades the answers without a second model. It
// shows neither questions nor answers: results hold the ids of questions and numbers.
package golden

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const doc = `Asks the team's own RAG endpoint questions whose right answers are known, a few per run, and grades the answers without a second model.

An answer is compared by its words: case, accents, punctuation and the ways to write a number make no difference. Its score is the mean of what the
question asks for: the share of the facts that stand in it, the overlap (token F1) with a reference as a share of what is enough, the recall of the
citations (less where too few of the cited sources were expected), and whether it refuses where it should. Forbidden content, a refusal without need and an answer where
a refusal was right are 0. The run's score is the mean by weight; below degraded_below the run is degraded, below failed_below it failed, cause assertion,
and the application is blamed. A question that gets no answer scores 0 and its cause is the run's. Where no other answer can be expected (no connection, 401, 429, a
redirect, two failures in a row) the run ends. Questions and answers are in no result and in no log. What the endpoint spends on its models is not known here.`

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("golden", doc, defaults(), New)
	kind.Provider = checks.ProviderNamed
	return kind
}

// Golden is one check of one endpoint.
type Golden struct {
	params Params
	rubric rubric
	file   *file // nil where the questions stand in the parameters
	memory checks.Memory
	log    *slog.Logger
}

// New builds the check. The golden file was read by the validation; runs read it again when it changes.
func New(params Params, env checks.Env) (checks.Check, error) {
	g := &Golden{
		params: params, rubric: rubric{refusals(params.Refusals), params.MinPrecision}, memory: env.Memory, log: env.Log,
	}
	if params.Golden != "" {
		g.file = &file{path: params.Golden}
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g, nil
}

// Owner says who is to blame: the application.
func (g *Golden) Owner() checks.Blame { return checks.BlameApplication }

// Measures implements checks.Measuring.
func (g *Golden) Measures() []string {
	var names []string
	for _, m := range Measurements() {
		if m.Name != "rag.question.score" || g.params.PerQuestion {
			names = append(names, m.Name)
		}
	}
	return names
}

// HostNames implements checks.Naming.
func (g *Golden) HostNames() []string {
	u, err := url.Parse(g.params.URL)
	if err != nil {
		return nil
	}
	return []string{u.Hostname()}
}

// Run asks the next questions and judges the answers.
func (g *Golden) Run(ctx context.Context) (checks.Result, error) {
	set, err := g.set()
	if err != nil {
		return ours(err), nil
	}
	kept, err := recall(ctx, g.memory)
	if err != nil {
		return checks.Result{Cause: checks.CauseInternal}, err
	}
	if ctx.Err() != nil {
		return cutShort(), nil
	}
	client, err := newClient(ctx, &g.params)
	if err != nil {
		return ours(err), nil
	}
	defer client.close()
	r := round{params: &g.params, rubric: g.rubric, set: set, kept: kept}
	r.ask(ctx, client)
	if err := kept.save(ctx, g.memory, set); err != nil {
		g.log.Warn("memory of the run not kept", "error", err)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return cutShort(), nil
	}
	return r.result(), nil
}

func (g *Golden) set() ([]Question, error) {
	if g.file == nil {
		return g.params.Questions, nil
	}
	return g.file.read()
}

func ours(err error) checks.Result {
	return checks.Result{Status: checks.Error, Cause: checks.CauseConfig, Summary: cut(err.Error(), maxLine)}
}

func cutShort() checks.Result {
	return checks.Undetermined(checks.CauseInternal, "the run was cut short")
}

// round is one run under way.
type round struct {
	params *Params
	rubric rubric
	set    []Question
	kept   *memory

	graded  []graded
	trouble *trouble // the first
	failed  int      // questions without an answer that count as 0
	left    int      // questions that there was no time for
}

// graded is a question that was asked, with its grade where there is an answer.
type graded struct {
	question *Question
	grade    *grade // nil: no answer
	trouble  *trouble
	counts   float64 // the score that counts: 1 within the tolerance
}

// ask asks question after question, until the run has all, its time is over, or nothing more can be expected.
func (r *round) ask(ctx context.Context, c *client) {
	start := time.Now()
	picked := r.kept.pick(r.set, r.params.PerRun)
	inARow := 0
	for i := range picked {
		q := &picked[i]
		if i > 0 && r.params.Budget > 0 && time.Since(start) >= r.params.Budget {
			r.left = len(picked) - i
			return
		}
		a, t := c.ask(ctx, q.Question)
		if t != nil && ctx.Err() != nil && (i > 0 || errors.Is(ctx.Err(), context.Canceled)) {
			r.left = len(picked) - i // the run's time ended, not the question's: it comes first next time
			return
		}
		r.note(q, a, t)
		if inARow++; t == nil {
			inARow = 0
		}
		if t != nil && t.final || inARow == 2 {
			return
		}
	}
}

// note keeps what came of a question. After a failure that is not the question's it comes again.
func (r *round) note(q *Question, a *answer, t *trouble) {
	done := graded{question: q, trouble: t}
	if t == nil {
		g := r.rubric.grade(q, a)
		done.grade, done.counts = &g, g.score
		if g.score >= 1-q.Tolerance-1e-9 {
			done.counts = 1
		}
	} else if r.trouble == nil {
		r.trouble = t
	}
	r.graded = append(r.graded, done)
	if t != nil && t.final {
		return
	}
	if t != nil {
		r.failed++
	}
	r.kept.note(r.set, q, done.counts)
}

// final is the trouble that ended the run, nil for none.
func (r *round) final() *trouble {
	if i := slices.IndexFunc(r.graded, func(g graded) bool { return g.trouble != nil && g.trouble.final }); i >= 0 {
		return r.graded[i].trouble
	}
	return nil
}
