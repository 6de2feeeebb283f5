package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Run starts runs until ctx ends. Then no slot starts any more, those that wait are missed, runs that have begun are
// waited for, and Run returns nil. It can be called once.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	stop, told := make(chan struct{}), make(chan struct{})
	go func() { defer close(told); s.tellGaps(stop) }()

	watched, unwatch := s.watch(ctx)
	defer unwatch()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		longest := tick
		if watched != nil {
			longest = calm
		}
		timer.Reset(min(s.tick(ctx), longest))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case _, more := <-watched:
			if !more {
				watched = nil
			}
		case <-timer.C:
		}
	}
	s.shutDown()
	s.runs.Wait()
	close(stop)
	<-told
	return nil
}

// watch begins to watch the clocks; nil where nobody can. The function that comes back ends it.
func (s *Scheduler) watch(ctx context.Context) (words <-chan struct{}, end func()) {
	if s.o.Watch == nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	words = s.o.Watch(ctx)
	return words, func() {
		cancel()
		if words != nil {
			for range words { // until it is closed
			}
		}
	}
}

func (s *Scheduler) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return errors.New("the scheduler was started twice")
	}
	s.started = true
	s.clock = newClocks(s.o.Wall, s.o.Suspended)
	return nil
}

// tick brings everything up to now and says how long nothing will happen.
func (s *Scheduler) tick(ctx context.Context) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, changed := s.clock.follow()
	s.lastTick = time.Now()
	s.noteChange(now, changed)
	s.join(now)
	s.collect(now, changed)
	s.dispatch(ctx, now)

	wait := calm
	if len(s.grid) > 0 {
		wait = min(wait, time.Duration(s.grid[0].key)-now.elapsed)
	}
	if len(s.calendar) > 0 {
		wait = min(wait, time.Unix(s.calendar[0].key, 0).Sub(now.wall))
	}
	return max(wait, 0)
}

// noteChange logs what the clocks did. After a step back the calendar starts from the new time, or it would stand still
// until the clock has caught up.
func (s *Scheduler) noteChange(now reading, changed change) {
	if changed.suspended > 0 {
		s.log.Warn("host was suspended; runs that were due meanwhile are missed, or caught up once where that is asked for", "for", changed.suspended)
		s.changed, s.changedAt = "the host was suspended for "+changed.suspended.Round(time.Second).String(), s.lastTick
	}
	if changed.step == 0 {
		return
	}
	s.log.Warn("wall clock stepped; the schedule goes on from the new time", "by", changed.step, "now", now.wall)
	s.changed, s.changedAt = "the wall clock stepped by "+changed.step.Round(time.Second).String(), s.lastTick
	if changed.step > 0 {
		return
	}
	for _, e := range s.entries {
		if e.joined && !e.Spec.IsEvery() {
			e.nextWall = resume(e, now.wall)
		}
	}
	s.requeue()
}

// resume is the first slot after now. A daily job that has had a slot which the clock, stepping back by up to three hours,
// shows again does not have it twice.
func resume(e *entry, now time.Time) time.Time {
	if ahead := e.ran.Sub(now); ahead > 0 && ahead <= rerun && !e.Spec.frequent() {
		return nextSlot(e.Spec, e.ran)
	}
	return nextSlot(e.Spec, now)
}

func nextSlot(spec Spec, after time.Time) time.Time { return spec.Next(after).UTC() }

// requeue fills the queues from the entries.
func (s *Scheduler) requeue() {
	clear(s.grid)
	clear(s.calendar)
	s.grid, s.calendar = s.grid[:0], s.calendar[:0]
	for _, e := range s.entries {
		if e.joined {
			s.enqueue(e)
		}
		if e.joined && e.starting > 0 {
			s.grid.add(item{key: int64(e.starting), entry: e, start: true})
		}
	}
}

func (s *Scheduler) enqueue(e *entry) {
	switch {
	case e.Spec.IsEvery():
		s.grid.add(item{key: int64(e.next), entry: e})
	case !e.nextWall.IsZero():
		s.calendar.add(item{key: e.nextWall.Unix(), entry: e})
	}
}

// join places the entries that are new.
func (s *Scheduler) join(now reading) {
	if !s.joining {
		return
	}
	s.joining = false
	var fresh []*entry
	for _, e := range s.entries {
		if !e.joined {
			fresh = append(fresh, e)
		}
	}
	for _, e := range fresh {
		e.joined = true
		var missed span
		if e.Spec.IsEvery() {
			missed = s.joinGrid(e, now)
		} else {
			missed = s.joinCalendar(e, now)
		}
		caughtUp := false
		if missed.slots > 0 && !e.known && !e.added {
			caughtUp = s.hole(e, missed, now, MissedRestart)
		}
		if e.RunAtStart && !caughtUp && !e.known {
			e.starting = max(1, now.elapsed+s.startSpread(e, len(fresh)))
		}
		if e.starting > 0 {
			s.grid.add(item{key: int64(e.starting), entry: e, start: true})
		}
		s.enqueue(e)
	}
}

// startSpread keeps ten thousand runs at start apart: up to ten milliseconds for each, ten seconds, a quarter interval.
func (s *Scheduler) startSpread(e *entry, entries int) time.Duration {
	if e.NoSpread {
		return 0
	}
	within := min(time.Duration(entries-1)*10*time.Millisecond, 10*time.Second, e.Spec.Interval()/4)
	return spread(s.o.Location, e.Name, within)
}

// span is a number of slots that came due together.
type span struct {
	slots       int
	first, last time.Time
	due         time.Duration // of the last, elapsed
}

// joinGrid places an entry on its grid and returns the slots since its last run. A grid point that stands just behind the
// last run is that run: a slewed clock has moved one against the other.
func (s *Scheduler) joinGrid(e *entry, now reading) span {
	d, offset := e.Spec.every, s.offset(e)
	wall := s.clock.at(now.elapsed)
	after := wall
	var missed span
	if handled := e.ran.Add(min(d/4, time.Second)); !e.ran.IsZero() && e.ran.Before(wall.Add(d)) {
		if missed.slots = countOnGrid(handled, wall, d, offset); missed.slots > 0 {
			missed.first = nextOnGrid(handled, d, offset)
			missed.last = missed.first.Add(time.Duration(missed.slots-1) * d)
		}
		if handled.After(after) {
			after = handled
		}
	}
	e.next = now.elapsed + nextOnGrid(after, d, offset).Sub(wall)
	return missed
}

func (s *Scheduler) joinCalendar(e *entry, now reading) span {
	e.nextWall = resume(e, now.wall)
	if e.ran.IsZero() {
		return span{}
	}
	missed := span{slots: e.Spec.Count(e.ran, now.wall)}
	if missed.slots == 0 {
		return span{}
	}
	missed.first = nextSlot(e.Spec, e.ran)
	missed.last = newest(e.Spec, missed.first, now.wall)
	return missed
}

// newest is the last slot of a cron expression up to now, where first is one.
func newest(spec Spec, first, now time.Time) time.Time {
	for back := spec.Interval(); back < now.Sub(first); back *= 2 {
		if found := nextSlot(spec, now.Add(-back)); !found.IsZero() && !found.After(now) {
			first = found
			break
		}
	}
	for {
		following := nextSlot(spec, first)
		if following.IsZero() || following.After(now) {
			return first
		}
		first = following
	}
}

// collect takes what is due from both queues.
func (s *Scheduler) collect(now reading, changed change) {
	gridReason, wallReason := "", ""
	if changed.suspended > 0 {
		gridReason, wallReason = MissedSuspend, MissedSuspend
	} else if changed.step > 0 {
		wallReason = MissedStep
	}
	for it, ok := s.grid.due(int64(now.elapsed)); ok; it, ok = s.grid.due(int64(now.elapsed)) {
		e := it.entry
		if it.start {
			at := s.clock.at(e.starting).Round(time.Millisecond)
			sl := &slot{entry: e, at: at, due: e.starting, trigger: checks.TriggerStartup}
			e.starting = 0
			s.offer(sl)
			continue
		}
		n := int((now.elapsed-e.next)/e.Spec.every) + 1
		first, last := e.next, e.next+time.Duration(n-1)*e.Spec.every
		e.next = last + e.Spec.every
		s.enqueue(e)
		s.come(e, span{n, s.clock.at(first), s.clock.at(last), last}, now, gridReason)
	}
	for it, ok := s.calendar.due(now.wall.Unix()); ok; it, ok = s.calendar.due(now.wall.Unix()) {
		e := it.entry
		due := span{slots: 1, first: e.nextWall, last: e.nextWall}
		if e.nextWall = nextSlot(e.Spec, due.first); !e.nextWall.IsZero() && !e.nextWall.After(now.wall) {
			due.slots = e.Spec.Count(due.first.Add(-1), now.wall)
			due.last = newest(e.Spec, due.first, now.wall)
			e.nextWall = nextSlot(e.Spec, due.last)
		}
		due.due = now.elapsed - now.wall.Sub(due.last)
		s.enqueue(e)
		s.come(e, due, now, wallReason)
	}
}

// come treats slots that came due. The newest runs, unless it is so late that it would be something else: half an interval,
// at least two seconds and at most thirty, and two seconds where the clocks jumped. Nothing else ever makes a burst.
func (s *Scheduler) come(e *entry, due span, now reading, reason string) {
	allowed := stepOver
	if reason == "" {
		reason = MissedLate
		allowed = min(max(e.Spec.Interval()/2, stepOver), 30*time.Second)
	}
	if now.elapsed-due.due > allowed {
		s.hole(e, due, now, reason)
		return
	}
	if due.slots > 1 {
		s.missed(e, span{slots: due.slots - 1, first: due.first}, reason)
	}
	e.seen = due.last
	s.offer(&slot{entry: e, at: due.last, due: due.due, trigger: checks.TriggerSchedule})
}

// hole treats slots that are over: all are missed, but the newest is caught up where the entry asks for that and is idle.
func (s *Scheduler) hole(e *entry, over span, now reading, reason string) (caughtUp bool) {
	e.seen = over.last
	caughtUp = e.Missed == MissedRunOnce && !e.running && e.waiting == nil
	if caughtUp {
		over.slots--
	}
	if over.slots > 0 {
		s.missed(e, over, reason)
	}
	if caughtUp {
		due := now.elapsed - now.wall.Sub(over.last)
		s.offer(&slot{entry: e, at: over.last, due: due, trigger: checks.TriggerCatchUp})
	}
	return caughtUp
}
