package faults_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

const (
	rotating    = 100 // checks, each once a second
	firstKey    = "key-first-CANARY-5b0e1d"
	secondKey   = "key-second-CANARY-a94c72"
	thirdKey    = "key-third-CANARY-3e8f06"
	fallbackKey = "key-fallback-CANARY-d17a59"
)

// rotation is an agent whose key is a file.
type rotation struct {
	*world
	t    *testing.T
	file string
}

// newRotation makes an agent whose key comes from the file itself, or from a program that prints it.
func newRotation(t *testing.T, source string) *rotation {
	t.Helper()
	w := &world{Host: agenttest.NewHost(t, binary)}
	accepted := map[string]bool{firstKey: true, fallbackKey: true}
	w.sim, w.api = agenttest.Simulator(t, "127.0.0.1:0", simulator.Options{Seed: 1, Speed: 100, Keys: accepted})
	r := &rotation{world: w, t: t, file: filepath.Join(w.Dir, "key")}
	r.replace(firstKey)
	w.Env = append(w.Env, "FALLBACK="+fallbackKey)
	if strings.HasPrefix(source, "command") {
		r.program()
	}
	var text strings.Builder
	fmt.Fprintf(&text, `
location: here
listen: %s
grace: 5s
concurrency: {global: 200, per_host: 200}
providers:
  mistral: {base_url: "http://%s", api_key: {%s}, fallback_api_key: {env: FALLBACK}, reuse_connections: true}
exporters: [{name: lines, kind: stdout}]
checks:
`, w.Listen, w.api, fmt.Sprintf(source, r.file))
	for i := range rotating {
		fmt.Fprintf(&text, "  - {name: models-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms}\n", i)
	}
	w.Write(text.String())
	return r
}

// program makes a program beside the file that prints the key.
func (r *rotation) program() {
	r.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\nexec cat %s\n", r.file)
	if err := os.WriteFile(r.file+".sh", []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// replace puts a key in the place of another, as a rotation does.
func (r *rotation) replace(key string) {
	r.t.Helper()
	if err := os.WriteFile(r.file+".new", []byte(key+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

// admin tells the API to take or to refuse a key ("accept", "revoke").
func (r *rotation) admin(what, key string) {
	r.t.Helper()
	body := bytes.NewBufferString(fmt.Sprintf(`{%q:%q}`, what, key))
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.api+"/admin/keys", body)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusNoContent {
		r.t.Fatalf("POST /admin/keys: %d, %v", answer.StatusCode, err)
	}
}

// untilAll waits until every check has a run that began since a time and has that verdict.
func (r *rotation) untilAll(what string, since time.Time, status checks.Status) {
	r.t.Helper()
	r.Until(what, func() bool {
		seen := map[string]bool{}
		for _, record := range r.Reports() {
			if record.Report.StartedAt.After(since) && record.Report.Status == status {
				seen[record.Report.Check] = true
			}
		}
		return len(seen) == rotating
	})
}

// rotate replaces the first key by the second as it should be done: the new one is accepted before the old one is revoked.
func (r *rotation) rotate() {
	r.t.Helper()
	r.untilAll("every check to be well", time.Time{}, checks.OK)
	r.admin("accept", secondKey)
	r.replace(secondKey)
	r.admin("revoke", firstKey)
	r.untilAll("every check to be well with the second key", time.Now(), checks.OK)
}

// TestARevokedAndRotatedKeyUnderLoadLosesNoRun rotates the key of a hundred checks a second twice: once as it should be,
// and once after the old key was revoked. The agent is neither restarted nor told.
func TestARevokedAndRotatedKeyUnderLoadLosesNoRun(t *testing.T) {
	t.Parallel()
	r := newRotation(t, "file: %s")
	p := r.Start()
	r.rotate()

	began := time.Now()
	r.admin("revoke", secondKey)
	r.untilAll("every check to be refused", began, checks.Failed)
	r.admin("accept", thirdKey)
	r.replace(thirdKey)
	replaced := time.Now()
	r.untilAll("every check to be well with the third key", replaced, checks.OK)
	asked := r.requests(fallbackKey)
	if most := int64(time.Since(began)/time.Second) + 1; asked < 1 || asked > most { // of more than a hundred refused calls
		t.Errorf("the fallback key was used for %d requests, want 1 to %d", asked, most)
	}
	p.Stop()

	stored := r.Stored()
	accounted(t, stored)
	tiled(t, stored, "models-", time.Second)
	r.verdicts(stored, began, replaced)
	for _, text := range []string{r.Log(), fmt.Sprintf("%+v", stored)} {
		if strings.Contains(text, "CANARY") {
			t.Error("a key is in the log or in a record")
		}
	}
}

// verdicts wants the key to have been at fault between two times only, and to be told from the service then.
func (r *rotation) verdicts(stored []checks.Record, revoked, replaced time.Time) {
	r.t.Helper()
	count, diagnosed := map[string]int{}, 0
	for _, record := range stored {
		report := record.Report
		if report == nil {
			continue
		}
		count[fmt.Sprintf("%s %s", report.Status, report.Cause)] += max(report.Slots, 1)
		if report.Cause == checks.CauseMissed && !strings.Contains(report.Summary, "the agent was too late") { // on a machine that is too slow
			r.t.Errorf("%s: slots were missed: %s", report.Check, report.Summary)
		}
		if report.Cause != checks.CauseAuth || late(report) {
			continue
		}
		if report.StartedAt.After(replaced) || report.At().Before(revoked) {
			r.t.Errorf("%s was refused in a run from %s to %s; the key was revoked at %s and replaced at %s",
				report.Check, report.StartedAt, report.At(), revoked, replaced)
		}
		last := report.Evidence[len(report.Evidence)-1]
		if last.Name != "fallback_key" {
			r.t.Errorf("%s: the last step is %+v, want what was found with the fallback key", report.Check, last)
		}
		if last.OK && strings.Contains(last.Detail, "the primary key is at fault") {
			diagnosed++
		}
	}
	if diagnosed == 0 {
		r.t.Error("no run tells that the key is at fault, not the service")
	}
	r.t.Logf("runs: %v, of which %d tell whose fault it is; the fallback key was used for %d requests", count, diagnosed, r.requests(fallbackKey))
}

// late reports whether a refused run had no time left to be made again or to be diagnosed: this machine is too slow then.
func late(r *checks.Report) bool {
	return slices.ContainsFunc(r.Evidence, func(s checks.Step) bool {
		return s.Name == "fallback_key" && strings.HasSuffix(s.Detail, "no time was left")
	})
}

// requests is how many requests the API had with a key.
func (r *rotation) requests(key string) int64 {
	return r.sim.Stats().Keys[simulator.Fingerprint(key)].Requests
}

// TestAKeyThatAProgramPrintsIsRotatedUnderLoad: nobody sees that such a key has changed until it is refused. Then it is
// read again, and the very call that was refused is made again.
func TestAKeyThatAProgramPrintsIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRotation(t, "command: [%s.sh]")
	p := r.Start()
	r.rotate()
	p.Stop()

	stored := r.Stored()
	accounted(t, stored)
	tiled(t, stored, "models-", time.Second)
	again := 0
	for _, record := range stored {
		if record.Report == nil {
			continue
		}
		if record.Report.Cause == checks.CauseAuth && !late(record.Report) {
			t.Errorf("%s: %s: %+v", record.Report.Check, record.Report.Summary, record.Report.Evidence)
		}
		if slices.ContainsFunc(record.Report.Evidence, func(s checks.Step) bool { return s.Name == "rotation" }) {
			again++
		}
	}
	if again == 0 || r.requests(fallbackKey) != 0 {
		t.Errorf("%d calls were made again, %d requests with the fallback key; want some and none", again, r.requests(fallbackKey))
	}
}
