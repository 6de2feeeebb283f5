package incident

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/nearest"
)

// Ack makes by the commander of the open incidents that target names: by their id, or by the rule or the fingerprint of an
// alert that is open in them. The error says what is nearest where nothing has that name.
func (b *Book) Ack(now time.Time, target, by, note string) (Outcome, error) {
	var out Outcome
	if by == "" {
		return out, errors.New("an acknowledgement needs a name: who takes the incident")
	}
	for _, o := range b.open {
		if !o.named(target) {
			continue
		}
		o.Commander, o.AckedAt, o.Note = clip(by), now.UTC(), clip(note)
		text := o.Commander + " acknowledged"
		if note != "" {
			text += ": " + note
		}
		e := b.Event(now, EventAck, o.Commander, text)
		e.Incident = o.ID
		out.Events = append(out.Events, e)
		for fingerprint, m := range o.members {
			m.Commander = o.Commander
			o.members[fingerprint] = m
		}
		if worst := o.worst(); worst != nil { // those who were told of it hear that somebody answers
			out.Reminders = append(out.Reminders, o.reminder(now, *worst))
		}
		b.save(o, "", &out)
	}
	if len(out.Events) > 0 {
		return out, nil
	}
	return out, b.unknown(target)
}

func (o *open) named(target string) bool {
	if o.ID == target {
		return true
	}
	for fingerprint, m := range o.members {
		if m.State.Open() && (fingerprint == target || m.Rule == target) {
			return true
		}
	}
	return false
}

func (b *Book) unknown(target string) error {
	if len(b.open) == 0 {
		return fmt.Errorf("no incident is open, so there is no %q to acknowledge", target)
	}
	words := map[string]bool{}
	for _, o := range b.open {
		words[o.ID] = true
		for fingerprint, m := range o.members {
			if m.State.Open() {
				words[fingerprint], words[m.Rule] = true, true
			}
		}
	}
	err := fmt.Errorf("no open incident has the id %q or an open alert of that rule or fingerprint", target)
	if near := nearest.Word(target, slices.Sorted(maps.Keys(words))); near != "" {
		return fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return err
}
