package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// defaultTimeout bounds runs and exports that nobody bounds.
const defaultTimeout = 30 * time.Second

// Check is a check of a plugin's kind, named without the plugin. It is a checks.Measuring, an io.Closer, which is called
// when it is not needed any more, and a checks.Paid where its runs cost money. Each run of one whose plugin or kind is not
// there says so.
func (h *Host) Check(plugin, kind string, in Instance) checks.Check {
	s, err := h.find(plugin)
	if err != nil {
		return checks.Func(func(context.Context) (checks.Result, error) {
			return checks.Result{Cause: checks.CauseConfig}, fmt.Errorf("plugin %s: %w", plugin, err)
		})
	}
	c := &check{in: s.join(kind, in)}
	if c.in.kindSpec().MaxCost > 0 {
		return paid{c}
	}
	return c
}

// check is an instance as a checks.Check.
type check struct {
	in     *instance
	closed sync.Once
}

// paid is one whose runs cost money.
type paid struct{ *check }

// MaxCost implements checks.Paid.
func (p paid) MaxCost(time.Time) (checks.PicoUSD, bool) { return p.in.most(), true }

// Measures implements checks.Measuring.
func (c *check) Measures() []string {
	names := []string{"probe.http.duration"} // of its phases, which no manifest announces
	for _, m := range c.in.kindSpec().Measurements {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Close gives the instance back.
func (c *check) Close() error {
	c.closed.Do(c.in.leave)
	return nil
}

// Run makes one run. The plugin's fault is a Result; the error is for a wrong configuration and for a run that was cut off.
func (c *check) Run(ctx context.Context) (checks.Result, error) {
	ctx, cancel := c.in.bounded(ctx)
	defer cancel()
	if err := c.in.s.dearOf(c.in.kind); err != nil {
		return c.failed(err)
	}
	if err := c.load(ctx); err != nil {
		return checks.Result{}, err
	}
	var answer *pluginv1.RunResponse
	err := c.in.call(ctx, "Run", c.in.s.o.Times.Overtime, func(run context.Context, session *session) (err error) {
		deadline, _ := ctx.Deadline()
		answer, err = session.check.Run(run, &pluginv1.RunRequest{
			InstanceId: c.in.id, RunId: ulid.Make().String(), Timeout: durationpb.New(max(0, time.Until(deadline))), Memory: c.in.memory,
		})
		return err
	})
	if err != nil {
		return c.failed(err)
	}
	result, err := c.judge(answer)
	if err != nil {
		c.in.s.stats.fault()
		result.Status, result.Cause, result.Summary = checks.Error, checks.CauseInternal, err.Error()
		return result, nil
	}
	if err := c.save(ctx, answer); err != nil {
		return result, err
	}
	if result.Cause == checks.CauseAuth {
		c.in.renew(ctx)
	}
	return result, nil
}

// bounded is ctx with a deadline, which every call has.
func (in *instance) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	in.mu.Lock()
	timeout := cmp.Or(in.given.Timeout, defaultTimeout)
	in.mu.Unlock()
	return context.WithTimeout(ctx, timeout)
}

// failed is the result of a run without an answer. Where it costs money, what was not sent is known to have cost none.
func (c *check) failed(err error) (checks.Result, error) {
	e, ok := errors.AsType[*callError](err)
	if !ok {
		return checks.Result{}, err
	}
	if e.config {
		return checks.Result{Cause: checks.CauseConfig}, e
	}
	result := checks.Result{Status: checks.Error, Cause: checks.CauseInternal, Summary: e.text}
	if !e.sent && c.in.most() > 0 {
		result.Usage = &checks.Usage{Model: c.in.s.name + "/" + c.in.kind, PriceKnown: true}
	}
	return result, nil
}

// judge looks at an answer. What it says that the run cost counts even where the rest is refused.
func (c *check) judge(answer *pluginv1.RunResponse) (checks.Result, error) {
	refuse := func(usage *checks.Usage, format string, args ...any) (checks.Result, error) {
		return checks.Result{Usage: usage}, c.in.s.fault(format, args...)
	}
	scrubResult(answer.GetResult(), c.in.s.o.Scrubber.String)
	result, err := wire.ResultFromProto(answer.GetResult())
	if err != nil {
		usage := claimed(answer.GetResult().GetUsage())
		if most := c.in.most(); usage != nil && usage.Cost > most {
			usage.Cost, err = most, c.in.s.tooDear(c.in.kind, usage.Cost, most)
			return checks.Result{Usage: usage}, err
		}
		return refuse(usage, "its result cannot be used: %s", oneLine(err))
	}
	if u, most := result.Usage, c.in.most(); u != nil && u.Cost > most {
		claim := u.Cost
		u.Cost = most
		return checks.Result{Usage: u}, c.in.s.tooDear(c.in.kind, claim, most)
	}
	spec := c.in.kindSpec()
	for _, m := range result.Measurements {
		i := slices.IndexFunc(spec.Measurements, announced(m.Name))
		if i < 0 {
			return refuse(result.Usage, "its result has the measurement %s, which its manifest does not announce", m.Name)
		}
		if unit := spec.Measurements[i].Unit; m.Unit != unit {
			return refuse(result.Usage, "its measurement %s has the unit %q, and its manifest announces %q", m.Name, m.Unit, unit)
		}
	}
	if n := len(answer.GetMemory()); n > wire.MaxMemory {
		return refuse(result.Usage, "it wants %d bytes to be kept, and may have %d", n, wire.MaxMemory)
	}
	return result, nil
}

// tooDear notes that a run cost more than what was announced, and so more than was reserved. What it says beyond that is
// not booked: the budget is everybody's, and one word of a plugin could use it up. But nothing of the kind is run any more,
// before an operator has looked: it may have said the truth.
func (s *supervisor) tooDear(kind string, claim, most checks.PicoUSD) error {
	err := s.fault("it says that a run of %s cost %s, and at most %s was announced; none is made before it is restarted by hand", kind, claim, most)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dear == nil {
		s.dear = map[string]*callError{}
	}
	s.dear[kind] = err
	s.log.Error("plugin costs more than it announced; runs of the kind are not made any more", "kind", kind, "claim", claim.String(), "announced", most.String())
	return err
}

// dearOf is why runs of a kind are not made, nil where they are.
func (s *supervisor) dearOf(kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.dear[kind]; err != nil {
		return err
	}
	return nil
}

// claimed is what a result that cannot be used says of money.
func claimed(u *pluginv1.Usage) *checks.Usage {
	if u.GetCostPicoUsd() <= 0 {
		return nil
	}
	return &checks.Usage{
		Model: wire.Line(cmp.Or(u.GetModel(), "unknown")), Cost: checks.PicoUSD(u.GetCostPicoUsd()), PriceKnown: true, Estimated: true,
	}
}

// load reads what the run before left, once.
func (c *check) load(ctx context.Context) error {
	if err := c.in.take(ctx); err != nil {
		if e, ok := errors.AsType[*callError](c.in.late(err, "its call before is still going on")); ok {
			return e
		}
		return err
	}
	defer c.in.give()
	memory := c.in.keeper()
	if c.in.loaded || memory == nil {
		return nil
	}
	data, err := memory.Load(ctx)
	if err != nil {
		return fmt.Errorf("reading what the run before left: %w", err)
	}
	c.in.memory, c.in.loaded = data, true
	return nil
}

func (in *instance) keeper() checks.Memory {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.given.Memory
}

// save keeps what the run leaves for the next one.
func (c *check) save(ctx context.Context, answer *pluginv1.RunResponse) error {
	if answer.Memory == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // the run's own time may be up
	defer cancel()
	if err := c.in.take(ctx); err != nil {
		return err
	}
	defer c.in.give()
	c.in.memory = answer.GetMemory()
	if memory := c.in.keeper(); memory != nil {
		if err := memory.Save(ctx, answer.GetMemory()); err != nil {
			return fmt.Errorf("keeping what the run left: %w", err)
		}
	}
	return nil
}

// scrubResult takes secrets out of everything that a result says.
func scrubResult(r *pluginv1.Result, scrub func(string) string) {
	if r == nil {
		return
	}
	r.Summary = scrub(r.GetSummary())
	for _, step := range r.GetSteps() {
		if step != nil {
			step.Name, step.Detail = scrub(step.GetName()), scrub(step.GetDetail())
		}
	}
	for _, m := range r.GetMeasurements() {
		scrubMap(m.GetAttributes(), scrub)
	}
	scrubMap(r.GetFacts(), scrub)
	for _, p := range r.GetPhases() {
		if p != nil {
			p.Name = scrub(p.GetName())
		}
	}
	if r.GetUsage() != nil {
		r.Usage.Model, r.Usage.PriceDate = scrub(r.GetUsage().GetModel()), scrub(r.GetUsage().GetPriceDate())
	}
}

// scrubMap changes values in place. A key with a secret in it is no name, and is taken out.
func scrubMap(m map[string]string, scrub func(string) string) {
	for key, value := range m {
		if scrub(key) != key {
			delete(m, key)
			continue
		}
		if clean := scrub(value); clean != value {
			m[key] = clean
		}
	}
}

// oneLine joins what an error says in many lines.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), wire.ErrAnswer.Error()+": ")
	return wire.Line(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; "))
}
