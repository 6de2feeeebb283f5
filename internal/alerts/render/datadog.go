package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const (
	typeQuery   = "query alert"
	typeService = "service check"
)

// monitor is one monitor, as POST /api/v1/monitor takes it.
type monitor struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Query    string   `json:"query"`
	Message  string   `json:"message"`
	Tags     []string `json:"tags"`
	Priority int64    `json:"priority"`
	Options  options  `json:"options"`
}

type options struct {
	Thresholds        thresholds `json:"thresholds"`
	NotifyNoData      bool       `json:"notify_no_data"`
	NoDataTimeframe   int64      `json:"no_data_timeframe,omitempty"` // minutes
	RequireFullWindow bool       `json:"require_full_window"`
	IncludeTags       bool       `json:"include_tags"`
}

type thresholds struct {
	Critical float64  `json:"critical"`
	OK       *float64 `json:"ok,omitempty"`
}

// Datadog is the monitors as a JSON array.
//
// A rule is one monitor, and one more for each other interval of its checks, since a window of runs is one of minutes
// there, for each part of an "any", and for each severity that it can rise to. What a query cannot say is written as a
// monitor of the agent's own verdict, windsock.alert.state, with a Remark.
func Datadog(in Input) ([]byte, []Remark) {
	w := &monitors{in: &in, all: []monitor{}}
	for _, layer := range layers(in.Rules) {
		for _, r := range ofLayer(in.Rules, layer) {
			w.rule(&r)
		}
	}
	w.itself()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(w.all) // strings and numbers only
	return out.Bytes(), w.remarks
}

type monitors struct {
	in      *Input
	all     []monitor
	remarks []Remark
}

func (w *monitors) lose(rule, format string, args ...any) {
	w.remarks = append(w.remarks, Remark{rule, fmt.Sprintf(format, args...), true})
}

// ask is a query with what belongs to it.
type ask struct {
	kind, query string
	critical    float64
	about       string // what tells the monitor from others of the rule
	silence     int64  // minutes without data that are told of; 0: none are
}

func (w *monitors) rule(r *alerts.Rule) {
	asks, err := w.asks(r)
	if err != nil {
		w.lose(r.Name, "a monitor cannot say it (%v): written on the agent's own verdict", err)
		asks = []ask{w.verdict(r, "")}
	}
	for i := range asks {
		w.add(r, r.Severity, &asks[i])
	}
	for _, severity := range severities() {
		if _, ok := rises(r, severity); ok {
			w.lose(r.Name, "a monitor cannot say when it rises to %s: that is written on the agent's own verdict", severity)
			a := w.verdict(r, severity)
			w.add(r, severity, &a)
		}
	}
	if r.Inhibits != nil {
		w.lose(r.Name, "monitors in a file cannot silence each other: %s are told of too", strings.Join(r.Inhibits.Rules, ", "))
	}
}

// verdict asks the agent whether the alert is open.
func (w *monitors) verdict(r *alerts.Rule, severity checks.Severity) ask {
	tags := []string{datadog.Tag("rule", r.Name)}
	if severity != "" {
		tags = append(tags, datadog.Tag("severity", string(severity)))
	}
	group := slices.Clone(r.GroupBy)
	if r.GroupBy == nil {
		group = []string{"check"}
	}
	return ask{
		kind: typeQuery, critical: 2, about: cmp.Or(string(severity), "by the agent"),
		query: fmt.Sprintf("max(last_5m):max:windsock.alert.state{%s}%s >= 2", strings.Join(tags, ","), w.by(group)),
	}
}

// by are the groups of a query; agents at different places do not speak for each other.
func (w *monitors) by(group []string) string {
	group = slices.Clone(group)
	if w.in.Location != "" && !slices.Contains(group, "location") {
		group = append(group, "location")
	}
	if len(group) == 0 {
		return ""
	}
	slices.Sort(group)
	return " by {" + strings.Join(slices.Compact(group), ",") + "}"
}

func (w *monitors) add(r *alerts.Rule, severity checks.Severity, a *ask) {
	m := monitor{
		Name: "Windsock: " + r.Name, Type: a.kind, Query: a.query, Message: message(r, a), Priority: priority(severity),
		Tags:    tags(r, severity),
		Options: options{Thresholds: thresholds{Critical: a.critical}, IncludeTags: true, NotifyNoData: a.silence > 0, NoDataTimeframe: a.silence},
	}
	if a.about != "" {
		m.Name += " (" + a.about + ")"
	}
	if a.kind == typeService {
		one := 1.0
		m.Options.Thresholds.OK = &one
	}
	w.all = append(w.all, m)
}

// priority is 1 to 5; nothing of ours is a 5.
func priority(s checks.Severity) int64 {
	return int64(slices.Index(severities(), s)) + 1
}

func tags(r *alerts.Rule, severity checks.Severity) []string {
	out := []string{
		"managed_by:windsock", datadog.Tag("layer", string(r.Layer)), datadog.Tag("rule", r.Name), datadog.Tag("severity", string(severity)),
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		if t := datadog.Tag(name, r.Labels[name]); t != "" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// message is what people read, in the words of Datadog's templates.
func message(r *alerts.Rule, a *ask) string {
	var b strings.Builder
	b.WriteString("{{#is_alert}}\n" + summary(r) + "\n")
	for _, part := range []struct{ name, text string }{{"Impact", r.Impact}, {"Action", r.Action}, {"Runbook", r.Runbook}} {
		if part.text != "" {
			b.WriteString(part.name + ": " + unbraced(part.text) + "\n")
		}
	}
	b.WriteString("{{/is_alert}}\n")
	if a.silence > 0 {
		fmt.Fprintf(&b, "{{#is_no_data}}\nNothing came for %d minutes: nobody can tell.\n{{/is_no_data}}\n", a.silence)
	}
	b.WriteString("{{#is_recovery}}\n" + r.Name + " is over.\n{{/is_recovery}}")
	if r.Doc != "" {
		b.WriteString("\n" + unbraced(r.Doc))
	}
	return b.String()
}

func unbraced(text string) string { return strings.NewReplacer("{{", "(", "}}", ")").Replace(text) }

// summary is the rule's summary where all that it names has a word in Datadog, else its condition.
func summary(r *alerts.Rule) string {
	text := regexp.MustCompile(`{{ *(?:(?:seconds|usd|percent|number) )? *\.(Value|Threshold|Labels\.[a-z_]+) *}}`).ReplaceAllStringFunc(r.Summary, func(found string) string {
		switch {
		case strings.Contains(found, ".Value"):
			return "\x00value\x01"
		case strings.Contains(found, ".Threshold"):
			return "\x00threshold\x01"
		}
		_, name, _ := strings.Cut(found, ".Labels.")
		return "\x00" + strings.Trim(name, "} ") + ".name\x01"
	})
	if text == "" || strings.Contains(text, "{{") {
		text = r.Name + ": " + words(&r.When)
	}
	return strings.NewReplacer("\x00", "{{", "\x01", "}}").Replace(text)
}

// minutes is a time as Datadog has it, at least one minute.
func minutes(d time.Duration) int64 {
	return max(int64((d+time.Minute-1)/time.Minute), 1)
}

// window is a time window of a query; longer than two days there is none.
func window(d time.Duration) (string, error) {
	const (
		hour = 60
		day  = 24 * hour
	)
	switch m := minutes(d); {
	case m > 2*day:
		return "", cannot("a window of %s", duration(d))
	case m == day:
		return "last_1d", nil
	case m%hour == 0:
		return fmt.Sprintf("last_%dh", m/hour), nil
	default:
		return fmt.Sprintf("last_%dm", m), nil
	}
}

// itself is what the agent cannot say of itself.
func (w *monitors) itself() {
	r := &alerts.Rule{
		Name: agentDown, Layer: alerts.LayerAgent, Severity: checks.P2, Summary: "the Windsock agent is not there",
		Impact: "no check is run, and no other alert can be believed", Doc: "Nothing of the agent has come for some minutes.",
	}
	a := ask{kind: typeQuery, query: "max(last_10m):max:windsock.build_info{" + w.here() + "}" + w.by(nil) + " < 1", critical: 1, silence: 10}
	w.add(r, r.Severity, &a)
	if w.in.Heartbeat > 0 {
		r.Name, r.Summary, r.Impact = heartbeatGone, "the Windsock agent sends no heartbeat", "whoever waits for it believes that the agent is dead"
		span := max(heartbeats*w.in.Heartbeat, downFor)
		last, err := window(span)
		if err != nil {
			w.lose(r.Name, "a monitor cannot say it (%v)", err)
			return
		}
		a := ask{kind: typeQuery, query: "sum(" + last + "):sum:windsock.heartbeat.sent{" + w.here() + "}" + w.by(nil) + ".as_count() < 1", critical: 1, silence: 2 * minutes(span)}
		w.add(r, r.Severity, &a)
	}
}

func (w *monitors) here() string { return cmp.Or(datadog.Tag("location", w.in.Location), "*") }
