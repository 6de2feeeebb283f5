package alerting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// The bounds of silences.
const (
	mostSilences   = 1000
	mostMatchers   = 20
	longestText    = 500 // bytes
	longestSilence = 366 * 24 * time.Hour
)

// ErrInvalid is what a silence that cannot be made is.
var ErrInvalid = errors.New("invalid")

// ErrNone means that there is nothing of that name.
var ErrNone = errors.New("there is no such thing")

// unknownError is an ErrNone in somebody else's words.
type unknownError struct{ error }

func (e *unknownError) Is(target error) bool { return target == ErrNone }
func (e *unknownError) Unwrap() error        { return e.error }

// Silence keeps people from being told of alerts for a while. Match is over an alert's labels, "rule" and "severity"; all must
// match. A value is one of several, or with ! in front none of them; a single one with ~ in front is a regular expression
// over the whole value.
type Silence struct {
	ID     string              `json:"id"` // ULID
	Match  map[string][]string `json:"match"`
	Reason string              `json:"reason"`
	By     string              `json:"by,omitempty"`
	From   time.Time           `json:"from"`
	Until  time.Time           `json:"until"`
}

// Matchers reads a silence's match, sorted by attribute.
func Matchers(match map[string][]string) ([]alerts.Matcher, error) {
	if len(match) == 0 {
		return nil, fmt.Errorf("%w: nothing to match: name a rule, or label=value", ErrInvalid)
	}
	if len(match) > mostMatchers {
		return nil, fmt.Errorf("%w: %d labels to match, want at most %d", ErrInvalid, len(match), mostMatchers)
	}
	var all []alerts.Matcher
	for _, attr := range slices.Sorted(maps.Keys(match)) {
		m, err := matcher(attr, match[attr])
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrInvalid, attr, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func matcher(attr string, values []string) (alerts.Matcher, error) {
	m := alerts.Matcher{Attr: attr}
	switch {
	case attr == "" || len(attr) > 64:
		return m, errors.New("want the name of a label, at most 64 bytes long")
	case len(values) == 0 || len(values) > 100:
		return m, fmt.Errorf("%d values, want 1 to 100", len(values))
	}
	for i, value := range values {
		if len(value) > longestText {
			return m, fmt.Errorf("a value of %d bytes, want at most %d", len(value), longestText)
		}
		plain, not := strings.CutPrefix(value, "!")
		if i > 0 && not != m.Not {
			return m, errors.New("some values with ! in front and some without")
		}
		m.Not = not
		expr, isExpr := strings.CutPrefix(plain, "~")
		if !isExpr {
			m.In = append(m.In, plain)
			continue
		}
		if len(values) > 1 {
			return m, errors.New("a regular expression among several values: write a|b in one")
		}
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			return m, fmt.Errorf("reading the regular expression: %w", err)
		}
		m.Regexp = re
	}
	return m, nil
}

// silenced is a silence that can be used.
type silenced struct {
	Silence
	match []alerts.Matcher
}

// check reads what a silence that somebody wants matches, and reports what is wrong with it.
func (s *Silence) check(now time.Time) ([]alerts.Matcher, error) {
	match, err := Matchers(s.Match)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.TrimSpace(s.Reason) == "":
		return nil, fmt.Errorf("%w: no reason", ErrInvalid)
	case !line(s.Reason) || !line(s.By):
		return nil, fmt.Errorf("%w: reason and by must be one line each of at most %d bytes", ErrInvalid, longestText)
	case s.Until.IsZero():
		return nil, fmt.Errorf("%w: no end", ErrInvalid)
	case !s.Until.After(now):
		return nil, fmt.Errorf("%w: it ends at %s, which is over", ErrInvalid, s.Until.Format(time.RFC3339))
	case s.Until.Sub(now) > longestSilence:
		return nil, fmt.Errorf("%w: it ends at %s, want an end within a year", ErrInvalid, s.Until.Format(time.RFC3339))
	}
	return match, nil
}

func line(text string) bool {
	return len(text) <= longestText && !strings.ContainsFunc(text, unicode.IsControl)
}

// Silence begins a silence and returns it with its id. The error wraps ErrInvalid where it cannot be made.
func (k *Keeper) Silence(ctx context.Context, s Silence) (Silence, error) {
	k.mu.Lock()
	now := time.Now()
	s.ID, s.From, s.Until = ulid.Make().String(), now.UTC(), s.Until.UTC()
	match, err := s.check(now)
	if err == nil && len(k.silences) >= mostSilences {
		err = fmt.Errorf("%w: there are %d silences already", ErrInvalid, len(k.silences))
	}
	if err != nil {
		k.mu.Unlock()
		return Silence{}, err
	}
	k.silences = append(k.silences, silenced{s, match})
	wait := k.silencesChanged(now)
	k.mu.Unlock()
	return s, wait(ctx)
}

// EndSilence ends a silence. The error wraps ErrNone where there is none with that id.
func (k *Keeper) EndSilence(ctx context.Context, id string) error {
	k.mu.Lock()
	at := slices.IndexFunc(k.silences, func(s silenced) bool { return s.ID == id })
	if at < 0 {
		k.mu.Unlock()
		return fmt.Errorf("silence %q: %w", id, ErrNone)
	}
	k.silences = slices.Delete(k.silences, at, at+1)
	wait := k.silencesChanged(time.Now())
	k.mu.Unlock()
	return wait(ctx)
}

// silencesChanged mutes anew and begins to store that.
func (k *Keeper) silencesChanged(now time.Time) (wait func(context.Context) error) {
	changed := k.mute(now, false)
	var data []byte
	var err error
	if len(k.silences) > 0 {
		data, err = json.Marshal(k.silences)
	}
	save := k.o.Store.Begin(0, map[string][]byte{silencesKey: data})
	judged := k.keep(now, step{changed: changed})
	return func(ctx context.Context) error { return errors.Join(err, save(ctx), judged(ctx)) }
}

func (k *Keeper) restoreSilences(ctx context.Context) error {
	data, err := k.o.Store.LoadState(ctx, silencesKey)
	var kept []Silence
	if err == nil && data != nil {
		err = json.Unmarshal(data, &kept)
	}
	for _, s := range kept {
		match, matchErr := Matchers(s.Match)
		if matchErr != nil { // of another version: it must not silence what nobody meant
			err = errors.Join(err, matchErr)
			continue
		}
		k.silences = append(k.silences, silenced{s, match})
	}
	if err != nil {
		return fmt.Errorf("reading the silences: %w", err)
	}
	return nil
}

// mute tells the engine what mutes alerts now, where that changed, or always where the engine is another. Silences that
// are over are forgotten.
func (k *Keeper) mute(now time.Time, always bool) []alerts.Transition {
	if !k.started {
		return nil
	}
	k.silences = slices.DeleteFunc(k.silences, func(s silenced) bool { return !s.Until.After(now) })
	var mutes []alerts.Mute
	for i := range k.silences {
		s := &k.silences[i]
		from := s.From
		if from.After(now) { // the clock was set back: a silence begins when it is made
			from = now
		}
		mutes = append(mutes, alerts.Mute{ID: "silence/" + s.ID, Reason: s.Reason, By: s.By, Match: s.match, From: from, Until: s.Until})
	}
	for _, w := range Windows(now, k.setup.Windows) {
		mutes = append(mutes, w.mute())
	}
	same := slices.EqualFunc(mutes, k.mutes, func(a, b alerts.Mute) bool { return a.ID == b.ID && a.Until.Equal(b.Until) && !b.From.After(now) })
	if same && !always {
		return nil
	}
	k.mutes = mutes
	changed := k.setup.Engine.Mute(now, mutes)
	k.o.Book.Hush(k.setup.Engine.Alerts())
	return changed
}
