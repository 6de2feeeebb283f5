package datadog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// horizon is for how many seconds behind the newest a second may still grow.
const horizon = 10

// seconds are the counts of the latest seconds, by metric, tags and second. Datadog keeps one value per series and second,
// the last one sent: an increment that comes in a later batch, in a second that was already sent, must go with what was
// sent of it. They are a function of the records, and are kept as bytes with the cursor.
type seconds struct {
	Version int                 `json:"version"`
	Newest  int64               `json:"newest"`
	Counts  map[string]float64  `json:"counts"`
	Told    map[string][]string `json:"told,omitempty"` // tags of the alerts whose service check fails, by fingerprint
}

const secondsVersion = 1

func newSeconds() *seconds {
	return &seconds{Version: secondsVersion, Counts: map[string]float64{}, Told: map[string][]string{}}
}

func loadSeconds(state []byte) (*seconds, error) {
	if len(state) == 0 {
		return newSeconds(), nil
	}
	s := newSeconds()
	if err := json.Unmarshal(state, s); err != nil {
		return nil, fmt.Errorf("reading the counts of the latest seconds: %w", err)
	}
	if s.Told == nil {
		s.Told = map[string][]string{}
	}
	if s.Version != secondsVersion || s.Counts == nil {
		return nil, fmt.Errorf("reading the counts of the latest seconds: version %d, want %d", s.Version, secondsVersion)
	}
	return s, nil
}

func (s *seconds) clone() *seconds {
	c := *s
	c.Counts, c.Told = maps.Clone(s.Counts), maps.Clone(s.Told)
	return &c
}

// add adds an increment and returns the second's key.
func (s *seconds) add(series string, second int64, value float64) string {
	key := series + "|" + strconv.FormatInt(second, 10)
	s.Counts[key] += value
	s.Newest = max(s.Newest, second)
	return key
}

// encode forgets what is too old to grow, and is the rest as bytes: the same for the same history.
func (s *seconds) encode() []byte {
	maps.DeleteFunc(s.Counts, func(key string, _ float64) bool {
		second, err := strconv.ParseInt(key[strings.LastIndexByte(key, '|')+1:], 10, 64)
		return err != nil || second < s.Newest-horizon
	})
	out, err := json.Marshal(s)
	if err != nil { // only numbers that are not finite, which Points does not make and sums of them hardly reach
		return nil
	}
	return out
}

// ledger keeps seconds in step with delivery's cursor: where the commit of a batch failed its records come again, and
// are added to what was before them.
type ledger struct {
	before, now *seconds
	last        []string // ids of the batch that now includes and before does not
}

func (l *ledger) next(batch []checks.Record) *seconds {
	if l.repeated(batch) {
		return l.before.clone()
	}
	return l.now.clone()
}

func (l *ledger) done(batch []checks.Record, next *seconds) {
	if !l.repeated(batch) {
		l.before = l.now
	}
	l.now, l.last = next, l.last[:0]
	for i := range batch {
		l.last = append(l.last, batch[i].ID)
	}
}

// tell keeps what was told of alerts, also for a batch that comes again.
func (l *ledger) tell(told map[string][]string) {
	l.now.Told = told
	if l.before != nil {
		l.before.Told = maps.Clone(told)
	}
}

func (l *ledger) repeated(batch []checks.Record) bool {
	return l.before != nil && batch[0].ID != "" && slices.Contains(l.last, batch[0].ID)
}
