package drill_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/drill"
)

var update = flag.Bool("update", false, "write the golden files") //nolint:gochecknoglobals // a flag of the test binary

func TestTheAgentsOwnScenariosNameRulesThatShip(t *testing.T) {
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]alerts.Rule{}
	for _, r := range alerts.Builtin() {
		rules[r.Name] = r
	}
	for _, sc := range all {
		for _, e := range sc.Expect {
			if _, known := rules[e.Rule]; !known || e.Add == "" || len(e.Seen) == 0 || len(e.Severity) == 0 {
				t.Errorf("%s: got %+v, want a built-in rule, its severities, who sees it and what to add", sc.Name, e)
			}
		}
	}
	for _, want := range []string{
		"key-revoked", "payment", "rate-limited", "no-allowance", "capacity", "server-errors", "slow", "stalled-stream", "truncated-stream", "dns",
		"tls-expired", "model-retired", "alias-moved", "cost-spike", "egress-blocked", "app-down", "backend-down", "notifier-down",
	} {
		if !slices.ContainsFunc(all, func(sc drill.Scenario) bool { return sc.Name == want }) {
			t.Errorf("there is no scenario %s", want)
		}
	}
}

// Each file of testdata/bad begins with what is wrong with it; the golden file beside it is what is said.
func TestBadScenariosAreToldInTheirPlace(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, err := drill.Load(file)
			if err == nil {
				t.Fatal("it was taken")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestATeamsScenarioTakesThePlaceOfOneOfTheSameName(t *testing.T) {
	base := []drill.Scenario{{Name: "dns", What: "ours"}, {Name: "slow"}}
	got, err := drill.Merge(base, []drill.Scenario{{Name: "dns", What: "theirs", File: "a.yaml"}, {Name: "caches", File: "b.yaml"}})
	if err != nil || len(got) != 3 || got[0].Name != "caches" || got[1].What != "theirs" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := drill.Merge(base, []drill.Scenario{{Name: "x", File: "a.yaml"}, {Name: "x", File: "b.yaml"}}); err == nil || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("got %v, want both files named", err)
	}
}

func TestAnUnknownScenarioNamesTheNearest(t *testing.T) {
	_, err := drill.Choose([]drill.Scenario{{Name: "key-revoked"}, {Name: "dns"}}, []string{"key-revokd"})
	unknown, ok := errors.AsType[*drill.UnknownError](err)
	if !ok || unknown.Near != "key-revoked" {
		t.Errorf("got %v, want key-revoked named", err)
	}
}

func TestScenarioFilesOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := drill.LoadDir(dir); err == nil {
		t.Error("an empty folder was taken")
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mine.yaml", "name: mine\nwhat: a test\nfaults: [{api: {error: internal}}]\nexpect: [{rule: api-down}]\n")
	write("notes.txt", "not a scenario")
	got, err := drill.LoadDir(dir)
	if err != nil || len(got) != 1 || got[0].Name != "mine" || got[0].Expect[0].Within == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	write("wrong.yaml", "name: [\n")
	if _, err := drill.LoadDir(dir); err == nil || !strings.Contains(err.Error(), "wrong.yaml") {
		t.Errorf("got %v, want the file named", err)
	}
}

// Whatever a scenario file holds, it is read or refused, and what is read can be played as it is.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"scenarios", "testdata/bad"} {
		files, err := filepath.Glob(dir + "/*.yaml")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sc, err := drill.Parse("fuzz.yaml", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.yaml:") {
				t.Errorf("got %v, want the file named", err)
			}
			return
		}
		if sc.Name == "" || len(sc.Faults) == 0 || len(sc.Expect) == 0 || sc.Expect[0].Within <= 0 || sc.ResolveWithin <= 0 {
			t.Errorf("got %+v", sc)
		}
	})
}

func TestThePageHasEveryScenarioAndAnExampleThatWorks(t *testing.T) {
	page, err := os.ReadFile("../../docs/drill.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "<<'EOF'\n")
	example, _, ended := strings.Cut(example, "\nEOF\n")
	if _, err := drill.Parse("cache-down.yaml", []byte(example)); err != nil || !found || !ended {
		t.Errorf("the example: %v", err)
	}
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range all {
		if !strings.Contains(string(page), sc.Name) {
			t.Errorf("the page has no %s", sc.Name)
		}
	}
}

// A pipe that nobody writes to would be waited for without end.
func TestAPipeWithoutAWriterIsAnEmptyScenario(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := drill.Load(path); err == nil || !strings.Contains(err.Error(), "want one document") {
		t.Errorf("got %v", err)
	}
}
