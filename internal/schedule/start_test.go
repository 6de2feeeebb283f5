package schedule_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

func TestRunAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := aligned(t, "a", "@every 1h")
		e.RunAtStart = true
		w := newWorld(t, schedule.Options{}, nil, e)
		w.pass(time.Second)
		if len(w.runs()) != 1 || w.runs()[0].Trigger != checks.TriggerStartup || w.runs()[0].began.Sub(w.began) > time.Millisecond {
			t.Errorf("got %v, want one startup run at once", w.runs())
		}
		w.pass(time.Hour)
		if len(w.runs()) != 2 || w.runs()[1].Trigger != checks.TriggerSchedule {
			t.Errorf("got %v, want a scheduled run next", w.runs())
		}
		w.end()
	})
}

func TestStartRunsOfManyAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []schedule.Entry
		for i := range 2000 {
			entries = append(entries, schedule.Entry{Name: strconv.Itoa(i), Spec: mustParse(t, "@every 1h", ""), RunAtStart: true})
		}
		w := newWorld(t, schedule.Options{}, nil, entries...)
		w.pass(10 * time.Second)
		startups := map[string]bool{}
		perSecond := map[int64]int{}
		for _, s := range w.runs() {
			startups[s.Name] = true
			perSecond[s.began.Unix()]++
		}
		if len(startups) != 2000 || perSecond[w.began.Unix()] > 400 {
			t.Errorf("%d started, %d in the first second; want 2000 and about 200", len(startups), perSecond[w.began.Unix()])
		}
		w.end()
	})
}

func TestMissedOverARestart(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		expr     string
		missed   schedule.Missed
		lastRun  time.Time
		atStart  bool
		wantGap  int
		wantFrom time.Time
		want     []checks.Trigger
	}{
		"never ran before": {
			expr: "@every 10m", want: nil,
		},
		"skip tells of an hour at once": {
			expr: "@every 10m", lastRun: start.Add(-time.Hour), wantGap: 6, wantFrom: start.Add(-50 * time.Minute),
		},
		"run_once runs the newest and tells of the rest": {
			expr: "@every 10m", missed: schedule.MissedRunOnce, lastRun: start.Add(-time.Hour), wantGap: 5,
			wantFrom: start.Add(-50 * time.Minute), want: []checks.Trigger{checks.TriggerCatchUp},
		},
		"a caught up run is the run at start": {
			expr: "*/10 * * * *", missed: schedule.MissedRunOnce, lastRun: start.Add(-10 * time.Minute), atStart: true,
			want: []checks.Trigger{checks.TriggerCatchUp},
		},
		"cron counts like the grid": {
			expr: "*/10 * * * *", lastRun: start.Add(-time.Hour), wantGap: 6, wantFrom: start.Add(-50 * time.Minute),
		},
		"a quick restart misses nothing": {
			expr: "@every 10m", lastRun: start,
		},
		"a last run that lost its last digits is the same slot": {
			expr: "@every 10m", lastRun: start.Add(-900 * time.Microsecond),
		},
		"a last run far in the future is a clock that was wrong": {
			expr: "*/10 * * * *", lastRun: start.AddDate(20, 0, 0),
		},
		"a month of seconds": {
			expr: "* * * * * *", lastRun: start.AddDate(0, -1, 0), wantGap: 31 * 24 * 3600, wantFrom: start.AddDate(0, -1, 0).Add(time.Second),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := aligned(t, "a", tt.expr)
				e.Missed, e.LastRun, e.RunAtStart = tt.missed, tt.lastRun, tt.atStart
				w := newWorld(t, schedule.Options{}, nil, e)
				w.pass(time.Millisecond)
				if tt.wantGap == 0 {
					w.wantGaps()
				} else {
					w.wantGaps(gap{"a", checks.CauseMissed, tt.wantFrom, tt.wantGap, "the agent was not running"})
					last := e.Spec.Advance(tt.wantFrom, tt.wantGap)
					if want := w.began; tt.missed == "" && !last.Equal(want) {
						t.Errorf("the last missed slot is %s, want %s", last, want)
					}
				}
				var got []checks.Trigger
				for _, s := range w.runs() {
					got = append(got, s.Trigger)
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("got runs %v, want %v", got, tt.want)
				}
				w.end()
			})
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := aligned(t, "a", "@every 10s")
	tests := map[string]struct {
		entries []schedule.Entry
		want    string
	}{
		"no name":            {[]schedule.Entry{{Spec: good.Spec}}, "no name"},
		"two of one name":    {[]schedule.Entry{good, good}, `two entries are named "a"`},
		"no schedule":        {[]schedule.Entry{{Name: "a"}}, "no schedule"},
		"an unknown overlap": {[]schedule.Entry{{Name: "a", Spec: good.Spec, Overlap: "pile"}}, `overlap is "pile"`},
		"an unknown missed":  {[]schedule.Entry{{Name: "a", Spec: good.Spec, Missed: "all"}}, `missed is "all"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schedule.New(tt.entries, schedule.Options{Run: func(context.Context, schedule.Slot) {}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := schedule.New(nil, schedule.Options{}); err == nil {
		t.Error("New without Run gave no error")
	}
}
