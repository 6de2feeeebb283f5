package slack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

// Slack's bounds, in characters; we count bytes, which are never fewer. (docs.slack.dev/reference/block-kit/blocks, read
// November 2026)
const (
	maxHeader  = 150
	maxSection = 3000
	maxField   = 2000
	maxOthers  = 12 // of our own: lines of other alerts
	maxLabels  = 12
	maxFieldIn = 600 // of a text of an alert
)

// message is the body of chat.postMessage, of chat.update and of a webhook, as far as we say anything.
type message struct {
	Channel     string  `json:"channel,omitempty"`
	TS          string  `json:"ts,omitempty"`
	ThreadTS    string  `json:"thread_ts,omitempty"`
	Broadcast   bool    `json:"reply_broadcast,omitempty"`
	Text        string  `json:"text"` // where blocks are not shown: notifications, screen readers
	Blocks      []block `json:"blocks"`
	UnfurlLinks bool    `json:"unfurl_links"`
	UnfurlMedia bool    `json:"unfurl_media"`
	Parse       string  `json:"parse"` // none: names are no links, nobody is called by one
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim *bool  `json:"verbatim,omitempty"` // true: Slack makes no links of names
}

func plain(s string, limit int) *text {
	return &text{Type: "plain_text", Text: cmp.Or(exporters.Clean(s, limit), "-")}
}

// markup is text that is escaped already.
func markup(s string) text { return text{Type: "mrkdwn", Text: s, Verbatim: new(true)} }

func section(s string) block {
	t := markup(s)
	return block{Type: "section", Text: &t}
}

// escape makes one line of s that Slack shows as it is: no mention, no link. It is at most limit bytes once it is escaped.
func escape(s string, limit int) string {
	var out strings.Builder
	for _, r := range exporters.Clean(s, limit) {
		piece := string(r)
		switch r {
		case '&':
			piece = "&amp;"
		case '<':
			piece = "&lt;"
		case '>':
			piece = "&gt;"
		}
		if out.Len()+len(piece) > limit {
			break
		}
		out.WriteString(piece)
	}
	return out.String()
}

// code is a text in which nothing is markup.
func code(s string) string {
	return "`" + cmp.Or(escape(strings.ReplaceAll(s, "`", "'"), 2*maxLabelText), "-") + "`"
}

const maxLabelText = 192

// instant is shown in the reader's own time zone.
func instant(at time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", at.Unix(), at.UTC().Format("2006-01-02 15:04 UTC"))
}

// view is what a message shows: the first of its alerts in full, the others a line each.
type view struct {
	alerts []checks.Alert
	others []checks.Alert
	what   string // the others are
	news   notify.Kind
	acked  bool            // it has another incident commander than was told
	was    checks.Severity // of the first, as it was told last
}

// status is the first message of a group: how it stands now.
func (p *Params) status(m *notify.Message) message {
	if len(m.Open) == 0 {
		return p.compose(&view{alerts: m.Alerts})
	}
	return p.compose(&view{alerts: m.Open[:1], others: m.Open[1:], what: "Also open:"})
}

// first is status, and calls whom it has to call.
func (p *Params) first(m *notify.Message) message {
	if len(m.Open) == 0 {
		return p.change(m)
	}
	return p.compose(&view{alerts: m.Open[:1], others: m.Open[1:], what: "Also open:", news: m.Kind})
}

// change is a message that says what is new: the alerts that changed, the most severe first, and what else is open.
func (p *Params) change(m *notify.Message) message {
	v := view{what: "Also open:", news: m.Kind}
	place := make([]int, len(m.Alerts))
	for i := range place {
		place[i] = i
	}
	slices.SortStableFunc(place, func(a, b int) int { return cmp.Compare(m.Alerts[a].Severity, m.Alerts[b].Severity) })
	changed := map[string]bool{}
	for _, i := range place {
		changed[m.Alerts[i].Fingerprint] = true
		v.alerts = append(v.alerts, m.Alerts[i])
	}
	for i := range m.Open {
		if !changed[m.Open[i].Fingerprint] {
			v.others = append(v.others, m.Open[i])
		}
	}
	if len(m.Before) == len(place) {
		v.was = m.Before[place[0]].Severity
		v.acked = v.alerts[0].Commander != m.Before[place[0]].Commander
	}
	return p.compose(&v)
}

// compose writes a message.
func (p *Params) compose(v *view) message {
	lead := &v.alerts[0]
	title := wording.Title(lead)
	if more := len(v.alerts) - 1; more > 0 {
		title += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case v.news != notify.Reminder:
	case v.acked && lead.Commander != "":
		title = "Acknowledged: " + title
	default:
		title = "Reminder: " + title
	}
	call := ""
	if v.news == notify.Opened || v.news == notify.Changed {
		call = mention(p.Mention[lead.Severity])
	}
	blocks := []block{{Type: "header", Text: plain(title, maxHeader)}}
	blocks = append(blocks, v.lead(call)...)
	blocks = append(blocks, list("And:", v.alerts[1:])...)
	blocks = append(blocks, list(v.what, v.others)...)
	fallback := strings.TrimSpace(call + " " + escape(title, maxHeader) + ": " + escape(strings.TrimPrefix(lead.Summary, wording.Drill), maxFieldIn))
	return message{Text: strings.TrimSuffix(fallback, ":"), Blocks: append(blocks, p.foot(lead)...), Parse: "none"}
}

// lead is what the runbook wants said of an alert.
func (v *view) lead(call string) []block {
	a := &v.alerts[0]
	var blocks []block
	if head := strings.TrimSpace(call + " " + escape(a.Summary, maxFieldIn)); head != "" {
		blocks = append(blocks, section(head))
	}
	fields := make([]text, 0, 10)
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, markup("*"+name+"*\n"+value))
		}
	}
	add("Severity", v.severity())
	add("Status", status(a))
	add("Impact", escape(cmp.Or(a.Impact, "not known"), maxFieldIn))
	add("Next update", nextUpdate(a))
	add("Incident commander", escape(cmp.Or(a.Commander, "not yet named"), maxFieldIn))
	add("Value", code(wording.Number(a.Value)+", threshold "+wording.Number(a.Threshold)))
	add("Blame", escape(string(a.Blame), maxFieldIn))
	add("Incident", escape(a.Incident, maxFieldIn))
	blocks = append(blocks, block{Type: "section", Fields: fields})
	if a.Diagnosis != "" {
		blocks = append(blocks, section("*Diagnosis*\n"+escape(a.Diagnosis, maxFieldIn)))
	}
	if a.Action != "" && a.State.Open() {
		blocks = append(blocks, section("*Action*\n"+escape(a.Action, maxFieldIn)))
	}
	return blocks
}

// severity says from what it rose.
func (v *view) severity() string {
	a := &v.alerts[0]
	now := escape(cmp.Or(string(a.Severity), "not known"), maxFieldIn)
	if v.news != notify.Changed || v.was == "" || v.was == a.Severity {
		return now
	}
	return now + ", was " + escape(string(v.was), maxFieldIn)
}

func status(a *checks.Alert) string {
	said := escape(strings.TrimPrefix(wording.Status(a), "is "), maxFieldIn)
	switch {
	case a.State.Open() && !a.Since.IsZero():
		return said + " since " + instant(a.Since)
	case !a.State.Open() && !a.At.IsZero():
		return said + " " + instant(a.At)
	}
	return said
}

func nextUpdate(a *checks.Alert) string {
	if !a.State.Open() {
		return "none, it is over"
	}
	by, words := wording.NextUpdate(a)
	switch {
	case by.IsZero():
		return words
	case by.Before(a.At):
		return "was due " + instant(by)
	}
	return "by " + instant(by)
}

// list is a line for each alert, in one block.
func list(what string, alerts []checks.Alert) []block {
	if len(alerts) == 0 {
		return nil
	}
	lines := []string{what}
	for i := range alerts[:min(len(alerts), maxOthers)] {
		a := &alerts[i]
		lines = append(lines, "• "+escape(wording.Line(a), (maxSection-200)/maxOthers-8))
	}
	if more := len(alerts) - maxOthers; more > 0 {
		lines = append(lines, fmt.Sprintf("• and %d more", more))
	}
	return []block{section(strings.Join(lines, "\n"))}
}

// foot is the labels and the runbook.
func (p *Params) foot(a *checks.Alert) []block {
	var labels string
	for _, label := range wording.Labels(a, maxLabels) {
		if part := code(label); len(labels)+len(part) < maxSection {
			labels += part + " "
		}
	}
	var elements []text
	if labels != "" {
		elements = append(elements, markup(strings.TrimSpace(labels)))
	}
	if link := linkTo(wording.Runbook(a, p.RunbookURL)); link != "" {
		elements = append(elements, markup("<"+link+"|Runbook>"))
	} else if a.Runbook != "" {
		elements = append(elements, markup("Runbook: "+code(a.Runbook)))
	}
	if len(elements) == 0 {
		return nil
	}
	return []block{{Type: "context", Elements: elements}}
}

// linkTo is a URL that can stand in markup; "" where it is too long for that.
func linkTo(target string) string {
	target = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C").Replace(target)
	if len(target) > maxField {
		return ""
	}
	return target
}
