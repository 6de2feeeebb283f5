// Package pipeline is the road of one run, from a due slot to a stored record: may it run, what does it cost, what was
// seen, what follows. It decides nothing about time (the schedule does) and sends nothing (delivery does).
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/store"
)

// Job is one configured check, ready to run.
type Job struct {
	Name, Kind, Provider string
	Labels               map[string]string
	Check                checks.Check
	Timeout              time.Duration
	DegradedAbove        time.Duration // 0: never
	Confirm              time.Duration // 0: a failure is final at once
}

// breaker is the provider whose breaker the job has a part in, "" for none.
func (j *Job) breaker() string {
	if _, owned := j.Check.(checks.Owned); owned {
		return ""
	}
	return j.Provider
}

// models are those that the job may call; none where it does not say.
func (j *Job) models() []string {
	if using, ok := j.Check.(checks.Modelled); ok {
		return using.ModelsUsed()
	}
	return nil
}

// model is the one that the job calls; "" where that is known after the call only.
func (j *Job) model() string {
	if models := j.models(); len(models) == 1 {
		return models[0]
	}
	return ""
}

// Store keeps records. Append loses nothing that it returns nil for. What follows from a report is its business.
type Store interface {
	Append(ctx context.Context, record checks.Record) error
}

// Ledger is the money's memory.
type Ledger interface {
	Reserve(ctx context.Context, c store.Claim, limits []store.Limit) (store.Denial, bool, error)
	Book(ctx context.Context, id string, u *checks.Usage) error
}

// Gate may refuse a run. A refusal is a Skipped result, with its one cause, that travels the road like any other.
type Gate func(now time.Time, job *Job) (refusal *checks.Result)

// Lister makes the free models list, the gate into a half-open breaker and the second opinion of a confirmation.
type Lister func(ctx context.Context) (cause checks.Cause, summary string)

// Plan is what a configuration says; a reload swaps it whole.
type Plan struct {
	Jobs        []*Job
	Location    string
	Labels      map[string]string // on every report; a job's own win
	Limits      []store.Limit
	Listers     map[string]Lister                          // by provider
	Prices      func(ctx context.Context, provider string) // brings the prices of a provider's calls up to date before one is reserved; nil: they are
	Maintenance Gate                                       // nil: no windows
}

// Options is what outlives a reload.
type Options struct {
	Store    Store
	Ledger   Ledger
	Breakers *Breakers
	Headroom *Headrooms // nil: not watched
	Log      *slog.Logger
	Counted  func(name string) bool   // whether the values of a measurement add up; nil: none do
	Scrub    func(text string) string // takes the secrets that the agent knows out; nil: it knows none
}

// Pipeline runs jobs. All methods are safe for concurrent use, and a job never runs beside itself.
type Pipeline struct {
	o    Options
	stop context.Context //nolint:containedctx // the life of the pipeline: Cut ends every run in flight
	cut  context.CancelCauseFunc

	dropped, unstored atomic.Int64
	told              *teller

	mu        sync.Mutex // guards the rest
	plan      Plan
	jobs      map[string]*Job
	inside    map[string]bool // checks whose Run has not returned
	abandoned map[string]bool // of these, the ones that ignored their deadline
}

// ErrStopping ends runs that are still going when the grace period of a shutdown is over.
var ErrStopping = errors.New("the agent is stopping")

// New makes a pipeline.
func New(plan Plan, o Options) *Pipeline {
	stop, cut := context.WithCancelCause(context.Background())
	p := &Pipeline{o: o, stop: stop, cut: cut, told: newTeller(o.Log), inside: map[string]bool{}, abandoned: map[string]bool{}}
	p.Swap(plan)
	return p
}

// Swap puts a new plan in place. Runs in flight end under the old one.
func (p *Pipeline) Swap(plan Plan) {
	jobs := make(map[string]*Job, len(plan.Jobs))
	for _, job := range plan.Jobs {
		jobs[job.Name] = job
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.jobs = plan, jobs
	p.told.keep(jobs)
}

// Cut ends every run in flight. Their records say that the agent stopped.
func (p *Pipeline) Cut() { p.cut(ErrStopping) }

// Abandoned is the number of runs that ignored their deadline and have not come back.
func (p *Pipeline) Abandoned() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.abandoned)
}

// Dropped is the number of measurements that were left out of results, because they are no numbers or too many.
func (p *Pipeline) Dropped() int64 { return p.dropped.Load() }

// Unstored is the number of reports that the store did not take.
func (p *Pipeline) Unstored() int64 { return p.unstored.Load() }

// Run makes the run of one slot and stores its record, or its records where a failure is confirmed. It returns when the
// final record is stored.
func (p *Pipeline) Run(ctx context.Context, slot schedule.Slot) {
	job := p.job(slot.Name)
	if job == nil { // a slot of a reload that took the check away
		return
	}
	report := p.attempt(ctx, job, slot.ScheduledAt, slot.Trigger)
	if job.Confirm <= 0 || report.Status != checks.Failed {
		p.conclude(ctx, job, report)
		return
	}
	p.conclude(ctx, job, p.confirm(ctx, job, report))
}

// BusyError is that a check runs at this moment.
type BusyError struct{ Check string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("check %q is running at this moment: try again", e.Check)
}

// Once runs a check by hand and returns its final report, which is stored like any other. The error is a *BusyError where it
// runs already.
func (p *Pipeline) Once(ctx context.Context, name string, trigger checks.Trigger) (*checks.Report, error) {
	job := p.job(name)
	if job == nil {
		return nil, fmt.Errorf("no check is named %q", name)
	}
	if p.busy(name) {
		return nil, &BusyError{name}
	}
	report := p.attempt(ctx, job, time.Now(), trigger)
	report.Slots = 0
	p.conclude(ctx, job, report)
	return report, nil
}

// Skip stores the record of slots that the schedule did not run.
func (p *Pipeline) Skip(ctx context.Context, name string, from time.Time, slots int, result checks.Result) {
	job := p.job(name)
	if job == nil {
		return
	}
	report := p.report(job, from, checks.TriggerSchedule)
	report.Slots, report.Result = slots, result
	p.conclude(ctx, job, report)
}

func (p *Pipeline) job(name string) *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jobs[name]
}

func (p *Pipeline) current() Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan
}

// attempt walks the road up to the result: maintenance, breaker, headroom, budget, run, book.
func (p *Pipeline) attempt(ctx context.Context, job *Job, scheduled time.Time, trigger checks.Trigger) *checks.Report {
	report := p.report(job, scheduled, trigger)
	permit, refusal := p.allow(ctx, job, report)
	if refusal != nil {
		report.Result = *refusal
		return report
	}
	report.StartedAt = time.Now()
	result, stalled := p.call(ctx, job)
	p.o.Headroom.release(job)
	report.Took = max(time.Since(report.StartedAt)-stalled, 0) // the target did not take what we stood still
	report.Result = p.finish(job, report.Took, result)
	report.Evidence = append(permit.evidence, report.Evidence...)
	p.book(ctx, job, report, permit)
	return report
}

// permit is what allow took on behalf of a run and finish gives back.
type permit struct {
	paid     bool
	evidence []checks.Step
}

func (p *Pipeline) allow(ctx context.Context, job *Job, report *checks.Report) (permit, *checks.Result) {
	now, plan := time.Now(), p.current()
	if refusal := ask(plan.Maintenance, now, job); refusal != nil {
		return permit{}, refusal
	}
	paid, ok := job.Check.(checks.Paid)
	if !ok {
		return permit{}, nil
	}
	breaker := job.breaker()
	evidence, refusal := p.allowBreaker(ctx, job, breaker)
	if refusal != nil {
		return permit{}, refusal
	}
	refusal = p.o.Headroom.allow(time.Now(), job) // the list may have taken a while
	if refusal == nil {
		if refusal = p.reserve(ctx, job, report, paid); refusal != nil {
			p.o.Headroom.release(job)
		}
	}
	if refusal != nil {
		p.o.Breakers.Release(ctx, breaker)
		return permit{}, refusal
	}
	return permit{paid: true, evidence: evidence}, nil
}

func ask(gate Gate, now time.Time, job *Job) *checks.Result {
	if gate == nil {
		return nil
	}
	return gate(now, job)
}

// allowBreaker asks the provider's breaker. Where it waits for the free models list, the list is made here.
func (p *Pipeline) allowBreaker(ctx context.Context, job *Job, provider string) ([]checks.Step, *checks.Result) {
	if provider == "" {
		return nil, nil
	}
	var evidence []checks.Step
	if list := p.current().Listers[provider]; list != nil && p.o.Breakers.WantsProbe(provider, time.Now()) {
		cause, summary := p.list(ctx, job, list)
		evidence = append(evidence, checks.Step{Name: "half_open_list", OK: cause == checks.CauseNone, Detail: summary})
		p.o.Breakers.Listed(ctx, provider, time.Now(), cause == checks.CauseNone)
	}
	ok, why := p.o.Breakers.Allow(ctx, provider, time.Now())
	if ok {
		return evidence, nil
	}
	refusal := checks.Skip(checks.CauseBreakerOpen, why)
	refusal.Evidence = evidence
	return nil, &refusal
}

func (p *Pipeline) list(ctx context.Context, job *Job, list Lister) (checks.Cause, string) {
	ctx, cancel := p.runContext(ctx, min(job.Timeout, 10*time.Second))
	defer cancel()
	return list(ctx)
}

func (p *Pipeline) reserve(ctx context.Context, job *Job, report *checks.Report, paid checks.Paid) *checks.Result {
	if prices := p.current().Prices; prices != nil && job.Provider != "" {
		prices(context.WithoutCancel(ctx), job.Provider)
	}
	cost, _ := paid.MaxCost(time.Now())
	denial, ok, err := p.o.Ledger.Reserve(context.WithoutCancel(ctx), store.Claim{
		ID: report.ID, Check: job.Name, Provider: job.Provider, Model: job.model(), Trigger: report.Trigger, Amount: cost,
	}, p.current().Limits)
	var refusal checks.Result
	switch {
	case err != nil:
		refusal = checks.Skip(checks.CauseBudget, "the spend ledger did not answer: "+err.Error())
	case !ok:
		refusal = checks.Skip(checks.CauseBudget, denial.Reason)
	default:
		return nil
	}
	return &refusal
}

// book replaces the reservation by what the run used, and tells the breaker. It is not interrupted by a shutdown.
func (p *Pipeline) book(ctx context.Context, job *Job, report *checks.Report, permit permit) {
	if !permit.paid {
		return
	}
	if report.Cause == checks.CauseInternal && report.Usage == nil {
		// nobody knows what the run used: the worst case stays reserved
		p.o.Log.Warn("reservation kept", "check", job.Name, "run_id", report.ID, "reason", report.Summary)
		return
	}
	if err := p.o.Ledger.Book(context.WithoutCancel(ctx), report.ID, report.Usage); err != nil {
		p.o.Log.Error("booking a run", "check", job.Name, "run_id", report.ID, "error", err)
	}
}

// confirm stores a failure that is not final, asks for a second opinion and makes one more run. What comes back is final.
func (p *Pipeline) confirm(ctx context.Context, job *Job, first *checks.Report) *checks.Report {
	first.Final, first.Slots = false, 0
	p.conclude(ctx, job, first)
	evidence := []checks.Step{{Name: "first_attempt", OK: false, Detail: first.ID + " " + string(first.Cause)}}
	if list := p.current().Listers[job.Provider]; list != nil {
		cause, summary := p.list(ctx, job, list)
		evidence = append(evidence, checks.Step{Name: "models_list", OK: cause == checks.CauseNone, Detail: summary})
	}
	second := p.secondAttempt(ctx, job, first)
	second.Attempt, second.Trigger = 2, checks.TriggerConfirm
	second.Final, second.Slots = true, 1
	second.Evidence = append(evidence, second.Evidence...)
	return second
}

// secondAttempt waits and runs again. Where it cannot run, the first failure stands: a failure is never lost to a skip.
func (p *Pipeline) secondAttempt(ctx context.Context, job *Job, first *checks.Report) *checks.Report {
	why := ErrStopping.Error()
	wait := time.NewTimer(job.Confirm)
	defer wait.Stop()
	select {
	case <-wait.C:
		second := p.attempt(ctx, job, first.ScheduledAt, checks.TriggerConfirm)
		if second.Status != checks.Skipped && second.Status != checks.Error && second.Status != checks.Unknown {
			return second
		}
		why = second.Summary
		if !second.StartedAt.IsZero() { // it ran, and what it used is booked: it is told, but does not count
			second.Trigger, second.Attempt, second.Final, second.Slots = checks.TriggerConfirm, 2, false, 0
			p.conclude(ctx, job, second)
		}
	case <-ctx.Done():
	case <-p.stop.Done():
	}
	stands := *first
	stands.ID = ulid.Make().String()
	stands.Usage = nil // booked and counted with the first, as is what adds up
	if counted := p.o.Counted; counted != nil {
		stands.Measurements = slices.DeleteFunc(slices.Clone(first.Measurements), func(m checks.Measurement) bool { return counted(m.Name) })
	}
	stands.Evidence = append([]checks.Step{{Name: "confirm", OK: false, Detail: "not confirmed, the first failure stands: " + why}}, first.Evidence...)
	return &stands
}

// conclude is the end of the road: breaker, store.
func (p *Pipeline) conclude(ctx context.Context, job *Job, report *checks.Report) {
	p.tellBreaker(ctx, job, report)
	p.append(ctx, report)
}

func (p *Pipeline) tellBreaker(ctx context.Context, job *Job, report *checks.Report) {
	provider := job.breaker()
	if provider == "" || report.StartedAt.IsZero() {
		return
	}
	if _, paid := job.Check.(checks.Paid); paid {
		p.o.Breakers.Record(ctx, provider, report)
		return
	}
	if report.Kind == "models" {
		p.o.Breakers.Listed(ctx, provider, report.At(), report.Status == checks.OK || report.Status == checks.Degraded)
	}
}

func (p *Pipeline) append(ctx context.Context, report *checks.Report) {
	if report.Blame == checks.BlameNone {
		report.Blame = report.Cause.Blame()
	}
	if err := p.o.Store.Append(context.WithoutCancel(ctx), checks.OfReport(report)); err != nil {
		p.unstored.Add(1)
		p.o.Log.Error("storing a record", "check", report.Check, "run_id", report.ID, "error", err)
	}
	p.told.tell(ctx, report, time.Now())
}

func (p *Pipeline) report(job *Job, scheduled time.Time, trigger checks.Trigger) *checks.Report {
	plan := p.current()
	return &checks.Report{
		ID: ulid.Make().String(), Check: job.Name, Kind: job.Kind, Provider: job.Provider, Location: plan.Location,
		Labels: Labels(plan.Labels, job.Labels), ScheduledAt: scheduled, Timeout: job.Timeout, Trigger: trigger, Attempt: 1, Final: true, Slots: 1,
	}
}

// Labels are those of all checks with those of one, which win. Nobody may write to them.
func Labels(all, own map[string]string) map[string]string {
	if len(own) == 0 {
		return all
	}
	labels := maps.Clone(all)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, own)
	return labels
}
