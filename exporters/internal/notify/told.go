package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

const (
	version   = 1
	mostAside = 64 << 10 // of a state that cannot be read
	mostEnded = 1000     // ends that Refresh told before their records came
	longEnded = 7 * 24 * time.Hour
	mostText  = 4 << 10
	mostLabel = 64
)

// told is what people know. It is the exporter's state, as JSON.
type told struct {
	Version int                  `json:"v"`
	Open    map[string]entry     `json:"open"`            // by fingerprint
	Refs    map[string][]byte    `json:"refs,omitempty"`  // by group
	Ended   map[string]time.Time `json:"ended,omitempty"` // by fingerprint: nothing up to then is to be told any more
	Aside   []byte               `json:"aside,omitempty"` // a state that could not be read
}

// entry is an alert that was told and is not yet told to be over.
type entry struct {
	Alert    checks.Alert    `json:"alert"` // as it is known now
	Group    string          `json:"group"`
	Severity checks.Severity `json:"severity"`          // as it was told
	Key      string          `json:"key,omitempty"`     // of the last message about it
	Refused  int             `json:"refused,omitempty"` // how often its end was refused
}

func newTold() *told {
	return &told{Version: version, Open: map[string]entry{}, Refs: map[string][]byte{}, Ended: map[string]time.Time{}}
}

// loadTold reads a state. Where that cannot be done it is kept aside in a new one, which is returned with the error.
func loadTold(data []byte) (*told, error) {
	fresh := newTold()
	if len(data) == 0 {
		return fresh, nil
	}
	read := newTold()
	err := json.Unmarshal(data, read)
	if err == nil && read.Version != version {
		err = fmt.Errorf("version %d, want %d", read.Version, version)
	}
	if err == nil && (read.Open == nil || read.Refs == nil || read.Ended == nil) {
		err = errors.New("a part is null")
	}
	if err != nil {
		fresh.Aside = data[:min(len(data), mostAside)]
		return fresh, fmt.Errorf("reading the state: %w", err)
	}
	maps.DeleteFunc(read.Open, func(fingerprint string, e entry) bool { return fingerprint == "" || fingerprint != e.Alert.Fingerprint })
	return read, nil
}

func (t *told) encode() []byte {
	data, err := json.Marshal(t)
	if err != nil {
		return nil // cannot be: texts and numbers were cleaned
	}
	return data
}

// group are the alerts of a group, the most severe first.
func (t *told) group(group string) []checks.Alert {
	var open []checks.Alert
	for _, e := range t.Open {
		if e.Group == group {
			open = append(open, e.Alert)
		}
	}
	slices.SortFunc(open, bySeverity)
	return open
}

// all are all alerts, by fingerprint, as severe as they were told.
func (t *told) all() []checks.Alert {
	open := make([]checks.Alert, 0, len(t.Open))
	for _, fingerprint := range slices.Sorted(maps.Keys(t.Open)) {
		e := t.Open[fingerprint]
		e.Alert.Severity = e.Severity
		open = append(open, e.Alert)
	}
	return open
}

// end forgets an alert, and what was kept of its group with the last one.
func (t *told) end(fingerprint string) {
	group := t.Open[fingerprint].Group
	delete(t.Open, fingerprint)
	if len(t.group(group)) == 0 {
		delete(t.Refs, group)
	}
}

// close says that nothing of an alert up to a time is to be told any more.
func (t *told) close(fingerprint string, at time.Time) {
	t.Ended[fingerprint] = at
	maps.DeleteFunc(t.Ended, func(_ string, ended time.Time) bool { return at.Sub(ended) > longEnded })
	for len(t.Ended) > mostEnded {
		oldest := fingerprint
		for f, ended := range t.Ended {
			if ended.Before(t.Ended[oldest]) || (ended.Equal(t.Ended[oldest]) && f < oldest) {
				oldest = f
			}
		}
		delete(t.Ended, oldest)
	}
}

// clean is the alert with bounded, valid texts and finite numbers.
func clean(a checks.Alert) checks.Alert {
	for _, text := range []*string{
		&a.Rule, &a.Fingerprint, &a.Summary, &a.Diagnosis, &a.Impact, &a.Action, &a.Muted, &a.Commander, &a.Runbook, &a.Incident,
	} {
		*text = cleanText(*text)
	}
	a.State, a.Previous = checks.AlertState(cleanText(string(a.State))), checks.AlertState(cleanText(string(a.Previous)))
	a.Severity, a.Blame = checks.Severity(cleanText(string(a.Severity))), checks.Blame(cleanText(string(a.Blame)))
	a.Value, a.Threshold = finite(a.Value), finite(a.Threshold)
	if a.Labels != nil {
		labels := make(map[string]string, len(a.Labels))
		for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
			if len(labels) < mostLabel {
				labels[cleanText(name)] = cleanText(a.Labels[name])
			}
		}
		a.Labels = labels
	}
	a.Summary = wording.Summary(&a)
	return a
}

func cleanText(text string) string {
	if len(text) > mostText {
		text = text[:mostText]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
