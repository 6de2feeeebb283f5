package agent_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/status"
)

// While the store cannot be written no heartbeat is sent, by our own clock and by the receiver's; what became of the beats
// stands in the agent's own records.
func TestAStoreThatIsHeldWithholdsHeartbeats(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var mu sync.Mutex
	taken := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		taken++
	}))
	t.Cleanup(receiver.Close)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return taken
	}
	out := &lines{}
	h.stdout = out
	h.env["HEARTBEAT"] = receiver.URL + "/canary-0123456789"
	h.change("exporters: [", "heartbeat: {url: {env: HEARTBEAT}, every: 1s}\nexporters: [{name: lines, kind: stdout}, ")
	running, _, stop := h.start()
	h.until("heartbeats", func() bool { return count() > 1 })
	if b := running.Health(t.Context()).Heartbeat; b == nil || b.Every != 1 || b.Withheld != "" || b.LastSentAt.IsZero() {
		t.Errorf("got %+v", b)
	}

	release := (&alertWorld{t: t, name: "a held store", dir: h.dir}).holdStore()
	h.until("the heartbeat is withheld", func() bool {
		b := running.Health(t.Context()).Heartbeat
		return b.Withheld == "store" && b.Why != "" && b.WithheldCount > 1
	})
	before := count()
	withheld := running.Health(t.Context()).Heartbeat.WithheldCount
	h.until("another beat is withheld", func() bool { return running.Health(t.Context()).Heartbeat.WithheldCount > withheld })
	if after := count(); after != before {
		t.Errorf("%d heartbeats came while the store was held", after-before)
	}
	release()
	h.until("heartbeats again", func() bool { return count() > before && running.Health(t.Context()).Heartbeat.Withheld == "" })
	stop()

	sums := map[string]float64{}
	for line := range strings.Lines(out.text.String()) {
		var record checks.Record
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Agent == nil {
			continue
		}
		for _, m := range record.Agent.Measurements {
			sums[m.Name+" "+m.Attrs["reason"]] += m.Value
		}
	}
	if sums["windsock.heartbeat.sent "] < 3 || sums["windsock.heartbeat.withheld store"] < 2 || sums["windsock.heartbeat.withheld export"] != 0 {
		t.Errorf("the agent's own records say %v", sums)
	}
	for _, name := range []string{"windsock.heartbeat.failed ", "windsock.heartbeat.withheld scheduler"} {
		if _, told := sums[name]; !told {
			t.Errorf("%q is not told while it is zero: its first increment would be lost", name)
		}
	}
	if strings.Contains(h.log.String()+out.text.String(), "canary") {
		t.Error("the address is in the log or in a record")
	}
}

func TestWhichExportersWithholdHeartbeats(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Second)
	for name, tt := range map[string]struct {
		exporter status.Exporter
		stalled  bool
	}{
		"well":                                {status.Exporter{Queue: 3, QueueAge: 2}, false},
		"held":                                {status.Exporter{Held: true, Problem: "status 401, want 2xx", NextTry: soon}, true},
		"stuck":                               {status.Exporter{Stuck: true}, true},
		"tried again, for a moment":           {status.Exporter{Problem: "status 503, want 2xx", NextTry: soon, Queue: 9, QueueAge: 59}, false},
		"tried again, for more than a minute": {status.Exporter{Problem: "status 503, want 2xx", NextTry: soon, Queue: 9, QueueAge: 61}, true},
		"behind":                              {status.Exporter{Queue: 9000, QueueAge: 61}, true},
	} {
		if got := agent.Stalled(&tt.exporter); (got != "") != tt.stalled {
			t.Errorf("%s: got %q, want it to withhold: %v", name, got, tt.stalled)
		}
	}
}
