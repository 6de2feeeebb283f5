package scan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// How many files BenchmarkTree makes.
var treeFiles = flag.Int("scan.files", 200_000, "files of the generated tree") //nolint:gochecknoglobals // a flag

// source is a file as applications have them: of 1.2 KB, without a fault; one in a thousand has a key and a call.
func source(i int) string {
	text := strings.Repeat(fmt.Sprintf(`
// handler%[1]d answers for one page.
export async function handler%[1]d(request: Request, session: Session): Promise<Response> {
  const page = await store.load({ id: request.params.id, revision: "%[1]d", token: session.token });
  if (!page) return respond(404, { message: "there is no page of this name" });
  return respond(200, render(page, { title: page.title, path: "/pages/" + page.id + "/v2/render.html" }));
}
`, i), 3)
	if i%1000 == 0 {
		text += `const client = new Mistral({ apiKey: "` + lot(32, base62) + "\" });\nclient.chat.complete({ model: 'mistral-small-2603', maxTokens: 5 });\n"
	}
	return text
}

// BenchmarkTree looks at a tree of 200,000 files; heap-MiB is the most that was in use.
func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	bytes := 0
	for i := range *treeFiles {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/1000), fmt.Sprintf("%02d", i/20%50))
		if i%20 == 0 {
			if err := os.MkdirAll(sub, 0o700); err != nil {
				b.Fatal(err)
			}
		}
		text := source(i)
		bytes += len(text)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%06d.ts", i)), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(bytes))
	runtime.GC()
	most, done := make(chan uint64), make(chan struct{})
	go watchHeap(done, most)
	for b.Loop() {
		r, err := scan.Dir(b.Context(), dir, scan.Options{})
		if err != nil || r.Files != *treeFiles || r.Truncated != "" || len(r.Secrets) != (*treeFiles+999)/1000 || len(r.Calls) != len(r.Secrets) {
			b.Fatalf("got %v, %d files, %q, %d keys, %d calls", err, r.Files, r.Truncated, len(r.Secrets), len(r.Calls))
		}
	}
	close(done)
	b.ReportMetric(float64(<-most)/(1<<20), "heap-MiB")
}

func watchHeap(done chan struct{}, most chan uint64) {
	var m runtime.MemStats
	peak := uint64(0)
	for {
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
		select {
		case <-done:
			most <- peak
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// BenchmarkFile looks at one source over and over.
func BenchmarkFile(b *testing.B) {
	text := []byte(source(1))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		scan.File("a.ts", text)
	}
}

func BenchmarkRedact(b *testing.B) {
	line := `2026-11-28T12:00:00Z level=info msg="order explained" status=200 took=1.2s model=mistral-small-2603 request_id=3f2a9c1e-7b4d-4e8a-9c6f-1d2e3f4a5b6c api_key=` + lot(32, base62)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		scan.Redact(line)
	}
}
