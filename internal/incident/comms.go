package incident

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// Audience is for whom a message is.
type Audience string

// The audiences.
const (
	Internal Audience = "internal" // the team's channel: Slack's mrkdwn
	External Audience = "external" // the status page: plain text, which names nothing of ours
)

// Phase is how far an incident has come, in the words of status pages.
type Phase string

// The phases, in their order.
const (
	Investigating Phase = "investigating"
	Identified    Phase = "identified"
	Monitoring    Phase = "monitoring"
	Resolved      Phase = "resolved"
)

// Phases are all of them.
func Phases() []Phase { return []Phase{Investigating, Identified, Monitoring, Resolved} }

// PhaseOf is how far an incident has come: resolved when it is closed, monitoring when users are served again, identified
// when the cause is known.
func PhaseOf(in *Incident, c *Course) Phase {
	switch {
	case !in.Open():
		return Resolved
	case !c.at(StepMitigated).IsZero():
		return Monitoring
	case !c.at(StepIdentified).IsZero():
		return Identified
	}
	return Investigating
}

// NextUpdate is when people hear of an incident again: after half an hour for P1, an hour for P2, four hours for P3, and on
// the next business day, by five o'clock in the zone, for P4. The time to respond is another thing.
func NextUpdate(now time.Time, s checks.Severity, zone *time.Location) time.Time {
	switch s {
	case checks.P1:
		return now.Add(30 * time.Minute).Truncate(time.Minute)
	case checks.P2:
		return now.Add(time.Hour).Truncate(time.Minute)
	case checks.P3:
		return now.Add(4 * time.Hour).Truncate(time.Minute)
	case checks.P4:
	}
	if zone == nil {
		zone = time.UTC
	}
	return (&Options{Timezone: zone}).nextBusinessDay(now)
}

// Brief is what a message is made of.
type Brief struct {
	Now      time.Time
	Incident *Incident
	Course   Course
	Seen     *Seen // nil where the records could not be read
	Setting  runbook.Setting
	Zone     *time.Location
	// Internals are words that the outside must not read: names of providers, hosts, checks and people. Where the team's own
	// words for what is affected hold one, they are not used.
	Internals []string
}

// Message is a text for an audience.
type Message struct {
	For        Audience  `json:"for"`
	State      Phase     `json:"state"`
	Text       string    `json:"text"`
	NextUpdate time.Time `json:"next_update_at,omitzero"` // none where it is resolved
	To         string    `json:"to,omitempty"`            // the channel, or the status page
	Notes      []string  `json:"notes,omitempty"`         // for whoever sends it
}

// Message writes the message of a phase; "" is the one that the incident has come to.
func (b *Brief) Message(to Audience, phase Phase) Message {
	m := Message{For: to, State: cmp.Or(phase, PhaseOf(b.Incident, &b.Course))}
	if m.State != Resolved {
		m.NextUpdate = NextUpdate(b.Now, b.Incident.Severity, b.Zone).UTC()
	}
	if name := b.Incident.Drill(); name != "" {
		m.Notes = append(m.Notes, "this incident is a drill's ("+name+"): nothing is wrong, and nobody outside is to be told")
	}
	if m.State == Resolved || m.State == Monitoring {
		m.Notes = append(m.Notes, b.doubts(m.State)...)
	}
	if to == External {
		m.To = b.Setting.StatusPage
		b.external(&m)
	} else {
		m.To = b.Setting.Channel
		b.internal(&m)
	}
	return m
}

// doubts are why a message that says that users are served again may not be true.
func (b *Brief) doubts(state Phase) []string {
	var open []string
	for i := range b.Incident.Alerts {
		if a := &b.Incident.Alerts[i]; a.State.Open() && !slices.Contains(open, a.Rule) {
			open = append(open, a.Rule)
		}
	}
	if len(open) == 0 {
		return nil
	}
	slices.Sort(open)
	text := "the message says that it is " + string(state)
	if !b.Incident.Open() {
		text = "it was closed by hand"
	}
	return []string{text + " while alerts were open (" + strings.Join(open, ", ") + "): send it only where you know that users are served again"}
}

const someFeatures = "some of our features"

// external fills the public text. Nothing of the incident but its times goes into it; the words are these and the team's own.
func (b *Brief) external(m *Message) {
	affected := b.affected(m)
	when := b.since().UTC().Format("2006-01-02 15:04 UTC")
	var text string
	switch m.State {
	case Investigating:
		text = fmt.Sprintf("We are investigating a problem with %s, which began at %s. You may see errors, missing answers or delays.", affected, when)
	case Identified:
		text = fmt.Sprintf("We have identified %s. It affects %s since %s: you may see errors, missing answers or delays. %s", b.publicCause(), affected, when, b.publicRemedy())
	case Monitoring:
		text = fmt.Sprintf("The problem with %s that began at %s is mitigated. We are watching that it stays that way.", affected, when)
	case Resolved:
		text = fmt.Sprintf("The problem with %s that began at %s is resolved", affected, when)
		if end := b.Incident.ClosedAt; !end.IsZero() {
			text += " since " + end.UTC().Format("2006-01-02 15:04 UTC")
		}
		text += ". We are sorry for the trouble."
	}
	if !m.NextUpdate.IsZero() {
		text += "\n\nNext update by " + m.NextUpdate.Format("2006-01-02 15:04 UTC") + "."
	}
	if b.Incident.Drill() != "" {
		text = "This is a drill: nothing is wrong, and nothing of this is to be published.\n\n" + text
	}
	m.Text = text + "\n"
}

// since is when it began, as far as that is known, else when it was noticed.
func (b *Brief) since() time.Time {
	if began := b.Course.at(StepBegan); !began.IsZero() && began.Before(b.Incident.OpenedAt) {
		return began
	}
	return b.Incident.OpenedAt
}

// affected is what users notice, in the team's own words.
func (b *Brief) affected(m *Message) string {
	words := oneLine(b.Setting.Affected)
	if words == "" {
		m.Notes = append(m.Notes, "runbook.affected does not say what users notice, so the message speaks of "+someFeatures)
		return someFeatures
	}
	if innards.MatchString(words) || slices.ContainsFunc(b.Internals, func(word string) bool { return holdsWord(words, word) }) {
		m.Notes = append(m.Notes, "runbook.affected names something internal, so the message speaks of "+someFeatures)
		return someFeatures
	}
	return words
}

// innards are what is internal by its form: addresses, hosts of a private network, severities.
var innards = regexp.MustCompile(`(?i)://|@|\b\d{1,3}(?:\.\d{1,3}){3}\b|\blocalhost\b|[\w-]\.(?:internal|local|svc|corp|lan|intranet)\b|\bP[1-4]\b`)

// holdsWord reports whether a word, of three letters at least, stands in a text by itself.
func holdsWord(text, word string) bool {
	if len(word) < 3 {
		return false
	}
	text, word = strings.ToLower(text), strings.ToLower(word)
	letter := func(at int) bool {
		if at < 0 || at >= len(text) {
			return false
		}
		c := text[at]
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if !letter(i-1) && !letter(i+len(word)) {
			return true
		}
		from = i + 1
	}
}

func (b *Brief) side() string {
	blame := b.Incident.Blame
	if b.Seen != nil && b.Seen.Blame != checks.BlameNone {
		blame = b.Seen.Blame
	}
	if blame == checks.BlameNetwork {
		return "network"
	}
	return side(blame)
}

func (b *Brief) publicCause() string {
	switch b.side() {
	case "reach":
		return "the cause: our AI provider has a problem"
	case "network":
		return "the cause: the connection to our AI provider is disturbed"
	case "account", "here", "application":
		return "the cause, which is on our side"
	}
	return "the cause"
}

func (b *Brief) publicRemedy() string {
	if b.side() == "reach" {
		return "We are working on reducing the effect."
	}
	return "We are working on a fix."
}

// internal fills the team's text.
func (b *Brief) internal(m *Message) {
	in := b.Incident
	page := BranchOf(in, b.Seen).Page(b.Setting)
	var out strings.Builder
	line := func(word, format string, args ...any) {
		fmt.Fprintf(&out, "*%s:* %s\n", word, fmt.Sprintf(format, args...))
	}
	if name := in.Drill(); name != "" {
		line("Drill", "%s, nothing is wrong", slackCode(name))
	}
	fmt.Fprintf(&out, "*%s %s* %s\n", in.Severity, m.State, slackCode(in.Title))
	line("Incident", "%s, since %s (%s)%s", slackCode(in.ID), clock(b.since(), b.Zone), Took(&b.Course.Duration), b.ours())
	line("Cause", "%s", b.cause())
	line("Impact", "%s", b.impact())
	for i := range in.Alerts[:min(len(in.Alerts), 5)] {
		a := &in.Alerts[i]
		line("Alert", "%s is %s, %s", slackCode(a.Rule), stateWord(a.State), a.Severity)
	}
	line("Commander", "%s", b.commander())
	if m.State != Resolved {
		for i, action := range page.Actions {
			line(fmt.Sprintf("Next %d", i+1), "%s%s", slack(action.Text), slackCommand(action))
		}
		if page.Escalate != "" {
			line("Escalate", "%s%s", slack(page.Escalate), b.contacts())
		}
	}
	line("Runbook", "%s: %s", slack(page.Title), slackCode(PageAddress(b.Setting, page.Branch)))
	switch {
	case m.State == Resolved:
		line("Next", "a postmortem: %s", slackCode("windsock incident postmortem "+in.ID))
	case b.Setting.Channel != "":
		line("Next update", "by %s in %s", clock(m.NextUpdate, b.Zone), slackCode(b.Setting.Channel))
	default:
		line("Next update", "by %s", clock(m.NextUpdate, b.Zone))
	}
	m.Text = out.String()
}

func (b *Brief) ours() string {
	text := ""
	if b.Setting.Service != "" {
		text += ", service " + slackCode(b.Setting.Service)
	}
	if b.Incident.Provider != "" {
		text += ", provider " + slackCode(b.Incident.Provider)
	}
	return text
}

func (b *Brief) cause() string {
	for _, m := range b.Course.Milestones {
		if m.Step == StepIdentified && !m.At.IsZero() {
			who := ""
			if m.By != "" {
				who = ", says " + slackCode(m.By)
			}
			return slackCode(m.How) + who
		}
	}
	if b.Incident.Blame != checks.BlameNone {
		return "not known yet, blamed on " + string(b.Incident.Blame)
	}
	return "not known yet"
}

// impact says what is known, and what is not.
func (b *Brief) impact() string {
	if b.Seen == nil {
		return "failed runs not known, failed requests not known"
	}
	text := fmt.Sprintf("%d of %d runs failed", b.Seen.Failed, b.Seen.Runs)
	if b.Seen.Runs == 0 {
		text = "no run was made"
	}
	return text + ", failed requests " + failedRequests(b.Seen)
}

func failedRequests(s *Seen) string {
	if s == nil || s.Traffic == nil || s.Traffic.Failed == nil {
		return "not known"
	}
	text := fmt.Sprintf("about %.0f", *s.Traffic.Failed)
	if s.Traffic.Requests != nil {
		text += fmt.Sprintf(" of %.0f", *s.Traffic.Requests)
	}
	return text
}

func (b *Brief) commander() string {
	in := b.Incident
	switch {
	case in.Commander != "":
		return slackCode(in.Commander)
	case !in.Open():
		return "nobody acknowledged it"
	case in.Missed:
		return "nobody yet, and the time to respond ended at " + clock(in.RespondBy, b.Zone) + ": " + slackCode("windsock alerts ack "+in.ID)
	}
	return "nobody yet, respond by " + clock(in.RespondBy, b.Zone) + ": " + slackCode("windsock alerts ack "+in.ID)
}

// contacts are those of the incident's severity whose time has come.
func (b *Brief) contacts() string {
	var who []string
	for _, e := range b.Setting.Escalation {
		if e.Severity == string(b.Incident.Severity) && b.Now.Sub(b.Incident.OpenedAt) >= e.After {
			who = append(who, slackCode(e.Contact))
		}
	}
	if len(who) == 0 {
		return ""
	}
	return " Now: " + strings.Join(who, ", ")
}

// PageAddress is where the page of a branch is: the team's own, else the one that ships.
func PageAddress(s runbook.Setting, branch runbook.Branch) string {
	return exporters.RunbookURL(string(branch), s.URL)
}

// slack is a text in Slack's mrkdwn that mentions nobody and links nowhere.
func slack(text string) string {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(oneLine(text))
	for _, all := range []string{"channel", "here", "everyone"} {
		text = strings.ReplaceAll(text, "@"+all, "(at)"+all)
	}
	return text
}

// slackCode is a text of others in which nothing is markup.
func slackCode(text string) string {
	return "`" + cmp.Or(slack(strings.ReplaceAll(text, "`", "'")), "-") + "`"
}

// slackCommand is an action's command, set off from its text.
func slackCommand(a runbook.Action) string {
	switch {
	case a.Command == "":
		return ""
	case strings.HasSuffix(a.Text, "?"):
		return " " + slackCode(a.Command)
	}
	return ": " + slackCode(a.Command)
}

// Words are those that the outside must not read, each once, sorted.
func Words(all ...string) []string {
	all = slices.DeleteFunc(slices.Clone(all), func(w string) bool { return strings.TrimSpace(w) == "" })
	slices.Sort(all)
	return slices.Compact(all)
}
