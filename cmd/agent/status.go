package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/status"
)

type statusFlags struct{ config, socket, address, output string }

func newStatus(p process) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the running agent and its checks are",
		Long: `Ask the running agent how it is: on its control socket, and where that does not answer on the loopback port (listen).
Exit code 0: healthy or degraded; 3: unhealthy; 1: no agent answers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showStatus(cmd.Context(), p, f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the agent's configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().StringVar(&f.socket, "socket", "", "ask this control socket, and nothing else")
	cmd.Flags().StringVar(&f.address, "address", "", "ask this address, HOST:PORT, and nothing else")
	cmd.MarkFlagsMutuallyExclusive("socket", "address")
	outputFlag(cmd, &f.output)
	return cmd
}

func showStatus(ctx context.Context, p process, f statusFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	body, asked, err := askHealth(ctx, p, f)
	if err != nil {
		return err
	}
	var health status.Health
	if err := json.Unmarshal(body, &health); err != nil || health.Status == "" {
		return exit(exitCannot, fmt.Errorf("%s does not answer as a windsock agent", asked))
	}
	if asJSON {
		_, _ = p.stdout.Write(body)
	} else {
		printHealth(p.stdout, &health)
		fmt.Fprintf(p.stdout, "asked     %s\n", asked)
	}
	if health.Status == status.Unhealthy {
		return exit(exitBadNews, nil)
	}
	return nil
}

// askHealth asks where the flags say, else the socket and then the port of the configuration. asked is who answered, and
// why not the one before.
func askHealth(ctx context.Context, p process, f statusFlags) (body []byte, asked string, err error) {
	switch {
	case f.socket != "":
		body, err = socketHealth(ctx, f.socket)
		return body, f.socket, exitOr(exitCannot, err)
	case f.address != "":
		body, err = fetchHealth(ctx, f.address)
		return body, f.address, exitOr(exitCannot, err)
	}
	cfg, err := configOrUsual(p, f.config)
	if err != nil {
		return askDespite(ctx, p, err)
	}
	socket, err := agent.ControlPath(cfg, p.getenv)
	if err != nil {
		return nil, "", exit(exitCannot, fmt.Errorf("%w%s", err, startIt(cfg.Path)))
	}
	body, unheard := socketHealth(ctx, socket)
	if unheard == nil {
		return body, socket, nil
	}
	if cfg.Listen == "" {
		return nil, "", exit(exitCannot, fmt.Errorf("%w; `listen` is off%s", unheard, startIt(cfg.Path)))
	}
	if body, err = fetchHealth(ctx, cfg.Listen); err != nil {
		return nil, "", exit(exitCannot, fmt.Errorf("%w; on its socket: %w%s", err, unheard, startIt(cfg.Path)))
	}
	asked = fmt.Sprintf("%s, because %v", cfg.Listen, unheard)
	if other := otherConfig(body, cfg.Path); other != "" {
		asked += "; that agent runs with " + other
	}
	return body, asked, nil
}

// askDespite asks an installed agent whose file has become unusable: it runs on with what it has read before. broken is the
// file's error, and the answer where nobody is there.
func askDespite(ctx context.Context, p process, broken error) (body []byte, asked string, err error) {
	faults, ok := errors.AsType[*config.Errors](broken)
	if !ok || agent.Unit(faults.List()[0].File) == "" {
		return nil, "", broken
	}
	path := faults.List()[0].File
	socket, err := agent.ControlPath(&config.Config{Path: path}, p.getenv)
	if err != nil {
		return nil, "", broken
	}
	if body, err = socketHealth(ctx, socket); err != nil {
		return nil, "", broken
	}
	return body, socket + "; it goes on without " + path + ", which cannot be used any more: windsock validate " + path, nil
}

// startIt is the way out where an installed agent does not run.
func startIt(path string) string {
	unit := agent.Unit(path)
	if unit == "" {
		return ""
	}
	return fmt.Sprintf("\nhint: systemctl start %s   # where it does not stay: journalctl -u %s -n 20", unit, unit)
}

// otherConfig is the configuration of the agent that answered, where it is not the one that was asked for.
func otherConfig(body []byte, path string) string {
	var health status.Health
	mine, err := filepath.Abs(path)
	if err != nil || json.Unmarshal(body, &health) != nil || health.Config.Path == mine {
		return ""
	}
	return health.Config.Path
}

// configOrUsual is the configuration. One that this user may not read is that of an installed agent, which may have the
// usual places.
func configOrUsual(p process, path string) (*config.Config, error) {
	cfg, err := readConfig(p, path)
	if !errors.Is(err, fs.ErrPermission) {
		return cfg, err
	}
	if path == "" {
		path = config.Paths()[len(config.Paths())-1]
	}
	return &config.Config{Path: path, Listen: config.DefaultListen}, nil
}

func exitOr(code int, err error) error {
	if err == nil {
		return nil
	}
	return exit(code, err)
}

// socketHealth is /health by the control socket, in the form that it has on the port.
func socketHealth(ctx context.Context, socket string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := agent.NewClient(socket).Health(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return nil, fmt.Errorf("reading the agent's answer: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func fetchHealth(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: want HOST:PORT", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/health", nil)
	if err != nil {
		return nil, fmt.Errorf("asking the agent: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no agent answers: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the agent's answer: %w", err)
	}
	return body, nil
}

func printHealth(w io.Writer, h *status.Health) {
	fmt.Fprintf(w, "agent     %s  %s, up %s", h.Status, h.Version, h.Now.Sub(h.StartedAt).Round(time.Second))
	if h.Location != "" {
		fmt.Fprintf(w, ", at %s", h.Location)
	}
	fmt.Fprintln(w)
	for _, problem := range h.Problems {
		fmt.Fprintf(w, "          %s: %s\n", problem.Part, problem.What)
		if problem.Hint != "" {
			fmt.Fprintf(w, "          hint: %s\n", problem.Hint)
		}
	}
	if h.Schedule.Clock != "" {
		fmt.Fprintf(w, "clock     %s, %s ago\n", h.Schedule.Clock, h.Now.Sub(h.Schedule.ClockAt).Round(time.Second))
	}
	for _, name := range slices.Sorted(maps.Keys(h.Services)) {
		service := h.Services[name]
		fmt.Fprintf(w, "provider  %s  %s %s\n", service.Status, name, service.Error)
	}
	for _, c := range h.Checks {
		printHealthCheck(w, h.Now, &c)
	}
	for i := range h.Alerts {
		printOpenAlert(w, h.Now, &h.Alerts[i])
	}
	for _, e := range h.Exporters {
		printExporter(w, &e)
	}
	for i := range h.Plugins {
		printPlugin(w, &h.Plugins[i])
	}
	for _, text := range h.Sandbox {
		fmt.Fprintf(w, "sandbox   %s\n", text)
	}
	if h.Heartbeat != nil {
		printHeartbeat(w, h.Now, h.Heartbeat)
	}
	for _, b := range h.Budget {
		fmt.Fprintf(w, "budget    %s $%.6f of $%.6f\n", strings.ReplaceAll(b.Window, "_", " "), b.SpentUSD, b.LimitUSD)
	}
}

func printPlugin(w io.Writer, p *status.Plugin) {
	fmt.Fprintf(w, "plugin    %-10s %-16s %s", p.State, p.Name, p.Version)
	if p.Restarts > 0 {
		fmt.Fprintf(w, ", %d restarts", p.Restarts)
	}
	if p.LastExit != "" {
		fmt.Fprintf(w, ", last exit: %s", p.LastExit)
	}
	if p.Note != "" {
		fmt.Fprintf(w, ", %s", p.Note)
	}
	fmt.Fprintln(w)
}

func printHealthCheck(w io.Writer, now time.Time, c *status.Check) {
	fmt.Fprintf(w, "check     %-10s %-16s", c.Status, c.Name)
	if c.LastRun.IsZero() {
		fmt.Fprint(w, " not run yet")
	} else {
		fmt.Fprintf(w, " %s ago", now.Sub(c.LastRun).Round(time.Second))
	}
	if c.Overdue {
		fmt.Fprint(w, " OVERDUE")
	}
	if c.Cause != checks.CauseNone {
		fmt.Fprintf(w, "  %s (%s): %s", c.Cause, c.Blame, c.Summary)
	}
	fmt.Fprintln(w)
}

func printOpenAlert(w io.Writer, now time.Time, a *status.Alert) {
	fmt.Fprintf(w, "alert     %-10s %-16s for %s, %s: %s", strings.ReplaceAll(string(a.State), "_", " "), a.Rule, now.Sub(a.Since).Round(time.Second), a.Severity, a.Summary)
	switch {
	case a.Muted != "":
		fmt.Fprintf(w, " (nobody is told: %s)", a.Muted)
	case a.Commander != "":
		fmt.Fprintf(w, " (%s answers)", a.Commander)
	}
	fmt.Fprintln(w)
}

func printExporter(w io.Writer, e *status.Exporter) {
	fmt.Fprintf(w, "exporter  %-10s %-16s sent %d, queue %d", state(e.Held, e.Problem), e.Name, e.Sent, e.Queue)
	for _, lost := range []struct {
		word   string
		counts map[string]int64
	}{{"rejected", e.Rejected}, {"expired", e.Expired}} {
		for _, reason := range slices.Sorted(maps.Keys(lost.counts)) {
			fmt.Fprintf(w, ", %s %d (%s)", lost.word, lost.counts[reason], reason)
		}
	}
	if e.Problem != "" {
		fmt.Fprintf(w, ", %s", e.Problem)
	}
	fmt.Fprintln(w)
}

func printHeartbeat(w io.Writer, now time.Time, b *status.Heartbeat) {
	word, why := "well", ""
	switch {
	case b.Withheld != "":
		word, why = "withheld", ", "+b.Withheld+": "+b.Why
	case b.Problem != "":
		word, why = "failing", ", "+b.Problem
	}
	last := "never sent"
	if !b.LastSentAt.IsZero() {
		last = "sent " + now.Sub(b.LastSentAt).Round(time.Second).String() + " ago"
	}
	fmt.Fprintf(w, "heartbeat %-10s %s (%d sent, %d failed, %d withheld)%s\n", word, last, b.Sent, b.Failed, b.WithheldCount, why)
}

func state(held bool, problem string) string {
	switch {
	case held:
		return "held"
	case problem != "":
		return "retrying"
	}
	return "well"
}
