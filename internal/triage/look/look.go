// Package look makes the steps of a triage: all at the same time, with the kinds of check that the agent runs, within a
// bound that holds whatever hangs. It judges nothing, changes nothing, follows no redirect, and makes no call that costs
// money: those are made by who has a budget.
package look

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/applog"
)

// Limit is the most that all steps together may take.
const Limit = 13 * time.Second

// mostNotes is how much of what was seen on the way is told of a step.
const mostNotes = 6

// atTheStop is how long is waited for steps once the whole is stopped.
const atTheStop = 250 * time.Millisecond

// Options is what Run needs.
type Options struct {
	Config     *config.Config // what the probes go by: the file, or what stands in its place
	Provider   *config.Provider
	Registry   config.Registry
	Network    *outbound.Network
	Log        *slog.Logger
	Model      string // that must be listed; "": none
	Reference  string // host:port that has nothing to do with the provider
	App        string // URL of the application's health route; "": that of the configuration
	Prometheus string // URL; "": that of the configuration
	AppLog     string // file, or unit:NAME; "": none
	Scrub      func(string) string
	Getenv     func(string) string
	Limit      time.Duration // 0 is Limit

	Agent *Running // the running agent, and what its store knows
	// Paid makes the calls that cost money; each answers with its step. nil: the step is left out.
	Ping, Smoke func(ctx context.Context) triage.Step
}

// task is what fills in some of the steps.
type task struct {
	names []triage.Name
	do    func(ctx context.Context) []triage.Step
}

// single is a task of one step.
func single(name triage.Name, do func(ctx context.Context) triage.Step) task {
	return task{[]triage.Name{name}, func(ctx context.Context) []triage.Step {
		start := time.Now()
		step := do(ctx)
		if step.Name = name; step.Took == 0 && step.Verdict != triage.Skipped {
			step.Took = time.Since(start).Seconds()
		}
		return []triage.Step{step}
	}}
}

// looker is one call of Run.
type looker struct {
	Options

	client *mistral.Keyed // nil where the provider's address cannot be used
	paying sync.WaitGroup // what costs money, which writes the store

	logRead chan struct{} // closed once the application's log has been read

	mu   sync.Mutex // guards what follows
	open string     // what the models list answers without a key: "status 401"
}

// Run makes the steps. It ends when ctx does, and within the limit, whatever has not answered: that is told as unknown, and
// left to end by itself. The alerts are those that fire in the running agent. interrupted reports that ctx ended first.
func Run(ctx context.Context, o Options) (steps []triage.Step, alerts []triage.Alert, interrupted bool) {
	if o.Limit <= 0 {
		o.Limit = Limit
	}
	l := &looker{Options: o, logRead: make(chan struct{})}
	if o.AppLog == "" {
		close(l.logRead)
	}
	client, err := mistral.NewKeyed(mistral.Options{
		BaseURL: o.Provider.BaseURL, APIKey: o.Provider.APIKey, Out: o.Network, StallAfter: o.Provider.StallAfter,
	}, o.Provider.FallbackAPIKey, false)
	if err == nil {
		l.client = client
	}
	steps = l.together(ctx, l.tasks())
	return l.joined(ctx, steps), o.Agent.Firing(), ctx.Err() != nil
}

func (l *looker) tasks() []task {
	list := []task{
		single(triage.Key, l.key),
		{[]triage.Name{triage.OwnNetwork, triage.DNS, triage.Connect, triage.Proxy, triage.TLS}, l.wayOut},
		single(triage.ModelsList, l.models),
		single(triage.StatusPage, l.page),
		single(triage.AppHealth, l.health),
		single(triage.ErrorRate, l.errorRate),
	}
	if l.Agent != nil {
		list = append(list, task{agentNames(), l.agentSteps}, task{storeNames(), l.storeSteps})
	}
	if l.Ping != nil {
		list = append(list, single(triage.Ping, l.paid(l.Ping)))
	}
	if l.Smoke != nil {
		list = append(list, single(triage.AppSmoke, l.paid(l.Smoke)))
	} else {
		list = append(list, single(triage.AppSmoke, l.smoke))
	}
	if l.AppLog != "" {
		list = append(list, single(triage.AppLog, l.appLog))
	}
	return list
}

// paid tells when a paid call is over. It begins when the log has been read, which who asks may read: to pay, root becomes
// the user whose budget it is.
func (l *looker) paid(do func(ctx context.Context) triage.Step) func(ctx context.Context) triage.Step {
	l.paying.Add(1)
	return func(ctx context.Context) triage.Step {
		defer l.paying.Done()
		late := time.NewTimer(l.Limit / 4)
		defer late.Stop()
		select {
		case <-l.logRead:
		case <-late.C:
		}
		return do(ctx)
	}
}

// answer is what came of one task.
type answer struct {
	task  int
	steps []triage.Step
}

// together makes all at the same time. The tasks are told to end a little before the limit, so that one which hears of it
// says itself what hung.
func (l *looker) together(ctx context.Context, tasks []task) []triage.Step {
	bounded, cancel := context.WithTimeout(ctx, l.Limit*9/10)
	defer cancel()
	answers := make(chan answer, len(tasks))
	for i, t := range tasks {
		go func() { answers <- answer{i, t.do(bounded)} }()
	}
	over := time.NewTimer(l.Limit)
	defer over.Stop()
	open := make(map[int]bool, len(tasks))
	for i := range tasks {
		open[i] = true
	}
	var steps []triage.Step
	why, stopped := fmt.Sprintf("did not end within %s", l.Limit), ctx.Done()
	for len(open) > 0 {
		select {
		case a := <-answers:
			steps = append(steps, a.steps...)
			delete(open, a.task)
			continue
		case <-over.C:
		case <-stopped:
			why, stopped = "stopped before it had ended", nil
			over.Reset(atTheStop) // in which those that heard of it tell what they saw
			continue
		}
		break
	}
	for i := range open {
		for _, name := range tasks[i].names {
			steps = append(steps, triage.Step{Name: name, Verdict: triage.Unknown, Cause: checks.CauseInternal, Detail: why})
		}
	}
	return steps
}

// joined puts the steps in order. A call that met what the way had met already was not reached, and a list that was not
// asked for is told what the way there says of it.
func (l *looker) joined(ctx context.Context, steps []triage.Step) []triage.Step {
	blocked := slices.IndexFunc(steps, func(s triage.Step) bool {
		return s.Verdict == triage.Wrong && slices.Contains([]triage.Name{triage.DNS, triage.Connect, triage.Proxy, triage.TLS}, s.Name)
	})
	for i := range steps {
		if s := &steps[i]; blocked >= 0 && s.Verdict == triage.Wrong && s.Cause.Blame() == checks.BlameNetwork && (s.Name == triage.ModelsList || s.Name == triage.Ping) {
			s.Verdict, s.Cause, s.Blame, s.Notes = triage.Skipped, checks.CauseNone, checks.BlameNone, nil
			s.Detail = fmt.Sprintf("tried, and not reached: %s failed", steps[blocked].Words())
		}
		if s := &steps[i]; s.Name == triage.ModelsList && s.Verdict == triage.Skipped && l.status() != "" {
			s.Detail += "; without one the way is open: " + l.status()
		}
	}
	at := slices.IndexFunc(steps, func(s triage.Step) bool { return s.Name == triage.OwnNetwork && s.Verdict == triage.Wrong })
	if at >= 0 && blocked < 0 {
		s := &steps[at]
		s.Verdict, s.Cause, s.Blame = triage.Unknown, checks.CauseNone, checks.BlameNone
		s.Detail += "; the provider can, so that perhaps this host may not be asked from here"
	}
	l.keyElsewhere(ctx, steps)
	order := triage.Names()
	slices.SortStableFunc(steps, func(a, b triage.Step) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
	return steps
}

// env is what the checks of a triage are lent: no memory, no history, no ledger.
func (l *looker) env(name string) checks.Env {
	env := checks.Env{
		Log: l.Log, Name: name, Location: l.Config.Location, Timeout: l.Limit, Network: l.Network,
		Prices: pricing.NewBook(l.Config.Prices.Table(), l.Provider.BaseURL),
	}
	if l.client != nil {
		env.Provider = l.client
	}
	return env
}

// run makes a run of a check that was built, as the pipeline does: our own faults are errors of the run.
func run(ctx context.Context, check checks.Check, err error) checks.Result {
	var r checks.Result
	if err == nil {
		r, err = check.Run(ctx)
	}
	if err != nil {
		cause := checks.CauseInternal
		if r.Cause == checks.CauseConfig {
			cause = checks.CauseConfig
		}
		return checks.Result{Status: checks.Error, Cause: cause, Blame: checks.BlameOurs, Summary: err.Error(), Evidence: r.Evidence}
	}
	if r.Status == checks.Failed && r.Cause.Blame() == checks.BlameOurs {
		r.Status = checks.Error
	}
	if owned, ok := check.(checks.Owned); ok && r.Blame == checks.BlameNone && r.Cause.Blame() == checks.BlameProvider {
		r.Blame = owned.Owner()
	}
	return r
}

// StepOf makes a step of a result.
func StepOf(name triage.Name, lookedAt string, r *checks.Result) triage.Step {
	step := triage.Step{Name: name, LookedAt: lookedAt, Cause: r.Cause, Blame: r.Blame, Detail: r.Summary}
	switch r.Status {
	case checks.OK:
		step.Verdict, step.Cause, step.Blame = triage.OK, checks.CauseNone, checks.BlameNone
	case checks.Degraded:
		step.Verdict = triage.Degraded
	case checks.Failed:
		step.Verdict = triage.Wrong
	case checks.Skipped:
		step.Verdict, step.Missed = triage.Skipped, true
	case checks.Unknown, checks.Error:
		step.Verdict = triage.Unknown
	}
	if step.Cause != checks.CauseNone && step.Blame == checks.BlameNone {
		step.Blame = step.Cause.Blame()
	}
	for _, e := range r.Evidence {
		_, said, _ := strings.Cut(e.Detail, ": ") // what a failure of the network repeats
		told := e.Detail == "" || e.Detail == step.Detail || said != "" && strings.Contains(step.Detail, said)
		if step.Verdict != triage.Skipped && !e.OK && !told {
			if len(step.Notes) == mostNotes {
				break
			}
			step.Notes = append(step.Notes, e.Name+": "+e.Detail)
		}
	}
	return step
}

func (l *looker) appLog(ctx context.Context) triage.Step {
	defer close(l.logRead)
	found, err := applog.Read(ctx, l.AppLog, applog.Options{Scrub: l.Scrub})
	step := triage.Step{LookedAt: l.AppLog}
	if err != nil {
		step.Verdict, step.Cause, step.Detail = triage.Unknown, checks.CauseConfig, err.Error()
		return step
	}
	step.Detail, step.Notes = found.Summary(), found.Samples
	step.Verdict = triage.OK
	switch {
	case found.Lines == 0 || found.Errors == 0 && found.Partly != nil: // a part of it that is well says nothing of the rest
		if step.Verdict = triage.Unknown; found.Lines == 0 {
			step.Detail = "nothing of the last 15 minutes in it: no line is not no error"
		}
	case found.Few():
		step.Verdict, step.Cause, step.Blame = triage.Degraded, found.Worst(), checks.BlameApplication
	case found.Errors > 0:
		step.Verdict, step.Cause, step.Blame = triage.Wrong, found.Worst(), checks.BlameApplication
	}
	return step
}
