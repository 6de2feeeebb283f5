package schedule_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/internal/schedule"
)

// TestFault29TenThousandChecksOnTheMinuteKeepTheCaps: cron means what it says, so ten thousand checks are due at :00. They
// run one after the other, within the caps, before the next minute; none is missed. Those of @every are spread instead.
func TestFault29TenThousandChecksOnTheMinuteKeepTheCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, most atomic.Int64
		var entries []schedule.Entry
		for i := range 10_000 {
			entries = append(entries, schedule.Entry{Name: strconv.Itoa(i), Spec: mustParse(t, "* * * * *", ""), Host: "api-" + strconv.Itoa(i%8)})
		}
		w := newWorld(t, schedule.Options{MaxConcurrent: 64, PerHost: 16}, func(context.Context, schedule.Slot) {
			most.Store(max(most.Load(), all.Add(1)))
			time.Sleep(200 * time.Millisecond)
			all.Add(-1)
		}, entries...)
		w.pass(119 * time.Second)
		st := w.s.Stats()
		if st.Done != 10_000 || len(w.told()) != 0 {
			t.Errorf("%d of 10000 ran, %d were told as skipped or missed", st.Done, len(w.told()))
		}
		if most.Load() != 64 {
			t.Errorf("%d ran at a time, want the cap of 64", most.Load())
		}
		if want := 10_000 / 64 * 200 * time.Millisecond; st.Lateness.Max > want+time.Second {
			t.Errorf("the last was %s late, want no more than the cap makes it: %s", st.Lateness.Max, want)
		}
		w.end()
	})
}

func TestFault29TenThousandChecksEveryMinuteAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []schedule.Entry
		for i := range 10_000 {
			entries = append(entries, schedule.Entry{Name: strconv.Itoa(i), Spec: mustParse(t, "@every 60s", "")})
		}
		w := newWorld(t, schedule.Options{Location: "here"}, nil, entries...)
		w.pass(60 * time.Second)
		perSecond := map[int64]int{}
		for _, s := range w.runs() {
			perSecond[s.began.Unix()]++
		}
		busiest := 0
		for _, n := range perSecond {
			busiest = max(busiest, n)
		}
		st := w.s.Stats()
		if st.Done < 9_990 || busiest > 300 || st.Lateness.P99 > time.Second {
			t.Errorf("%d ran, %d in the busiest second, p99 %s late; want 10000, about 167 and under a second", st.Done, busiest, st.Lateness.P99)
		}
		w.end()
	})
}
