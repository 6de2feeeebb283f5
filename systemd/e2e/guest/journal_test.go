//go:build e2e

package guest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// TestTheJournalHasFields: what a record says of a run is found again by its words, and the journal by the record's.
func TestTheJournalHasFields(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	resp, err := http.Post("http://"+apiAddress+"/admin/faults", "application/json", bytes.NewBufferString(`{"route":"chat","status":503}`)) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the simulator's answer is %s", resp.Status)
	}
	w.until("the chat to fail", func() bool { return w.arrived("probe.success", "check=chat", 0) })
	w.until("the failure in the journal", func() bool { w.run("journalctl", "--sync"); return len(w.fields("CHECK=chat")) > 0 })
	found := w.fields("CHECK=chat")[0]
	t.Logf("the journal: %v", found)
	for field, want := range map[string]string{"CHECK": "chat", "CAUSE": "server", "STATUS": "failed", "BLAME": "provider", "SYSLOG_IDENTIFIER": "windsock", "_SYSTEMD_UNIT": unit} {
		if found[field] != want {
			t.Errorf("%s is %q, want %q", field, found[field], want)
		}
	}
	if same := w.fields("CAUSE=server"); len(same) == 0 || same[0]["RUN_ID"] != found["RUN_ID"] {
		t.Errorf("by CAUSE= the journal has %v", same)
	}
	if other := w.fields("CAUSE=dns"); len(other) > 0 {
		t.Errorf("by a cause that was not the journal has %v", other)
	}
	if same := w.fields("RUN_ID=" + found["RUN_ID"]); len(same) != 1 {
		t.Errorf("by RUN_ID= the journal has %v", same)
	}
	w.run("systemctl", "stop", unit)
	for _, r := range of(w.stored(), "chat") {
		if r.ID == found["RUN_ID"] {
			if r.Status != checks.Failed {
				t.Errorf("the run of the journal is %s in the store", r.Status)
			}
			return
		}
	}
	t.Errorf("no record has the id %s of the journal", found["RUN_ID"])
}

// fields are the entries of the journal that match.
func (w *world) fields(match string) []map[string]string {
	w.t.Helper()
	out, _ := w.try("journalctl", "-q", "-o", "json", "-u", unit, match)
	var all []map[string]string
	for line := range strings.Lines(out) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			w.t.Fatalf("journalctl: %v: %s", err, line)
		}
		words := map[string]string{}
		for field, value := range entry {
			if text, ok := value.(string); ok && !strings.HasPrefix(field, "__") {
				words[field] = text
			}
		}
		all = append(all, words)
	}
	return all
}
