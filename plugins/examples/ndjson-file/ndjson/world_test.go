package ndjson_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/plugins/examples/ndjson-file/ndjson"
)

// open builds an exporter that is closed with the test.
func open(t *testing.T, folder, more string, state []byte) exporters.Exporter {
	t.Helper()
	e, err := ndjson.Kind().New(exportertest.Decoder("folder: "+folder+"\n"+more, ""), exporters.Env{State: state, Name: "lake"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, e) })
	return e
}

func end(t *testing.T, e exporters.Exporter) {
	t.Helper()
	if err := e.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

// send sends a batch that must be taken, and returns the state.
func send(t *testing.T, e exporters.Exporter, batch []checks.Record) []byte {
	t.Helper()
	outcome, err := e.Export(t.Context(), batch)
	if err != nil || len(outcome.Rejected) > 0 {
		t.Fatalf("sending %d records: %v, rejected %v", len(batch), err, outcome.Rejected)
	}
	return outcome.State
}

// files are the names of the written files, in order. One that is there compressed, too, because a process was killed before it
// deleted the other, is told once.
func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), ".tmp") {
			names = append(names, e.Name())
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		plain, compressed := strings.CutSuffix(name, ".gz")
		return compressed && slices.Contains(names, plain)
	})
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(seq(a), seq(b)) })
	return names
}

// seq is the number in a name of the default form.
func seq(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '.' })
	return parts[2]
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return data
	}
	in, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return text
}

// text is everything that stands in the files, in order.
func text(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files(t, folder) {
		all.Write(contents(t, filepath.Join(folder, name)))
	}
	return all.String()
}

// ids are the ids in the files. A line that is no record is an error.
func ids(t *testing.T, folder string) []string {
	t.Helper()
	all := text(t, folder)
	if all != "" && !strings.HasSuffix(all, "\n") {
		t.Errorf("the last line is cut: …%q", all[max(0, len(all)-40):])
	}
	var out []string
	for line := range strings.Lines(all) {
		var rec checks.Record
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Errorf("a line is no record: %v: %.80q", err, line)
			continue
		}
		out = append(out, rec.ID)
	}
	return out
}

func idsOf(batches ...[]checks.Record) []string {
	var out []string
	for _, batch := range batches {
		for _, rec := range batch {
			out = append(out, rec.ID)
		}
	}
	return out
}

// numbered are records whose ids are numbers.
func numbered(from, n int) []checks.Record {
	out := exportertest.Records(n, 7)
	for i := range out {
		out[i].ID = fmt.Sprintf("01K%023d", from+i)
		if out[i].Report != nil {
			out[i].Report.ID = out[i].ID
		}
	}
	return out
}

func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
