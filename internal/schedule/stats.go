package schedule

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Stats is where the scheduler stands. Always Scheduled = Done + all of Skipped + all of Missed + Running + Waiting.
type Stats struct {
	Scheduled  int64            // slots that came due
	Done       int64            // runs that ended
	Skipped    map[string]int64 // by reason
	Missed     map[string]int64 // by reason
	Running    int
	Waiting    int       // for the run before, their host or a free run
	Panics     int64     // runs that panicked; they are Done too
	ClockSteps int64     // of the wall clock, over two seconds
	Changed    string    // what the host's clocks did last, in a sentence; "" for nothing
	ChangedAt  time.Time // when that was seen
	Lateness   Lateness
	LastTick   time.Time    // when the loop was last alive, with a monotonic reading; it ticks every five seconds at least
	Entries    []EntryStats // by name
}

// Lateness is how late runs started. P50 and P99 are exact to three percent.
type Lateness struct {
	Runs          int64
	P50, P99, Max time.Duration
}

// EntryStats is where one entry stands. Times are zero where there is none.
type EntryStats struct {
	Name         string
	Interval     time.Duration
	LastSlot     time.Time // the newest that came due, whatever became of it
	NextSlot     time.Time
	RunningSince time.Time
	Waiting      bool
}

// tally holds the counts.
type tally struct {
	scheduled, done, panics int64
	skipped, missed         map[string]int64
	running, waiting        int
	late                    histogram
}

func newTally() tally { return tally{skipped: map[string]int64{}, missed: map[string]int64{}} }

// Stats reads where the scheduler stands. Lateness covers the time since the last TakeLateness.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Scheduled: s.tally.scheduled, Done: s.tally.done, Skipped: maps.Clone(s.tally.skipped), Missed: maps.Clone(s.tally.missed),
		Running: s.tally.running, Waiting: s.tally.waiting, Panics: s.tally.panics, Lateness: s.tally.late.lateness(),
		Changed: s.changed, ChangedAt: s.changedAt, LastTick: s.lastTick, Entries: make([]EntryStats, 0, len(s.entries)),
	}
	if s.clock != nil {
		st.ClockSteps = s.clock.steps
	}
	for _, e := range s.entries {
		es := EntryStats{Name: e.Name, Interval: e.Spec.Interval(), LastSlot: e.seen, NextSlot: e.nextWall, RunningSince: e.since, Waiting: e.waiting != nil}
		if e.joined && e.Spec.IsEvery() {
			es.NextSlot = s.clock.at(e.next).Round(time.Millisecond)
		}
		st.Entries = append(st.Entries, es)
	}
	slices.SortFunc(st.Entries, func(a, b EntryStats) int { return strings.Compare(a.Name, b.Name) })
	return st
}

// TakeLateness is how late the runs since the last call were; for the one reader that reports it each minute.
func (s *Scheduler) TakeLateness() Lateness {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.tally.late.lateness()
	s.tally.late = histogram{}
	return taken
}

// histogram counts durations in buckets of a thirty-second of a power of two.
type histogram struct {
	buckets map[int]int64
	runs    int64
	max     time.Duration
}

const fineBits = 5

func (h *histogram) add(d time.Duration) {
	if h.buckets == nil {
		h.buckets = map[int]int64{}
	}
	h.buckets[bucketOf(d)]++
	h.runs++
	h.max = max(h.max, d)
}

func bucketOf(d time.Duration) int {
	length := bits.Len64(uint64(d))
	if length <= fineBits {
		return int(d)
	}
	shift := length - fineBits - 1
	return shift<<fineBits + int(d>>shift)
}

// ceiling is the largest duration of a bucket.
func ceiling(bucket int) time.Duration {
	if bucket < 2<<fineBits {
		return time.Duration(bucket)
	}
	shift := bucket>>fineBits - 1
	return time.Duration(bucket-shift<<fineBits+1)<<shift - 1
}

func (h *histogram) lateness() Lateness {
	return Lateness{Runs: h.runs, P50: h.quantile(0.5), P99: h.quantile(0.99), Max: h.max}
}

func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q*float64(h.runs-1)) + 1
	for _, bucket := range slices.Sorted(maps.Keys(h.buckets)) {
		if rest -= h.buckets[bucket]; rest <= 0 {
			return min(h.max, ceiling(bucket))
		}
	}
	return h.max
}
