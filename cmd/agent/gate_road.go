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
)

// gateRoad makes the runs: in the running agent those of its configuration, here all others.
type gateRoad struct {
	plan    *gatePlan
	client  *agent.Client // nil where no agent runs
	own     *agent.Agent  // nil where the running agent makes all runs
	mine    map[string]bool
	timeout map[string]time.Duration
	dir     string // a state directory for this gate alone, "" where there is none
	by      string
}

// socketOf is the control socket of the agent that runs with this configuration, "" where none does.
func socketOf(ctx context.Context, p process, cfg *config.Config) string {
	if socket := controlOfRunning(ctx, cfg); socket != "" {
		return socket
	}
	socket, err := agent.ControlPath(cfg, p.getenv)
	if err != nil {
		return ""
	}
	body, err := agent.NewClient(socket).Health(ctx)
	var health status.Health
	mine, unknown := filepath.Abs(cfg.Path)
	if err != nil || unknown != nil || json.Unmarshal(body, &health) != nil || health.Config.Path != mine {
		return ""
	}
	return socket
}

// openRoad builds what makes the runs. Where no agent runs and money or checks of the configuration are concerned, it is that
// configuration's own state directory, so that its budget counts.
func openRoad(ctx context.Context, p process, plan *gatePlan) (*gateRoad, error) {
	r := &gateRoad{plan: plan, mine: map[string]bool{}, timeout: map[string]time.Duration{}, by: operator(p)}
	cfg := plan.own
	if plan.socket != "" {
		r.client = agent.NewClient(plan.socket)
		for i := range plan.base.Checks {
			r.timeout[plan.base.Checks[i].Name] = plan.base.Checks[i].Timeout
		}
	} else if len(plan.configured) > 0 || plan.shared {
		merged := *plan.base
		if plan.own != nil {
			merged.Checks = slices.Concat(plan.base.Checks, plan.own.Checks)
		}
		cfg = &merged
	}
	if cfg == nil {
		return r, nil
	}
	alone := cfg == plan.own
	cfg, err := r.settle(p, cfg, alone)
	if err == nil {
		r.own, err = agent.New(ctx, agent.Options{
			Config: cfg, Registry: registry(), Version: version, Log: slog.New(slog.DiscardHandler), Getenv: p.getenv, Stdout: p.stdout,
		})
	}
	if err != nil {
		return nil, errors.Join(err, r.removeDir())
	}
	for i := range cfg.Checks {
		r.mine[cfg.Checks[i].Name] = true
	}
	return r, nil
}

// settle gives the gate's own agent its place. It delivers nothing: that is the work of an agent that runs.
func (r *gateRoad) settle(p process, cfg *config.Config, alone bool) (*config.Config, error) {
	settled := *cfg
	settled.Listen, settled.Exporters = "", nil
	if !alone {
		dir, err := agent.StateDir(cfg, p.getenv)
		if err != nil {
			return nil, err
		}
		return &settled, ownedByUs(dir)
	}
	if r.plan.base != nil {
		settled.Network = r.plan.base.Network
	}
	var err error
	r.dir, err = os.MkdirTemp("", "windsock-gate-")
	if err != nil {
		return nil, fmt.Errorf("making a place for the gate's own records: %w", err)
	}
	settled.StateDir = r.dir
	return &settled, nil
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

func (r *gateRoad) close() error {
	var err error
	if r.own != nil {
		err = r.own.Close()
	}
	return errors.Join(err, r.removeDir())
}

func (r *gateRoad) removeDir() error {
	if r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
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
	if r.client != nil && !r.mine[check] {
		ctx, cancel := context.WithTimeout(ctx, r.timeout[check]+gateAsksFor)
		defer cancel()
		return r.client.RunAs(ctx, check, checks.TriggerGate)
	}
	var made *checks.Report
	err := r.own.OnceAs(ctx, checks.TriggerGate, []string{check}, func(report *checks.Report) { made = report })
	return made, err
}

// before is what is known of the time before the rollout. What cannot be had is no baseline, and nothing worse.
func (r *gateRoad) before(ctx context.Context) []gate.Sample {
	question := r.plan.baselineQuestion()
	var answer agent.RolloutAnswer
	switch {
	case len(question.Checks) == 0:
	case r.client != nil:
		answer, _ = r.client.Before(ctx, question)
	default:
		answer, _ = r.own.Before(ctx, question)
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
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request := agent.MarkRequest{Text: oneLine(text, longMark), By: r.by}
	if err := r.client.Call(ctx, http.MethodPost, "/v1/marks", request, nil); err != nil {
		return fmt.Errorf("noting the gate in the running agent: %w", err)
	}
	return nil
}

// alerts are those that are open in the running agent.
func (r *gateRoad) alerts(ctx context.Context) ([]checks.Alert, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var answer agent.AlertsAnswer
	err := r.client.Call(ctx, http.MethodGet, "/v1/alerts", nil, &answer)
	return answer.Alerts, err
}
