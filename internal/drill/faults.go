package drill

import (
	"errors"
	"fmt"
	"slices"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

// begin makes everything of the scenario go wrong.
func (st *stage) begin(sc *Scenario) error {
	var errs []error
	for i := range sc.Faults {
		errs = append(errs, st.fault(&sc.Faults[i]))
	}
	return errors.Join(errs...)
}

func (st *stage) fault(f *Fault) error {
	switch {
	case f.API != nil:
		return st.api.Apply(withDrillKey(*f.API))
	case f.UsedModel != "":
		return st.model(f.UsedModel)
	case f.DNS != nil:
		st.world.trouble(st.hosts(f.DNS.Hosts), func(t *trouble) { t.dns = f.DNS.Answer })
	case f.Connect != nil:
		st.world.trouble(st.hosts(f.Connect.Hosts), func(t *trouble) { t.connect = f.Connect.How })
	case f.TLS != nil:
		st.world.trouble(st.hosts(f.TLS.Hosts), func(t *trouble) { t.tls = f.TLS.How })
	case f.App != nil:
		st.app.fall(*f.App)
		if f.App.Refuse {
			st.world.trouble(st.appHosts, func(t *trouble) { t.connect = ConnectRefused })
		}
	case f.Prometheus != nil:
		st.prom.say(f.Prometheus)
	case f.Exporter != nil:
		if s := st.sinks[st.setting.exporterOf(f.Exporter.Which)]; s != nil {
			return s.fail(f.Exporter.How)
		}
	}
	return nil
}

// finish makes everything well again, but for exporters whose side stays dead for ever.
func (st *stage) finish(sc *Scenario) error {
	st.api.Clear()
	st.world.heal()
	st.app.fall(SickApp{})
	st.prom.say(nil)
	var errs []error
	for i := range sc.Faults {
		e := sc.Faults[i].Exporter
		if e == nil || e.Ever {
			continue
		}
		if s := st.sinks[st.setting.exporterOf(e.Which)]; s != nil {
			errs = append(errs, s.fail(""))
		}
	}
	return errors.Join(errs...)
}

// withDrillKey is the fault for the keys of the drill.
func withDrillKey(f simulator.Fault) simulator.Fault {
	switch f.Key {
	case "primary":
		f.Key = primaryKey
	case "fallback":
		f.Key = fallbackKey
	}
	return f
}

// model retires or moves the model that most checks depend on: the first that the configuration names.
func (st *stage) model(how string) error {
	if len(st.setting.used) == 0 {
		return nil
	}
	if how == ModelRetired {
		return st.api.Apply(simulator.Fault{ModelRetired: &simulator.ModelID{ID: st.setting.used[0]}})
	}
	alias := st.setting.alias()
	if alias == "" {
		return nil
	}
	to := "mistral-medium-latest"
	if alias == to {
		to = "mistral-large-2512"
	}
	return st.api.Apply(simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: alias, To: to}})
}

// alias is the first model of the checks that is an alias, which by Mistral's habit ends in -latest; "" where all are pinned.
func (s *setting) alias() string {
	for _, id := range s.used {
		if isAlias(id) {
			return id
		}
	}
	return ""
}

func isAlias(id string) bool { return len(id) > 7 && id[len(id)-7:] == "-latest" }

// exporterOf is the name of the exporter that a fault means, "" where there is none.
func (s *setting) exporterOf(which string) string {
	for i := range s.cfg.Exporters {
		if s.cfg.Exporters[i].Name == which {
			return which
		}
	}
	var kinds []string
	switch which {
	case ExporterNotifier:
		kinds = notifiers()
	case ExporterBackend:
		kinds = []string{"otel", "datadog", "stdout"} // prometheus is asked, and cannot be down
	}
	best, at := "", len(kinds)
	for i := range s.cfg.Exporters {
		if rank := slices.Index(kinds, s.cfg.Exporters[i].Kind); rank >= 0 && (best == "" || which == ExporterBackend && rank < at) {
			best, at = s.cfg.Exporters[i].Name, rank
		}
	}
	return best
}

// notifiers are the kinds of exporter that tell people.
func notifiers() []string { return []string{"slack", "pagerduty", "webhook", "alertmanager"} }

// unknownExporter says which exporter of a scenario the configuration does not have.
func (s *setting) unknownExporter(sc *Scenario) error {
	for i := range sc.Faults {
		e := sc.Faults[i].Exporter
		if e != nil && e.Which != ExporterBackend && e.Which != ExporterNotifier && s.exporterOf(e.Which) == "" {
			return fmt.Errorf("scenario %s: the configuration has no exporter %q", sc.Name, e.Which)
		}
	}
	return nil
}
