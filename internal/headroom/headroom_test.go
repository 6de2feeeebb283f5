package headroom_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/headroom"
)

func start() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }

func limit(window string, limit, remaining int64) headroom.Limit {
	return headroom.Limit{Resource: "requests", Window: window, Limit: limit, Remaining: remaining}
}

func TestWhatIsLeftIsTheApplications(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		said  []headroom.Limit
		after time.Duration
		below float64
		want  bool
	}{
		"nothing is known":                            {below: 0.1, want: true},
		"enough is left":                              {said: []headroom.Limit{limit("minute", 100, 11)}, below: 0.1, want: true},
		"exactly the share is enough":                 {said: []headroom.Limit{limit("minute", 100, 10)}, below: 0.1, want: true},
		"too little is left":                          {said: []headroom.Limit{limit("minute", 100, 9)}, below: 0.1},
		"one window of several is enough":             {said: []headroom.Limit{limit("minute", 100, 90), limit("month", 100, 1)}, below: 0.1},
		"off":                                         {said: []headroom.Limit{limit("minute", 100, 0)}, below: 0, want: true},
		"within the minute it stands":                 {said: []headroom.Limit{limit("minute", 100, 9)}, after: 59 * time.Second, below: 0.1},
		"after the minute one looks again":            {said: []headroom.Limit{limit("minute", 100, 9)}, after: time.Minute, below: 0.1, want: true},
		"ten seconds are ten seconds":                 {said: []headroom.Limit{limit("10-second", 60, 0)}, after: 10 * time.Second, below: 0.1, want: true},
		"five minutes are five":                       {said: []headroom.Limit{limit("5-minute", 60, 0)}, after: 4 * time.Minute, below: 0.1},
		"of a month one looks each hour":              {said: []headroom.Limit{limit("month", 100, 9)}, after: time.Hour, below: 0.1, want: true},
		"and not before":                              {said: []headroom.Limit{limit("month", 100, 9)}, after: 59 * time.Minute, below: 0.1},
		"a window without a name is taken for long":   {said: []headroom.Limit{limit("", 100, 9)}, after: 59 * time.Minute, below: 0.1},
		"zero allowance is for the provider to tell":  {said: []headroom.Limit{limit("minute", 0, 0)}, below: 0.1, want: true},
		"an unknown limit says nothing":               {said: []headroom.Limit{limit("minute", -1, 0)}, below: 0.1, want: true},
		"an unknown rest says nothing":                {said: []headroom.Limit{limit("minute", 100, -1)}, below: 0.1, want: true},
		"more left than allowed says nothing":         {said: []headroom.Limit{limit("minute", 5, math.MaxInt64)}, below: 0.1, want: true},
		"a clock that stepped back does not pause it": {said: []headroom.Limit{limit("minute", 100, 9)}, after: -time.Hour, below: 0.1, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tracker headroom.Tracker
			tracker.Observe(start(), tc.said)
			got := tracker.Allow(start().Add(tc.after), tc.below)
			if got.Allowed != tc.want {
				t.Errorf("allowed %v (%s), want %v", got.Allowed, got.Why, tc.want)
			}
			if !got.Allowed && (!strings.Contains(got.Why, "requests are left") || !got.Until.After(start().Add(tc.after))) {
				t.Errorf("refused until %s because %q", got.Until, got.Why)
			}
		})
	}
}

func TestTheTrendTellsWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	told := func() (time.Duration, bool) { return tracker.Windows()[0].Exhaustion() }
	tracker.Observe(start(), []headroom.Limit{limit("month", 1000, 900)})
	if left, ok := told(); ok {
		t.Errorf("one observation tells %s, want nothing", left)
	}
	tracker.Observe(start().Add(10*time.Second), []headroom.Limit{limit("month", 1000, 850)})
	tracker.Observe(start().Add(20*time.Second), []headroom.Limit{limit("month", 1000, 800)})
	if left, ok := told(); !ok || left != 160*time.Second {
		t.Errorf("100 in 20 s and 800 left: %s, %v, want 160s", left, ok)
	}
	tracker.Observe(start().Add(30*time.Second), []headroom.Limit{limit("month", 1000, 1000)})
	if left, ok := told(); ok {
		t.Errorf("after a new window: %s, want nothing", left)
	}
}

func TestAnOvertakenAnswerSaysNothing(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	tracker.Observe(start(), []headroom.Limit{limit("minute", 100, 5)})
	tracker.Observe(start().Add(-time.Second), []headroom.Limit{limit("minute", 100, 90)})
	if tracker.Allow(start(), 0.1).Allowed {
		t.Error("an older answer replaced a newer one")
	}
}

func TestItOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	var before, after headroom.Tracker
	before.Observe(start(), []headroom.Limit{limit("minute", 100, 5)})
	data, err := before.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := after.Restore(start().Add(time.Second), data); err != nil || after.Allow(start().Add(time.Second), 0.1).Allowed {
		t.Errorf("restored: %v, allowed %v", err, after.Allow(start().Add(time.Second), 0.1).Allowed)
	}
	if err := after.Restore(start().Add(-time.Hour), data); err != nil || len(after.Windows()) != 0 {
		t.Errorf("what lies in the future: %v, %v", err, after.Windows())
	}
	for _, bad := range []string{"", "{", `{"a":1}`, `[{"limit":-5,"remaining":7}]`} {
		_ = after.Restore(start(), []byte(bad))
		if !after.Allow(start(), 1).Allowed {
			t.Errorf("%q pauses", bad)
		}
	}
}

func FuzzObserve(f *testing.F) {
	f.Add("requests", "minute", int64(60), int64(3), int64(0), 0.1)
	f.Add("", "-9-second", int64(-1), int64(math.MaxInt64), int64(-1<<40), math.Inf(1))
	f.Fuzz(func(t *testing.T, resource, window string, most, remaining, step int64, below float64) {
		var tracker headroom.Tracker
		for i := range int64(40) {
			tracker.Observe(start().Add(time.Duration(i*step)), []headroom.Limit{
				{Resource: resource, Window: window, Limit: most, Remaining: remaining - i},
				{Resource: resource + string(rune('a'+i)), Window: window, Limit: most, Remaining: remaining},
			})
		}
		if n := len(tracker.Windows()); n > 16 {
			t.Fatalf("%d windows are kept", n)
		}
		for _, w := range tracker.Windows() {
			share, ok := w.Share()
			left, shrinks := w.Exhaustion()
			if ok && (share < 0 || share > 1) || shrinks && left < 0 {
				t.Fatalf("share %v, left %s of %+v", share, left, w)
			}
		}
		if v := tracker.Allow(start(), below); !v.Allowed && !v.Until.After(start()) {
			t.Fatalf("refused until the past: %+v", v)
		}
	})
}
