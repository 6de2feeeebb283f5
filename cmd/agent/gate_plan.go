package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/gate"
	"github.com/windsock-monitor/windsock/internal/gate/watch"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// The checks that a gate makes for itself.
const (
	checkApp      = "gate-app"
	checkBaseline = "gate-baseline"
	checkTraffic  = "gate-traffic"
	checkBefore   = "gate-traffic-before"
)

// oldestTraffic is how old an answer about the traffic may be. A Prometheus itself gives none that is older than five minutes;
// a cache before it may, and a clock that is wrong.
const oldestTraffic = 10 * time.Minute

// gatePlan is what a gate will do.
type gatePlan struct {
	base         *config.Config // nil where there is none
	own          *config.Config // the checks that the gate makes for itself; nil where there is none
	socket       string         // of the running agent, "" where none runs with base
	mark         string         // the text of the mark that the rollout began with
	began        time.Time      // when the rollout began
	window       time.Duration
	configured   []string // names of checks of base that are run
	runs         []watch.Run
	watched      []gate.Watched
	trafficAsked []string
	app, stable  string // as they may be shown
	setting      runbook.Setting
	shared       bool // the money of the gate's own checks is counted with that of base
	length       string
	appOnly      bool
}

// subject is what is watched, in one line.
func (g *gatePlan) subject() string {
	names := make([]string, 0, len(g.watched))
	for _, w := range g.watched {
		names = append(names, w.Check)
	}
	text := g.length + ", " + strings.Join(names, ", ")
	if g.stable != "" {
		text = "beside " + g.stable + ", " + text
	}
	if g.app != "" {
		text = g.app + ", " + text
	}
	return text
}

func planGate(ctx context.Context, p process, f *gateFlags, names []string) (*gatePlan, error) {
	load := loader{path: f.config, getenv: p.getenv, log: slog.New(slog.DiscardHandler), scrubber: p.scrubber}
	g := &gatePlan{window: f.window, length: "once", appOnly: f.appOnly}
	if !f.once {
		g.length = fmt.Sprintf("for %s every %s", f.length, f.every)
	}
	var err error
	if g.base, err = gateBase(p, f, load, names); err != nil {
		return nil, exit(exitUsage, err)
	}
	if err := g.choose(f, names); err != nil {
		return nil, exit(exitUsage, err)
	}
	if g.base != nil {
		g.socket = socketOf(ctx, p, g.base)
		g.setting = g.base.Runbook
	}
	if f.after.deployment != "" {
		g.setting.Deployment = runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: f.after.deployment, Namespace: f.after.namespace}}
	} else if k := g.setting.Deployment.Kubernetes; k != nil && f.after.namespace != "" {
		named := *k
		named.Namespace = f.after.namespace
		g.setting.Deployment.Kubernetes = &named
	}
	if err := g.findBeginning(ctx, f); err != nil {
		return nil, exit(exitUsage, err)
	}
	if err := g.ownChecks(f, load); err != nil {
		return nil, exit(exitUsage, err)
	}
	if len(g.watched) == 0 {
		return nil, exit(exitUsage, errors.New("nothing to watch: give --app, or the names of checks of a configuration"))
	}
	return g, nil
}

// gateBase is the configuration; nil where there is none and none was asked for.
func gateBase(p process, f *gateFlags, load loader, names []string) (*config.Config, error) {
	cfg, err := load.load()
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	switch {
	case err == nil:
		return cfg, nil
	case f.config == "" && len(names) == 0 && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case f.config == "" && len(names) == 0 && errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(p.stderr, "windsock: going on without a configuration: %v\n", p.scrubber.String(err.Error()))
		return nil, nil
	}
	return nil, err
}

// choose finds the checks of the configuration that are run: those that are named, else those that concern the application
// and its models.
func (g *gatePlan) choose(f *gateFlags, names []string) error {
	if g.base == nil || f.appOnly {
		return nil
	}
	for _, name := range names {
		if err := knownCheck(g.base, name); err != nil {
			return err
		}
	}
	paid := agent.PaidChecks(g.base, registry())
	for i := range g.base.Checks {
		c := &g.base.Checks[i]
		if slices.Contains([]string{checkApp, checkBaseline, checkTraffic, checkBefore}, c.Name) {
			return fmt.Errorf("a check of %s is named %s, which the gate needs for a check of its own: rename it", g.base.Path, c.Name)
		}
		wanted := slices.Contains(names, c.Name)
		if len(names) == 0 {
			free := slices.Contains([]string{"app", "models"}, c.Kind) && !paid[c.Name]
			wanted = free || f.paid && paid[c.Name]
		}
		if wanted {
			g.configured = append(g.configured, c.Name)
			g.runs = append(g.runs, watch.Run{Check: c.Name, Kind: c.Kind, Role: gate.Candidate})
			g.watched = append(g.watched, gate.Watched{Check: c.Name, Kind: c.Kind})
		}
	}
	return nil
}

// findBeginning finds when the rollout began: where somebody says so, else the newest mark, else now.
func (g *gatePlan) findBeginning(ctx context.Context, f *gateFlags) error {
	now := time.Now()
	at, err := f.beganAt(now)
	if err != nil {
		return err
	}
	if at.IsZero() && g.socket != "" {
		bounded, cancel := context.WithTimeout(ctx, agentAnswers)
		defer cancel()
		answer, err := agent.NewClient(g.socket).Before(bounded, agent.RolloutQuestion{Window: time.Second, But: markPrefix})
		if err == nil && answer.Mark != nil {
			at, g.mark = answer.Mark.At, answer.Mark.Text
		}
	}
	if at.IsZero() {
		at = now
		if f.once {
			at = now.Add(-30 * time.Minute)
		}
	}
	g.began = at
	return nil
}

// ownChecks makes the gate's own checks, by way of the configuration's language: they are what users could have written.
func (g *gatePlan) ownChecks(f *gateFlags, load loader) error {
	f.app.complete()
	list, err := f.app.checks()
	if err != nil {
		return err
	}
	if f.prometheus != "" {
		list = append(list, ownCheck(checkTraffic, "prometheus", 15*time.Second, map[string]any{"url": f.prometheus, "preset": prometheus.PresetChecklist}))
	}
	if f.app.url != "" {
		g.app = shown(f.app.url)
		g.runs = append([]watch.Run{{Check: checkApp, Kind: "app", Role: gate.Candidate}}, g.runs...)
		g.watched = append([]gate.Watched{{Check: checkApp, Kind: "app", SideBySide: f.app.baseline != ""}}, g.watched...)
	}
	if f.app.baseline != "" {
		g.stable = shown(f.app.baseline)
		g.runs = slices.Insert(g.runs, 1, watch.Run{Check: checkBaseline, Kind: "app", Role: gate.Baseline, For: checkApp})
	}
	g.shared = f.app.smokeCost > 0 && g.base != nil
	if g.shared && g.socket != "" {
		return errors.New("--smoke-cost beside a running agent: its budget must count that money; put the application's chat route into the file as a check with max_cost_usd, and name it")
	}
	var own *config.Config
	if len(list) > 0 {
		budget := f.app.smokeCost * float64(watch.Rounds(f.length, f.every)*len(list))
		if own, err = parseOwn(list, budget, load); err != nil {
			return err
		}
	}
	return g.traffic(own)
}

// ownCheck is a check as the file writes it. Its schedule is never used.
func ownCheck(name, kind string, timeout time.Duration, with map[string]any) map[string]any {
	return map[string]any{"name": name, "kind": kind, "schedule": "@every 24h", "timeout": timeout.String(), "with": with}
}

// complete gives addresses of an application without a path the usual health route, as triage does.
func (a *gateApp) complete() {
	for _, address := range []*string{&a.url, &a.baseline} {
		if u, err := url.Parse(*address); err == nil && u.Host != "" && u.Path == "" {
			u.Path = "/health"
			*address = u.String()
		}
	}
}

// checks are those of the application.
func (a *gateApp) checks() ([]map[string]any, error) {
	if a.url == "" {
		for flag, given := range map[string]string{"baseline": a.baseline, "smoke": a.smoke, "bearer": a.bearer, "basic": a.basic} {
			if given != "" {
				return nil, fmt.Errorf("--%s wants --app", flag)
			}
		}
		return nil, nil
	}
	candidate, err := a.check(checkApp, a.url)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{candidate}
	if a.baseline == a.url {
		return nil, errors.New("--baseline is the same as --app: the rollout would be compared with itself")
	}
	if a.baseline != "" {
		stable, err := a.check(checkBaseline, a.baseline)
		if err != nil {
			return nil, err
		}
		list = append(list, stable)
	}
	return list, nil
}

// check asks one deployment.
func (a *gateApp) check(name, address string) (map[string]any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, errors.New("--app and --baseline want a URL such as https://shop.example/health; credentials go into --basic or --bearer")
	}
	with := map[string]any{"url": address, "service": a.service}
	auth, err := a.auth()
	if err != nil {
		return nil, err
	}
	if auth != nil {
		with["auth"] = auth
	}
	if a.smoke == "" {
		if a.body != "" || a.expect != "" || a.smokeCost != 0 {
			return nil, errors.New("--body, --expect and --smoke-cost belong to --smoke")
		}
		return ownCheck(name, "app", a.timeout, with), nil
	}
	chat, err := a.chat(u)
	if err != nil {
		return nil, err
	}
	if auth != nil {
		chat["auth"] = auth
	}
	with["chat"] = chat
	return ownCheck(name, "app", a.timeout, with), nil
}

// chat is the smoke test of a deployment whose health route is at u.
func (a *gateApp) chat(u *url.URL) (map[string]any, error) {
	route, err := url.Parse(a.smoke)
	if err != nil {
		return nil, errors.New("--smoke is neither a URL nor a path")
	}
	if route.Host != "" && a.baseline != "" {
		return nil, errors.New("--smoke is a URL, and beside --baseline it must be a path: the smoke test is made of both deployments")
	}
	body := map[string]any{}
	if a.body == "" {
		return nil, errors.New("--smoke wants --body, a JSON object that is sent")
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return nil, fmt.Errorf("--body is not a JSON object: %w", err)
	}
	chat := map[string]any{"url": u.ResolveReference(route).String(), "body": body}
	if a.expect != "" {
		chat["expect"] = map[string]any{"jq": a.expect}
	}
	if a.smokeCost != 0 {
		chat["max_cost_usd"] = a.smokeCost
	}
	return chat, nil
}

// auth is how the application is asked, by reference; nil for without credentials.
func (a *gateApp) auth() (map[string]any, error) {
	reference := func(flag, text string) (map[string]any, error) {
		kind, name, _ := strings.Cut(text, ":")
		if name == "" || kind != "env" && kind != "file" {
			return nil, fmt.Errorf("--%s wants a reference, env:NAME or file:PATH, never the credential", flag)
		}
		return map[string]any{kind: name}, nil
	}
	switch {
	case a.bearer != "" && a.basic != "":
		return nil, errors.New("--bearer and --basic are both given, want one")
	case a.bearer != "":
		ref, err := reference("bearer", a.bearer)
		return map[string]any{"bearer": ref}, err
	case a.basic != "":
		user, text, _ := strings.Cut(a.basic, "=")
		ref, err := reference("basic", text)
		return map[string]any{"basic": map[string]any{"username": user, "password": ref}}, err
	}
	return nil, nil
}

// parseOwn reads the checks as a file of their own.
func parseOwn(list []map[string]any, budget float64, load loader) (*config.Config, error) {
	file := map[string]any{"listen": "", "checks": list}
	if budget > 0 {
		file["budget"] = map[string]any{"per_day": budget}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("writing the gate's own checks: %w", err)
	}
	o := load.options()
	cfg, err := config.Parse("gate", text.Bytes(), o)
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	if faults, ok := errors.AsType[*config.Errors](err); ok { // their places are in a file that nobody has seen
		var said []string
		for _, fault := range faults.List() {
			said = append(said, fault.Message)
		}
		return nil, fmt.Errorf("--app, --baseline, --smoke, --body, --expect or --prometheus: %s", strings.Join(said, "; "))
	}
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

// traffic adds the questions about the application's metrics, of the Prometheus that was named or of the configuration's.
func (g *gatePlan) traffic(own *config.Config) error {
	g.own = own
	source := g.trafficSource()
	if source == nil {
		return nil
	}
	params, err := checks.DecodeParams(source.With, trafficDefaults())
	if err != nil {
		return source.Place(err)
	}
	var questions []traffic.Question
	if q, ok := traffic.Find(params.Metrics, traffic.ErrorShare); ok {
		questions = append(questions, q)
	}
	if q, ok := traffic.PerRequest(params.Metrics); ok {
		questions = append(questions, q)
	}
	if len(questions) == 0 {
		return nil
	}
	if g.own == nil {
		copied := *g.base // its places, network and secrets
		copied.Checks, copied.Plugins, copied.PluginFaults = nil, nil, nil
		g.own = &copied
	}
	g.own.Checks = slices.DeleteFunc(slices.Clone(g.own.Checks), func(c config.Check) bool { return c.Name == checkTraffic })
	offset := max(time.Since(g.began), 0)
	for _, name := range []string{checkTraffic, checkBefore} {
		c := *source
		c.Name, c.Provider = name, ""
		of := otherQueries{Decoder: source.With}
		for _, q := range questions {
			if name == checkBefore {
				q = traffic.Ago(q, offset)
			}
			of.queries = append(of.queries, prometheus.Query{
				Name: q.Name, Query: q.PromQL, Missing: prometheus.PolicyUnknown, MaxAge: oldestTraffic, AgeOf: params.Metrics.Requests(),
			})
		}
		c.With = of
		g.own.Checks = append(g.own.Checks, c)
	}
	for _, q := range questions {
		g.trafficAsked = append(g.trafficAsked, q.Name)
	}
	g.runs = append(g.runs, watch.Run{Check: checkTraffic, Kind: "prometheus", Role: gate.Traffic})
	return nil
}

// trafficSource is the check that says where the metrics are; nil where none does.
func (g *gatePlan) trafficSource() *config.Check {
	places := []*config.Config{g.own}
	if !g.appOnly {
		places = append(places, g.base)
	}
	for _, cfg := range places {
		for i := 0; cfg != nil && i < len(cfg.Checks); i++ {
			c := &cfg.Checks[i]
			if c.Kind != "prometheus" {
				continue
			}
			params, err := checks.DecodeParams(c.With, trafficDefaults())
			if err == nil && params.Preset == prometheus.PresetChecklist {
				return c
			}
		}
	}
	return nil
}

// trafficDefaults are those of the kind.
func trafficDefaults() prometheus.Params {
	params, _ := prometheus.Kind().Defaults.(prometheus.Params)
	return params
}

// otherQueries decodes the parameters of a prometheus check, with other queries.
type otherQueries struct {
	checks.Decoder

	queries []prometheus.Query
}

// Decode implements checks.Decoder.
func (d otherQueries) Decode(into any) error {
	if err := d.Decoder.Decode(into); err != nil {
		return err
	}
	params, ok := into.(*prometheus.Params)
	if !ok {
		return fmt.Errorf("parameters of a %T, want those of prometheus", into)
	}
	params.Preset, params.Metrics, params.Queries = "", traffic.Metrics{}, d.queries
	return nil
}
