package spend_test

import (
	"context"
	"fmt"
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
