package exporters

import (
	"slices"

	"github.com/windsock-monitor/windsock/checks"
)

// Tally keeps Totals in step with delivery's cursor. Delivery commits the State of a batch after Export has returned it;
// where that commit fails, the same records come again, perhaps in a batch of another size, and must not be counted
// twice. So the totals before the last batch are kept until a batch begins behind it.
type Tally struct {
	before, now *Totals
	last        []string // ids of the batch that now includes and before does not
}

// NewTally begins at totals.
func NewTally(totals *Totals) *Tally { return &Tally{now: totals} }

// Now is the totals as of the last batch that was done.
func (t *Tally) Now() *Totals { return t.now }

// Next is a working copy of the totals that the batch is to be added to.
func (t *Tally) Next(batch []checks.Record) *Totals {
	if t.repeated(batch) {
		return t.before.Clone()
	}
	return t.now.Clone()
}

// Done makes next the totals: the working copy after the batch was added to it and accepted.
func (t *Tally) Done(batch []checks.Record, next *Totals) {
	if len(batch) == 0 {
		return
	}
	if !t.repeated(batch) {
		t.before = t.now
	}
	t.now, t.last = next, t.last[:0]
	for i := range batch {
		t.last = append(t.last, batch[i].ID)
	}
}

func (t *Tally) repeated(batch []checks.Record) bool {
	return len(batch) > 0 && batch[0].ID != "" && slices.Contains(t.last, batch[0].ID)
}
