package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestVersionOf(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 11, 28, 7, 50, 48, 0, time.UTC)
	const commit = "21228c886a8ceb5cf7e77d75eeb19f65cf7cacc4"
	for name, c := range map[string]struct {
		described string
		changed   bool
		want      string
	}{
		"no tag yet":                   {described: "", want: "0.0.0-dev.20261128075048.g21228c886a8c"},
		"no tag yet, and changed":      {described: "", changed: true, want: "0.0.0-dev.20261128075048.g21228c886a8c+changed"},
		"a tag":                        {described: "v1.2.3-0-g21228c886a8c", want: "1.2.3"},
		"a tag, and changed":           {described: "v1.2.3-0-g21228c886a8c", changed: true, want: "1.2.3+changed"},
		"after a tag":                  {described: "v1.2.3-4-g21228c886a8c", want: "1.2.3+4.g21228c886a8c"},
		"after a tag, and changed":     {described: "v1.2.3-4-g21228c886a8c", changed: true, want: "1.2.3+4.g21228c886a8c.changed"},
		"the tag of a candidate":       {described: "v1.3.0-rc.1-0-g21228c886a8c", want: "1.3.0-rc.1"},
		"after the tag of a candidate": {described: "v1.3.0-rc.1-2-g21228c886a8c", want: "1.3.0-rc.1+2.g21228c886a8c"},
	} {
		if got := versionOf(c.described, commit, date, c.changed); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestThePackagedConfigurationLeavesTheJournalAlone(t *testing.T) {
	t.Parallel()
	shipped, err := os.ReadFile("../../schedules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	packaged, err := quiet(shipped)
	if err != nil {
		t.Fatal(err)
	}
	want := `exporters:
  # - name: stdout                        # unique; its place in the store is kept by this name
  #   kind: stdout                        # one line per record on standard output
  #   max_age: 24h                      # what could not be delivered for this long is given up, and counted
  #   replay: false                     # a new exporter begins with the oldest record, not with the next
  #   batch_size: 200                   # most records in one delivery
  #   timeout: 30s                      # bound on one delivery
  #   with: {format: json}                # or pretty

  - {name: prometheus, kind: prometheus}`
	if !strings.Contains(string(packaged), want) {
		t.Errorf("the packaged configuration has no\n%s", want)
	}
	if got, want := strings.Count(string(packaged), "\n"), strings.Count(string(shipped), "\n"); got != want {
		t.Errorf("it has %d lines, want the %d of schedules.yaml", got, want)
	}
	if _, err := quiet(packaged); err == nil {
		t.Error("a schedules.yaml without the exporter is packaged in silence")
	}
}

func TestPackagedVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "1.3.0-rc.1": "1.3.0~rc.1", "1.2.3+4.gabc": "1.2.3+4.gabc", "1.3.0-rc-1": "1.3.0~rc.1",
	} {
		if got := (&release{version: version}).packaged(); got != want {
			t.Errorf("%s is packaged as %s, want %s", version, got, want)
		}
	}
}

func TestReleaseOfAFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    string // of the error
	}{
		"without git and time":      {environ: []string{"VERSION=1.2.3"}, want: "set SOURCE_DATE_EPOCH"},
		"without git and version":   {environ: []string{"SOURCE_DATE_EPOCH=1764316248"}, want: "set VERSION"},
		"with a time of words":      {environ: []string{"VERSION=1.2.3", "SOURCE_DATE_EPOCH=today"}, want: "want seconds"},
		"with a version of words":   {environ: []string{"VERSION=latest", "SOURCE_DATE_EPOCH=1"}, want: "begin with a digit"},
		"with a version of strange": {environ: []string{"VERSION=1.2/3", "SOURCE_DATE_EPOCH=1"}, want: "letters, digits"},
		"without git, and told all": {environ: []string{"VERSION=v1.2.3", "SOURCE_DATE_EPOCH=1764316248"}},
	} {
		_, err := newRelease(t.Context(), t.TempDir(), c.environ)
		if got := errorText(err); (c.want == "") != (err == nil) || !strings.Contains(got, c.want) {
			t.Errorf("%s: error %q, want %q in it", name, got, c.want)
		}
	}
}

func TestReleaseOfAClone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=x", "-c", "user.email=x@example.invalid"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-11-28T07:50:48Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	version := func() string {
		t.Helper()
		r, err := newRelease(t.Context(), root, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.date, time.Date(2026, 11, 28, 7, 50, 48, 0, time.UTC); !got.Equal(want) {
			t.Errorf("date %s, want %s", got, want)
		}
		return r.version
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "one")
	if got := version(); !strings.HasPrefix(got, "0.0.0-dev.20261128075048.g") {
		t.Errorf("before a tag: %s", got)
	}
	git("tag", "v1.2.3")
	if got := version(); got != "1.2.3" {
		t.Errorf("at the tag: %s, want 1.2.3", got)
	}
	git("commit", "-q", "--allow-empty", "-m", "two")
	if got := version(); !strings.HasPrefix(got, "1.2.3+1.g") {
		t.Errorf("after the tag: %s, want 1.2.3+1.g…", got)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	if got, want := wrapped("one two\nthree  four", 9), "one two\nthree\nfour"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
