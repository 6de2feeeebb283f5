// Package headroom decides whether paid probes leave what remains of the provider's rate limits to the application: a
// monitor must never take the last requests. It is pure: no clock, no locks, no I/O; the caller tells the time.
package headroom

import (
	"strconv"
	"strings"
	"time"
)

const (
	maxModels  = 50        // of each key, whose windows are kept: the oldest goes
	maxWindows = 16        // of each model that are kept: servers invent names
	lookAgain  = time.Hour // after so long one run may look how a long or unknown window is
	longest    = 31 * 24 * time.Hour
	maxTrend   = 30 * 24 * time.Hour
)

// Limit is one pair of limit and remaining, as the headers of one answer had them.
type Limit struct {
	Resource  string // "requests", "tokens", or the provider's word
	Window    string // "second", "10-second", "minute", "month", "" where it was not said
	Limit     int64  // -1: not said
	Remaining int64  // -1: not said
}

// Answer is what came of one call.
type Answer struct {
	Key     string // whose answer it is: limits of two keys are two accounts'
	Model   string // that was asked for; "" of a call that is no model's
	Success bool   // a limit that it does not name is none any more
	Limits  []Limit
}

// Window is what is known of one rate limit, which may be the model's own or the whole account's: every model's answers say
// what holds for that model.
type Window struct {
	Key       string    `json:"key"`
	Model     string    `json:"model"`
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

// stands is how long an observation refuses all runs: as long as the window, at most an hour, because only a call can tell.
func (w Window) stands() time.Time {
	length, known := w.Length()
	if !known {
		length = lookAgain
	}
	return w.At.Add(min(length, lookAgain))
}

// over is when the window that was observed has ended for sure.
func (w Window) over() time.Time {
	length, known := w.Length()
	if !known {
		length = longest
	}
	return w.At.Add(length)
}

func (w Window) id() id { return id{w.Key, w.Model, w.Resource, w.Window} }

func (w Window) sense() bool { return w.Limit >= 0 && w.Remaining >= 0 && w.Remaining <= w.Limit }

func per(window string) string {
	if window == "" {
		return ""
	}
	return " per " + window
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', -1, 64) + " %" }
