package pages_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/docgen/pages"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// rendered is what docs/runbook must hold, by its path below docs.
func rendered(t *testing.T) map[string][]byte {
	t.Helper()
	written := map[string][]byte{}
	for _, name := range pages.Written() {
		written[name] = []byte(page(t, name))
	}
	made, err := pages.WithRunbook(written, alerts.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(made, pages.Runbook(alerts.Builtin()))
	return made
}

func TestTheRunbookIsFresh(t *testing.T) {
	t.Parallel()
	want := rendered(t)
	for name, text := range want {
		if diff := cmp.Diff(string(text), page(t, name)); diff != "" {
			t.Errorf("docs/%s is stale, run go generate ./checks/all (-code +page):\n%s", name, diff)
		}
	}
	found, err := filepath.Glob("../../../docs/runbook/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := "runbook/" + filepath.Base(path); want[name] == nil && name != "runbook/limits.md" {
			t.Errorf("docs/%s is nobody's: no branch and no built-in rule has it", name)
		}
	}
}

func TestEveryAlertAndEveryBranchHasAPageThatExists(t *testing.T) {
	t.Parallel()
	names := []string{}
	for _, r := range alerts.Builtin() {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(exporters.RunbookURL(r.Runbook, ""), exporters.Runbooks), ".md"))
	}
	for _, p := range slices.Concat(runbook.Pages(), runbook.RulePages()) {
		names = append(names, string(p.Branch))
	}
	for _, name := range names {
		text := page(t, "runbook/"+name+".md")
		for _, part := range []string{"\n## First\n", "\n## To gain time\n", "\n## Escalate\n", "\n## The end\n\nIt is over when ", "\n## For the postmortem\n"} {
			if strings.Count(text, part) != 1 {
				t.Errorf("docs/runbook/%s.md does not say %q once", name, part)
			}
		}
	}
}

// TestLinksLeadSomewhere: every link from a page of the documentation to another is one to a file that exists, and to a section of it.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	docs := filepath.Join("..", "..", "..", "docs")
	link := regexp.MustCompile(`\]\(([^()\s:]+\.md)(?:#([^()\s]+))?\)`)
	err := filepath.WalkDir(docs, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target, err := os.ReadFile(filepath.Join(filepath.Dir(path), filepath.FromSlash(found[1])))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			} else if anchor := found[2]; anchor != "" && !slices.Contains(anchors(string(target)), anchor) {
				t.Errorf("%s: %s has no section #%s", path, found[1], anchor)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// anchors are the names that a page's headings have in links.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func TestEveryCommandOfTheRunbookIsOneOfAShell(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../../docs/runbook/*.md")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d pages, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, block[1])
		}
		parse := exec.CommandContext(t.Context(), "sh", "-n")
		parse.Stdin = strings.NewReader(strings.Join(lines, ""))
		if said, err := parse.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, said)
		}
	}
}

func TestAPageWithoutAPlaceForTheRunbookIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := pages.WithRunbook(map[string][]byte{"runbook/README.md": []byte("# The runbook\n")}, nil); err == nil {
		t.Error("what is generated went nowhere")
	}
}
