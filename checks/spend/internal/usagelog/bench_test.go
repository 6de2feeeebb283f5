package usagelog_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// size is that of the log that the benchmarks read: 2048 is the two gigabytes that the promise is about.
var size = flag.Int64("usagelog.mb", 256, "size of the log of the benchmarks, in MB") //nolint:gochecknoglobals // a flag

// bench reads a log of one line over and over, as a check does: from the open to the state that is kept.
func bench(b *testing.B, p usagelog.Params, line func(i int) string) {
	b.Helper()
	p.Path = filepath.Join(b.TempDir(), "usage.log")
	bytes, lines := fill(b, p.Path, line)
	b.SetBytes(bytes)
	book := pricing.NewBook(pricing.Default(), "")
	var most int64
	for b.Loop() {
		l, err := usagelog.New(p, usagelog.Options{Prices: book})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := l.Read(b.Context(), noon)
		if err != nil {
			b.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		most = max(most, int64(after.Sys)-int64(before.Sys), int64(after.HeapInuse)-int64(before.HeapInuse))
		if r.Month == nil || len(r.Notes) > 0 {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(most)/(1<<20), "MiB-more")
	b.ReportMetric(float64(bytes)/float64(lines), "B/line")
}

// fill writes a block of lines until the file is as large as it is to be. The last line is a record.
func fill(b *testing.B, path string, line func(i int) string) (bytes, lines int64) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := 0; bytes < *size<<20; i++ {
		n, err := w.WriteString(line(i))
		if err != nil {
			b.Fatal(err)
		}
		bytes, lines = bytes+int64(n), lines+1
	}
	if _, err := w.WriteString(record(noon, 1)); err != nil {
		b.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.Chtimes(path, noon, noon); err != nil {
		b.Fatal(err)
	}
	return bytes, lines
}

// usage is a record as an application writes it: some three hundred bytes, of the last month, of three models.
func usage(i int) string {
	at := noon.Add(-30*24*time.Hour + time.Duration(i%2_592_000)*time.Second)
	model := []string{"mistral-small-latest", "mistral-medium-latest", "ministral-8b-latest"}[i%3]
	return fmt.Sprintf(`{"timestamp":"%s","level":"info","logger":"app.llm","message":"completion done","request_id":"0199-%08x","model":"%s",`+
		`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}},"latency_ms":%d,"tenant":"t-%d"}`+"\n",
		at.Format(time.RFC3339Nano), i, model, 100+i%4000, i%500, 100+i%4500, i%64, i%9000, i%40)
}

// other is a line of the same log that is none.
func other(i int) string {
	return fmt.Sprintf(`{"timestamp":"2026-11-20T11:00:00Z","level":"info","logger":"app.http","message":"request served","request_id":"0199-%08x",`+
		`"path":"/api/orders/%d","status":200,"duration_ms":%d,"agent":"Mozilla/5.0 (X11; Linux x86_64)","text":"%s"}`+"\n", i, i, i%300, strings.Repeat("lorem ipsum ", 4))
}

func BenchmarkEvaluated(b *testing.B) { bench(b, usagelog.Params{}, usage) }

func BenchmarkEvaluatedByJQ(b *testing.B) {
	bench(b, usagelog.Params{Fields: usagelog.Fields{Input: ".usage | .prompt_tokens"}}, usage)
}

func BenchmarkSelected(b *testing.B) {
	bench(b, usagelog.Params{Select: `.logger == "app.llm" or .model != null`, Fields: usagelog.Fields{Input: ".usage.prompt_tokens"}}, usage)
}

func BenchmarkRejected(b *testing.B) { bench(b, usagelog.Params{}, other) }

func BenchmarkUnfiltered(b *testing.B) {
	bench(b, usagelog.Params{Fields: usagelog.Fields{Input: ".usage.prompt_tokens"}}, other)
}
