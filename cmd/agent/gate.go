package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/gate"
	"github.com/windsock-monitor/windsock/internal/gate/watch"
)

// The bounds of a gate.
const (
	shortestEvery = 100 * time.Millisecond
	longestEvery  = time.Hour
	longestGate   = 24 * time.Hour
	leastRounds   = 3 // of a gate that watches for a while
)

// gateFlags is what a gate is asked for.
type gateFlags struct {
	config, output string
	length, every  time.Duration
	once, paid     bool
	appOnly        bool
	app            gateApp
	began          string
	window         time.Duration
	prometheus     string
	limits         gateLimits
	report         string
	after          gateAfter
}

// gateApp is what is asked of the application.
type gateApp struct {
	url, baseline, service, bearer, basic string
	smoke, body, expect                   string
	smokeCost                             float64
	timeout                               time.Duration
}

// gateLimits is what is allowed. Zero durations and amounts are no limit beside the baseline's.
type gateLimits struct {
	maxFailed, minSamples, abortAfter int
	maxErrors, maxDegraded            float64
	slower, dearer, maxSpend          float64
	maxP95, maxTTFT                   time.Duration
	errorsGiven, samplesGiven         bool
}

// gateAfter is what is printed and run when it has decided.
type gateAfter struct {
	print                 bool
	deployment, namespace string
	exec                  string
	yes                   bool
	timeout               time.Duration
	env                   []string
}

func newGate(p process) *cobra.Command {
	var f gateFlags
	cmd := &cobra.Command{
		Use:   "gate [CHECK…]",
		Short: "Watch a rollout, and decide: promote, roll back, or too little to say",
		Long: `Watch a rollout with the checks of the configuration and with one that is made for --app, and decide. Without names the
checks of the kinds app and models are run that cost nothing; --paid adds those that call models. Where an agent runs with
this configuration it makes the runs and its alerts count; a configuration is not needed.
Exit code 0: promote; 3: roll back; 4: not enough data or budget to say, or interrupted; 1: it could not be done; 2: asked wrongly.`,
		Example: `  windsock gate --for 10m --every 60s --app https://canary.shop.example/health
  windsock gate --app https://canary.shop.example/health --baseline https://shop.example/health --smoke /api/chat --body '{"message": "ping"}' --expect .reply
  windsock gate --once --app https://shop.example/health --prometheus http://127.0.0.1:9090`,
		RunE: func(cmd *cobra.Command, names []string) error {
			f.limits.errorsGiven, f.limits.samplesGiven = cmd.Flags().Changed("max-error-share"), cmd.Flags().Changed("min-samples")
			if f.appOnly && (f.paid || len(names) > 0) {
				return exit(exitUsage, errors.New("--app-only runs no check of the configuration: --paid and names do not go with it"))
			}
			if f.once && (cmd.Flags().Changed("for") || cmd.Flags().Changed("every")) {
				return exit(exitUsage, errors.New("--once is one round: --for and --every do not go with it"))
			}
			return runGate(cmd.Context(), p, &f, names)
		},
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		return namesLeft(p, f.config, given), cobra.ShellCompDirectiveNoFileComp
	}
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	f.register(cmd)
	return cmd
}

func (f *gateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&f.length, "for", 10*time.Minute, "how long to watch")
	flags.DurationVar(&f.every, "every", time.Minute, "how often every check is run")
	flags.BoolVar(&f.once, "once", false, "one round: is it well after a deployment, or after a rollback")
	flags.BoolVar(&f.paid, "paid", false, "without names: also the checks that call models, which cost money")
	flags.BoolVar(&f.appOnly, "app-only", false, "run no check of the configuration, and ask no Prometheus of it")
	flags.StringVar(&f.app.url, "app", "", "the health route of what is rolled out; /health where it has no path")
	flags.StringVar(&f.app.baseline, "baseline", "", "the health route of the stable deployment, to be sampled side by side")
	flags.StringVar(&f.app.service, "service", "mistral", "the entry of services in the health answer")
	flags.StringVar(&f.app.bearer, "bearer", "", "a token for the application, by reference: env:NAME or file:PATH")
	flags.StringVar(&f.app.basic, "basic", "", "a user and password for it, by reference: USER=env:NAME or USER=file:PATH")
	flags.DurationVar(&f.app.timeout, "timeout", 20*time.Second, "bound on one run of the application's check")
	flags.StringVar(&f.app.smoke, "smoke", "", "the application's chat route for a smoke test, a URL or a path: it gets a POST")
	flags.StringVar(&f.app.body, "body", "", "what is sent there: a JSON object")
	flags.StringVar(&f.app.expect, "expect", "", "jq expression whose outputs must be neither false nor null")
	flags.Float64Var(&f.app.smokeCost, "smoke-cost", 0, "the most that one smoke test costs, in US dollars, for the budget")
	flags.StringVar(&f.prometheus, "prometheus", "", "a Prometheus that has the application's metrics (default: that of the configuration's prometheus check)")
	flags.StringVar(&f.began, "began", "", "when the rollout began: RFC 3339, or how long ago (default: the newest mark, else now; with --once 30m)")
	flags.DurationVar(&f.window, "window", time.Hour, "how much of the time before it is the baseline of checks that ran then")
	flags.StringVar(&f.report, "report", "", "write the verdict with all samples to this file, as JSON")
	f.limits.register(cmd)
	f.after.register(cmd)
}

func (l *gateLimits) register(cmd *cobra.Command) {
	flags, d := cmd.Flags(), gate.Defaults(leastRounds)
	flags.IntVar(&l.maxFailed, "max-failed", 0, "failed runs that are allowed, in all")
	flags.Float64Var(&l.maxErrors, "max-error-share", d.MaxErrorShare, "share of failed runs, and of the application's failed requests, that is allowed, 0 to 1")
	flags.Float64Var(&l.maxDegraded, "max-degraded", 0, "share of degraded runs that is allowed, 0 to 1")
	flags.Float64Var(&l.slower, "max-slower", d.Slower, "how many times its baseline a p95 may be")
	flags.Float64Var(&l.dearer, "max-dearer", d.Dearer, "how many times its baseline the spend of a run or request may be")
	flags.DurationVar(&l.maxP95, "max-p95", 0, "the p95 of a run's duration that is allowed (default: 5s where there is no baseline)")
	flags.DurationVar(&l.maxTTFT, "max-ttft", 0, "likewise of the time to the first token (default: 2s where there is no baseline)")
	flags.Float64Var(&l.maxSpend, "max-spend", 0, "US dollars that a run may cost on average (default: no limit but the baseline's)")
	flags.IntVar(&l.minSamples, "min-samples", 0, "answered runs of each check that a promotion needs (default: four fifths of the rounds)")
	flags.IntVar(&l.abortAfter, "abort-after", d.AbortAfter, "failed runs of a check that end the gate at once: so many in a row, or twice as many in all; 0 is never")
}

func (a *gateAfter) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&a.print, "print-commands", false, "print the commands that resume the rollout or undo it; none of them is run")
	flags.StringVar(&a.deployment, "deployment", "", "the deployment of those commands (default: runbook.deployment of the configuration)")
	flags.StringVar(&a.namespace, "namespace", "", "its namespace")
	flags.StringVar(&a.exec, "exec-on-rollback", "", "run this command when the verdict is to roll back, and never else; no shell; wants --yes")
	flags.BoolVar(&a.yes, "yes", false, "yes, run the command of --exec-on-rollback")
	flags.DurationVar(&a.timeout, "exec-timeout", 5*time.Minute, "bound on that command")
	flags.StringSliceVar(&a.env, "exec-env", nil, "names of further variables that it gets")
}

// check refuses what makes no sense before anything is asked.
func (f *gateFlags) check() error {
	if f.once {
		f.length, f.every = 0, time.Minute
	}
	switch rounds := watch.Rounds(f.length, f.every); {
	case f.every < shortestEvery || f.every > longestEvery:
		return fmt.Errorf("--every is %s, want %s to %s", f.every, shortestEvery, longestEvery)
	case !f.once && (f.length <= 0 || f.length > longestGate):
		return fmt.Errorf("--for is %s, want more than 0s and at most %s", f.length, longestGate)
	case !f.once && rounds < leastRounds:
		return fmt.Errorf("--for %s with --every %s is %d rounds, want at least %d; for a single one there is --once", f.length, f.every, rounds, leastRounds)
	case f.limits.minSamples > rounds:
		return fmt.Errorf("--min-samples is %d, and there are %d rounds", f.limits.minSamples, rounds)
	case f.window <= 0:
		return fmt.Errorf("--window is %s, want more than 0s", f.window)
	case f.app.timeout <= 0 || f.app.timeout > longestEvery:
		return fmt.Errorf("--timeout is %s, want more than 0s and at most %s", f.app.timeout, longestEvery)
	}
	if err := f.limits.check(); err != nil {
		return err
	}
	if err := f.after.check(); err != nil {
		return err
	}
	if f.report != "" {
		return reportable(f.report)
	}
	return nil
}

func (l *gateLimits) check() error {
	for name, v := range map[string]float64{"max-error-share": l.maxErrors, "max-degraded": l.maxDegraded} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("--%s is %v, want 0 to 1", name, v)
		}
	}
	for name, v := range map[string]float64{"max-slower": l.slower, "max-dearer": l.dearer} {
		if !(v >= 1) || math.IsInf(v, 0) {
			return fmt.Errorf("--%s is %v, want 1 or more", name, v)
		}
	}
	for name, negative := range map[string]bool{
		"max-failed": l.maxFailed < 0, "min-samples": l.minSamples < 0, "abort-after": l.abortAfter < 0,
		"max-p95": l.maxP95 < 0, "max-ttft": l.maxTTFT < 0, "max-spend": !(l.maxSpend >= 0) || math.IsInf(l.maxSpend, 0),
	} {
		if negative {
			return fmt.Errorf("--%s wants 0 or more", name)
		}
	}
	return nil
}

// of makes the judge's limits for so many rounds.
func (l *gateLimits) of(rounds int) gate.Limits {
	out := gate.Defaults(rounds)
	out.MaxFailed, out.MaxErrorShare, out.ErrorShareHolds, out.MaxDegraded = l.maxFailed, l.maxErrors, l.errorsGiven, l.maxDegraded
	out.Slower, out.Dearer, out.SpendMost, out.AbortAfter = l.slower, l.dearer, l.maxSpend, l.abortAfter
	out.P95Most, out.TTFTMost = l.maxP95.Seconds(), l.maxTTFT.Seconds()
	out.P95Without = cmp.Or(out.P95Most, out.P95Without)
	out.TTFTWithout = cmp.Or(out.TTFTMost, out.TTFTWithout)
	if l.samplesGiven {
		out.MinSamples = max(l.minSamples, 1)
		out.MinBaseline = min(out.MinBaseline, out.MinSamples)
	}
	return out
}

func runGate(ctx context.Context, p process, f *gateFlags, names []string) error {
	asJSON, err := wantOutput(f.output)
	if err == nil {
		err = exitOr(exitUsage, f.check())
	}
	if err != nil {
		return err
	}
	plan, err := planGate(ctx, p, f, names)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that goes away
	defer stop()
	// A reader that goes away does not end the gate: its exit code, its report and its command are still waited for. It is
	// caught and not ignored, as the command would inherit that.
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	g := &gating{p: p, f: f, plan: plan, asJSON: asJSON, started: time.Now()}
	return g.run(ctx)
}

// gating is one gate under way.
type gating struct {
	p       process
	f       *gateFlags
	plan    *gatePlan
	road    *gateRoad
	asJSON  bool
	started time.Time
}

func (g *gating) run(ctx context.Context) error {
	var result watch.Result
	road, err := openRoad(ctx, g.p, g.plan)
	switch {
	case err == nil:
		g.road = road
		result, err = g.watch(ctx)
		if closing := road.close(); closing != nil { //nolint:contextcheck // what is closed ends though ctx has
			g.note(closing.Error()) // it is no reason to keep a verdict back
		}
	case ctx.Err() != nil:
		err = nil
		result = watch.Result{Ended: "interrupted", Evidence: gate.Evidence{Interrupted: true, InterruptedBy: "interrupted before the first run"}}
		result.Verdict = gate.Judge(result.Evidence, gate.Defaults(1))
	}
	if err != nil {
		return exit(exitCannot, err)
	}
	return g.conclude(ctx, result)
}

// watch makes the rounds, beside what is known of the time before.
func (g *gating) watch(ctx context.Context) (watch.Result, error) {
	switch err := g.road.mark(ctx, markPrefix+"started: "+g.plan.subject()); {
	case err == nil || ctx.Err() != nil:
	case len(g.plan.configured) > 0:
		return watch.Result{}, err
	default:
		g.note(fmt.Sprintf("going on without the running agent: %v", err))
		g.road.client, g.plan.socket = nil, ""
	}
	before := g.road.before(ctx)
	o := watch.Options{
		For: g.f.length, Every: g.f.every, Watched: g.plan.watched, Runs: g.plan.runs, Before: before, TrafficAsked: g.plan.trafficAsked,
		Limits: g.f.limits.of(watch.Rounds(g.f.length, g.f.every)), Do: g.road.do, Values: trafficValues, Tell: g.sample,
	}
	if g.road.client != nil {
		o.Alerts = g.road.alerts
	}
	g.begin()
	for _, s := range before {
		if s.Role == gate.TrafficBefore {
			g.sample(s)
		}
	}
	result := watch.Watch(ctx, o)
	text := markPrefix + words(result.Decision) + ": " + strings.Join(result.Reasons, "; ")
	if err := g.road.mark(context.WithoutCancel(ctx), text); err != nil {
		g.note(fmt.Sprintf("the running agent did not note the verdict: %v", err))
	}
	return result, nil
}

// conclude runs what was asked for, writes the report, tells the verdict, and makes the exit code of it.
func (g *gating) conclude(ctx context.Context, result watch.Result) error {
	doc := g.document(result)
	full := *doc
	full.Samples, full.Alerts = result.Evidence.Samples, result.Evidence.Alerts
	if g.f.after.exec != "" && result.Decision == gate.RollBack {
		if regular(g.f.report) { // a command may take long, and a pipeline may lose its patience
			_ = g.writeReport(&full)
		}
		doc.Executed = g.execute(ctx)
		full.Executed = doc.Executed
	}
	if g.f.report != "" {
		if err := g.writeReport(&full); err != nil {
			g.note(fmt.Sprintf("the report was not written: %v", err))
		}
	}
	g.verdict(doc)
	if doc.ExitCode != exitWell {
		return exit(doc.ExitCode, nil)
	}
	return nil
}

// exitCode of a decision.
func exitCode(d gate.Decision) int {
	switch d {
	case gate.Promote:
		return exitWell
	case gate.RollBack:
		return exitBadNews
	case gate.Undecided:
	}
	return exitUndecided
}

func words(d gate.Decision) string { return strings.ReplaceAll(string(d), "_", " ") }

// shown is a URL without what may be secret in it.
func shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// note tells what could not be done while the gate goes on.
func (g *gating) note(text string) {
	fmt.Fprintln(g.p.stderr, g.p.scrubber.String("windsock: "+text))
}

// trafficValues are the numbers of a traffic check by the names that the judge knows.
func trafficValues(r *checks.Report) map[string]float64 {
	values := map[string]float64{}
	for _, m := range r.Measurements {
		if name, ok := strings.CutPrefix(m.Name, "query."); ok {
			values[name] = m.Value
		}
	}
	return values
}

// markPrefix begins the marks of gates, which are not the beginning of a rollout.
const markPrefix = "gate: "

// began is when the rollout began as somebody says; zero where nobody does.
func (f *gateFlags) beganAt(now time.Time) (time.Time, error) {
	if f.began == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, f.began)
	if ago, no := time.ParseDuration(f.began); no == nil {
		at, err = now.Add(-ago), nil
	}
	if err != nil || at.After(now) || now.Sub(at) > longestGate {
		return time.Time{}, fmt.Errorf("--began is %q, want a time in the last %s as RFC 3339, or how long ago: 10m", f.began, longestGate)
	}
	return at, nil
}

// baselineQuestion is what is asked of the time before.
func (g *gatePlan) baselineQuestion() agent.RolloutQuestion {
	return agent.RolloutQuestion{Checks: g.configured, Window: g.window, Ends: g.began, But: markPrefix}
}
