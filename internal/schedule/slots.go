package schedule

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// offer takes a slot that is due. It runs when its entry is idle and a run is free; the newest takes the place of an older
// one that still waits.
func (s *Scheduler) offer(sl *slot) {
	e := sl.entry
	s.tally.scheduled++
	s.tally.waiting++
	switch {
	case e.waiting != nil:
		reason, why := SkippedWaited, "no run was free before the next slot"
		if e.running {
			reason, why = SkippedOverlap, "the run before was still going"
		}
		s.skip(e.waiting, reason, why)
		e.waiting.at, e.waiting.due, e.waiting.trigger = sl.at, sl.due, sl.trigger
	case e.running && e.Overlap == OverlapQueue:
		e.waiting = sl
	case e.running:
		s.skip(sl, SkippedOverlap, "the run before was still going")
	default:
		e.waiting = sl
		s.admit(sl)
	}
}

// admit puts a slot into the line of its host, or past that into the line of all.
func (s *Scheduler) admit(sl *slot) {
	name := sl.entry.Host
	if name == "" || s.o.PerHost <= 0 {
		s.ready.push(sl)
		return
	}
	h, ok := s.hosts[name]
	if !ok {
		h = &host{name: name}
		s.hosts[name] = h
	}
	if h.used >= s.o.PerHost {
		h.line.push(sl)
		return
	}
	s.place(h, sl)
}

func (s *Scheduler) place(h *host, sl *slot) {
	h.used++
	sl.host = h
	s.ready.push(sl)
}

// release gives the place of a slot on its host to the next in line.
func (s *Scheduler) release(sl *slot) {
	h := sl.host
	if h == nil {
		return
	}
	h.used--
	for !h.line.empty() {
		if following := h.line.pop(); !following.dropped {
			s.place(h, following)
			return
		}
	}
	if h.used == 0 {
		delete(s.hosts, h.name)
	}
}

// dispatch starts what can start, oldest first.
func (s *Scheduler) dispatch(ctx context.Context, now reading) {
	for !s.ready.empty() && (s.o.MaxConcurrent <= 0 || s.tally.running < s.o.MaxConcurrent) {
		sl := s.ready.pop()
		if sl.dropped {
			s.release(sl)
			continue
		}
		s.start(ctx, sl, now)
	}
}

func (s *Scheduler) start(ctx context.Context, sl *slot, now reading) {
	e := sl.entry
	e.waiting, e.running, e.since = nil, true, now.wall
	e.ran = sl.at
	s.tally.waiting--
	s.tally.running++
	due := Slot{Name: e.Name, ScheduledAt: sl.at, Trigger: sl.trigger, Lateness: max(0, now.elapsed-sl.due)}
	if sl.trigger != checks.TriggerCatchUp {
		s.tally.late.add(due.Lateness)
	}
	s.runs.Add(1)
	go s.run(context.WithoutCancel(ctx), sl, due, e.untold)
}

// run makes one run, once the gaps before it are told, and gives its places back, however it ends.
func (s *Scheduler) run(ctx context.Context, sl *slot, due Slot, untold <-chan struct{}) {
	defer s.runs.Done()
	defer func() {
		cause := recover()
		if cause != nil {
			s.log.Error("run panicked", "check", due.Name, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
		s.finish(sl, cause != nil)
	}()
	if untold != nil {
		<-untold
	}
	s.o.Run(ctx, due)
}

func (s *Scheduler) finish(sl *slot, panicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := sl.entry
	s.tally.running--
	s.tally.done++
	if panicked {
		s.tally.panics++
	}
	e.running, e.since = false, time.Time{}
	s.tellHeld(e)
	if s.gone[e.Name] == e {
		delete(s.gone, e.Name)
	}
	s.release(sl)
	if e.waiting != nil {
		s.admit(e.waiting)
	}
	signal(s.wake)
}

// shutDown gives every slot that waits its outcome.
func (s *Scheduler) shutDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.waiting != nil {
			s.drop(e, MissedShutdown, "shutting down")
		}
	}
}

// drop ends the waiting of an entry's slot; its place in a line stays and is passed over.
func (s *Scheduler) drop(e *entry, reason, why string) {
	sl := e.waiting
	e.waiting, sl.dropped = nil, true
	s.tally.waiting--
	s.tally.missed[reason]++
	s.gap(e, gap{e.Name, checks.CauseMissed, why}, sl.at, 1)
}

func (s *Scheduler) skip(sl *slot, reason, why string) {
	s.tally.waiting--
	s.tally.skipped[reason]++
	s.gap(sl.entry, gap{sl.entry.Name, checks.CauseOverlap, why}, sl.at, 1)
}

func (s *Scheduler) missed(e *entry, over span, reason string) {
	s.tally.scheduled += int64(over.slots)
	s.tally.missed[reason] += int64(over.slots)
	why := map[string]string{
		MissedRestart: "the agent was not running",
		MissedSuspend: "the host was suspended",
		MissedStep:    "the clock stepped over it",
		MissedLate:    "the agent was too late",
	}[reason]
	s.gap(e, gap{e.Name, checks.CauseMissed, why}, over.first, over.slots)
}

// gap is what Skip is told; what is alike and not yet told is added up.
type gap struct {
	name  string
	cause checks.Cause
	why   string
}

type extent struct {
	gap

	from  time.Time
	slots int
	told  chan struct{} // closed when Skip has returned
}

// gaps are those that were not told yet.
type gaps struct {
	list  []extent
	index map[gap]int
}

// add returns what is closed when it is told, nil where it was added to one that is there.
func (g *gaps) add(x extent) (told <-chan struct{}) {
	if i, ok := g.index[x.gap]; ok {
		g.list[i].slots += x.slots
		return nil
	}
	if g.index == nil {
		g.index = map[gap]int{}
	}
	g.index[x.gap] = len(g.list)
	x.told = make(chan struct{})
	g.list = append(g.list, x)
	return x.told
}

// gap notes slots that will not run. An entry's slots are told in their order, because the newest that was told is where the
// next start goes on after a kill: what comes while the entry's run is going is told when that has ended, and the next run
// waits until it is.
func (s *Scheduler) gap(e *entry, g gap, from time.Time, slots int) {
	if s.o.Skip == nil {
		return
	}
	if e.running {
		e.held.add(extent{gap: g, from: from, slots: slots})
		return
	}
	s.note(e, extent{gap: g, from: from, slots: slots})
}

func (s *Scheduler) note(e *entry, x extent) {
	if told := s.gaps.add(x); told != nil { // gaps are told in the order in which they were first noted
		e.untold = told
	}
	signal(s.tell)
}

// tellHeld tells what came while a run was going.
func (s *Scheduler) tellHeld(e *entry) {
	for _, x := range e.held.list {
		s.note(e, x)
	}
	e.held = gaps{}
}

// tellGaps calls Skip outside of the loop, which must not wait for it, until stop is closed and nothing is left.
func (s *Scheduler) tellGaps(stop <-chan struct{}) {
	for last := false; !last; {
		select {
		case <-s.tell:
		case <-stop:
			last = true
		}
		s.mu.Lock()
		list := s.gaps.list
		s.gaps = gaps{}
		s.mu.Unlock()
		for _, g := range list {
			s.tellGap(g)
		}
	}
}

func (s *Scheduler) tellGap(g extent) {
	defer close(g.told)
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("telling of skipped slots panicked", "check", g.name, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	s.o.Skip(g.name, g.cause, g.from, g.slots, g.why)
}
