package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// buildOnly builds a check that will not run, with what of the agent it is built on.
func buildOnly(check *config.Check, registry config.Registry, env checks.Env) (checks.Check, error) {
	if fault := check.Foreign.Fault; fault != nil {
		return nil, placed(fault)
	}
	if check.Foreign.Plugin != "" {
		return offline(check), nil // it says of itself what its manifest says, without a process
	}
	env.Log, env.Name, env.Timeout = slog.New(slog.DiscardHandler), check.Name, check.Timeout
	for _, kind := range registry.Checks {
		if kind.Name == check.Kind {
			return kind.New(check.With, env)
		}
	}
	return nil, fmt.Errorf("check %q: no kind %q", check.Name, check.Kind)
}

// Buildable builds every check and checks every exporter's page, starts nothing and reads no secret. The error
// carries the places in the file.
func Buildable(cfg *config.Config, registry config.Registry) error {
	network, err := networkOf(cfg, "validate", nil)
	if err != nil {
		return err
	}
	defer network.Close()
	spawner, err := spawnerOf(cfg, nil)
	if err != nil {
		return err
	}
	for i := range cfg.Checks {
		if cfg.Checks[i].Foreign.Plugin != "" {
			continue // cfg.PluginFaults says what is wrong with it
		}
		if _, err := buildOnly(&cfg.Checks[i], registry, checks.Env{Network: network, Spawn: spawner}); err != nil {
			return cfg.Checks[i].Place(err)
		}
	}
	return checkPages(cfg, registry)
}

func networkOf(cfg *config.Config, version string, drill *Drilled) (*outbound.Network, error) {
	options := outbound.Options{
		HTTPProxy: cfg.Network.HTTPProxy, HTTPSProxy: cfg.Network.HTTPSProxy, NoProxy: cfg.Network.NoProxy,
		CAFile: cfg.Network.CAFile, AllowAddresses: cfg.Network.AllowAddresses,
		UserAgent: "windsock/" + version + " (synthetic)",
	}
	if drill != nil {
		options.Dial = drill.Dial
	}
	network, err := outbound.New(options)
	switch {
	case err == nil:
		return network, nil
	case errors.Is(err, outbound.ErrCAFile):
		return nil, cfg.Network.PlaceCAFile(err)
	}
	return nil, fmt.Errorf("building the way out: %w", err)
}

// Finding is one thing that `validate --online` tried.
type Finding struct {
	Subject string `json:"subject"` // "secret of provider mistral", "host api.mistral.ai", "exporter collector"
	OK      bool   `json:"ok"`
	Level   string `json:"level,omitempty"` // "warning": worth knowing, and nothing that keeps the agent from its work
	Detail  string `json:"detail"`
	Hint    string `json:"hint,omitempty"` // a command where there is one
}

// levelWarning is the Level of a finding that is OK and should be looked at all the same.
const levelWarning = "warning"

// ProbeOptions is what Probe needs.
type ProbeOptions struct {
	Registry config.Registry
	Version  string
	Built    time.Time // zero where the build does not say
	Log      *slog.Logger
	Getenv   func(string) string
	Host     host.Options // of it, Root and Shell; zero in earnest
}

// tryFor is the most that one secret, name, provider or exporter may take, and lookFor the most that all together may.
const (
	tryFor  = 6 * time.Second
	lookFor = 6500 * time.Millisecond
)

// mostLookups is how many names are looked up at the same time: each takes a descriptor, and a resolver has its limits.
const mostLookups = 64

// prober is one call of Probe.
type prober struct {
	cfg     *config.Config
	o       ProbeOptions
	network *outbound.Network
	host    host.Options
	service *host.Service
}

// try is one thing to try, with what to call it where it does not end.
type try struct {
	subject string
	do      func(context.Context) []Finding
}

// Probe looks at the host, and tries each secret, each name that providers and checks hold, each provider, and each exporter,
// with one record of the agent's own. All of it goes on at the same time and ends within ten seconds; the order of what was
// found is always the same. Rights are judged for the user of the unit that runs this configuration, whoever asks.
func Probe(ctx context.Context, cfg *config.Config, o ProbeOptions) []Finding {
	network, err := networkOf(cfg, o.Version, nil)
	if err != nil {
		return []Finding{{Subject: "network", Detail: err.Error()}}
	}
	defer network.Close()
	p := &prober{cfg: cfg, o: o, network: network}
	p.lookFor(ctx)
	return together(ctx, p.tries())
}

func (p *prober) tries() []try {
	cfg := p.cfg
	list := []try{{"host", p.look}}
	if len(cfg.Plugins) > 0 {
		list = append(list, try{"plugins", p.askOfPlugins})
	}
	list = append(list, p.secrets()...)
	asking := make(chan struct{}, mostLookups)
	for _, name := range p.host.Names {
		list = append(list, single("host "+name, func(ctx context.Context) Finding { return probeHost(ctx, name, asking) }))
	}
	for i := range cfg.Providers {
		list = append(list, try{"provider " + cfg.Providers[i].Name, func(ctx context.Context) []Finding { return p.reach(ctx, &cfg.Providers[i]) }})
	}
	for _, address := range p.references() {
		list = append(list, single("reference "+address, func(ctx context.Context) Finding { return p.connect(ctx, address) }))
	}
	if cfg.Heartbeat.Every > 0 {
		list = append(list, single("heartbeat", func(ctx context.Context) Finding { return probeHeartbeat(ctx, cfg.Heartbeat) }))
	}
	for i := range cfg.Exporters {
		list = append(list, single("exporter "+cfg.Exporters[i].Name, func(ctx context.Context) Finding { return p.exporter(ctx, &cfg.Exporters[i]) }))
	}
	return list
}

// single is a try that finds one thing.
func single(subject string, do func(context.Context) Finding) try {
	return try{subject, func(ctx context.Context) []Finding { return []Finding{do(ctx)} }}
}

func (p *prober) secrets() []try {
	var list []try
	add := func(subject string, s checks.Secret) {
		list = append(list, single(subject, func(ctx context.Context) Finding { return p.secret(ctx, subject, s) }))
	}
	for i := range p.cfg.Providers {
		add("secret of provider "+p.cfg.Providers[i].Name, p.cfg.Providers[i].APIKey)
		if !p.cfg.Providers[i].FallbackAPIKey.IsZero() {
			add("fallback secret of provider "+p.cfg.Providers[i].Name, p.cfg.Providers[i].FallbackAPIKey)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Secrets)) {
		add("secret "+name, p.cfg.Secrets[name])
	}
	return list
}

// together tries all at the same time. What has not ended when the time is over is told so, and left to end by itself: the
// process is about to.
func together(ctx context.Context, list []try) []Finding {
	bounded, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	answers := make([]chan []Finding, len(list))
	for i, t := range list {
		answers[i] = make(chan []Finding, 1)
		go func() { answers[i] <- t.do(bounded) }()
	}
	over := make(chan struct{})
	deadline := time.AfterFunc(lookFor, func() { close(over) })
	defer deadline.Stop()
	var findings []Finding
	for i, t := range list {
		select {
		case found := <-answers[i]:
			findings = append(findings, found...)
			continue
		case <-over:
		}
		select {
		case found := <-answers[i]:
			findings = append(findings, found...)
		default:
			findings = append(findings, Finding{Subject: t.subject, Detail: fmt.Sprintf("did not end within %s", lookFor), Hint: "try it alone: the agent gives up on it as well"})
		}
	}
	return findings
}

// hostNames lists every name once, providers first.
func hostNames(cfg *config.Config, registry config.Registry) []string {
	var names []string
	for i := range cfg.Providers {
		if u, err := url.Parse(cfg.Providers[i].BaseURL); err == nil {
			names = append(names, u.Hostname())
		}
	}
	for i := range cfg.Checks {
		built, err := buildOnly(&cfg.Checks[i], registry, checks.Env{})
		if naming, ok := built.(checks.Naming); ok && err == nil {
			names = append(names, naming.HostNames()...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(name string) bool {
		before := seen[name]
		seen[name] = true
		return before
	})
}

// probeHost looks a name up when there is room among those that are asked for.
func probeHost(ctx context.Context, name string, asking chan struct{}) Finding {
	select {
	case asking <- struct{}{}:
		defer func() { <-asking }()
	case <-ctx.Done(): // which the lookup says
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return Finding{
			Subject: "host " + name, Detail: err.Error(),
			Hint: "behind a proxy that resolves for us this is harmless; else look at the resolver",
		}
	}
	return Finding{Subject: "host " + name, OK: true, Detail: fmt.Sprintf("resolves to %d addresses", len(addresses))}
}

func (p *prober) exporter(ctx context.Context, e *config.Exporter) Finding {
	finding := Finding{Subject: "exporter " + e.Name}
	if plugin := e.Foreign.Plugin; plugin != "" {
		finding.OK, finding.Level = true, levelWarning
		finding.Detail, finding.Hint = "not tried: the plugin "+plugin+" serves it, which only the agent starts", "windsock plugins verify"
		return finding
	}
	built, err := buildToTry(p.cfg, e, p.network, p.o)
	if err == nil {
		if refused, wrong := p.refused(finding.Subject, built); wrong {
			closeExporter(built)
			return refused
		}
		finding.Detail, err = p.knock(ctx, built)
		closeExporter(built)
	}
	if err != nil {
		finding.Detail, finding.Hint = err.Error(), hint(err)
		return finding
	}
	finding.OK = true
	return finding
}

// knock has an exporter take one record. One that tells people takes none but alerts: its way is tried without a word to them.
func (p *prober) knock(ctx context.Context, e exporters.Exporter) (found string, err error) {
	if notifier, ok := e.(exporters.Routing); ok {
		return "answers; nobody was told anything, so whether it takes its key or URL is not known: windsock drill --in-place", notifier.Reach(ctx)
	}
	_, err = e.Export(ctx, []checks.Record{probeRecord(p.o.Version, ulid.Make().String())})
	return "took one record", err //nolint:wrapcheck // its errors are a language of their own
}

// refused judges whether the service's user may use the sockets of an exporter, which who asks may.
func (p *prober) refused(subject string, built exporters.Exporter) (Finding, bool) {
	local, ok := built.(exporters.Local)
	if !ok {
		return Finding{}, false
	}
	for _, path := range local.Sockets() {
		if found := host.Judge(p.service, p.host, host.File{What: subject, Path: path, Use: host.Connect}); found.Level == host.Wrong {
			return findingOf(found), true
		}
	}
	return Finding{}, false
}

// buildToTry builds an exporter that keeps nothing.
func buildToTry(cfg *config.Config, e *config.Exporter, network *outbound.Network, o ProbeOptions) (exporters.Exporter, error) {
	for _, kind := range o.Registry.Exporters {
		if kind.Name == e.Kind {
			return kind.New(e.With, exporters.Env{
				Log: o.Log, Name: e.Name, Version: o.Version, Instance: "validate", Location: cfg.Location, Labels: cfg.Labels,
				Runbooks: cfg.Runbook.URL,
				Network:  network, Stdout: discard{}, Getenv: o.Getenv, Probing: true,
			})
		}
	}
	return nil, fmt.Errorf("exporter %q: no kind %q", e.Name, e.Kind)
}

func hint(err error) string {
	if exporters.IsHold(err) {
		return "the backend refuses us: look at the endpoint's path and the credentials; nothing is dropped before max_age"
	}
	return "the agent starts without it and delivers when it is back, up to max_age"
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
