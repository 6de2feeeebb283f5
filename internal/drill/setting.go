package drill

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/checks/chat"
	"github.com/windsock-monitor/windsock/checks/egress"
	"github.com/windsock-monitor/windsock/checks/embeddings"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/checks/spend"
	"github.com/windsock-monitor/windsock/checks/usable"
	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// The bounds that a drill puts on what would outlast it, in natural time.
const (
	slowestCheck  = 5 * time.Minute  // between two runs
	longestWindow = 10 * time.Minute // of a rule: a window, for, keep_firing_for
	longestAbsent = 30 * time.Minute // before a rule says that there is no data
)

// referenceAddress is where the reference hosts of egress checks are, of the range that is set aside for benchmarks.
const referenceAddress = "198.18.1.1"

// ledgerHost is where the stand-in of a usage log or of a bill is.
const ledgerHost = "http://spend.drill.invalid:9090"

// setting is a configuration made fit for a drill, in natural time.
type setting struct {
	cfg      *config.Config
	registry config.Registry
	leftOut  []string
	changed  []string
	cut      map[string]string        // what was bounded, by rule
	sooner   map[string]time.Duration // by how much a rule fires sooner for it
	used     []string                 // models that its checks call
}

// settle makes a setting. cfg stays as it is; nothing of its secrets, files and addresses is used.
func settle(cfg *config.Config, registry config.Registry) *setting {
	own := *cfg
	s := &setting{cfg: &own, registry: registry, cut: map[string]string{}, sooner: map[string]time.Duration{}}
	own.Listen, own.StateDir, own.Grace = "127.0.0.1:0", "", 2*time.Second
	own.Programs, own.Plugins, own.PluginFaults, own.Heartbeat, own.Secrets = config.Programs{}, nil, nil, config.Heartbeat{}, nil
	own.Network = config.NetworkConfig{AllowAddresses: cfg.Network.AllowAddresses, PlaceCAFile: func(err error) error { return err }}
	if cfg.Network.HTTPSProxy != "" || cfg.Network.HTTPProxy != "" {
		s.changed = append(s.changed, "network: the proxy is left out")
	}
	if len(cfg.Maintenance) > 0 {
		s.changed = append(s.changed, "maintenance: windows are left out, or they would mute what is drilled")
		own.Maintenance = nil
	}
	own.Providers = slices.Clone(cfg.Providers)
	for i := range own.Providers {
		p := &own.Providers[i]
		if !p.APIKey.IsZero() {
			p.APIKey = checks.NewSecret(fixed(primaryKey))
		}
		if !p.FallbackAPIKey.IsZero() {
			p.FallbackAPIKey = checks.NewSecret(fixed(fallbackKey))
		}
	}
	s.checks()
	s.exporters()
	s.rules()
	return s
}

func (s *setting) kind(name string) (checks.Kind, bool) {
	for _, k := range s.registry.Checks {
		if k.Name == name {
			return k, true
		}
	}
	return checks.Kind{}, false
}

func (s *setting) checks() {
	given := s.cfg.Checks
	s.cfg.Checks = nil
	for i := range given {
		c := given[i]
		kind, known := s.kind(c.Kind)
		switch {
		case c.Foreign.Plugin != "" || !known:
			s.leftOut = append(s.leftOut, "check "+c.Name+": plugins are not run in a drill")
			continue
		case c.Kind == "exec":
			s.leftOut = append(s.leftOut, "check "+c.Name+": programs are not run in a drill")
			continue
		}
		c.With = sealed{Decoder: c.With, owner: c.Name, change: fit}
		if missing := s.unknownModel(kind, c.With); missing != "" {
			s.leftOut = append(s.leftOut, "check "+c.Name+": the drill's API does not know the model "+missing)
			continue
		}
		c.RunAtStart = true
		s.quicken(&c)
		s.cfg.Checks = append(s.cfg.Checks, c)
	}
}

// quicken makes a check that runs seldom run often enough for a drill to end.
func (s *setting) quicken(c *config.Check) {
	if every := c.Schedule.Interval(); every > slowestCheck {
		s.changed = append(s.changed, fmt.Sprintf("check %s: runs every %s in place of %q, so what it finds is found sooner than it would be", c.Name, short(slowestCheck), c.Schedule.String()))
		c.Schedule = c.Schedule.Compress(float64(every) / float64(slowestCheck))
	}
	if !c.Schedule.IsEvery() { // a calendar does not come round in a drill
		if spec, err := schedule.Parse("@every "+c.Schedule.Interval().String(), ""); err == nil {
			c.Schedule = spec
		}
	}
}

// unknownModel is a model that a check needs and the drill's API does not have.
func (s *setting) unknownModel(kind checks.Kind, d checks.Decoder) string {
	var model string
	if p, ok := paramsOf[chat.Params](kind, d); ok {
		model = p.Model
	}
	if p, ok := paramsOf[embeddings.Params](kind, d); ok {
		model = p.Model
	}
	switch {
	case model == "":
	case !listed(model):
		return model
	case !slices.Contains(s.used, model):
		s.used = append(s.used, model)
	}
	return ""
}

// listed reports whether the drill's API has a model.
func listed(id string) bool {
	f := simulator.Fault{ModelUnlisted: &simulator.ModelID{ID: id}}
	return f.Validate() == nil
}

// fit takes out of a check's parameters what the drill's world cannot be: it does not know the team's answers, models,
// addresses and logs.
func fit(params any) {
	unlisted := func(id string) bool { return !listed(id) }
	switch p := params.(type) {
	case *chat.Params:
		clearField(p, "Expect")
	case *app.Params:
		if p.Chat != nil {
			own := *p.Chat
			clearField(&own, "Expect")
			p.Chat = &own
		}
	case *models.Params:
		p.Expect = slices.DeleteFunc(slices.Clone(p.Expect), unlisted)
		p.Usable, p.Watch, p.MinCount = maps.Clone(p.Usable), maps.Clone(p.Watch), min(p.MinCount, 1)
		maps.DeleteFunc(p.Usable, func(id string, _ []string) bool { return unlisted(id) })
		maps.DeleteFunc(p.Watch, func(id string, _ models.Watch) bool { return unlisted(id) })
	case *usable.Params:
		p.Models = slices.DeleteFunc(slices.Clone(p.Models), unlisted)
	case *egress.Params:
		p.Hosts = slices.Clone(p.Hosts)
		for i := range p.Hosts {
			p.Hosts[i].ExpectAddresses = nil
			if p.Hosts[i].Resolver == "" { // the system's would be asked past the world
				p.Hosts[i].Resolver = "198.18.0.53"
			}
		}
		if _, port, err := net.SplitHostPort(p.Reference); err == nil { // likewise
			p.Reference = net.JoinHostPort(referenceAddress, port)
		}
	case *spend.Params:
		fitSpend(p)
	}
}

func clearField(params any, name string) {
	if f := reflect.ValueOf(params).Elem().FieldByName(name); f.IsValid() && f.CanSet() {
		f.SetZero()
	}
}

// fitSpend has a Prometheus answer for logs and bills: what a log says was spent cannot be taken back when the fault ends.
func fitSpend(p *spend.Params) {
	p.Sources = slices.Clone(p.Sources)
	for i := range p.Sources {
		src := &p.Sources[i]
		if src.UsageLog == nil && src.AdminAPI == nil {
			continue
		}
		if src.Name == "" && src.UsageLog != nil {
			src.Name = "usage_log"
		} else if src.Name == "" {
			src.Name = "admin_api"
		}
		src.UsageLog, src.AdminAPI = nil, nil
		field := reflect.ValueOf(src).Elem().FieldByName("Prom")
		field.Set(reflect.New(field.Type().Elem()))
		src.Prom.URL, src.Prom.Preset = ledgerHost, "checklist_cost"
	}
}

func (s *setting) exporters() {
	given := s.cfg.Exporters
	s.cfg.Exporters = nil
	for _, e := range given {
		if e.Foreign.Plugin != "" {
			s.leftOut = append(s.leftOut, "exporter "+e.Name+": plugins are not run in a drill")
			continue
		}
		e.With = sealed{Decoder: e.With, owner: e.Name}
		s.cfg.Exporters = append(s.cfg.Exporters, e)
	}
}

// statsdIn puts the socket of the Datadog agents' stand-ins into a folder.
func (s *setting) statsdIn(dir string) {
	s.cfg.Exporters = slices.Clone(s.cfg.Exporters)
	for i := range s.cfg.Exporters {
		e := &s.cfg.Exporters[i]
		if before, ok := e.With.(sealed); ok && e.Kind == "datadog" {
			path := socketOf(dir, i)
			before.change = func(params any) {
				if p, ok := params.(*datadog.Params); ok {
					p.Address, p.OriginDetection = "unixgram://"+path, false
				}
			}
			e.With = before
		}
	}
}

func socketOf(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("dsd%d", i)) }

// rules bounds what looks further back than a drill lasts.
func (s *setting) rules() {
	s.cfg.Alerts.Source = nil
	s.cfg.Alerts.Rules = slices.Clone(s.cfg.Alerts.Rules)
	for i := range s.cfg.Alerts.Rules {
		r := &s.cfg.Alerts.Rules[i]
		var cut []string
		bound := func(what string, d *time.Duration, most time.Duration) {
			if *d > most {
				cut = append(cut, fmt.Sprintf("%s is %s in place of %s", what, short(most), short(*d)))
				*d = most
			}
		}
		s.sooner[r.Name] = max(r.For-longestWindow, 0)
		bound("for", &r.For, longestWindow)
		bound("keep_firing_for", &r.KeepFiringFor, longestWindow)
		bound("absent_after", &r.AbsentAfter.Time, longestAbsent)
		r.When = boundCondition(r.When, bound)
		r.Escalations = slices.Clone(r.Escalations)
		for j := range r.Escalations {
			r.Escalations[j].When = boundCondition(r.Escalations[j].When, bound)
		}
		if len(cut) > 0 {
			s.cut[r.Name] = "rule " + r.Name + ": " + strings.Join(cut, ", ")
		}
	}
}

func boundCondition(c alerts.Condition, bound func(string, *time.Duration, time.Duration)) alerts.Condition {
	c.All, c.Any = slices.Clone(c.All), slices.Clone(c.Any)
	for _, list := range [][]alerts.Condition{c.All, c.Any} {
		for i := range list {
			list[i] = boundCondition(list[i], bound)
		}
	}
	bound("its window", &c.Window.Time, longestWindow)
	return c
}

// at is the configuration with its time running n times faster, each alert of which carries the mark of the drill.
func (s *setting) at(n float64, mark string) *config.Config {
	cfg := config.Compress(s.cfg, n)
	for i := range cfg.Checks {
		if c := &cfg.Checks[i]; c.Kind == "prometheus" || c.Kind == "spend" { // whose spans are of other systems' data
			c.With = s.cfg.Checks[i].With
		}
	}
	cfg.Alerts.Rules = slices.Clone(cfg.Alerts.Rules)
	for i := range cfg.Alerts.Rules {
		r := &cfg.Alerts.Rules[i]
		labels := maps.Clone(r.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[checks.LabelDrill] = mark
		r.Labels = labels
		r.When = fasterQueue(r.When, n)
	}
	return cfg
}

// fasterQueue divides what the rule says of how long records wait, which Compress leaves: in a drill they cannot wait for
// minutes.
func fasterQueue(c alerts.Condition, n float64) alerts.Condition {
	if c.Metric == "windsock.export.queue.age" {
		c.Threshold /= n
	}
	c.All, c.Any = slices.Clone(c.All), slices.Clone(c.Any)
	for _, list := range [][]alerts.Condition{c.All, c.Any} {
		for i := range list {
			list[i] = fasterQueue(list[i], n)
		}
	}
	return c
}

// short writes a duration as people do: "5m", not "5m0s".
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
