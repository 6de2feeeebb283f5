package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/look"
)

const (
	askAgain  = 250 * time.Millisecond // of an agent whose check runs at this moment, and of a state directory that is in use
	forTheDir = 4 * time.Second        // that is waited for a state directory, which another who looks has in use for a moment
	toClose   = time.Second
	forTheEnd = 300 * time.Millisecond // that a run of our own leaves for what comes after it
)

// paidRoad makes the calls that cost money: by the agent that runs, whose budget and breaker count, else on the agent's own
// road with the budget and the ledger of the state directory.
type paidRoad struct {
	process process
	setting *triageSetting
	running *look.Running
	log     *slog.Logger

	open, shut sync.Once
	closed     chan struct{} // that the agent of our own has ended

	mu    sync.Mutex   // guards what follows
	own   *agent.Agent // that makes them, once it is built
	err   error        // why it could not be built
	left  int          // calls that have not ended
	going int          // runs of our own
}

func (r *paidRoad) ping(ctx context.Context) triage.Step {
	defer r.over() //nolint:contextcheck // what is closed ends though ctx has
	name := r.setting.ping.Name
	report, step := r.run(ctx, name, "chat")
	if report == nil {
		return step
	}
	made := look.StepOf(triage.Ping, step.LookedAt, &report.Result)
	if report.Status == checks.Error && report.Cause == checks.CauseConfig {
		made.Verdict, made.Missed, made.Notes = triage.Skipped, true, nil
		made.Detail = "not asked: " + made.Detail
	}
	if id := report.Facts["request_id"]; id != "" && made.Verdict != triage.OK {
		made.Notes = append(made.Notes, "request id "+id)
	}
	if u := report.Usage; u != nil {
		made.Notes = append(made.Notes, fmt.Sprintf("tokens %d in, %d out; %s", u.PromptTokens, u.CompletionTokens, u.Cost))
	}
	return skippedWhy(made)
}

func (r *paidRoad) smoke(ctx context.Context) triage.Step {
	defer r.over() //nolint:contextcheck // what is closed ends though ctx has
	report, step := r.run(ctx, r.setting.app.Check, "app")
	if report == nil {
		return step
	}
	if report.Status == checks.Skipped {
		return skippedWhy(look.StepOf(triage.AppSmoke, step.LookedAt, &report.Result))
	}
	return look.SmokeOf(r.setting.app, &report.Result)
}

// skippedWhy puts the reason for which a run was not made before what was said of it.
func skippedWhy(step triage.Step) triage.Step {
	if step.Verdict == triage.Skipped && step.Cause != checks.CauseNone && step.Cause != checks.CauseConfig {
		step.Detail = strings.ReplaceAll(string(step.Cause), "_", " ") + ": " + step.Detail
	}
	return step
}

// run makes one run of a check, or says in a step why there is no report.
func (r *paidRoad) run(ctx context.Context, name, kind string) (*checks.Report, triage.Step) {
	step := triage.Step{LookedAt: "check " + name, Verdict: triage.Unknown, Missed: true}
	client, health, err := r.running.Client(ctx)
	_, refused := errors.AsType[*agent.NotAllowedError](err)
	switch {
	case err == nil:
		return r.ask(ctx, client, health, kind)
	case errors.Is(err, look.ErrSilent), refused:
		step.Detail = fmt.Sprintf("not made: it holds the budget (%v)", err)
		return nil, step
	}
	if _, err := credential.Token(ctx, r.setting.provider.APIKey); err != nil && kind == "chat" { // no store is made for nothing
		step.Verdict, step.Detail = triage.Skipped, "not asked: there is no key"
		return nil, step
	}
	report, err := r.alone(ctx, name)
	if err != nil {
		step.Detail = "not made: " + err.Error()
		if locked, is := errors.AsType[*store.LockedError](err); is {
			step.Detail = fmt.Sprintf("not made: %v, which holds the budget and does not answer as an agent", locked)
		}
		return nil, step
	}
	return report, step
}

// ask has the running agent make the run, of a check of the kind that it has.
func (r *paidRoad) ask(ctx context.Context, client *agent.Client, health *status.Health, kind string) (*checks.Report, triage.Step) {
	step := triage.Step{Verdict: triage.Unknown, Missed: true}
	name := ""
	for i := range health.Checks {
		c := &health.Checks[i]
		mine := c.Kind == kind && (kind == "app" || c.Provider == r.setting.provider.Name)
		if mine && (name == "" || c.Name == r.setting.ping.Name || c.Name == r.setting.app.Check) {
			name = c.Name
		}
	}
	if name == "" {
		step.Verdict, step.Detail = triage.Skipped, "the agent that runs has no check of the kind "+kind+" for this provider"
		return nil, step
	}
	step.LookedAt = "check " + name + " of the running agent"
	began := time.Now()
	for {
		report, err := client.Run(ctx, name)
		busy, refused := errors.AsType[*agent.RefusedError](err)
		switch {
		case err == nil:
			return report, step
		case ctx.Err() != nil:
			step.Verdict, step.Missed, step.Cause, step.Blame = triage.Wrong, false, checks.CauseTimeout, checks.BlameProvider
			step.Detail = fmt.Sprintf("no answer within %s; the agent's run goes on", time.Since(began).Round(100*time.Millisecond))
			return nil, step
		case !refused || busy.Status != http.StatusConflict: // but for a run that goes on
			step.Detail = err.Error()
			return nil, step
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

// alone makes the run here.
func (r *paidRoad) alone(ctx context.Context, name string) (*checks.Report, error) {
	r.open.Do(func() {
		built, err := r.build(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.own, r.err = built, err
	})
	own, err := r.begin()
	if err != nil {
		return nil, err
	}
	defer r.ended()
	var made *checks.Report
	err = own.Once(ctx, []string{name}, func(report *checks.Report) { made = report })
	if err == nil && made == nil {
		err = errors.New("the run has no report")
	}
	return made, err
}

func (r *paidRoad) begin() (*agent.Agent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.going++
	}
	return r.own, r.err
}

func (r *paidRoad) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.going--
}

// build makes an agent that is not run, without plugins and exporters. Its runs end in time.
func (r *paidRoad) build(ctx context.Context) (*agent.Agent, error) {
	cfg := *r.setting.cfg
	cfg.Listen, cfg.Exporters, cfg.Plugins = "", nil, nil
	cfg.Checks = slices.DeleteFunc(slices.Clone(cfg.Checks), func(c config.Check) bool {
		return c.Foreign.Plugin != "" || c.Name == r.setting.ping.Name
	})
	cfg.Checks = append(cfg.Checks, r.setting.ping)
	end, bounded := ctx.Deadline()
	for i := range cfg.Checks {
		if left := time.Until(end) - forTheEnd; bounded && left > 0 {
			cfg.Checks[i].Timeout = min(cfg.Checks[i].Timeout, left)
		}
	}
	dir, err := agent.StateDir(&cfg, r.process.getenv)
	if err == nil {
		err = becomeOwnerOf(dir)
	}
	if err != nil {
		return nil, err
	}
	patience := time.Now().Add(forTheDir)
	for {
		own, err := agent.New(ctx, agent.Options{
			Config: &cfg, Registry: registry(), Version: version, Log: r.log, Getenv: r.process.getenv, Stdout: r.process.stdout,
		})
		if _, locked := errors.AsType[*store.LockedError](err); !locked || ctx.Err() != nil || time.Now().After(patience) {
			return own, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

// over says that a call has ended. After the last one the state directory is given back: others may want to look while
// something here still hangs.
func (r *paidRoad) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left--; r.left <= 0 && r.going == 0 {
		r.end(r.own)
	}
}

// end ends the agent of our own, once.
func (r *paidRoad) end(own *agent.Agent) {
	if own == nil {
		return
	}
	r.shut.Do(func() {
		go func() {
			_ = own.Close()
			close(r.closed)
		}()
	})
}

// close ends the agent of our own, and waits for that no longer than a moment. While a run goes on, or the agent is still
// being built, the process ends with it: what a run may cost is in the ledger.
func (r *paidRoad) close() {
	r.mu.Lock()
	own, going := r.own, r.going
	r.mu.Unlock()
	if own == nil || going > 0 {
		return
	}
	r.end(own)
	select {
	case <-r.closed:
	case <-time.After(toClose):
	}
}
