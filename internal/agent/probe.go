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
	network, err := networkOf(cfg, "validate")
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

func networkOf(cfg *config.Config, version string) (*outbound.Network, error) {
	network, err := outbound.New(outbound.Options{
		HTTPProxy: cfg.Network.HTTPProxy, HTTPSProxy: cfg.Network.HTTPSProxy, NoProxy: cfg.Network.NoProxy,
		CAFile: cfg.Network.CAFile, AllowAddresses: cfg.Network.AllowAddresses,
		UserAgent: "windsock/" + version + " (synthetic)",
	})
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
	Detail  string `json:"detail"`
	Hint    string `json:"hint,omitempty"`
}

// ProbeOptions is what Probe needs.
type ProbeOptions struct {
	Registry config.Registry
	Version  string
	Log      *slog.Logger
	Getenv   func(string) string
}

// Probe tries each secret, each name that providers and checks hold, and each exporter, with one record of the agent's own.
func Probe(ctx context.Context, cfg *config.Config, o ProbeOptions) []Finding {
	network, err := networkOf(cfg, o.Version)
	if err != nil {
		return []Finding{{Subject: "network", Detail: err.Error()}}
	}
	defer network.Close()
	var findings []Finding
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		findings = append(findings, probeSecret(ctx, "secret of provider "+p.Name, p.APIKey))
		if !p.FallbackAPIKey.IsZero() {
			findings = append(findings, probeSecret(ctx, "fallback secret of provider "+p.Name, p.FallbackAPIKey))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Secrets)) {
		findings = append(findings, probeSecret(ctx, "secret "+name, cfg.Secrets[name]))
	}
	for _, name := range hostNames(cfg, o.Registry) {
		findings = append(findings, probeHost(ctx, name))
	}
	if cfg.Heartbeat.Every > 0 {
		findings = append(findings, probeHeartbeat(ctx, cfg.Heartbeat))
	}
	for i := range cfg.Exporters {
		findings = append(findings, probeExporter(ctx, cfg, &cfg.Exporters[i], network, o))
	}
	return findings
}

func probeSecret(ctx context.Context, subject string, s checks.Secret) Finding {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if _, err := s.Reveal(ctx); err != nil {
		return Finding{
			Subject: subject, Detail: err.Error(),
			Hint: "put the value where one of the sources looks; the agent starts without it and its checks say error config",
		}
	}
	return Finding{Subject: subject, OK: true, Detail: "present, from " + s.Used()}
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

func probeHost(ctx context.Context, name string) Finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return Finding{
			Subject: "host " + name, Detail: err.Error(),
			Hint: "behind a proxy that resolves for us this is harmless; else look at the resolver",
		}
	}
	return Finding{Subject: "host " + name, OK: true, Detail: fmt.Sprintf("resolves to %d addresses", len(addresses))}
}

func probeExporter(ctx context.Context, cfg *config.Config, e *config.Exporter, network *outbound.Network, o ProbeOptions) Finding {
	finding := Finding{Subject: "exporter " + e.Name}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	built, err := buildToTry(cfg, e, network, o)
	if err == nil {
		_, err = built.Export(ctx, []checks.Record{probeRecord(o.Version, ulid.Make().String())})
		closeExporter(built)
	}
	if err != nil {
		finding.Detail, finding.Hint = err.Error(), hint(err)
		return finding
	}
	finding.OK, finding.Detail = true, "took one record"
	return finding
}

// buildToTry builds an exporter that keeps nothing.
func buildToTry(cfg *config.Config, e *config.Exporter, network *outbound.Network, o ProbeOptions) (exporters.Exporter, error) {
	for _, kind := range o.Registry.Exporters {
		if kind.Name == e.Kind {
			return kind.New(e.With, exporters.Env{
				Log: o.Log, Name: e.Name, Version: o.Version, Instance: "validate", Location: cfg.Location, Labels: cfg.Labels,
				Network: network, Stdout: discard{}, Getenv: o.Getenv, Probing: true,
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
