package schedule

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Overlap says what becomes of a slot whose run before is still going.
type Overlap string

// The ways to treat an overlap. A slot that is queued longer than until the next one is skipped in favour of that.
const (
	OverlapSkip  Overlap = "skip"  // the default
	OverlapQueue Overlap = "queue" // at most one waits
)

// Missed says what becomes of slots that passed while the agent was down, the host asleep or its clock set forward.
type Missed string

// The ways to treat missed slots.
const (
	MissedSkip    Missed = "skip"     // the default: they are counted and told, in one
	MissedRunOnce Missed = "run_once" // the newest is run, the others are counted and told
)

// The reasons for which slots are skipped or missed: the keys of Stats.Skipped and Stats.Missed.
const (
	SkippedOverlap = "overlap" // the run before was still going
	SkippedWaited  = "waited"  // no run was free before the next slot came

	MissedRestart  = "restart"    // the agent was not running
	MissedSuspend  = "suspend"    // the host was asleep
	MissedStep     = "clock_step" // the wall clock jumped over the slot
	MissedLate     = "late"       // the agent had no processor: too late to be that slot
	MissedShutdown = "shutdown"   // waiting when the agent was stopped
	MissedRemoved  = "removed"    // waiting when a reload removed the check
)

// Entry is one check's schedule.
type Entry struct {
	Name    string // unique
	Spec    Spec
	Overlap Overlap // "" is OverlapSkip
	Missed  Missed  // "" is MissedSkip
	// RunAtStart adds a run when the entry is first seen, unless missed slots are caught up then. With many entries these
	// runs are spread over up to ten seconds.
	RunAtStart bool
	Host       string // the key of the cap per host; "" has none
	// LastRun is the last slot that had an outcome, over restarts: what Slot.ScheduledAt said, or Spec.Advance of what Skip was
	// told. Zero for an entry that never ran.
	LastRun time.Time
	// NoSpread puts the slots of @every on multiples of the interval. Otherwise they stand behind those by a hash of location
	// and name, so that restarts keep them and thousands of checks do not meet on one second. Cron expressions are never
	// spread: who writes "0 9 * * *" means nine o'clock.
	NoSpread bool
}

// Slot is one run that is due.
type Slot struct {
	Name        string
	ScheduledAt time.Time
	Trigger     checks.Trigger // schedule, startup or catch_up
	Lateness    time.Duration  // between ScheduledAt and the start of the run
}

// Options are what a Scheduler needs. Only Run is required.
type Options struct {
	// Run makes one run and returns when it has ended. It is called in a goroutine of its own, never twice at a time for
	// one name; a panic is recovered, logged and counts as done. Its context is not cancelled when the scheduler stops:
	// runs that have begun are waited for, so Run must bound itself.
	Run func(ctx context.Context, s Slot)
	// Skip is told of every slot that will not run: cause is overlap or missed, from is the first of the slots, why a
	// sentence for a person. It is called from one goroutine and may block; what comes meanwhile is added up by name and why.
	// What comes while a run of that name is going is told after Run has returned for it.
	Skip          func(name string, cause checks.Cause, from time.Time, slots int, why string)
	Location      string
	MaxConcurrent int // runs at a time; 0 is no limit
	PerHost       int // runs at a time with the same Host; 0 is no limit
	Log           *slog.Logger
	// Watch tells of changes of the host's clocks until ctx ends and closes its channel then, as WatchClocks does. With it
	// the loop looks at the clocks every five seconds; without, or where it is nil, each second.
	Watch func(ctx context.Context) <-chan struct{}
	// Wall and Suspended exist for tests, whose fake time cannot tell the wall clock from the steady one. nil reads the
	// host's: the time, and how long the host has been asleep since it was booted.
	Wall      func() time.Time
	Suspended func() time.Duration
}

// Scheduler starts runs when they are due. Its methods are safe for concurrent use.
type Scheduler struct {
	o     Options
	log   *slog.Logger
	wake  chan struct{} // the loop has something to do
	tell  chan struct{} // the teller has
	runs  sync.WaitGroup
	clock *clocks // of the loop; others read through it under mu

	mu        sync.Mutex // guards all below; never held over a wait
	entries   map[string]*entry
	gone      map[string]*entry // removed by Swap, still running
	grid      queue             // by elapsed nanoseconds
	calendar  queue             // by Unix seconds
	hosts     map[string]*host
	ready     fifo // slots with a place on their host that wait for a run to be free
	tally     tally
	gaps      gaps
	lastTick  time.Time
	changed   string // of the clocks, last
	changedAt time.Time
	joining   bool // an entry has no place in a queue yet
	started   bool
}

// entry is what the scheduler knows of an Entry.
type entry struct {
	Entry

	joined   bool // has its place in a queue
	known    bool // was here before, with another spec
	added    bool // came with a reload: what it did not run before that, nobody wanted
	next     time.Duration
	nextWall time.Time
	starting time.Duration // when to run at start; 0 is not
	seen     time.Time     // the newest slot
	ran      time.Time     // the newest slot that was not missed
	running  bool
	since    time.Time
	waiting  *slot
	held     gaps            // told when the run that is going has ended
	untold   <-chan struct{} // closed when the gaps that were noted are told; nil where there was none
}

// slot is a slot that came due and has no outcome yet.
type slot struct {
	entry   *entry
	at      time.Time
	due     time.Duration // elapsed
	trigger checks.Trigger
	host    *host // where it has its place; nil before
	dropped bool  // has its outcome, only its place in a line remains
}

// host is a Host with its cap.
type host struct {
	name string
	used int
	line fifo
}

// New makes a scheduler. It starts nothing.
func New(entries []Entry, o Options) (*Scheduler, error) {
	if o.Run == nil {
		return nil, errors.New("a scheduler needs Options.Run")
	}
	s := &Scheduler{
		o: o, log: o.Log, wake: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		entries: map[string]*entry{}, gone: map[string]*entry{}, hosts: map[string]*host{}, tally: newTally(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, s.Swap(entries)
}

// Ask has the loop turn, if it can: LastTick tells.
func (s *Scheduler) Ask() { signal(s.wake) }

// Swap replaces the entries, before or while the scheduler runs. An entry that keeps its name keeps its running run and
// the slot that waits; one that keeps name, spec and NoSpread keeps its slots as well. One with another spec has its old slots
// up to now and its new ones from now on: none is lost, none comes twice. A removed entry's run is left to end, its waiting slot is missed. Wrong entries change nothing.
func (s *Scheduler) Swap(entries []Entry) error {
	if err := validate(entries); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock != nil { // what is due and has not been looked at is the old entries'
		now, changed := s.clock.follow()
		s.noteChange(now, changed)
		s.join(now)
		s.collect(now, changed)
	}
	current := make(map[string]*entry, len(entries))
	for _, en := range entries {
		e := s.adopt(en)
		s.joining = s.joining || !e.joined
		current[en.Name] = e
	}
	for name, e := range s.entries {
		if _, kept := current[name]; !kept {
			s.remove(e)
		}
	}
	s.entries = current
	s.requeue()
	signal(s.wake)
	return nil
}

// adopt is the state of an entry: what there was under its name, or new.
func (s *Scheduler) adopt(en Entry) *entry {
	e, ok := s.entries[en.Name]
	if !ok {
		e, ok = s.gone[en.Name]
		delete(s.gone, en.Name)
	}
	if !ok || !s.started {
		return &entry{Entry: en, added: s.started, ran: en.LastRun, seen: en.LastRun}
	}
	if e.joined && (e.Spec.String() != en.Spec.String() || e.NoSpread != en.NoSpread) {
		e.joined, e.known = false, true
	}
	e.Entry = en
	return e
}

func (s *Scheduler) remove(e *entry) {
	if e.waiting != nil {
		s.drop(e, MissedRemoved, "the check was removed")
	}
	s.tellHeld(e) // there is no next start
	if e.running {
		e.joined, e.known, e.starting, e.nextWall = false, true, 0, time.Time{}
		s.gone[e.Name] = e
	}
}

func validate(entries []Entry) error {
	seen := make(map[string]bool, len(entries))
	for _, en := range entries {
		switch {
		case en.Name == "":
			return errors.New("an entry has no name")
		case seen[en.Name]:
			return fmt.Errorf("two entries are named %q, want one", en.Name)
		case en.Spec.IsZero():
			return fmt.Errorf("entry %q has no schedule", en.Name)
		case en.Overlap != "" && en.Overlap != OverlapSkip && en.Overlap != OverlapQueue:
			return fmt.Errorf("entry %q: overlap is %q, want %q or %q", en.Name, en.Overlap, OverlapSkip, OverlapQueue)
		case en.Missed != "" && en.Missed != MissedSkip && en.Missed != MissedRunOnce:
			return fmt.Errorf("entry %q: missed is %q, want %q or %q", en.Name, en.Missed, MissedSkip, MissedRunOnce)
		}
		seen[en.Name] = true
	}
	return nil
}

// spread is the stable hash of location and name, in [0, within), in whole milliseconds where within has some.
func spread(location, name string, within time.Duration) time.Duration {
	if within <= 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s", location, name)
	offset := time.Duration(h.Sum64() % uint64(within))
	if within > time.Millisecond {
		offset = offset.Truncate(time.Millisecond)
	}
	return offset
}

// offset is how far the entry's grid stands behind the multiples of its interval.
func (s *Scheduler) offset(e *entry) time.Duration {
	if e.NoSpread {
		return 0
	}
	return spread(s.o.Location, e.Name, e.Spec.every)
}

// signal leaves a word in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
