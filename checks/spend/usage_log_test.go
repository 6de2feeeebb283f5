package spend_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend"
)

// kept is a check's memory.
type kept struct{ data []byte }

func (k *kept) Load(context.Context) ([]byte, error) { return k.data, nil }

func (k *kept) Save(_ context.Context, data []byte) error {
	k.data = data
	return nil
}

// TestAUsageLogIsReadOnceOverRestarts: what was counted before a restart is not counted again, and what came after it is.
func TestAUsageLogIsReadOnceOverRestarts(t *testing.T) {
	t.Parallel()
	path, memory := filepath.Join(t.TempDir(), "usage.jsonl"), &kept{}
	write := func(calls int, ago time.Duration) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for range calls {
			fmt.Fprintf(f, `{"ts":%q,"model":"mistral-small-latest","usage":{"prompt_tokens":1000000,"completion_tokens":0}}`+"\n", time.Now().Add(-ago).UTC().Format(time.RFC3339))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() checks.Result {
		t.Helper()
		check, err := spend.Kind().New(checktest.Decoder("sources: [{usage_log: {path: "+path+"}}]\nabove_per_hour: 10", ""), checks.Env{Memory: memory})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := checktest.Valid(r); err != nil {
			t.Errorf("not valid: %v", err)
		}
		return r
	}
	if r := ask(); r.Status != checks.Unknown {
		t.Errorf("without a log: %s %s, want unknown", r.Status, r.Summary)
	}
	write(1, 3*time.Hour) // a log that begins within the hour says nothing of it
	write(2, 0)
	for range 2 { // anew each time, as after a restart
		if r := ask(); r.Status != checks.OK || !strings.HasPrefix(r.Summary, "$0.300000 in the last hour") {
			t.Errorf("two calls of $0.15: %s %s", r.Status, r.Summary)
		}
	}
	write(100, 0)
	if r := ask(); r.Status != checks.Degraded || r.Blame != checks.BlameApplication || !strings.Contains(r.Summary, "$15.30 in the last hour, want at most $10.00") {
		t.Errorf("a hundred more: %s %s %s", r.Status, r.Blame, r.Summary)
	}
}

// TestSourcesThatDisagreeAreAFinding: an estimate is held against other numbers, window by window.
func TestSourcesThatDisagreeAreAFinding(t *testing.T) {
	t.Parallel()
	record := func(ago time.Duration, tokens int) string {
		return fmt.Sprintf(`{"ts":%q,"model":"mistral-small-latest","usage":{"prompt_tokens":%d,"completion_tokens":0}}`+"\n", time.Now().Add(-ago).UTC().Format(time.RFC3339), tokens)
	}
	for name, tc := range map[string]struct {
		other  int // tokens in the other log
		status checks.Status
	}{
		"as much":        {1_000_000, checks.OK},
		"a fifth more":   {1_200_000, checks.OK},
		"a third more":   {1_400_000, checks.Degraded},
		"less than half": {400_000, checks.Degraded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for log, tokens := range map[string]int{"a": 1_000_000, "b": tc.other} {
				if err := os.WriteFile(filepath.Join(dir, log), []byte(record(3*time.Hour, 0)+record(0, tokens)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			with := fmt.Sprintf("sources: [{name: a, usage_log: {path: %[1]s/a}}, {name: b, usage_log: {path: %[1]s/b}}]", dir)
			check, err := spend.Kind().New(checktest.Decoder(with, ""), checks.Env{Memory: &kept{}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := check.Run(t.Context())
			if err != nil || r.Status != tc.status {
				t.Fatalf("%s %s, %v", r.Status, r.Summary, err)
			}
			if tc.status == checks.Degraded && (!strings.Contains(r.Summary, "a says $0.150000 in the last hour and b $") || r.Blame != checks.BlameConfig) {
				t.Errorf("blame %s: %s", r.Blame, r.Summary)
			}
			got, found := 0.0, false
			for _, m := range r.Measurements {
				if m.Name == "spend.disagreement" && m.Attrs["source"] == "b" && m.Attrs["window"] == "hour" {
					got, found = m.Value, true
				}
			}
			if want := float64(tc.other)/1e6 - 1; !found || math.Abs(got-want) > 1e-9 {
				t.Errorf("disagreement %v (%v), want %v", got, found, want)
			}
		})
	}
}

func TestAMemoryThatCannotBeReadKeepsSourcesFromBeginningAnew(t *testing.T) {
	t.Parallel()
	check, err := spend.Kind().New(checktest.Decoder("sources: [{usage_log: {path: /nowhere/usage.jsonl}}]", ""), checks.Env{Memory: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := check.Run(t.Context()); err == nil || r.Cause != checks.CauseInternal {
		t.Errorf("got %v, %v, want an error of our own", r, err)
	}
}

// broken is a memory on a disk that is gone.
type broken struct{}

func (broken) Load(context.Context) ([]byte, error) { return nil, errors.New("the disk is gone") }

func (broken) Save(context.Context, []byte) error { return errors.New("the disk is gone") }

// asked runs a check once over sources that are given as text.
func asked(t *testing.T, with string, ledger checks.Ledger) checks.Result {
	t.Helper()
	check, err := spend.Kind().New(checktest.Decoder(with, ""), checks.Env{Memory: &kept{}, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	return r
}

// TestTheAgentsOwnRunsAreNotTheApplication: they neither stand in for a source that knows nothing, nor are held against one.
func TestTheAgentsOwnRunsAreNotTheApplication(t *testing.T) {
	t.Parallel()
	own := &book{rows: spent(0, 0, checks.Dollar)}
	r := asked(t, "sources: [{usage_log: {path: /nowhere/usage.jsonl}}, {ledger: {}}]", own)
	if _, told := value(r, "spend.hour.usd"); told || r.Status != checks.Unknown {
		t.Errorf("without the application's log: %s %s", r.Status, r.Summary)
	}
	path := filepath.Join(t.TempDir(), "usage.jsonl")
	line := func(ago time.Duration, model string) string {
		return fmt.Sprintf(`{"ts":%q,"model":%q,"usage":{"prompt_tokens":1000000,"completion_tokens":0}}`+"\n", time.Now().Add(-ago).UTC().Format(time.RFC3339), model)
	}
	write := func(lines string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(line(3*time.Hour, "mistral-embed") + line(0, "mistral-small-latest"))
	r = asked(t, "sources: [{usage_log: {path: "+path+"}}, {ledger: {}}]", own)
	if got, _ := value(r, "spend.hour.usd"); r.Status != checks.OK || math.Abs(got-0.15) > 1e-9 {
		t.Errorf("beside the application's log: %s %s, %v", r.Status, r.Summary, got)
	}
	r = asked(t, "sources: [{usage_log: {path: "+path+"}}, {name: other, usage_log: {path: /nowhere/else.jsonl}}]", own)
	if r.Status != checks.Degraded || r.Blame != checks.BlameOurs || !strings.Contains(r.Summary, "other: the log") {
		t.Errorf("a source that knows nothing beside one that does: %s %s %s", r.Status, r.Blame, r.Summary)
	}
	write(line(3*time.Hour, "mistral-embed") + line(0, "nobody-knows"))
	r = asked(t, "sources: [{usage_log: {path: "+path+"}}]", own)
	if got, told := value(r, "spend.hour.usd"); told || r.Status != checks.Unknown {
		t.Errorf("an hour without a price: %s %s, %v", r.Status, r.Summary, got)
	}
	write(line(3*time.Hour, "nobody-knows") + line(0, "mistral-embed"))
	r = asked(t, "sources: [{usage_log: {path: "+path+"}}]", own)
	if r.Status != checks.Degraded || r.Blame != checks.BlameConfig || !strings.Contains(r.Summary, "1 models without a known price, whose cost is missing: nobody-knows") {
		t.Errorf("an earlier hour without a price: %s %s %s", r.Status, r.Blame, r.Summary)
	}
}

// TestADayOfWhichNothingCouldBeReadIsNotZero: yesterday is known, and today is nothing to us.
func TestADayOfWhichNothingCouldBeReadIsNotZero(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "usage.jsonl")
	old := fmt.Sprintf(`{"ts":%d,"model":"mistral-embed","usage":{"prompt_tokens":1000000}}`+"\n", time.Now().Add(-26*time.Hour).Unix())
	bad := strings.Repeat(`{"when":0,"model":"mistral-embed","usage":{"prompt_tokens":1000000}}`+"\n", 1000)
	if err := os.WriteFile(path, []byte(old+bad), 0o600); err != nil {
		t.Fatal(err)
	}
	r := asked(t, "sources: [{usage_log: {path: "+path+"}}]", nil)
	for _, m := range r.Measurements {
		if m.Value == 0 && strings.HasSuffix(m.Name, ".usd") {
			t.Errorf("%s %v is told as nothing", m.Name, m.Attrs)
		}
	}
	if r.Status != checks.Unknown {
		t.Errorf("%s %s", r.Status, r.Summary)
	}
}

// TestAPeakInAUsageLogIsFoundInEveryZone: also where hours begin at the half or the quarter.
func TestAPeakInAUsageLogIsFoundInEveryZone(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	now := time.Now()
	record := func(at time.Time, tokens int) {
		fmt.Fprintf(&lines, `{"ts":%d,"model":"mistral-embed","usage":{"prompt_tokens":%d}}`+"\n", at.Unix(), tokens)
	}
	for minutes := 8 * 24 * 60; minutes > 60; minutes -= 10 { // a sixth of a dollar in ten minutes: a dollar in an hour
		record(now.Add(-time.Duration(minutes)*time.Minute), 1_666_667)
	}
	record(now, 90_000_000)
	path := filepath.Join(t.TempDir(), "usage.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{"UTC", "Europe/Paris", "Asia/Kolkata", "Asia/Kathmandu"} {
		r := asked(t, "sources: [{usage_log: {path: "+path+"}}]\nabove_per_hour: 0\ntimezone: "+zone, nil)
		factor, told := value(r, "spend.spike_factor")
		if !told || math.Abs(factor-9) > 1 || r.Status != checks.Degraded || !strings.Contains(r.Summary, "$9.00 in the last hour, usual at this time is $") {
			t.Errorf("%s: factor %v (%v), %s %s", zone, factor, told, r.Status, r.Summary)
		}
	}
}
