package promsource

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// version changes with the meaning of what is kept, and makes it begin anew.
const version = 1

const (
	baselineDays = 14                  // that are asked for
	hoursKept    = 35 * 24 * time.Hour // beyond what the server keeps, perhaps: the baseline looks back for so long
	settling     = 5 * time.Minute     // after which the samples of a window are all there
	daysAtOnce   = 4                   // in one query
	hoursAtOnce  = 8
)

// memory is what does not change any more: complete hours and days, which are asked for once.
type memory struct {
	Of    uint64            `json:"of"`              // the parameters that it was made with
	Hours map[int64]*bucket `json:"hours,omitempty"` // by when they began
	Days  map[int64]*bucket `json:"days,omitempty"`  // of this month
}

// restore reads what was kept. What is of other parameters, or cannot be read, is not used.
func restore(data []byte, of uint64) *memory {
	m := &memory{}
	if err := json.Unmarshal(data, m); err != nil || m.Of != of {
		m = &memory{Of: of}
	}
	for _, all := range []*map[int64]*bucket{&m.Hours, &m.Days} {
		if *all == nil {
			*all = map[int64]*bucket{}
		}
		maps.DeleteFunc(*all, func(_ int64, b *bucket) bool { return b == nil })
	}
	return m
}

// forget drops what is too old at now, in the zone.
func (m *memory) forget(now time.Time) {
	_, month := source.Windows(now, now.Location())
	old := now.Add(-hoursKept).Unix()
	maps.DeleteFunc(m.Days, func(at int64, _ *bucket) bool { return at < month.Unix() })
	maps.DeleteFunc(m.Hours, func(at int64, _ *bucket) bool { return at < old })
}

// save keeps the memory.
func (m *memory) save(state source.State) {
	if data, err := json.Marshal(m); err == nil { // numbers that were checked: it cannot fail
		state.Save(data)
	}
}

// wantedHours are those that are not in the memory and worth asking for: the last complete one, and those of the baseline,
// which are the two that the same 60 minutes of the days before lie in. They are hours of UTC in every zone, as there.
func (m *memory) wantedHours(now time.Time) []window {
	starts := []time.Time{now.Truncate(time.Hour).Add(-time.Hour)}
	for back := 1; back <= baselineDays; back++ {
		hour := now.AddDate(0, 0, -back).Truncate(time.Hour)
		starts = append(starts, hour, hour.Add(-time.Hour))
	}
	var wanted []window
	for _, start := range starts {
		w := window{start.Unix(), start.Add(time.Hour).Unix()}
		if m.Hours[w.from] == nil && w.settled(now) {
			wanted = append(wanted, w)
		}
	}
	return wanted
}

// days are the complete days of the month, of which wanted are not in the memory.
func (m *memory) days(now time.Time) (all, wanted []window) {
	today, month := source.Windows(now, now.Location())
	for day := month; day.Before(today); {
		next := day.AddDate(0, 0, 1)
		w := window{day.Unix(), next.Unix()}
		all = append(all, w)
		if m.Days[w.from] == nil {
			wanted = append(wanted, w)
		}
		day = next
	}
	return all, wanted
}
