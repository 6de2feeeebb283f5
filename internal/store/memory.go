package store

import (
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// cursorRow is what is known of one exporter.
type cursorRow struct {
	exporter string
	pos      delivery.Position
	state    []byte
	counts   delivery.Counts // totals
}

// runRow is what is known of one check's runs.
type runRow struct {
	check   string
	lastRun int64 // the newest slot that has an outcome
	lastPos delivery.Position
	last    []byte // the last final report, encoded, where it was saved from a damaged file; else it stands at lastPos
}

type stateRow struct {
	key  string
	data []byte
}

// dirty names what the disk does not have yet.
type dirty struct {
	cursors, states, runs map[string]struct{}
	meta                  bool // instance, boot id and voids
	events                []eventRow
}

func newDirty() dirty {
	return dirty{cursors: map[string]struct{}{}, states: map[string]struct{}{}, runs: map[string]struct{}{}}
}

// merge puts back what could not be written.
func (d *dirty) merge(other dirty) {
	maps.Copy(d.cursors, other.cursors)
	maps.Copy(d.states, other.states)
	maps.Copy(d.runs, other.runs)
	d.meta = d.meta || other.meta
	d.events = append(slices.Clip(other.events), d.events...)
}

// memory is all that the store knows without the disk. The disk is a copy of it, as soon as it works.
type memory struct {
	instance string
	next     delivery.Position // given to the next record
	voids    []void
	tail     tail
	cursors  map[string]cursorRow
	states   map[string][]byte
	runs     map[string]runRow
	dirty    dirty
	along    map[string]struct{} // the states that came with records since the disk was told last
	urgent   bool                // something changed that the spare file must have while the disk fails
	spared   int64               // of the last episode of the spare file
	runsAt   time.Time           // when the disk was last told of runs
	changed  chan struct{}       // closed at the next append
	health   Health
	retryAt  time.Time // no earlier try of a disk that failed
	wait     time.Duration
}

func (m *memory) init(o Options) {
	m.next = 1
	m.tail = tail{ids: map[string]struct{}{}, maxRecords: o.Ring, maxBytes: o.RingBytes}
	m.cursors = map[string]cursorRow{}
	m.states = map[string][]byte{}
	m.runs = map[string]runRow{}
	m.dirty = newDirty()
	m.dirty.meta = true
	m.along = map[string]struct{}{}
	m.changed = make(chan struct{})
}

// note remembers what a record says about its check.
func (m *memory) note(e entry) {
	if e.kind != checks.TypeReport {
		return
	}
	row := m.runs[e.check]
	row.check = e.check
	if e.slot {
		row.lastRun = max(row.lastRun, e.scheduled)
	}
	if e.final {
		row.lastPos, row.last = e.pos, nil
	}
	m.runs[e.check] = row
	m.dirty.runs[e.check] = struct{}{}
}

// setState is what a row says.
func (m *memory) setState(row stateRow) {
	if row.data == nil {
		delete(m.states, row.key)
		return
	}
	m.states[row.key] = row.data
}

// latest is what the states are once the entries are kept.
func latest(entries []entry) (states []stateRow, gone []string) {
	m := memory{states: map[string][]byte{}}
	named := map[string]struct{}{}
	for _, e := range entries {
		for _, row := range e.states {
			named[row.key] = struct{}{}
			m.setState(row)
		}
	}
	for key := range named {
		if data, ok := m.states[key]; ok {
			states = append(states, stateRow{key, data})
		} else {
			gone = append(gone, key)
		}
	}
	return states, gone
}

// announce wakes those who wait for records.
func (m *memory) announce() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// dirtyAll marks everything as unknown to the disk: a new file is to be filled.
func (m *memory) dirtyAll() {
	m.dirty.meta = true
	for name := range m.cursors {
		m.dirty.cursors[name] = struct{}{}
	}
	for key := range m.states {
		m.dirty.states[key] = struct{}{}
	}
	for check := range m.runs {
		m.dirty.runs[check] = struct{}{}
	}
}

// changes is a copy of what is dirty, to be written.
type changes struct {
	dirty    dirty
	cursors  []cursorRow
	states   []stateRow
	gone     []string // states that were deleted
	runs     []runRow
	withRuns bool              // runs is all that the disk lacks
	owed     owed              // of the ledger
	high     delivery.Position // the newest record
	instance string
	voids    []void
}

// runsEvery is how often the disk is told of the checks' last runs. The records behind that say it all: load reads them.
const runsEvery = 5 * time.Second

// take copies what is dirty and marks it clean; the caller merges it back where it cannot be written. The runs wait for
// their time, unless the file is new or this is the last write.
func (m *memory) take(now time.Time, last bool) changes {
	c := changes{dirty: m.dirty, instance: m.instance, voids: slices.Clone(m.voids)}
	m.dirty = newDirty()
	if since := now.Sub(m.runsAt); !last && !c.dirty.meta && since >= 0 && since < runsEvery {
		m.dirty.runs, c.dirty.runs = c.dirty.runs, nil
	} else {
		m.runsAt, c.withRuns = now, true
	}
	for name := range c.dirty.cursors {
		row := m.cursors[name]
		row.counts.Rejected, row.counts.Expired = maps.Clone(row.counts.Rejected), maps.Clone(row.counts.Expired)
		c.cursors = append(c.cursors, row)
	}
	for key := range c.dirty.states {
		if data, ok := m.states[key]; ok {
			c.states = append(c.states, stateRow{key, data})
		} else {
			c.gone = append(c.gone, key)
		}
	}
	for check := range c.dirty.runs {
		c.runs = append(c.runs, m.runs[check])
	}
	return c
}

func addCounts(into, from map[string]int64) map[string]int64 {
	if into == nil {
		into = map[string]int64{}
	}
	for reason, n := range from {
		into[reason] += n
	}
	return into
}

// adopt takes over what a file holds. What memory has already is newer and wins.
func (s *Store) adopt(l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mem
	if l.instance != "" && m.instance != l.instance {
		m.instance = l.instance
	}
	m.adoptPlaces(l)
	m.spared = max(m.spared, l.spared)
	for _, row := range l.cursors {
		m.adoptCursor(row, l.unread[row.exporter])
	}
	for _, row := range l.states {
		_, changed := m.dirty.states[row.key] // deleted, that is
		if _, known := m.states[row.key]; !known && !changed {
			m.states[row.key] = row.data
		}
	}
	for _, row := range l.runs {
		if !l.salvaged {
			row.last = nil
		}
		known, ok := m.runs[row.check]
		if !ok {
			m.runs[row.check] = row
			continue
		}
		known.lastRun = max(known.lastRun, row.lastRun)
		m.runs[row.check] = known
	}
	maps.Copy(m.dirty.runs, l.late)
	m.health.Records, m.health.Bytes = l.records, l.bytes
}

// adoptPlaces goes on behind the positions that the file knows.
func (m *memory) adoptPlaces(l *loaded) {
	m.voids = slices.Clone(m.voids) // readers may hold the old one
	for i, v := range m.voids {     // made blindly: positions that the file knows are no void
		if v.first <= l.high && l.high < v.last {
			m.voids[i].first = l.high + 1
		}
	}
	m.voids = append(m.voids, l.voids...)
	m.next = max(m.next, l.high+1)
}

// adoptCursor merges the cursor of an exporter that may have gone on in memory while the file could not be read: what
// stands unread in the file was passed over, and is counted.
func (m *memory) adoptCursor(row cursorRow, unread int64) {
	known, ok := m.cursors[row.exporter]
	if !ok {
		m.cursors[row.exporter] = row
		return
	}
	known.counts.Sent += row.counts.Sent
	known.counts.Rejected = addCounts(known.counts.Rejected, row.counts.Rejected)
	known.counts.Expired = addCounts(known.counts.Expired, row.counts.Expired)
	if unread > 0 {
		known.counts.Expired["store_unreadable"] += unread
	}
	if known.state == nil {
		known.state = row.state
	}
	m.cursors[row.exporter] = known
	m.dirty.cursors[row.exporter] = struct{}{}
}
