package incident

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Step is the name of a milestone.
type Step string

// The milestones, in the order in which they come as a rule.
const (
	StepBegan      Step = "began"      // the first run that was not well
	StepFired      Step = "fired"      // the alert that opened the incident
	StepAcked      Step = "acked"      // somebody took it
	StepIdentified Step = "identified" // the cause is known
	StepMitigated  Step = "mitigated"  // users are served again
	StepResolved   Step = "resolved"   // it is over
)

// Milestone is one moment of an incident.
type Milestone struct {
	Step   Step      `json:"step"`
	At     time.Time `json:"at,omitzero"`      // zero: not yet, or nobody knows
	By     string    `json:"by,omitempty"`     // the person; "" is the agent
	How    string    `json:"how,omitempty"`    // what happened, or why there is no time
	Record string    `json:"record,omitempty"` // id of the record that shows it
}

// Course is how an incident went: all of its milestones, and the times between them. A time that is nil is not known.
type Course struct {
	Milestones []Milestone `json:"milestones"`
	Detect     *float64    `json:"time_to_detect,omitempty"`   // seconds, from its beginning to the alert
	Ack        *float64    `json:"time_to_ack,omitempty"`      // from the alert
	Identify   *float64    `json:"time_to_identify,omitempty"` // from the alert
	Mitigate   *float64    `json:"time_to_mitigate,omitempty"` // from its beginning, or else from the alert
	Resolve    *float64    `json:"time_to_resolve,omitempty"`  // likewise
	Duration   float64     `json:"duration"`                   // from its beginning, or else from the alert, to its end or to now
}

// The words that begin a mark which tells a milestone.
func marks(s Step) []string {
	switch s {
	case StepIdentified:
		return []string{"cause:", "identified:"}
	case StepMitigated:
		return []string{"mitigated:", "mitigation:"}
	case StepBegan, StepFired, StepAcked, StepResolved:
	}
	return nil
}

// TellsMilestone reports whether a mark is one that tells a milestone of an incident, and so no deploy.
func TellsMilestone(text string) bool {
	for _, s := range []Step{StepIdentified, StepMitigated} {
		for _, word := range marks(s) {
			if len(text) >= len(word) && strings.EqualFold(text[:len(word)], word) {
				return true
			}
		}
	}
	return false
}

// CourseOf says how an incident went, by its timeline and by what the records tell; nil where they could not be read.
func CourseOf(now time.Time, in *Incident, timeline []Event, seen *Seen) Course {
	c := Course{Milestones: []Milestone{
		began(in, seen), fired(in, timeline), acked(in, timeline), identified(in, timeline, seen), mitigated(in, timeline), resolved(in),
	}}
	from, end := c.at(StepBegan), in.ClosedAt
	if from.IsZero() || from.After(c.at(StepFired)) {
		from = c.at(StepFired)
	}
	if in.Open() {
		end = now
	}
	c.Duration = max(end.Sub(from), 0).Seconds()
	c.Detect = between(c.at(StepBegan), c.at(StepFired))
	c.Ack = between(c.at(StepFired), c.at(StepAcked))
	c.Identify = between(c.at(StepFired), c.at(StepIdentified))
	c.Mitigate = between(from, c.at(StepMitigated))
	c.Resolve = between(from, c.at(StepResolved))
	return c
}

// At is the milestone of that name.
func (c *Course) at(s Step) time.Time {
	for _, m := range c.Milestones {
		if m.Step == s {
			return m.At
		}
	}
	return time.Time{}
}

func between(from, to time.Time) *float64 {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	took := max(to.Sub(from), 0).Seconds()
	return &took
}

func began(in *Incident, seen *Seen) Milestone {
	m := Milestone{Step: StepBegan}
	switch {
	case seen == nil:
		m.How = "not known: the records could not be read"
	case !seen.Began.IsZero():
		m.At, m.How = seen.Began, "the first run that failed"
		if len(seen.Refs) > 0 && seen.Refs[0].At.Equal(seen.Began) {
			m.Record, m.How = seen.Refs[0].ID, "the first run that failed, of "+seen.Refs[0].Check
		}
	default:
		m.How = fmt.Sprintf("not known: no run failed in the %d minutes before the alert", int(Before.Minutes()))
	}
	if m.At.After(in.OpenedAt) {
		m.At = in.OpenedAt
	}
	return m
}

func fired(in *Incident, timeline []Event) Milestone {
	m := Milestone{Step: StepFired, At: in.OpenedAt, How: "the alert fired"}
	for i := range timeline {
		if e := &timeline[i]; e.Incident == in.ID && e.Kind == EventAlert {
			m.At, m.How = e.At, e.Text
			break
		}
	}
	return m
}

func acked(in *Incident, timeline []Event) Milestone {
	for i := range timeline {
		if e := &timeline[i]; e.Incident == in.ID && e.Kind == EventAck {
			return Milestone{Step: StepAcked, At: e.At, By: e.Subject, How: e.Text}
		}
	}
	switch {
	case !in.AckedAt.IsZero():
		return Milestone{Step: StepAcked, At: in.AckedAt, By: in.Commander, How: in.Commander + " acknowledged"}
	case in.Open():
		return Milestone{Step: StepAcked, How: "not yet"}
	}
	return Milestone{Step: StepAcked, How: "nobody acknowledged it"}
}

// marked is the last mark of the incident's time that tells a milestone.
func marked(in *Incident, timeline []Event, s Step) (found Milestone, ok bool) {
	for i := range timeline {
		e := &timeline[i]
		if e.Kind != EventMark || e.At.Before(in.OpenedAt) || !in.Open() && e.At.After(in.ClosedAt) {
			continue
		}
		for _, word := range marks(s) {
			if len(e.Text) >= len(word) && strings.EqualFold(e.Text[:len(word)], word) {
				found, ok = Milestone{Step: s, At: e.At, By: e.Subject, How: strings.TrimSpace(e.Text[len(word):])}, true
			}
		}
	}
	return found, ok
}

func identified(in *Incident, timeline []Event, seen *Seen) Milestone {
	if m, ok := marked(in, timeline, StepIdentified); ok {
		return m
	}
	m := Milestone{Step: StepIdentified}
	switch {
	case seen != nil && seen.Named != nil:
		m.At, m.Record = later(seen.Named.At, in.OpenedAt), seen.Named.ID
		m.How = fmt.Sprintf("named by the agent: %s%s", seen.Cause, blamed(seen.Blame))
	case seen == nil:
		m.How = "not known: the records could not be read, and no mark says `cause: …`"
	default:
		m.How = "not known: no run that failed names a cause, and no mark says `cause: …`"
	}
	return m
}

func blamed(b checks.Blame) string {
	if b == checks.BlameNone {
		return ""
	}
	return ", blamed on " + string(b)
}

func mitigated(in *Incident, timeline []Event) Milestone {
	m, ok := marked(in, timeline, StepMitigated)
	again := firedAfter(in, m.At)
	switch {
	case ok && again == nil:
		return m
	case ok:
		return Milestone{Step: StepMitigated, How: fmt.Sprintf("not any more: it was at %s (%s), and %s fired after it", m.At.UTC().Format("15:04:05"), m.How, again.Rule)}
	case !in.QuietAt.IsZero():
		return Milestone{Step: StepMitigated, At: in.QuietAt, How: "all alerts are resolved"}
	case in.Open():
		return Milestone{Step: StepMitigated, How: "not yet: alerts are open, and no mark says `mitigated: …`"}
	}
	return Milestone{Step: StepMitigated, How: "not known: it was closed while alerts were open, and no mark says `mitigated: …`"}
}

// firedAfter is an open alert of an open incident that began to fire after a moment, nil where there is none.
func firedAfter(in *Incident, moment time.Time) *checks.Alert {
	for i := range in.Alerts {
		if a := &in.Alerts[i]; in.Open() && a.State.Open() && a.Since.After(moment) {
			return a
		}
	}
	return nil
}

func resolved(in *Incident) Milestone {
	m := Milestone{Step: StepResolved, At: in.ClosedAt, By: in.ClosedBy}
	switch {
	case in.Open():
		m.How = "not yet"
	case in.ClosedBy == "" && in.Reason == "":
		m.How = "closed by itself: all alerts resolved, and the path well since"
	default:
		m.How = "closed by hand"
		if in.Reason != "" {
			m.How += ": " + in.Reason
		}
	}
	return m
}
