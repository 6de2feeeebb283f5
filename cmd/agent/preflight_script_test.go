package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/preflight"
)

var updatePreflight = flag.Bool("update-preflight", false, "write the golden reports of preflight anew") //nolint:gochecknoglobals // a flag of the test

// TestPreflightScripts runs testdata/preflight/*.txtar: an application that is ready, and each thing that keeps one from it.
func TestPreflightScripts(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Abs("testdata/preflight")
	if err != nil {
		t.Fatal(err)
	}
	cmds := commands()
	cmds["golden"] = func(ts *testscript.TestScript, _ bool, args []string) {
		got := normal(ts.ReadFile(args[0]), ts.Getenv("WORK"))
		path := filepath.Join(golden, args[1])
		if *updatePreflight {
			ts.Check(os.WriteFile(path, []byte(got), 0o600))
		}
		want, err := os.ReadFile(path)
		ts.Check(err)
		if got != string(want) {
			ts.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	cmds["page"] = func(ts *testscript.TestScript, _ bool, args []string) {
		page, err := os.ReadFile(filepath.Join(golden, "../../../../docs/preflight.md"))
		ts.Check(err)
		whole := regexp.MustCompile("(?s)```yaml\n(labels:.*?)```").FindSubmatch(page)
		if whole == nil {
			ts.Fatalf("the page has no whole configuration")
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), whole[1], 0o600))
	}
	cmds["fresh"] = func(ts *testscript.TestScript, _ bool, args []string) {
		for _, path := range args {
			day := time.Now().UTC().Format("2006-01-02")
			text := "reviewed: " + day + "\n\nWhat to do, and whom to call, is written down here: it is long enough to say something to somebody.\n"
			ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(path)), 0o700))
			ts.Check(os.WriteFile(ts.MkAbs(path), []byte(text), 0o600))
		}
	}
	sample, err := filepath.Abs("../../internal/scan/testdata/app")
	if err != nil {
		t.Fatal(err)
	}
	cmds["sample"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(sample)))
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/preflight", Setup: setup(t, func(env *testscript.Env) error {
			port, err := agenttest.FreePort(context.Background())
			if err != nil {
				return err
			}
			env.Setenv("STAGED", port)
			env.Setenv("TODAY", time.Now().UTC().Format("2006-01-02"))
			env.Setenv("NEXT_YEAR", time.Now().UTC().AddDate(1, 0, 0).Format("2006-01-02"))
			return nil
		}), Cmds: cmds, RequireExplicitExec: true,
	})
}

// TestPreflightReports: the same report for people and for pages.
func TestPreflightReports(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ready", "faults"} {
		data, err := os.ReadFile(filepath.Join("testdata", "preflight", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		data = []byte(strings.NewReplacer("NOW", "2026-11-28T12:00:00Z", "TIME", "1s").Replace(string(data)))
		var report preflight.Report
		if err := json.Unmarshal(data, &report); err != nil {
			t.Fatal(err)
		}
		for end, write := range map[string]func(io.Writer, *preflight.Report) error{".text": printPreflight, ".md": markdownPreflight} {
			var b strings.Builder
			if err := write(&b, &report); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "preflight", name+end)
			if *updatePreflight {
				if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
			}
		}
	}
}

// TestThePageOfPreflight: its examples are valid, and it has every item.
func TestThePageOfPreflight(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "preflight.md"))
	if err != nil {
		t.Fatal(err)
	}
	const beside = "providers: {mistral: {}}\nchecks: [{name: models, kind: models, schedule: \"@every 1m\"}]\n"
	seen := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if !strings.HasPrefix(block[1], "preflight:") {
			continue
		}
		seen++
		path := filepath.Join(t.TempDir(), "schedules.yaml")
		if err := os.WriteFile(path, []byte(beside+block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		p := process{args: []string{"validate", path}, stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
		if code := windsock(p); code != exitWell {
			t.Errorf("exit code %d, want %d\n%s\n%s", code, exitWell, out.String(), block[1])
		}
	}
	if seen < 2 {
		t.Errorf("%d examples", seen)
	}
	var report preflight.Report
	data, err := os.ReadFile(filepath.Join("testdata", "preflight", "ready.json"))
	if err == nil {
		err = json.Unmarshal([]byte(strings.ReplaceAll(string(data), "NOW", "2026-11-28T12:00:00Z")), &report)
	}
	if err != nil || len(report.Items) < 30 {
		t.Fatalf("%d items, %v", len(report.Items), err)
	}
	for _, item := range report.Items {
		if group, _, _ := strings.Cut(item.Item, "."); !strings.Contains(string(page), "`"+item.Item+"`") && !strings.Contains(string(page), "`"+group+".*`") {
			t.Errorf("the page has no %s", item.Item)
		}
	}
}

// normal takes out of a report what is another in each run.
func normal(text, work string) string {
	for _, row := range []struct{ pattern, with string }{
		{regexp.QuoteMeta(work), "WORKDIR"},
		{`127\.0\.0\.1:\d+`, "ADDRESS"},
		{`"took":[0-9.e-]+`, `"took":0`},
		{`\b\d+(\.\d+)?(ms|µs|s)\b`, "TIME"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "NOW"},
		{`\d{4}-\d\d-\d\d`, "DAY"},
		{`of which \d+ lines`, "of which N lines"},
		{`: \d+ of (\d+) (tokens|requests)`, ": N of $1 $2"},
	} {
		text = regexp.MustCompile(row.pattern).ReplaceAllString(text, row.with)
	}
	return text
}
