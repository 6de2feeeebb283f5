package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	mostAlerts  = 100 // in one message
	mostRefused = 5   // attempts to tell an end that is refused
)

// item is a record that is to be told.
type item struct {
	index int // in the batch; -1 where Refresh found it
	id    string
	alert checks.Alert
}

// Export tells the alerts of the batch in their order. Neighbours of one group that say the same go into one message, and so do
// later ones of which nothing else comes first. Where an attempt fails, what was told until then is in the error
// (exporters.Progress), so that it is not told again. A message that is refused for good is sent again for each of its
// alerts alone; those that are refused alone are rejected.
func (n *Notifier) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	r := &reading{n: n, batch: batch, done: make([]bool, len(batch))}
	for i := range batch {
		if err := r.record(ctx, i); err != nil {
			return exporters.Outcome{Rejected: r.rejected}, exporters.Progress(i, n.told.encode(), err)
		}
	}
	clear(n.spoilt)
	return exporters.Outcome{Rejected: r.rejected, State: n.told.encode()}, nil
}

// reading is one pass over a batch.
type reading struct {
	n        *Notifier
	batch    []checks.Record
	done     []bool
	rejected []exporters.Rejection
}

func (r *reading) record(ctx context.Context, i int) error {
	record := &r.batch[i]
	switch {
	case record.Alert == nil || r.done[i]:
		return nil
	case r.n.spoilt[record.ID]:
		r.reject(item{index: i})
		return nil
	}
	alert := clean(*record.Alert)
	kind, group := r.n.judge(&alert)
	if kind == "" {
		r.n.learn(&alert)
		return nil
	}
	return r.n.tell(ctx, kind, group, r.together(i, kind, group), r.finished)
}

// together are the record and those behind it that go into the same message: what comes first of an alert is told first.
func (r *reading) together(i int, kind Kind, group string) []item {
	var items []item
	seen := map[string]bool{}
	for j := i; j < len(r.batch) && len(items) < mostAlerts; j++ {
		record := &r.batch[j]
		if record.Alert == nil || r.done[j] || r.n.spoilt[record.ID] {
			continue
		}
		alert := clean(*record.Alert)
		if seen[alert.Fingerprint] {
			continue
		}
		seen[alert.Fingerprint] = true
		if k, g := r.n.judge(&alert); k == kind && g == group {
			items = append(items, item{j, record.ID, alert})
		}
	}
	return items
}

func (r *reading) finished(it item, refused bool) {
	r.done[it.index] = true
	if refused {
		r.n.spoilt[it.id] = true
		r.reject(it)
	}
}

func (r *reading) reject(it item) {
	r.rejected = append(r.rejected, exporters.Rejection{Index: it.index, Reason: "refused"})
}

// judge says what is to be told of a transition, "" for nothing, and to which group.
func (n *Notifier) judge(a *checks.Alert) (Kind, string) {
	known, told := n.told.Open[a.Fingerprint]
	switch {
	case a.Fingerprint == "":
		return "", ""
	case told && a.State == checks.AlertResolved:
		if a.At.Before(known.Alert.At) && !later(a, known.Alert.At) {
			return "", "" // of an earlier time than what is told
		}
		return Resolved, known.Group
	case !a.State.Open(), a.Muted != "", !n.route.takes(a):
		return "", ""
	case !told:
		if ended, ok := n.told.Ended[a.Fingerprint]; ok && !later(a, ended) {
			return "", ""
		}
		return Opened, n.params.group(a)
	case !later(a, known.Alert.At): // Refresh was ahead of the records
		return "", ""
	case a.Severity < known.Severity:
		return Changed, known.Group
	case a.Reminder && (n.params.Reminders || a.Commander != "" && a.Commander != known.Alert.Commander):
		return Reminder, known.Group
	}
	return "", ""
}

// later reports whether the transition is from after a time. A time that is yet to come is from before the clock was set back,
// and what is not is from after that.
func later(a *checks.Alert, at time.Time) bool {
	if a.At.After(at) {
		return true
	}
	now := time.Now()
	return at.After(now) && !a.At.After(now)
}

// learn keeps what is known of an alert that was told, without telling it.
func (n *Notifier) learn(a *checks.Alert) {
	if known, ok := n.told.Open[a.Fingerprint]; ok && a.State.Open() && later(a, known.Alert.At) {
		known.Alert = *a
		n.told.Open[a.Fingerprint] = known
	}
}

// tell sends one message, or where that is refused one for each alert, and calls done for each that has its outcome.
func (n *Notifier) tell(ctx context.Context, kind Kind, group string, items []item, done func(it item, refused bool)) error {
	err := n.send(ctx, kind, group, items)
	switch {
	case err == nil:
		for _, it := range items {
			done(it, false)
		}
		return nil
	case !exporters.IsPoison(err) && !exporters.IsSplit(err):
		return err
	case len(items) > 1:
		for i := range items {
			if err := n.tell(ctx, kind, group, items[i:i+1], done); err != nil {
				return err
			}
		}
		return nil
	}
	n.refuse(kind, items[0].alert, err)
	done(items[0], true)
	return nil
}

// send makes one attempt, and what was told is known.
func (n *Notifier) send(ctx context.Context, kind Kind, group string, items []item) error {
	if kind == Resolved && !n.params.SendResolved {
		for _, it := range items {
			n.told.end(it.alert.Fingerprint)
		}
		return nil
	}
	m := n.message(kind, group, items)
	ref, err := n.sender.Send(ctx, m)
	if err != nil {
		return err
	}
	if ref != nil {
		n.told.Refs[group] = ref
	}
	for _, it := range items {
		if kind == Resolved {
			n.told.end(it.alert.Fingerprint)
			continue
		}
		n.told.Open[it.alert.Fingerprint] = entry{Alert: it.alert, Group: group, Severity: it.alert.Severity, Key: m.Key}
		delete(n.told.Ended, it.alert.Fingerprint)
	}
	return nil
}

func (n *Notifier) message(kind Kind, group string, items []item) Message {
	m := Message{Kind: kind, Group: group, Ref: n.told.Refs[group]}
	after := newTold()
	for fingerprint, e := range n.told.Open {
		if e.Group == group {
			after.Open[fingerprint] = e
		}
	}
	for _, it := range items {
		known := n.told.Open[it.alert.Fingerprint]
		before := known.Alert
		if known.Severity != "" {
			before.Severity = known.Severity
		}
		m.Alerts, m.Before = append(m.Alerts, it.alert), append(m.Before, before)
		if kind == Resolved {
			delete(after.Open, it.alert.Fingerprint)
		} else {
			after.Open[it.alert.Fingerprint] = entry{Alert: it.alert, Group: group}
		}
	}
	m.Open, m.Key = after.group(group), n.key(m)
	return m
}

// key is the same for the same message after the same messages: where a beginning is told again in other company, after the
// agent was killed, its end must not be taken for the end that was told before.
func (n *Notifier) key(m Message) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q %q", n.name, m.Kind, m.Group)
	for i := range m.Alerts {
		a := &m.Alerts[i]
		_, _ = fmt.Fprintf(h, " %q %d %q %q", a.Fingerprint, a.At.UnixNano(), a.State, n.told.Open[a.Fingerprint].Key)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// refuse gives one message up. The end of an alert is tried again by Refresh, a few times.
func (n *Notifier) refuse(kind Kind, a checks.Alert, err error) {
	known, told := n.told.Open[a.Fingerprint]
	log := n.log.With("kind", string(kind), "rule", a.Rule, "fingerprint", a.Fingerprint)
	switch {
	case kind == Opened:
		n.told.close(a.Fingerprint, a.At)
		log.Error("people are not told of an alert: the message was refused", "reason", err)
	case kind != Resolved || !told:
		n.learn(&a)
		log.Warn("a message was refused", "reason", err)
	case known.Refused+1 >= mostRefused:
		n.told.end(a.Fingerprint)
		n.told.close(a.Fingerprint, a.At)
		log.Error("people are not told of the end of an alert: the message was refused again and again", "attempts", mostRefused, "reason", err)
	default:
		known.Refused++
		n.told.Open[a.Fingerprint] = known
		log.Error("the end of an alert was refused and is tried again", "attempts", known.Refused, "reason", err)
	}
}

// Refresh tells the end of what was told and is not open any more, the beginning of what is open and was never told, and
// then lets a Keeper repeat what is told. The state counts whatever err is.
func (n *Notifier) Refresh(ctx context.Context, open []checks.Alert) ([]byte, error) {
	now := time.Now()
	present := make(map[string]checks.Alert, len(open))
	for _, a := range open {
		if a.State.Open() {
			present[cleanText(a.Fingerprint)] = clean(a)
		}
	}
	errs := []error{n.ends(ctx, now, present), n.beginnings(ctx, present)}
	if k, ok := n.sender.(Keeper); ok && len(n.told.Open) > 0 {
		errs = append(errs, k.Keep(ctx, n.told.all()))
	}
	return n.told.encode(), errors.Join(errs...)
}

// ends tells what is over. Its own record may come later, and is then passed over.
func (n *Notifier) ends(ctx context.Context, now time.Time, present map[string]checks.Alert) error {
	groups := map[string][]item{}
	for _, a := range n.told.all() {
		if _, ok := present[a.Fingerprint]; ok {
			continue
		}
		group := n.told.Open[a.Fingerprint].Group
		a.Previous, a.State, a.At, a.Reminder = a.State, checks.AlertResolved, latest(now, a.At), false
		groups[group] = append(groups[group], item{index: -1, alert: a})
	}
	return n.tellAll(ctx, Resolved, groups, func(it item, refused bool) {
		if !refused {
			n.told.close(it.alert.Fingerprint, it.alert.At)
		}
	})
}

// beginnings tells what is open and nobody knows: its record was lost, or the exporter is new.
func (n *Notifier) beginnings(ctx context.Context, present map[string]checks.Alert) error {
	groups := map[string][]item{}
	for _, a := range present {
		if kind, group := n.judge(&a); kind == Opened {
			groups[group] = append(groups[group], item{index: -1, alert: a})
		}
	}
	return n.tellAll(ctx, Opened, groups, func(item, bool) {})
}

func (n *Notifier) tellAll(ctx context.Context, kind Kind, groups map[string][]item, done func(item, bool)) error {
	var errs []error
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		items := groups[group]
		slices.SortFunc(items, func(a, b item) int { return bySeverity(a.alert, b.alert) })
		for len(items) > 0 {
			some := min(len(items), mostAlerts)
			if err := n.tell(ctx, kind, group, items[:some], done); err != nil {
				errs = append(errs, err)
				break
			}
			items = items[some:]
		}
	}
	return errors.Join(errs...)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Close closes the sender, where it wants to be.
func (n *Notifier) Close() error {
	if c, ok := n.sender.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
