package headroom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Tracker remembers what the answers of one base URL said. The zero value knows nothing. It is not safe for concurrent use.
type Tracker struct {
	key     string // that calls are made with
	windows map[id]Window
	looks   map[id]look
}

type id struct{ key, model, resource, window string }

// look is the permission of one run to see how a window is by now.
type look struct {
	check       string
	since, upTo time.Time
}

// Use tells which key calls are made with from now on, and reports whether that is another one. What is known of another key
// judges nothing meanwhile.
func (t *Tracker) Use(key string) (changed bool) {
	changed = t.key != key
	t.key = key
	return changed
}

// Observe takes over what one answer said, and that its key is the one that calls are made with. What is absent or absurd (a
// negative number, more left than is allowed) changes nothing, because a number is never invented; but an observation whose
// time is over and that a success does not renew is forgotten. It reports whether there may be something new to keep.
func (t *Tracker) Observe(now time.Time, answer *Answer) (changed bool) {
	changed = t.Use(answer.Key) || len(answer.Limits) > 0
	for _, l := range answer.Limits {
		t.observe(now, Window{
			Key: answer.Key, Model: answer.Model, Resource: l.Resource, Window: l.Window, Limit: l.Limit, Remaining: l.Remaining,
			At: now, Since: now, From: l.Remaining,
		})
	}
	if !answer.Success {
		return changed
	}
	count := len(t.windows)
	t.forget(func(w Window) bool { return w.Key == answer.Key && w.Model == answer.Model && !now.Before(w.stands()) })
	return changed || len(t.windows) < count
}

func (t *Tracker) observe(now time.Time, w Window) {
	known, seen := t.windows[w.id()]
	overtaken := seen && now.Before(known.At) && known.At.Sub(now) < time.Minute // more is a clock that stepped back
	if !w.sense() || overtaken || !seen && !t.room(w) {
		return
	}
	if seen && w.Limit == known.Limit && w.Remaining <= known.Remaining && !now.Before(known.At) { // the trend goes on
		w.Since, w.From = known.Since, known.From
	}
	t.keep(w)
}

func (t *Tracker) keep(w Window) {
	if t.windows == nil {
		t.windows = map[id]Window{}
	}
	t.windows[w.id()] = w
	delete(t.looks, w.id())
}

func (t *Tracker) forget(which func(Window) bool) {
	maps.DeleteFunc(t.windows, func(_ id, w Window) bool { return which(w) })
	maps.DeleteFunc(t.looks, func(i id, _ look) bool { _, stays := t.windows[i]; return !stays })
}

// room reports whether a new window may be kept. The model that was observed longest ago makes way for a new one.
func (t *Tracker) room(fresh Window) bool {
	newest, count := map[string]time.Time{}, 0
	for _, w := range t.windows {
		if w.Key != fresh.Key {
			continue
		}
		if w.Model == fresh.Model {
			count++
		}
		if at, seen := newest[w.Model]; !seen || w.At.After(at) {
			newest[w.Model] = w.At
		}
	}
	if count > 0 || len(newest) < maxModels {
		return count < maxWindows
	}
	oldest := slices.MinFunc(slices.Sorted(maps.Keys(newest)), func(a, b string) int { return newest[a].Compare(newest[b]) })
	t.forget(func(w Window) bool { return w.Key == fresh.Key && w.Model == oldest })
	return true
}

// Windows lists what is known of the key that calls are made with, sorted by model, resource and window. It is as old as its
// answers.
func (t *Tracker) Windows() []Window { return t.of(nil) }

// of lists the windows of some models, of all where none is named.
func (t *Tracker) of(models []string) []Window {
	var all []Window
	for _, w := range t.sorted() {
		if w.Key == t.key && (len(models) == 0 || slices.Contains(models, w.Model)) {
			all = append(all, w)
		}
	}
	return all
}

func (t *Tracker) sorted() []Window {
	return slices.SortedFunc(maps.Values(t.windows), func(a, b Window) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Model, b.Model),
			strings.Compare(a.Resource, b.Resource), strings.Compare(a.Window, b.Window))
	})
}

// Run is a paid run that asks whether it may.
type Run struct {
	Check  string
	Models []string      // that it may call; none: nobody knows, so the windows of all models count
	Within time.Duration // its answer comes within so long, or never
}

// Verdict says whether a paid run may be made.
type Verdict struct {
	Allowed bool
	Looks   bool      // it is allowed to see how things are by now: others are refused until its answer, or until Release
	Why     string    // where it may not
	Until   time.Time // when it may ask again
}

// Allow judges a paid run. Below is the share under which it is refused; 0 refuses nothing. A limit of zero refuses nothing
// either: that the model is not on the plan is for the provider's answer to say.
//
// An observation refuses all runs for as long as its window, at most an hour. A window that may be longer is no better for
// that: then a single run may look, and the others are refused until an answer has said how the window is, the run has given its
// permission back, or its time is over.
func (t *Tracker) Allow(now time.Time, run Run, below float64) Verdict {
	verdict, doubtful := t.judge(now, run.Models, below)
	if !verdict.Allowed || len(doubtful) == 0 {
		return verdict
	}
	if t.looks == nil {
		t.looks = map[id]look{}
	}
	for _, w := range doubtful {
		t.looks[w.id()] = look{run.Check, now, now.Add(run.Within)}
	}
	verdict.Looks = true
	return verdict
}

// Judge is Allow for a run that is not made, of the models or, without any, of all.
func (t *Tracker) Judge(now time.Time, models []string, below float64) Verdict {
	verdict, _ := t.judge(now, models, below)
	return verdict
}

// Release gives back the permission of a check's run that has ended, or is not made after all.
func (t *Tracker) Release(check string) {
	maps.DeleteFunc(t.looks, func(_ id, l look) bool { return l.check == check })
}

// judge also lists the windows that a run would have to look at.
func (t *Tracker) judge(now time.Time, models []string, below float64) (verdict Verdict, doubtful []Window) {
	verdict.Allowed = true
	for _, w := range t.of(models) {
		share, ok := w.Share()
		if !ok || share >= below || now.Before(w.At) || !now.Before(w.over()) {
			continue
		}
		until, next := w.stands(), "the next look is at "
		if !now.Before(until) {
			l := t.looks[w.id()]
			if now.Before(l.since) || !now.Before(l.upTo) {
				doubtful = append(doubtful, w)
				continue
			}
			until, next = l.upTo, "check "+l.check+" looks again until "
		}
		if until.After(verdict.Until) {
			verdict = Verdict{Why: w.left(below) + "; " + next + until.UTC().Format(time.TimeOnly), Until: until}
		}
	}
	return verdict, doubtful
}

// left says in words what is left.
func (w Window) left(below float64) string {
	whose := ""
	if w.Model != "" {
		whose = " for " + w.Model
	}
	return fmt.Sprintf("%d of %d %s are left%s%s, under %s: the rest is the application's",
		w.Remaining, w.Limit, cmp.Or(w.Resource, "calls"), per(w.Window), whose, percent(below))
}

// kept is a Snapshot. It holds no key and nothing that is made of one: "primary" and "fallback" are names.
type kept struct {
	BaseURL string   `json:"base_url"`
	Key     string   `json:"key"`
	Windows []Window `json:"windows"`
}

// Snapshot is what is known, to be kept over a restart, bound to the base URL whose answers said it.
func (t *Tracker) Snapshot(baseURL string) ([]byte, error) {
	data, err := json.Marshal(kept{baseURL, t.key, t.sorted()})
	if err != nil {
		return nil, fmt.Errorf("keeping the rate limits: %w", err)
	}
	return data, nil
}

// Restore takes over a Snapshot, but for what lies in the future, is over for long, or is of another base URL. What was kept
// before snapshots told the base URL, a list, is nobody's and dropped.
func (t *Tracker) Restore(now time.Time, baseURL string, data []byte) error {
	*t = Tracker{}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return nil
	}
	var old kept
	if err := json.Unmarshal(data, &old); err != nil {
		return fmt.Errorf("reading the rate limits: %w", err)
	}
	if old.BaseURL != baseURL {
		return nil
	}
	t.key = old.Key
	for _, w := range old.Windows {
		if w.sense() && !w.At.After(now) && now.Sub(w.At) < longest && t.room(w) {
			t.keep(w)
		}
	}
	return nil
}
