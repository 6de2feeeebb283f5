package drill

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// heard is what a message on the wire says of one alert.
type heard struct {
	rule     string
	severity checks.Severity // "" where the message does not say
	open     bool
	marked   bool // as a drill
	at       time.Time
}

// ear is the other end of one exporter: what it was sent, as it was on the wire.
type ear struct {
	name, kind string
	people     bool // it tells people

	mu     sync.Mutex // guards the rest
	dead   string     // how it refuses; "" is well
	heard  []heard
	texts  []text              // of messages whose form is the team's own
	groups map[string][]heard  // of PagerDuty, by dedup key: whom its end is the end of
	asked  int                 // requests
	series map[string]struct{} // of metrics that say that an alert is open, by rule and severity
}

// text is a message that nobody can read but people.
type text struct {
	body string
	at   time.Time
}

func newEar(name, kind string) *ear {
	people := slices.Contains(notifiers(), kind)
	return &ear{name: name, kind: kind, people: people, groups: map[string][]heard{}, series: map[string]struct{}{}}
}

func (e *ear) die(how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = how
}

func (e *ear) refusal() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dead
}

// said is the words by which people know an alert in a text of the team's own: the rule's name, or what the alert says.
type said struct {
	rule      string
	summaries []string
}

// in reports whether a text says it, as it is or as a word of JSON.
func (s *said) in(body string) bool {
	return names(body, s.rule) || slices.ContainsFunc(s.summaries, func(summary string) bool {
		if summary == "" {
			return false
		}
		quoted, err := json.Marshal(summary)
		return strings.Contains(body, summary) || err == nil && strings.Contains(body, string(quoted[1:len(quoted)-1]))
	})
}

// told is the first message since a time that the alert is open as severe as one of these; none of them is any.
func (e *ear) told(of said, as []checks.Severity, since time.Time) (heard, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		fits := len(as) == 0 || h.severity == "" || slices.Contains(as, h.severity)
		if h.rule == of.rule && h.open && fits && !h.at.Before(since) {
			return h, true
		}
	}
	for _, t := range e.texts {
		if of.in(t.body) && !t.at.Before(since) {
			return heard{rule: of.rule, open: true, at: t.at, marked: marked(t.body)}, true
		}
	}
	return heard{}, false
}

// nameless reports whether something came since a time that names no rule, in a form of the team's own.
func (e *ear) nameless(since time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.texts, func(t text) bool { return !t.at.Before(since) })
}

// ended reports whether the last that was heard of the alert, which ended at a time, is its end. What a text of the team's own
// says of an end nobody can tell: it is the end where it came after that, and was not the first.
func (e *ear) ended(of said, at time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	over := false
	for _, h := range e.heard {
		if h.rule == of.rule {
			over = !h.open
		}
	}
	before := false
	for _, t := range e.texts {
		if of.in(t.body) {
			over, before = before && !t.at.Before(at), true
		}
	}
	return over
}

// names reports whether a text has a rule's name in it, and not as a part of another's.
func names(body, rule string) bool {
	ofName := func(c byte) bool {
		return c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for from := 0; ; {
		at := strings.Index(body[from:], rule)
		if at < 0 || rule == "" {
			return false
		}
		at += from
		end := at + len(rule)
		if (at == 0 || !ofName(body[at-1])) && (end == len(body) || !ofName(body[end])) {
			return true
		}
		from = at + 1
	}
}

func marked(body string) bool { return strings.Contains(strings.ToLower(body), checks.LabelDrill) }

// hear takes a message.
func (e *ear) hear(body []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.asked++
	switch e.kind {
	case "alertmanager":
		e.alertmanager(body, now)
	case "webhook":
		e.webhook(body, now)
	case "pagerduty":
		e.pagerDuty(body, now)
	case "stdout":
		e.lines(body, now)
	case "datadog":
		e.statsd(string(body), now)
	default:
		e.titles(string(body), now)
	}
}

// titles reads what the exporters for people put first: "[P1] api-down is firing".
func (e *ear) titles(body string, now time.Time) []heard {
	var all []heard
	for _, m := range regexp.MustCompile(`\[(P[1-4?])\] ([A-Za-z0-9_-]+) (is firing|has no data|is resolved)`).FindAllStringSubmatch(body, -1) {
		all = append(all, heard{rule: m[2], severity: checks.Severity(m[1]), open: m[3] != "is resolved", marked: marked(body), at: now})
	}
	e.heard = append(e.heard, all...)
	return all
}

// posted is an alert in the JSON of Alertmanager's API and of its webhook.
type posted struct {
	Status string            `json:"status"`
	Labels map[string]string `json:"labels"`
	EndsAt time.Time         `json:"endsAt"`
}

func (p *posted) heard(open bool, now time.Time) heard {
	return heard{
		rule: p.Labels["alertname"], severity: checks.Severity(p.Labels["severity"]), open: open, marked: p.Labels[checks.LabelDrill] != "", at: now,
	}
}

func (e *ear) alertmanager(body []byte, now time.Time) {
	var alerts []posted
	if json.Unmarshal(body, &alerts) != nil {
		return
	}
	for i := range alerts {
		e.heard = append(e.heard, alerts[i].heard(alerts[i].EndsAt.After(now), now))
	}
}

func (e *ear) webhook(body []byte, now time.Time) {
	var message struct {
		Alerts []posted `json:"alerts"`
	}
	if json.Unmarshal(body, &message) != nil || len(message.Alerts) == 0 || message.Alerts[0].Labels["alertname"] == "" {
		e.texts = append(e.texts, text{string(body), now}) // a template of the team's own
		return
	}
	for i := range message.Alerts {
		e.heard = append(e.heard, message.Alerts[i].heard(message.Alerts[i].Status != "resolved", now))
	}
}

func (e *ear) pagerDuty(body []byte, now time.Time) {
	var event struct {
		Action string `json:"event_action"`
		Key    string `json:"dedup_key"`
	}
	if json.Unmarshal(body, &event) != nil {
		return
	}
	if event.Action != "resolve" {
		e.groups[event.Key] = append(e.groups[event.Key], e.titles(string(body), now)...)
		return
	}
	for _, h := range e.groups[event.Key] {
		h.open, h.at = false, now
		e.heard = append(e.heard, h)
	}
	delete(e.groups, event.Key)
}

// lines reads records as the exporter stdout writes them, JSON or pretty.
func (e *ear) lines(body []byte, now time.Time) {
	for line := range strings.Lines(string(body)) {
		var record struct {
			Type     string            `json:"type"`
			Rule     string            `json:"rule"`
			Severity checks.Severity   `json:"severity"`
			State    checks.AlertState `json:"state"`
			Labels   map[string]string `json:"labels"`
			Muted    string            `json:"muted"`
		}
		if json.Unmarshal([]byte(line), &record) == nil {
			if record.Type == string(checks.TypeAlert) && record.State != checks.AlertPending {
				e.heard = append(e.heard, heard{record.Rule, record.Severity, record.State.Open(), record.Labels[checks.LabelDrill] != "", now})
			}
			continue
		}
		if m := regexp.MustCompile(`^\S+  (firing|no_data|resolved) +(\S+) .*\b(P[1-4]) alert`).FindStringSubmatch(line); m != nil {
			e.heard = append(e.heard, heard{m[2], checks.Severity(m[3]), m[1] != "resolved", marked(m[0]), now})
		}
	}
}

// statsd reads DogStatsD: the events, and the gauge of the state of alerts.
func (e *ear) statsd(packet string, now time.Time) {
	for line := range strings.Lines(packet) {
		if strings.HasPrefix(line, "_e{") {
			e.titles(line, now)
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !strings.HasSuffix(name, "windsock.alert.state") {
			continue
		}
		value, rest, _ := strings.Cut(rest, "|")
		_, tags, _ := strings.Cut(rest, "#")
		tags, _, _ = strings.Cut(tags, "|")
		labels := map[string]string{}
		for tag := range strings.SplitSeq(tags, ",") {
			key, v, _ := strings.Cut(tag, ":")
			labels[key] = v
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			e.gauge(labels, v, now)
		}
	}
}

// gauge takes a value of windsock.alert.state; 2 and above is open. The caller holds mu.
func (e *ear) gauge(labels map[string]string, v float64, now time.Time) {
	h := heard{rule: labels["rule"], severity: checks.Severity(labels["severity"]), open: v >= 2, marked: labels[checks.LabelDrill] != "", at: now}
	key := h.rule + "/" + string(h.severity)
	_, was := e.series[key]
	switch {
	case h.open && !was:
		e.series[key] = struct{}{}
	case !h.open && was:
		delete(e.series, key)
	default:
		return // the same again
	}
	e.heard = append(e.heard, h)
}
