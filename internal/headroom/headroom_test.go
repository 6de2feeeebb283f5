package headroom_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/headroom"
)

func start() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }

// said is the answer of a call of one model.
func said(limits ...headroom.Limit) *headroom.Answer {
	return &headroom.Answer{Key: "primary", Model: "small", Success: true, Limits: limits}
}

// run is one of a check that calls some models.
func run(check string, models ...string) headroom.Run {
	return headroom.Run{Check: check, Models: models, Within: 30 * time.Second}
}

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
			tracker.Observe(start(), said(tc.said...))
			got := tracker.Allow(start().Add(tc.after), run("chat", "small"), tc.below)
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
	tracker.Observe(start(), said(limit("month", 1000, 900)))
	if left, ok := told(); ok {
		t.Errorf("one observation tells %s, want nothing", left)
	}
	tracker.Observe(start().Add(10*time.Second), said(limit("month", 1000, 850)))
	tracker.Observe(start().Add(20*time.Second), said(limit("month", 1000, 800)))
	if left, ok := told(); !ok || left != 160*time.Second {
		t.Errorf("100 in 20 s and 800 left: %s, %v, want 160s", left, ok)
	}
	tracker.Observe(start().Add(30*time.Second), said(limit("month", 1000, 1000)))
	if left, ok := told(); ok {
		t.Errorf("after a new window: %s, want nothing", left)
	}
}

func TestAnOvertakenAnswerSaysNothing(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	tracker.Observe(start(), said(limit("minute", 100, 5)))
	tracker.Observe(start().Add(-time.Second), said(limit("minute", 100, 90)))
	if tracker.Judge(start(), nil, 0.1).Allowed {
		t.Error("an older answer replaced a newer one")
	}
}

func TestAModelsLimitsAreItsOwn(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	tracker.Observe(start(), said(limit("minute", 100, 1)))
	tracker.Observe(start(), &headroom.Answer{Key: "primary", Model: "large", Success: true, Limits: []headroom.Limit{limit("minute", 100, 98)}})
	for name, tc := range map[string]struct {
		models []string
		want   bool
	}{
		"of the model with too little":           {models: []string{"small"}},
		"of the model with enough":               {models: []string{"large"}, want: true},
		"of a model that nobody asked yet":       {models: []string{"new"}, want: true},
		"of both":                                {models: []string{"large", "small"}},
		"who names none is judged by all models": {},
	} {
		if got := tracker.Allow(start(), run("chat", tc.models...), 0.1); got.Allowed != tc.want || !tc.want && !strings.Contains(got.Why, "1 of 100 requests are left per minute for small") {
			t.Errorf("%s: allowed %v (%s), want %v", name, got.Allowed, got.Why, tc.want)
		}
	}
}

func TestFiftyModelsAreKnownAndTheOldestGoes(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	for i := range 51 {
		model := fmt.Sprintf("model-%02d", (i+7)%51) // the oldest is not the first by name
		tracker.Observe(start().Add(time.Duration(i)*time.Second), &headroom.Answer{
			Key: "primary", Model: model, Limits: []headroom.Limit{limit("minute", 100, 50), limit("month", 100, 50)},
		})
	}
	windows := tracker.Windows()
	gone := !slices.ContainsFunc(windows, func(w headroom.Window) bool { return w.Model == "model-07" })
	if len(windows) != 100 || !gone {
		t.Errorf("%d windows are known, the oldest model's are gone: %v", len(windows), gone)
	}
	tracker.Observe(start(), &headroom.Answer{Key: "fallback", Model: "model-07", Limits: []headroom.Limit{limit("month", 100, 50)}})
	if tracker.Use("primary"); len(tracker.Windows()) != 100 {
		t.Errorf("an answer with the other key left %d of 100 windows", len(tracker.Windows()))
	}
}

func TestTwoKeysAreTwoAccounts(t *testing.T) {
	t.Parallel()
	var tracker headroom.Tracker
	may := func() bool { return tracker.Allow(start(), run("chat", "small"), 0.1).Allowed }
	tracker.Observe(start(), said(limit("month", 100, 1)))
	if may() {
		t.Error("1 % left of the primary key's limit pauses nothing")
	}
	tracker.Observe(start(), &headroom.Answer{Key: "fallback"}) // a free call
	if !may() {
		t.Error("calls go with the fallback key, and the primary key's limit pauses them")
	}
	tracker.Observe(start(), &headroom.Answer{Key: "fallback", Model: "small", Success: true, Limits: []headroom.Limit{limit("month", 100, 90)}})
	if tracker.Use("primary"); may() {
		t.Error("an answer with the fallback key ended the primary key's pause")
	}
}

// TestOneRunLooks: eight checks whose observation is older than an hour are due at once.
func TestOneRunLooks(t *testing.T) {
	t.Parallel()
	later := start().Add(2 * time.Hour)
	due := func(tracker *headroom.Tracker, now time.Time) (allowed []string) {
		for i := range 8 {
			check := fmt.Sprintf("check-%d", i)
			if verdict := tracker.Allow(now, run(check, "small"), 0.1); verdict.Allowed {
				allowed = append(allowed, check)
			} else if !verdict.Until.After(now) || verdict.Why == "" {
				t.Errorf("refused until %s because %q", verdict.Until, verdict.Why)
			}
		}
		return allowed
	}
	for name, tc := range map[string]struct {
		window string
		then   func(tracker *headroom.Tracker) // after the first run was let pass
		after  time.Duration
		want   int // of eight that may run then
	}{
		"nothing was heard yet":                 {window: "month", want: 0},
		"nor in thirty seconds":                 {window: "month", after: 30 * time.Second, want: 1},
		"the run was not made, or died":         {window: "month", then: func(tracker *headroom.Tracker) { tracker.Release("check-0") }, want: 1},
		"another one gives nothing back":        {window: "month", then: func(tracker *headroom.Tracker) { tracker.Release("check-1") }, want: 0},
		"too little is left still":              {window: "month", then: answer(later, limit("month", 100, 1)), after: time.Minute, want: 0},
		"there is a new month":                  {window: "month", then: answer(later, limit("month", 100, 100)), want: 8},
		"the limit is none any more":            {window: "month", then: answer(later), want: 8},
		"its number makes no sense any more":    {window: "month", then: answer(later, limit("month", -1, 5)), want: 8},
		"a window without a name":               {window: "", want: 0},
		"a day is longer than an hour":          {window: "day", want: 0},
		"another model's answer says nothing":   {window: "month", then: other(later, limit("month", 100, 100)), want: 0},
		"a failure without headers says little": {window: "month", then: failure(later), want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tracker headroom.Tracker
			tracker.Observe(start(), said(limit(tc.window, 100, 1)))
			if got := due(&tracker, later); !slices.Equal(got, []string{"check-0"}) {
				t.Fatalf("%q may run, want the first alone", got)
			}
			if tc.then != nil {
				tc.then(&tracker)
			}
			if got := due(&tracker, later.Add(tc.after)); len(got) != tc.want {
				t.Errorf("then %q may run, want %d", got, tc.want)
			}
		})
	}
	for window, after := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "month": 31 * 24 * time.Hour} {
		var tracker headroom.Tracker
		tracker.Observe(start(), said(limit(window, 100, 1)))
		if got := due(&tracker, start().Add(after)); len(got) != 8 {
			t.Errorf("the %s is over for sure, and only %q may run", window, got)
		}
	}
}

func answer(at time.Time, limits ...headroom.Limit) func(*headroom.Tracker) {
	return func(tracker *headroom.Tracker) { tracker.Observe(at, said(limits...)) }
}

func other(at time.Time, limits ...headroom.Limit) func(*headroom.Tracker) {
	return func(tracker *headroom.Tracker) {
		tracker.Observe(at, &headroom.Answer{Key: "primary", Model: "large", Success: true, Limits: limits})
	}
}

func failure(at time.Time) func(*headroom.Tracker) {
	return func(tracker *headroom.Tracker) { tracker.Observe(at, &headroom.Answer{Key: "primary", Model: "small"}) }
}

func TestItOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	const here = "https://api.example.org"
	var before headroom.Tracker
	before.Observe(start(), said(limit("month", 100, 5)))
	before.Observe(start(), &headroom.Answer{Key: "fallback", Model: "small", Limits: []headroom.Limit{limit("month", 100, 4)}})
	data, err := before.Snapshot(here)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data  string
		after time.Duration
		url   string
		want  int64 // that remains; 0: nothing is known
		fails bool
	}{
		"as it was":                  {data: string(data), after: time.Second, url: here, want: 4},
		"of another base URL":        {data: string(data), after: time.Second, url: here + "/eu"},
		"what lies in the future":    {data: string(data), after: -time.Hour, url: here},
		"what is over for long":      {data: string(data), after: 31 * 24 * time.Hour, url: here},
		"the list of older versions": {data: ` [{"resource":"requests","window":"month","limit":100,"remaining":1,"at":"2026-11-27T12:00:00Z"}]`, url: here},
		"nothing":                    {url: here, fails: true},
		"half of it":                 {data: string(data[:20]), url: here, fails: true},
		"no numbers":                 {data: `{"base_url":"` + here + `","windows":[{"limit":-5,"remaining":7}]}`, url: here},
	} {
		var after headroom.Tracker
		after.Observe(start(), said(limit("month", 7, 7)))
		err := after.Restore(start().Add(tc.after), tc.url, []byte(tc.data))
		var got int64
		for _, w := range after.Windows() {
			got += w.Remaining
		}
		if got != tc.want || (err != nil) != tc.fails {
			t.Errorf("%s: %d remain, want %d; error %v", name, got, tc.want, err)
		}
		if after.Use("primary"); tc.want > 0 && after.Windows()[0].Remaining != 5 {
			t.Errorf("%s: of the primary key %+v", name, after.Windows())
		}
	}
}

func FuzzObserve(f *testing.F) {
	f.Add("requests", "minute", int64(60), int64(3), int64(0), 0.1)
	f.Add("", "-9-second", int64(-1), int64(math.MaxInt64), int64(-1<<40), math.Inf(1))
	f.Fuzz(func(t *testing.T, resource, window string, most, remaining, step int64, below float64) {
		var tracker headroom.Tracker
		for i := range int64(40) {
			tracker.Observe(start().Add(time.Duration(i*step)), &headroom.Answer{Model: resource, Success: i%2 == 0, Limits: []headroom.Limit{
				{Resource: resource, Window: window, Limit: most, Remaining: remaining - i},
				{Resource: resource + string(rune('a'+i)), Window: window, Limit: most, Remaining: remaining},
			}})
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
		now := start().Add(time.Duration(step))
		first := tracker.Allow(now, run("first"), below)
		second := tracker.Allow(now, run("second", resource), below)
		for _, v := range []headroom.Verdict{first, second} {
			if !v.Allowed && !v.Until.After(now) {
				t.Fatalf("refused until the past: %+v", v)
			}
		}
		if first.Looks && second.Allowed {
			t.Fatalf("two look: %+v, %+v", first, second)
		}
		data, err := tracker.Snapshot(window)
		if err != nil {
			t.Fatal(err)
		}
		if err := tracker.Restore(now, window, data); err != nil {
			t.Fatal(err)
		}
	})
}
