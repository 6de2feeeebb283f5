package faults_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
)

// defined are the names of all tests and fuzz targets of the module, whatever their build tags.
func defined(t *testing.T) map[string]bool {
	t.Helper()
	out, form := map[string]bool{}, regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(\w+ \*testing\.[TF]\)`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range form.FindAllSubmatch(source, -1) {
			out[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// named are the tests that a page of the documentation names.
func named(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, found := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllSubmatch(text, -1) {
		out[string(found[1])] = true
	}
	return out
}

func TestEveryTestThatThePagesNameExists(t *testing.T) {
	t.Parallel()
	all := defined(t)
	for _, page := range []string{"faults.md", "promises.md", "plugins/faults.md"} {
		names := named(t, page)
		if len(names) < 20 {
			t.Errorf("docs/%s names %d tests only", page, len(names))
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !all[name] {
				t.Errorf("docs/%s names %s, which does not exist", page, name)
			}
		}
	}
}

func TestEveryFaultIsInTheTable(t *testing.T) {
	t.Parallel()
	names := named(t, "faults.md")
	for _, name := range slices.Sorted(maps.Keys(defined(t))) {
		if regexp.MustCompile(`^TestFault[0-9]`).MatchString(name) && !names[name] {
			t.Errorf("docs/faults.md does not name %s", name)
		}
	}
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []int{1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 33, 34, 35} {
		if !strings.Contains(string(text), "\n| "+strconv.Itoa(row)+" |") {
			t.Errorf("docs/faults.md has no row %d", row)
		}
	}
}

// TestEveryCounterThatThePromisesNameIsInTheCatalogue: a drop is counted under a name that exists.
func TestEveryCounterThatThePromisesNameIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range exporters.Catalogue() {
		known[m.Name], known[prometheus.Name(m)] = true, true
	}
	found := regexp.MustCompile("`((?:windsock|probe)[._][a-z_.]+)`").FindAllSubmatch(text, -1)
	if len(found) < 10 {
		t.Errorf("docs/promises.md names %d counters only", len(found))
	}
	for _, name := range found {
		if !known[string(name[1])] {
			t.Errorf("docs/promises.md names %s, which is not in the catalogue", name[1])
		}
	}
}

func TestTheArchitectureNamesEveryRoom(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{"internal", "checks", "exporters", "checks/internal"} {
		rooms, err := os.ReadDir("../../" + parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range rooms {
			name := regexp.MustCompile("`(" + parent + "/)?" + room.Name() + "`")
			if room.IsDir() && room.Name() != "testdata" && !name.Match(text) {
				t.Errorf("docs/architecture.md does not name %s/%s", parent, room.Name())
			}
		}
	}
}
