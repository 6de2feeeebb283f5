package alerts

import "time"

// stepped is how far the wall clock must go otherwise than time does to have been set.
const stepped = time.Second

// follow keeps what the engine remembers as old as it is when the wall clock is set, or the host has slept: of an hour ago
// stays an hour ago. Without it nothing would move until a clock that was set back has caught up, and all would be absent
// where one is set forward.
func (e *Engine) follow(now time.Time) {
	set := now.Round(0).Sub(e.last.Round(0)) - max(now.Sub(e.last), 0) // the second is by the monotonic clock, where now has it
	e.last = now
	if set.Abs() > stepped {
		e.shift(int64(set))
	}
}

func (e *Engine) shift(by int64) {
	e.began, e.forgetAt, e.remute = e.began+by, e.forgetAt+by, true
	if !e.missing.IsZero() {
		e.missing = e.missing.Add(time.Duration(by))
	}
	for _, p := range e.programs {
		for _, l := range p.leaves {
			if l.fullAt != 0 {
				l.fullAt += by
			}
		}
		for _, l := range p.remembers {
			for _, r := range l.note.order {
				r.w.shift(by)
			}
		}
	}
	for _, inst := range e.instances {
		inst.shift(by)
	}
}

func (inst *instance) shift(by int64) {
	inst.began, inst.since, inst.held, inst.next = inst.began+by, inst.since+by, inst.held+by, 0
	inst.refresh()
	for i := range inst.checks {
		if c := &inst.checks[i]; c.sign != 0 {
			c.sign += by
		}
	}
	for i := range inst.cells {
		if w := inst.cells[i].one; w != nil {
			w.shift(by)
		}
		for _, w := range inst.cells[i].order {
			w.shift(by)
		}
	}
}

func (w *window) shift(by int64) {
	for i := range w.all {
		w.all[i].at += by
	}
}
