package incident

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Closing is who ends an incident by hand, and why.
type Closing struct {
	By     string // a name; "" is nobody's
	Reason string // one line; needed with Force
	Force  bool   // though alerts are open
}

// StillOpenError means that alerts of an incident are open, so that it is not closed without Force and a reason.
type StillOpenError struct {
	ID    string
	Rules []string // of the open alerts, sorted
}

func (e *StillOpenError) Error() string {
	return fmt.Sprintf("incident %s has open alerts (%s): it closes by itself when they are resolved and the path has been well; to close it all the same, give --force and --reason",
		e.ID, strings.Join(e.Rules, ", "))
}

// left is what remains of an alert that was open when its incident was closed by hand.
type left struct {
	Incident string          `json:"incident"`
	Severity checks.Severity `json:"severity"`
}

// leftPrefix begins the keys of what is left; no incident has such an id.
const leftPrefix = "closed"

// Close ends an open incident because somebody says so. What of it still fires belongs to it until it is resolved: it opens
// no other one, unless it becomes worse than it was, or is resolved and fires again. false: no incident of that id is open.
func (b *Book) Close(now time.Time, id string, by Closing) (out Outcome, found bool, err error) {
	at := slices.IndexFunc(b.open, func(o *open) bool { return o.ID == id })
	if at < 0 {
		return out, false, nil
	}
	o := b.open[at]
	firing := map[string]checks.Alert{}
	for fingerprint, m := range o.members {
		if m.State.Open() {
			firing[fingerprint] = m
		}
	}
	if len(firing) > 0 && (!by.Force || by.Reason == "") {
		return out, true, &StillOpenError{o.ID, rulesOf(firing)}
	}
	o.ClosedBy, o.Reason = clip(by.By), clip(by.Reason)
	b.close(now, o, &out)
	for fingerprint, m := range firing {
		b.leave(fingerprint, left{o.ID, m.Severity}, &out)
	}
	return out, true, nil
}

func rulesOf(members map[string]checks.Alert) []string {
	names := map[string]bool{}
	for _, m := range members {
		names[m.Rule] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// closing is the text of the event that ends an incident.
func (o *open) closing(now time.Time) string {
	who := ""
	if o.ClosedBy != "" {
		who = " by " + o.ClosedBy
	}
	text := fmt.Sprintf("incident closed%s after %s, %s, %d alerts", who, now.Sub(o.OpenedAt).Round(time.Second), o.Severity, len(o.members))
	firing := 0
	for _, m := range o.members {
		if m.State.Open() {
			firing++
		}
	}
	if firing > 0 {
		text += fmt.Sprintf(", %d still open", firing)
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

func (b *Book) leave(fingerprint string, l left, out *Outcome) {
	b.left[fingerprint] = l
	out.keep(memberKey(leftPrefix, fingerprint), encode(l))
}

func (b *Book) forget(fingerprint string, out *Outcome) {
	delete(b.left, fingerprint)
	out.keep(memberKey(leftPrefix, fingerprint), nil)
}

// restoreLeft takes over what is left of an alert, where the key is of such.
func (b *Book) restoreLeft(key string, data []byte) {
	prefix, fingerprint, _ := strings.Cut(key, "/")
	var l left
	if prefix == leftPrefix && fingerprint != "" && json.Unmarshal(data, &l) == nil && l.Incident != "" {
		b.left[fingerprint] = l
	}
}

// leftOver takes a transition of an alert whose incident was closed by hand, and reports whether that is all there is to it.
func (b *Book) leftOver(now time.Time, a *checks.Alert, out *Outcome) bool {
	l, known := b.left[a.Fingerprint]
	if !known {
		return false
	}
	again := a.Opens() || a.State.Open() && worse(a.Severity, l.Severity)
	if again || !a.State.Open() {
		b.forget(a.Fingerprint, out)
	}
	if again {
		return false
	}
	a.Incident = l.Incident
	out.Events = append(out.Events, b.told(now, a, l.Incident))
	return true
}
