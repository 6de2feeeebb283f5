package faults_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/status"
)

// samples are looks at a process over something that grows: reloads, or minutes.
type samples struct{ x, goroutines, files, memory []float64 }

func newSamples() *samples { return &samples{} }

func (s *samples) add(x float64, p status.Process) {
	if p.Files == 0 || p.Memory == 0 {
		return // nobody answered
	}
	s.x = append(s.x, x)
	s.goroutines = append(s.goroutines, float64(p.Goroutines))
	s.files = append(s.files, float64(p.Files))
	s.memory = append(s.memory, float64(p.Memory))
}

// tolerance is the most that each may grow by the unit of x. Zero is not looked at.
type tolerance struct{ goroutines, files, memory float64 }

// flat wants the least-squares slopes within the tolerance.
func (s *samples) flat(t *testing.T, unit string, most tolerance) {
	t.Helper()
	if len(s.x) < 10 {
		t.Fatalf("%d samples are no line", len(s.x))
	}
	for _, line := range []struct {
		name string
		y    []float64
		most float64
	}{{"goroutines", s.goroutines, most.goroutines}, {"file descriptors", s.files, most.files}, {"bytes of resident memory", s.memory, most.memory}} {
		slope := agenttest.Slope(s.x, line.y)
		t.Logf("%s: %.4g per %s over %d samples (at most %.4g), from %.0f to %.0f", line.name, slope, unit, len(s.x), line.most, line.y[0], line.y[len(line.y)-1])
		if line.most > 0 && slope > line.most {
			t.Errorf("%s grow by %.4g per %s, want at most %.4g", line.name, slope, unit, line.most)
		}
	}
}

// accounted is the oracle of the schedule: every slot that was due is done, skipped or missed, and has its record.
func accounted(t *testing.T, stored []checks.Record) {
	t.Helper()
	slots, told := map[string]float64{}, 0
	for _, r := range stored {
		if r.Report != nil {
			told += r.Report.Slots
		}
		if r.Agent == nil {
			continue
		}
		for _, m := range r.Agent.Measurements {
			if m.Name == "windsock.schedule.slots" {
				slots[m.Attrs["outcome"]] += m.Value
			}
		}
	}
	if due := slots["scheduled"]; due == 0 || due != slots["done"]+slots["skipped"]+slots["missed"] || due != float64(told) {
		t.Errorf("%v slots were due; %v done, %v skipped, %v missed; the records stand for %d", due, slots["done"], slots["skipped"], slots["missed"], told)
	}
	t.Logf("%v slots were due, %v done, %v skipped, %v missed; the records stand for %d", slots["scheduled"], slots["done"], slots["skipped"], slots["missed"], told)
}

// tiled wants the records of each check to stand for every slot of its grid, once, from its first to its last, whatever
// became of the process in between.
func tiled(t *testing.T, stored []checks.Record, prefix string, every time.Duration) {
	t.Helper()
	first, told := map[string]time.Time{}, map[string]map[int]int{}
	for _, r := range stored {
		if r.Report == nil || r.Report.Slots == 0 || !strings.HasPrefix(r.Report.Check, prefix) {
			continue
		}
		check := r.Report.Check
		if told[check] == nil {
			first[check], told[check] = r.Report.ScheduledAt, map[int]int{}
		}
		slot := int(math.Round(float64(r.Report.ScheduledAt.Sub(first[check])) / float64(every)))
		for i := range r.Report.Slots {
			told[check][slot+i]++
		}
	}
	if len(told) == 0 {
		t.Errorf("no record of a check %s", prefix)
	}
	for check, slots := range told {
		numbers := slices.Sorted(maps.Keys(slots))
		for slot := numbers[0]; slot <= numbers[len(numbers)-1]; slot++ {
			if slots[slot] != 1 {
				t.Errorf("%s: slot %d after %s is told %d times, want once", check, slot, first[check], slots[slot])
			}
		}
	}
}
