package stdout_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/stdout"
)

// writer is a standard output that does what its function does.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestTheKindKeepsItsPromises(t *testing.T) {
	for _, with := range []string{"", "format: json\n", "format: pretty\n"} {
		t.Run("with "+with, func(t *testing.T) {
			exportertest.Run(t, exportertest.Options{
				Kind: stdout.Kind(),
				Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
					t.Helper()
					return output(t, with, fault)
				},
				Refused: map[string]string{"a format that is none": "format: xml\n", "no format": "format: \"\"\n"},
				Classes: map[exportertest.Fault]exportertest.Class{exportertest.Absent: exportertest.Hold},
				Page:    "../../docs/exporters/stdout.md",
			})
		})
	}
}

// output is a standard output that misbehaves; a pipe plays what a pipe can.
func output(t *testing.T, with string, fault exportertest.Fault) (exportertest.Case, bool) {
	t.Helper()
	c := exportertest.Case{With: with}
	if fault == exportertest.Works {
		return c, true
	}
	if fault == exportertest.Broken {
		c.Env.Stdout = writer(func([]byte) (int, error) { return 0, syscall.ENOSPC })
		return c, true
	}
	if fault != exportertest.Absent && fault != exportertest.Hangs {
		return c, false
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	if fault == exportertest.Absent {
		_ = r.Close()
	} else if err := fill(w); err != nil {
		t.Fatal(err)
	}
	c.Env.Stdout = w
	return c, true
}

// fill writes to a pipe that nobody reads until it takes no more.
func fill(w *os.File) error {
	raw, err := w.SyscallConn()
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		if failed := raw.Write(func(fd uintptr) bool {
			_, err = syscall.Write(int(fd), block)
			return true // a pipe of ours does not block
		}); failed != nil {
			return failed
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("filling a pipe: %w", err)
	}
	return nil
}

func open(t *testing.T, format stdout.Format, out io.Writer) exporters.Exporter {
	t.Helper()
	e, err := stdout.New(stdout.Params{Format: format}, exporters.Env{Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestJSONLinesAreTheRecordsThemselves(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	batch := exportertest.Records(60, 1)
	if _, err := open(t, stdout.JSON, &out).Export(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var got []checks.Record
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		var rec checks.Record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		got = append(got, rec)
	}
	if diff := cmp.Diff(batch, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records changed on the way (-sent +read):\n%s", diff)
	}
}

func TestPrettyLines(t *testing.T) {
	t.Parallel()
	batch := exportertest.Records(20, 1)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	batch = append(batch,
		checks.OfReport(&checks.Report{
			Check: "a-check-with-a-very-long-name", StartedAt: noon, Took: 2 * time.Second, Final: true,
			Result: checks.Fail(checks.CauseMalformed, "\x1b[31mred\x1b[0m\r\nnext \xff"),
		}),
		checks.OfReport(&checks.Report{
			Check: "models", ScheduledAt: noon, Final: true, Slots: 12, Result: checks.Skip(checks.CauseMissed, "the host slept"),
		}),
		checks.OfReport(&checks.Report{Check: "models", StartedAt: noon, Result: checks.Pass("")}),
		checks.Record{ID: "01K", At: noon},
	)
	var out bytes.Buffer
	if _, err := open(t, stdout.Pretty, &out).Export(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/pretty.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestARecordWithoutAJSONFormIsRejectedAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	batch := exportertest.Records(3, 1)
	batch[1] = checks.Record{ID: "01K"}
	got, err := open(t, stdout.JSON, &out).Export(t.Context(), batch)
	want := exporters.Outcome{Rejected: []exporters.Rejection{{Index: 1, Reason: "no JSON form"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("wrote %d lines, want the other 2", n)
	}
}

func TestALineThatWasCutIsEndedBeforeTheBatchComesAgain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	space := 700
	e := open(t, stdout.JSON, writer(func(p []byte) (int, error) {
		n := min(len(p), space)
		out.Write(p[:n])
		if n < len(p) {
			return n, syscall.ENOSPC
		}
		return n, nil
	}))
	batch := exportertest.Records(5, 1)
	if _, err := e.Export(t.Context(), batch); exportertest.ClassOf(err) != exportertest.Retry || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk: %v, want Retry with the reason", err)
	}
	if end(e) == nil {
		t.Error("closed after half a line without a word")
	}
	space = 1 << 20
	if _, err := e.Export(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var whole, broken int
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		if json.Valid(lines.Bytes()) {
			whole++
		} else {
			broken++
		}
	}
	if whole < len(batch) || broken > 1 {
		t.Errorf("%d whole lines and %d broken ones, want all %d records and at most one torn line", whole, broken, len(batch))
	}
}

func TestAPrettyLineSaysThatItIsADrill(t *testing.T) {
	t.Parallel()
	records := exportertest.Alerts(time.Now(), 1, false)
	records[0].Alert.Labels[checks.LabelDrill] = "dns"
	var out bytes.Buffer
	if _, err := open(t, stdout.Pretty, &out).Export(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "  DRILL P1 alert, ") {
		t.Errorf("got %q, want DRILL before what it is", out.String())
	}
}

func TestAReaderThatIsGoneHoldsTheBatch(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	_ = r.Close()
	_, err := open(t, stdout.JSON, w).Export(t.Context(), exportertest.Records(1, 1))
	if !exporters.IsHold(err) {
		t.Errorf("%v, want Hold", err)
	}
	_, err = open(t, stdout.JSON, nil).Export(t.Context(), exportertest.Records(1, 1))
	if !exporters.IsHold(err) {
		t.Errorf("no standard output: %v, want Hold", err)
	}
}

func TestAWriteThatHangsIsWaitedForAndNeverDoubled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var writes atomic.Int64
		e := open(t, stdout.JSON, writer(func(p []byte) (int, error) {
			writes.Add(1)
			time.Sleep(time.Minute)
			return out.Write(p)
		}))
		batch := exportertest.Records(2, 1)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := e.Export(ctx, batch); exportertest.ClassOf(err) != exportertest.Retry {
				t.Errorf("nobody reads: %v, want Retry", err)
			}
			cancel()
		}
		if n := writes.Load(); n != 1 {
			t.Errorf("%d writes at once, want 1", n)
		}
		if end(e) == nil {
			t.Error("closed during a write without a word")
		}
		time.Sleep(time.Hour)
		more := exportertest.Records(3, 1) // in the meantime there is one record more
		if _, err := e.Export(t.Context(), more); err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 || writes.Load() != 2 {
			t.Errorf("%d lines in %d writes, want each of the 3 records once", n, writes.Load())
		}
		if err := end(e); err != nil {
			t.Errorf("closed after the write: %v", err)
		}
	})
}

func end(e exporters.Exporter) error {
	if c, ok := e.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func TestAReaderSlowerThanTheDeadlineGetsEveryLineOnce(t *testing.T) {
	t.Parallel()
	for _, second := range []int{1, 3, 10, 16} { // the batch that comes again may be another cut of the records
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			e := open(t, stdout.JSON, writer(func(p []byte) (int, error) {
				time.Sleep(15 * time.Second)
				return out.Write(p)
			}))
			all := exportertest.Records(40, 1)
			rest, size := all, 10
			for tries := 0; len(rest) > 0; tries++ {
				if tries > 1000 {
					t.Fatalf("%d of %d records are not accepted after %d attempts", len(rest), len(all), tries)
				}
				n := min(size, len(rest))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if _, err := e.Export(ctx, rest[:n]); err == nil {
					rest = rest[n:]
				}
				cancel()
				size = second
			}
			if n := strings.Count(out.String(), "\n"); n != len(all) {
				t.Errorf("%d lines, want %d", n, len(all))
			}
		})
	}
}

func TestALineThatAKilledProcessLeftIsEndedFirst(t *testing.T) {
	t.Parallel()
	batch := exportertest.Records(3, 1)
	object, err := batch[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for format, torn := range map[stdout.Format]string{stdout.JSON: string(object[:len(object)/2]), stdout.Pretty: "2026-11-27T10"} {
		out := bytes.NewBufferString(torn)
		e, err := stdout.New(stdout.Params{Format: format}, exporters.Env{Stdout: out, Unclean: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := e.Export(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 1+2*len(batch) || lines[0] != torn {
			t.Errorf("%s: got %d lines, the first %q, want the torn one by itself and %d more", format, len(lines), lines[0], 2*len(batch))
		}
	}
}
