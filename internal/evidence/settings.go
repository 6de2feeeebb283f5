package evidence

import (
	"maps"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

type settingsView struct {
	Path      string            `json:"path"`
	Location  string            `json:"location,omitempty"`
	Labels    []string          `json:"labels,omitempty"` // their names
	Listen    string            `json:"listen,omitempty"`
	StateDir  string            `json:"state_dir,omitempty"`
	Network   networkView       `json:"network"`
	Providers []providerView    `json:"providers,omitempty"`
	Checks    []checkSetting    `json:"checks,omitempty"`
	Exporters []exporterSetting `json:"exporters,omitempty"`
	Secrets   map[string]string `json:"secrets,omitempty"` // where each is looked for
	Budget    map[string]string `json:"budget,omitempty"`
	Rules     []ruleView        `json:"alert_rules,omitempty"`
	Disabled  []string          `json:"alert_rules_disabled,omitempty"`
	Windows   []string          `json:"maintenance,omitempty"`
	Incidents map[string]string `json:"incidents,omitempty"`
	Store     map[string]string `json:"store,omitempty"`
	Plugins   []string          `json:"plugins,omitempty"`
	Log       string            `json:"log_level"`
	Runbook   runbookView       `json:"runbook"`
	Warnings  int               `json:"warnings"`
}

type networkView struct {
	HTTPProxy  string `json:"http_proxy,omitempty"`
	HTTPSProxy string `json:"https_proxy,omitempty"`
	CAFile     string `json:"ca_file,omitempty"`
}

type providerView struct {
	Name       string  `json:"name"`
	BaseURL    string  `json:"base_url"`
	APIKey     string  `json:"api_key,omitempty"` // where it is looked for
	Fallback   string  `json:"fallback_api_key,omitempty"`
	Failover   bool    `json:"failover,omitempty"`
	Failures   int     `json:"breaker_failures,omitempty"`
	Reset      string  `json:"breaker_reset,omitempty"`
	PauseBelow float64 `json:"headroom_pause_below,omitempty"`
}

type checkSetting struct {
	Name          string   `json:"name"`
	Kind          string   `json:"kind"`
	Provider      string   `json:"provider,omitempty"`
	Schedule      string   `json:"schedule"`
	Incident      string   `json:"incident_schedule,omitempty"`
	Timeout       string   `json:"timeout"`
	DegradedAbove string   `json:"degraded_above,omitempty"`
	Confirm       string   `json:"confirm,omitempty"`
	RunAtStart    bool     `json:"run_at_start,omitempty"`
	Labels        []string `json:"labels,omitempty"`
	Line          int      `json:"line,omitempty"`
}

type exporterSetting struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	MaxAge string `json:"max_age,omitempty"`
	Batch  int    `json:"batch_size,omitempty"`
	Line   int    `json:"line,omitempty"`
}

type ruleView struct {
	Name     string          `json:"name"`
	Severity checks.Severity `json:"severity"`
	For      string          `json:"for,omitempty"`
}

type runbookView struct {
	Service    string `json:"service,omitempty"`
	Deployment string `json:"deployment,omitempty"`
	Store      string `json:"secret_store,omitempty"` // its kind
}

// Settings is what is kept of the configuration: its structure, with the places of secrets and never a value, and without
// the parameters of checks and exporters, in which anything may stand.
func Settings(cfg *config.Config) any {
	v := settingsView{
		Path: cfg.Path, Location: cfg.Location, Labels: slices.Sorted(maps.Keys(cfg.Labels)), Listen: cfg.Listen, StateDir: cfg.StateDir,
		Secrets: map[string]string{}, Log: cfg.Log.Level.String(), Warnings: len(cfg.Warnings), Runbook: runbookOf(cfg.Runbook),
		Store: map[string]string{"max_age": cfg.Store.MaxAge.String()}, Network: networkView{CAFile: cfg.Network.CAFile},
		Incidents: map[string]string{"close_after": cfg.Incidents.CloseAfter.String(), "schedule": cfg.Incidents.Schedule.String()},
	}
	if zone := cfg.Incidents.Timezone; zone != nil {
		v.Incidents["timezone"] = zone.String()
	}
	for severity, d := range cfg.Incidents.RespondIn {
		v.Incidents["respond_in."+string(severity)] = d.String()
	}
	for _, proxy := range []struct{ from, to *string }{{&cfg.Network.HTTPProxy, &v.Network.HTTPProxy}, {&cfg.Network.HTTPSProxy, &v.Network.HTTPSProxy}} {
		if *proxy.from != "" {
			*proxy.to = Address(*proxy.from)
		}
	}
	for name, s := range cfg.Secrets {
		v.Secrets[name] = s.Where()
	}
	if cfg.Budget.Set {
		v.Budget = map[string]string{"per_hour": cfg.Budget.PerHour.String(), "per_day": cfg.Budget.PerDay.String(), "per_month": cfg.Budget.PerMonth.String()}
	}
	v.add(cfg)
	return v
}

func (v *settingsView) add(cfg *config.Config) {
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		view := providerView{
			Name: p.Name, BaseURL: Address(p.BaseURL), APIKey: p.APIKey.Where(), Failover: p.Failover, Failures: p.Breaker.Failures,
			Reset: p.Breaker.Reset.String(), PauseBelow: p.PauseBelow,
		}
		if !p.FallbackAPIKey.IsZero() {
			view.Fallback = p.FallbackAPIKey.Where()
		}
		v.Providers = append(v.Providers, view)
	}
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		v.Checks = append(v.Checks, checkSetting{
			Name: c.Name, Kind: c.Kind, Provider: c.Provider, Schedule: c.Schedule.String(), Incident: c.IncidentSchedule.String(),
			Timeout: c.Timeout.String(), DegradedAbove: c.DegradedAbove.String(), Confirm: c.Confirm.String(), RunAtStart: c.RunAtStart,
			Labels: slices.Sorted(maps.Keys(c.Labels)), Line: c.Line,
		})
	}
	for i := range cfg.Exporters {
		e := &cfg.Exporters[i]
		v.Exporters = append(v.Exporters, exporterSetting{e.Name, e.Kind, e.MaxAge.String(), e.BatchSize, e.Line})
	}
	for i := range cfg.Alerts.Rules {
		r := &cfg.Alerts.Rules[i]
		v.Rules = append(v.Rules, ruleView{r.Name, r.Severity, r.For.String()})
	}
	for i := range cfg.Alerts.Disabled {
		v.Disabled = append(v.Disabled, cfg.Alerts.Disabled[i].Name)
	}
	for i := range cfg.Maintenance {
		v.Windows = append(v.Windows, cfg.Maintenance[i].Name)
	}
	for i := range cfg.Plugins {
		v.Plugins = append(v.Plugins, cfg.Plugins[i].Name)
	}
}

func runbookOf(s runbook.Setting) runbookView {
	v := runbookView{Service: s.Service}
	switch {
	case s.Deployment.Kubernetes != nil:
		v.Deployment = "kubernetes " + s.Deployment.Kubernetes.Deployment
	case s.Deployment.Systemd != nil:
		v.Deployment = "systemd " + s.Deployment.Systemd.Unit
	}
	switch {
	case s.Store.GCP != nil:
		v.Store = "gcp"
	case s.Store.AWS != nil:
		v.Store = "aws"
	case s.Store.Kubernetes != nil:
		v.Store = "kubernetes"
	case s.Store.Vault != nil:
		v.Store = "vault"
	case s.Store.Systemd != nil:
		v.Store = "systemd"
	}
	return v
}
