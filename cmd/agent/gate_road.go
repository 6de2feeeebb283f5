package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/gate"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/status"
)

const (
	gateAsksAgain = 50 * time.Millisecond // after which a check that is running is asked for again
	gateAsksFor   = 30 * time.Second      // for how long
	longMark      = 280                   // bytes of a mark
	agentAnswers  = 5 * time.Second       // of what makes no run
)

// gateRoad makes the runs: those of the configuration's checks in the running agent, or where none runs in one of its own.
type gateRoad struct {
	plan    *gatePlan
	client  *agent.Client           // nil where no agent runs
	agents  []*agent.Agent          // of this gate
	makes   map[string]*agent.Agent // by check; those that are missing are the running agent's
	timeout map[string]time.Duration
	dir     string // a state directory for this gate alone, "" where there is none
	by      string
}

// socketOf is the control socket of the agent that runs with this configuration, "" where none does, or one that does not
// answer.
func socketOf(ctx context.Context, p process, cfg *config.Config) string {
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	if socket := controlOfRunning(ctx, cfg); socket != "" {
		return socket
	}
	socket, err := agent.ControlPath(cfg, p.getenv)
	if err != nil {
		return ""
	}
	body, err := agent.NewClient(socket).Health(ctx)
	var health status.Health
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		fmt.Fprintf(p.stderr, "windsock: going on without the agent that listens on %s: it did not answer within %s\n", socket, agentAnswers)
	}
	mine, unknown := filepath.Abs(cfg.Path)
	if err != nil || unknown != nil || json.Unmarshal(body, &health) != nil || health.Config.Path != mine {
		return ""
	}
	return socket
}

// openRoad builds what makes the runs. The checks that the gate made for itself have a state directory for the time of the
// gate, so that nobody is told of them later. Those of the configuration have its own where no agent runs, and so have
// smoke tests that cost money: its budget counts.
func openRoad(ctx context.Context, p process, plan *gatePlan) (*gateRoad, error) {
	r := &gateRoad{plan: plan, makes: map[string]*agent.Agent{}, timeout: map[string]time.Duration{}, by: operator(p)}
	var err error
	switch {
	case plan.socket != "":
		r.client = agent.NewClient(plan.socket)
		for i := range plan.base.Checks {
			r.timeout[plan.base.Checks[i].Name] = plan.base.Checks[i].Timeout
		}
	case len(plan.configured) > 0 || plan.shared:
		err = r.openBase(ctx, p)
	}
	if err == nil && plan.own != nil && !plan.shared {
		err = r.openOwn(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(err, r.close()) //nolint:contextcheck // what is closed ends though ctx has
	}
	return r, nil
}

// openBase makes an agent of the configuration.
func (r *gateRoad) openBase(ctx context.Context, p process) error {
	cfg := *r.plan.base
	if r.plan.shared && r.plan.own != nil {
		cfg.Checks = slices.Concat(cfg.Checks, r.plan.own.Checks)
	}
	dir, err := agent.StateDir(&cfg, p.getenv)
	if err == nil {
		err = ownedByUs(dir)
	}
	if err != nil {
		return err
	}
	return r.open(ctx, p, &cfg)
}

// openOwn makes an agent of the gate's own checks.
func (r *gateRoad) openOwn(ctx context.Context, p process) error {
	cfg := *r.plan.own
	if r.plan.base != nil {
		cfg.Network = r.plan.base.Network
	}
	var err error
	if r.dir, err = os.MkdirTemp("", "windsock-gate-"); err != nil {
		return fmt.Errorf("making a place for the gate's own records: %w", err)
	}
	cfg.StateDir = r.dir
	return r.open(ctx, p, &cfg)
}

// open makes an agent that delivers nothing: that is the work of one that runs.
func (r *gateRoad) open(ctx context.Context, p process, cfg *config.Config) error {
	cfg.Listen, cfg.Exporters = "", nil
	made, err := agent.New(ctx, agent.Options{
		Config: cfg, Registry: registry(), Version: version, Log: slog.New(slog.DiscardHandler), Getenv: p.getenv, Stdout: p.stdout,
	})
	if err != nil {
		return err
	}
	r.agents = append(r.agents, made)
	for i := range cfg.Checks {
		r.makes[cfg.Checks[i].Name] = made
	}
	return nil
}

// ownedByUs refuses a state directory of another user to root: what root writes there its owner could not read.
func ownedByUs(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil //nolint:nilerr // who opens it says what is wrong
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
		return fmt.Errorf("the state directory %s is another user's, and no agent runs: start the agent, or run this as that user (sudo -u '#%d' windsock gate …)", dir, stat.Uid)
	}
	return nil
}

// close ends what the gate opened. Records that the gate's own directory could not take are no loss: it goes away.
func (r *gateRoad) close() error {
	var err error
	for _, made := range r.agents {
		closing := made.Close()
		if r.dir == "" || made != r.makes[r.plan.own.Checks[0].Name] {
			err = errors.Join(err, closing)
		}
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// do makes one run. A check that runs at this moment by its schedule is waited for.
func (r *gateRoad) do(ctx context.Context, check string) (*checks.Report, error) {
	by := time.Now().Add(gateAsksFor)
	for {
		report, err := r.once(ctx, check)
		refused, _ := errors.AsType[*agent.RefusedError](err)
		_, busy := errors.AsType[*pipeline.BusyError](err)
		if busy = busy || refused != nil && refused.Status == http.StatusConflict; !busy || time.Now().After(by) {
			return report, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(gateAsksAgain):
		}
	}
}

func (r *gateRoad) once(ctx context.Context, check string) (*checks.Report, error) {
	made := r.makes[check]
	if made == nil {
		ctx, cancel := context.WithTimeout(ctx, r.timeout[check]+gateAsksFor)
		defer cancel()
		return r.client.RunAs(ctx, check, checks.TriggerGate)
	}
	var report *checks.Report
	err := made.OnceAs(ctx, checks.TriggerGate, []string{check}, func(r *checks.Report) { report = r })
	return report, err
}

// before is what is known of the time before the rollout. What cannot be had is no baseline, and nothing worse.
func (r *gateRoad) before(ctx context.Context) []gate.Sample {
	question := r.plan.baselineQuestion()
	var answer agent.RolloutAnswer
	switch {
	case len(question.Checks) == 0:
	case r.client != nil:
		bounded, cancel := context.WithTimeout(ctx, agentAnswers)
		defer cancel()
		answer, _ = r.client.Before(bounded, question)
	default:
		answer, _ = r.makes[question.Checks[0]].Before(ctx, question)
	}
	var all []gate.Sample
	for _, record := range answer.Runs {
		if t := record.Report.Trigger; t == checks.TriggerGate || t == checks.TriggerDrill {
			continue // of another rollout
		}
		s := gate.Of(record.Report, gate.Before, 0)
		s.For = s.Check
		all = append(all, s)
	}
	if len(r.plan.trafficAsked) == 0 {
		return all
	}
	if report, err := r.do(ctx, checkBefore); err == nil {
		s := gate.Of(report, gate.TrafficBefore, 0)
		s.Values = trafficValues(report)
		all = append(all, s)
	}
	return all
}

// mark notes a line in the timeline of the running agent. An agent that does not answer is an error where its checks are
// needed; else the gate goes on without it.
func (r *gateRoad) mark(ctx context.Context, text string) error {
	if r.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	request := agent.MarkRequest{Text: oneLine(text, longMark), By: r.by}
	if err := r.client.Call(ctx, http.MethodPost, "/v1/marks", request, nil); err != nil {
		return fmt.Errorf("noting the gate in the running agent: %w", err)
	}
	return nil
}

// alerts are those that are open in the running agent.
func (r *gateRoad) alerts(ctx context.Context) ([]checks.Alert, error) {
	ctx, cancel := context.WithTimeout(ctx, agentAnswers)
	defer cancel()
	var answer agent.AlertsAnswer
	err := r.client.Call(ctx, http.MethodGet, "/v1/alerts", nil, &answer)
	return answer.Alerts, err
}
