package usagelog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// noon is when all tests begin: the middle of a day in the middle of a month.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // immutable

// flat prices a token at a thousand pico-dollars, and knows no model that begins with x.
type flat struct{}

func (flat) Cost(u pricing.Usage, model string, _ time.Time) (checks.PicoUSD, bool) {
	if model[0] == 'x' || model == "unknown" || model == "other" || u.Tier == "?" {
		return 0, false
	}
	return checks.PicoUSD(u.Prompt+u.Completion) * 1000, true
}

// memory is a state that lives through restarts, and counts how often it was kept.
type memory struct {
	data  []byte
	saved int
}

func (m *memory) Load() []byte     { return m.data }
func (m *memory) Save(data []byte) { m.data = data; m.saved++ }

// world is one log in a folder of its own.
type world struct {
	t      *testing.T
	path   string
	params usagelog.Params
	state  *memory
	zone   *time.Location
	prices usagelog.Prices
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usage.log")
	return &world{t: t, path: path, params: usagelog.Params{Path: path}, state: &memory{}, prices: flat{}, now: noon}
}

// record is a line of a request with so many prompt tokens and one more of the answer.
func record(at time.Time, prompt int) string {
	return fmt.Sprintf(`{"timestamp":"%s","level":"info","model":"mistral-small-latest","usage":{"prompt_tokens":%d,"completion_tokens":1}}`+"\n",
		at.UTC().Format(time.RFC3339Nano), prompt)
}

// at is a record of some time ago.
func (w *world) at(ago time.Duration, prompt int) string { return record(w.now.Add(-ago), prompt) }

func (w *world) beside(name string) string { return filepath.Join(filepath.Dir(w.path), name) }

// write appends to a file, which was then written to now.
func (w *world) write(path string, lines ...string) {
	w.t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		if _, err := f.WriteString(line); err != nil {
			w.t.Fatal(err)
		}
	}
	w.must(f.Close())
	w.touch(path)
}

func (w *world) touch(path string) {
	w.t.Helper()
	w.must(os.Chtimes(path, w.now, w.now))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// read is one reading by a log that was just built: every test is a test of restarts, too.
func (w *world) read() (source.Reading, error) {
	w.t.Helper()
	w.must(w.params.Validate("usage_log"))
	l, err := usagelog.New(w.params, usagelog.Options{Prices: w.prices, State: w.state, Zone: w.zone})
	w.must(err)
	return l.Read(w.t.Context(), w.now)
}

func (w *world) good() source.Reading {
	w.t.Helper()
	r, err := w.read()
	w.must(err)
	return r
}

// problem is a reading that cannot be made.
func (w *world) problem() *source.Problem {
	w.t.Helper()
	r, err := w.read()
	p, ok := errors.AsType[*source.Problem](err)
	if !ok {
		w.t.Fatalf("got %+v, %v, want a problem", r, err)
	}
	if r.Hour != nil || r.Today != nil || r.Month != nil || p.Cause == checks.CauseNone || p.Text == "" {
		w.t.Errorf("got %+v and %+v, want no number and a reason", r, p)
	}
	return p
}

// sum is an amount of so many requests and prompt tokens, -1 where it is not known.
func sum(a *source.Amount) [2]int64 {
	if a == nil {
		return [2]int64{-1, -1}
	}
	got := [2]int64{a.Requests, 0}
	for _, tokens := range a.Tokens {
		if tokens.Direction == source.Input {
			got[1] += tokens.N
		}
	}
	return got
}

// month checks the requests and the prompt tokens of the month.
func (w *world) month(r source.Reading, requests, prompt int64) {
	w.t.Helper()
	if got, want := sum(r.Month), [2]int64{requests, prompt}; got != want {
		w.t.Errorf("month: got %v, want %v requests and prompt tokens; %s; %q", got, want, r.Why, r.Notes)
	}
}
