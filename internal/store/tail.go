package store

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// Records that are on disk stay in memory up to these bounds, so that exporters that keep up never read the disk and go on
// when it dies.
const (
	cachedRecords = 2048
	cachedBytes   = 4 << 20
)

// entry is a record in its place, in its encoded form.
type entry struct {
	pos       delivery.Position
	id        string
	at        int64 // microseconds of the epoch, as are all times in the database
	kind      checks.RecordType
	check     string
	status    string
	final     bool
	slot      bool  // counts as a run of the check's schedule
	scheduled int64 // 0 where there is none
	data      []byte
	record    *checks.Record // what data decodes to; nil where nobody knows yet
	states    []stateRow     // what became true with it, until it is on disk
}

// tail is the newest records, oldest first: those that are on disk as well, then those that are in memory only.
type tail struct {
	entries    []entry
	clean      int // entries[:clean] are on disk
	bytes      int64
	dirtyBytes int64
	ids        map[string]struct{} // of the entries that are in memory only
	maxRecords int
	maxBytes   int64
}

func (t *tail) dirty() []entry { return t.entries[t.clean:] }
func (t *tail) dirtyLen() int  { return len(t.entries) - t.clean }

// add appends e and returns how many records were dropped for it. A durable entry is added only when nothing is dirty.
func (t *tail) add(e entry, durable bool) (dropped int) {
	t.entries = append(t.entries, e)
	t.bytes += int64(len(e.data))
	if durable {
		t.entries[len(t.entries)-1].states = nil
		t.clean = len(t.entries)
	} else {
		t.dirtyBytes += int64(len(e.data))
		t.ids[e.id] = struct{}{}
	}
	for t.clean > 0 && (t.clean > cachedRecords || t.bytes > cachedBytes) {
		t.pop()
	}
	for t.dirtyLen() > 1 && (t.dirtyLen() > t.maxRecords || t.dirtyBytes > t.maxBytes) {
		t.forget()
		t.pop()
		dropped++
	}
	return dropped
}

// pop removes the oldest entry.
func (t *tail) pop() {
	size := int64(len(t.entries[0].data))
	t.bytes -= size
	if t.clean > 0 {
		t.clean--
	} else {
		t.dirtyBytes -= size
		delete(t.ids, t.entries[0].id)
	}
	t.entries[0] = entry{}
	t.entries = t.entries[1:]
}

// release lets go of the decoded form of the entries up to a position: nobody waits for them.
func (t *tail) release(pos delivery.Position) {
	n, _ := slices.BinarySearchFunc(t.entries, pos+1, func(e entry, want delivery.Position) int { return int(e.pos - want) })
	for n--; n >= 0 && t.entries[n].record != nil; n-- {
		t.entries[n].record = nil
	}
}

// forget drops the entries that are on disk from memory.
func (t *tail) forget() {
	for t.clean > 0 {
		t.pop()
	}
}

// stored marks the n oldest entries that are in memory only as being on disk.
func (t *tail) stored(n int) {
	for i := range t.dirty()[:n] {
		e := &t.dirty()[i]
		t.dirtyBytes -= int64(len(e.data))
		delete(t.ids, e.id)
		e.states = nil
	}
	t.clean += n
	for t.clean > 0 && (t.clean > cachedRecords || t.bytes > cachedBytes) {
		t.pop()
	}
}

// after returns up to limit entries past pos, and whether the tail holds all that there is past pos.
func (t *tail) after(pos delivery.Position, limit int) (found []entry, whole bool) {
	i, _ := slices.BinarySearchFunc(t.entries, pos+1, func(e entry, want delivery.Position) int { return int(e.pos - want) })
	end := min(len(t.entries), i+limit)
	found = slices.Clone(t.entries[i:end])
	return found, len(t.entries) > 0 && pos >= t.entries[0].pos-1
}

// void is a range of positions that were never given to a record.
type void struct{ first, last delivery.Position }

// lostBetween counts the positions after pos and before next that once held a record.
func lostBetween(voids []void, pos, next delivery.Position) int64 {
	lost := int64(next - pos - 1)
	for _, v := range voids {
		if from, to := max(v.first, pos+1), min(v.last, next-1); from <= to {
			lost -= int64(to - from + 1)
		}
	}
	return max(lost, 0)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// dirtyAll marks all entries as being in memory only: their file is gone.
func (t *tail) dirtyAll() {
	t.clean = 0
	t.dirtyBytes = t.bytes
	for _, e := range t.entries {
		t.ids[e.id] = struct{}{}
	}
}
