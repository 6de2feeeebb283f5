// Package headroom decides whether paid probes leave what remains of the provider's rate limits to the application: a
// monitor must never take the last requests. It is pure: no clock, no locks, no I/O; the caller tells the time.
package headroom

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxWindows = 16        // that are kept: servers invent names
	lookAgain  = time.Hour // after so long one run may look how a long or unknown window is
	maxTrend   = 30 * 24 * time.Hour
)

// Limit is one pair of limit and remaining, as the headers of one answer had them.
type Limit struct {
	Resource  string // "requests", "tokens", or the provider's word
	Window    string // "second", "10-second", "minute", "month", "" where it was not said
	Limit     int64  // -1: not said
	Remaining int64  // -1: not said
}

// Window is what is known of one rate limit.
type Window struct {
	Resource  string    `json:"resource"`
	Window    string    `json:"window"`
	Limit     int64     `json:"limit"`
	Remaining int64     `json:"remaining"`
	At        time.Time `json:"at"`    // when the answer came that said so
	Since     time.Time `json:"since"` // the trend's first observation
	From      int64     `json:"from"`  // what remained then
}

// Share is what is left, 0 to 1; false where nothing is allowed at all, which is no question of headroom.
func (w Window) Share() (float64, bool) {
	if w.Limit <= 0 {
		return 0, false
	}
	return float64(w.Remaining) / float64(w.Limit), true
}

// Exhaustion is the time until nothing is left at the present trend; false where it does not shrink, or cannot be told.
func (w Window) Exhaustion() (time.Duration, bool) {
	used, took := w.From-w.Remaining, w.At.Sub(w.Since)
	if used <= 0 || took <= 0 {
		return 0, false
	}
	left := float64(w.Remaining) / float64(used) * took.Seconds()
	if left > maxTrend.Seconds() {
		return 0, false
	}
	return time.Duration(left * float64(time.Second)), true
}

// Length is how long the window is; false where its name says no length that is known.
func (w Window) Length() (time.Duration, bool) {
	count, unit, found := strings.Cut(w.Window, "-")
	n := int64(1)
	if !found {
		unit = count
	} else if parsed, err := strconv.ParseInt(count, 10, 16); err == nil && parsed > 0 {
		n = parsed
	} else {
		return 0, false
	}
	length, known := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
	}[unit]
	return time.Duration(n) * length, known
}

// until is how long an observation stands: as long as the window, at most an hour, because only a call can tell.
func (w Window) until() time.Time {
	length, known := w.Length()
	if !known {
		length = lookAgain
	}
	return w.At.Add(min(length, lookAgain))
}

// Tracker remembers what a provider's answers said. The zero value knows nothing. It is not safe for concurrent use.
type Tracker struct{ windows map[key]Window }

type key struct{ resource, window string }

// Observe takes over what one answer said. What is absent or absurd (a negative number, more left than is allowed) changes
// nothing: a number is never invented.
func (t *Tracker) Observe(now time.Time, limits []Limit) {
	if t.windows == nil {
		t.windows = map[key]Window{}
	}
	for _, l := range limits {
		k := key{l.Resource, l.Window}
		known, seen := t.windows[k]
		overtaken := seen && now.Before(known.At) && known.At.Sub(now) < time.Minute // more is a clock that stepped back
		if l.sense() && !overtaken && (seen || len(t.windows) < maxWindows) {
			t.windows[k] = l.after(known, now)
		}
	}
}

func (l Limit) sense() bool { return l.Limit >= 0 && l.Remaining >= 0 && l.Remaining <= l.Limit }

// after is the window as it is now, with the trend that it had where that goes on.
func (l Limit) after(known Window, now time.Time) Window {
	fresh := Window{Resource: l.Resource, Window: l.Window, Limit: l.Limit, Remaining: l.Remaining, At: now, Since: now, From: l.Remaining}
	if l.Limit == known.Limit && l.Remaining <= known.Remaining && !now.Before(known.At) && !known.At.IsZero() {
		fresh.Since, fresh.From = known.Since, known.From
	}
	return fresh
}

// Windows lists what is known, sorted by resource and window. It is as old as its answers.
func (t *Tracker) Windows() []Window {
	return slices.SortedFunc(maps.Values(t.windows), func(a, b Window) int {
		return cmp.Or(strings.Compare(a.Resource, b.Resource), strings.Compare(a.Window, b.Window))
	})
}

// Verdict says whether a paid probe may run.
type Verdict struct {
	Allowed bool
	Why     string    // where it may not
	Until   time.Time // when it may look again
}

// Allow judges a paid probe. Below is the share under which it is refused; 0 refuses nothing. A limit of zero refuses
// nothing either: that the model is not on the plan is for the provider's answer to say.
func (t *Tracker) Allow(now time.Time, below float64) Verdict {
	verdict := Verdict{Allowed: true}
	for _, w := range t.Windows() {
		share, ok := w.Share()
		if until := w.until(); ok && share < below && now.Before(until) && !now.Before(w.At) && until.After(verdict.Until) {
			verdict = Verdict{
				Why: fmt.Sprintf("%d of %d %s are left%s, under %s: the rest is the application's; the next look is at %s",
					w.Remaining, w.Limit, cmp.Or(w.Resource, "calls"), per(w.Window), percent(below), until.UTC().Format(time.TimeOnly)),
				Until: until,
			}
		}
	}
	return verdict
}

func per(window string) string {
	if window == "" {
		return ""
	}
	return " per " + window
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', -1, 64) + " %" }

// Snapshot is what is known, to be kept over a restart.
func (t *Tracker) Snapshot() ([]byte, error) {
	data, err := json.Marshal(t.Windows())
	if err != nil {
		return nil, fmt.Errorf("keeping the rate limits: %w", err)
	}
	return data, nil
}

// Restore takes over a Snapshot, but for what lies in the future.
func (t *Tracker) Restore(now time.Time, data []byte) error {
	var windows []Window
	if err := json.Unmarshal(data, &windows); err != nil {
		return fmt.Errorf("reading the rate limits: %w", err)
	}
	t.windows = map[key]Window{}
	for _, w := range windows[:min(len(windows), maxWindows)] {
		if w.Limit >= 0 && w.Remaining >= 0 && w.Remaining <= w.Limit && !w.At.After(now) {
			t.windows[key{w.Resource, w.Window}] = w
		}
	}
	return nil
}
