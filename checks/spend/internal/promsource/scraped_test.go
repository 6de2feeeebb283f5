//go:build prometheus

package promsource_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// application counts tokens, a little more at every scrape until it rests. Its counters are there from its beginning, start
// again from nothing, and are born later.
type application struct {
	mu      sync.Mutex // guards what follows
	scrapes int
	values  map[string]float64 // as they were told
	spent   map[string]float64
	started time.Time // as it tells; zero: it does not
}

const rests = 20 // scrapes, after which the same is told for ever

func (a *application) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scrapes++; a.scrapes <= rests {
		a.count("small", "input", 100)
		if a.scrapes == rests/2 {
			a.values["small output"] = 0 // the application was restarted
		}
		a.count("small", "output", 50)
		if a.scrapes >= 5 {
			a.count("large", "input", 700)
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	if !a.started.IsZero() {
		_, _ = fmt.Fprintf(w, "process_start_time_seconds %d\n", a.started.Unix())
	}
	_, _ = io.WriteString(w, "# TYPE mistral_tokens_total counter\n")
	for what, v := range a.values {
		model, direction, _ := strings.Cut(what, " ")
		_, _ = fmt.Fprintf(w, "mistral_tokens_total{model=%q,direction=%q} %g\n", model, direction, v)
	}
}

// counted is what was spent so far.
func (a *application) counted() map[string]float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.spent)
}

func (a *application) count(model, direction string, n float64) {
	a.values[model+" "+direction] += n
	a.spent[model+" "+direction] += n
}

// TestAScrapedApplication: an application that began minutes ago, below a server that knows longer than an hour.
func TestAScrapedApplication(t *testing.T) {
	now, targets := time.Now(), []string{}
	apps, servers := []*application{}, []*httptest.Server{}
	for range 2 {
		app := &application{values: map[string]float64{}, spent: map[string]float64{}, started: now}
		server := httptest.NewServer(app)
		t.Cleanup(server.Close)
		apps, servers, targets = append(apps, app), append(servers, server), append(targets, `"`+strings.TrimPrefix(server.URL, "http://")+`"`)
	}
	var past strings.Builder
	past.WriteString("# TYPE up gauge\n")
	for at := now.Add(-2 * time.Hour); at.Before(now.Add(-2 * time.Minute)); at = at.Add(time.Minute) {
		fmt.Fprintf(&past, "up{job=\"other\"} 1 %d\n", at.Unix())
	}
	past.WriteString("# EOF\n")
	server := promqltest.Start(t, promqltest.Setup{
		Config: "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs: [{job_name: app, static_configs: [{targets: [" + strings.Join(targets, ", ") + "]}]}]\n",
		Past:   past.String(), Ready: "vector(1)",
	})
	server.Wait(t, fmt.Sprintf("count(count_over_time(mistral_tokens_total{model=\"small\"}[1h]) > %d) == 4", 3*rests))
	hold := func(why string) {
		t.Helper()
		r, err := read(t, open(t, server.URL, "preset: checklist_tokens", nil, nil), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		if r.Hour == nil {
			t.Fatalf("the last hour is not known: %s", r.Why)
		}
		for _, n := range r.Hour.Tokens {
			got[n.Model+" "+string(n.Direction)] = float64(n.N)
		}
		for what, each := range apps[0].counted() {
			if !near(got[what], 2*each) {
				t.Errorf("%s: got %v tokens, want twice %v", what, got[what], each)
			}
		}
		if !strings.Contains(r.Why, why) || (why == "" && strings.Contains(r.Why, "targets")) || r.Hour.Cost == 0 {
			t.Errorf("got %s because %q, want it to say %q", r.Confidence, r.Why, why)
		}
	}
	hold("")
	servers[1].Close()
	server.Wait(t, "count(up offset 2s == 0) == 1")
	hold("targets that do not answer: 1")
	servers[0].Close()
	server.Wait(t, "count(up offset 2s == 0) == 2")
	_, err := read(t, open(t, server.URL, "preset: checklist_tokens", nil, nil), time.Now())
	if err == nil || !strings.Contains(err.Error(), "no series of mistral_tokens_total at present") {
		t.Errorf("without an application: got %v, want that there is no series", err)
	}
}

// TestAnApplicationThatIsFoundLate: what its counters had when the server found it was not spent now, though it does not tell
// when it began.
func TestAnApplicationThatIsFoundLate(t *testing.T) {
	now := time.Now()
	app := &application{values: map[string]float64{"small input": 2e9, "small output": 1e9}, spent: map[string]float64{}}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	var past strings.Builder
	past.WriteString("# TYPE up gauge\n")
	for at := now.Add(-2 * time.Hour); at.Before(now.Add(-2 * time.Minute)); at = at.Add(time.Minute) {
		fmt.Fprintf(&past, "up{job=\"other\"} 1 %d\n", at.Unix())
	}
	past.WriteString("# EOF\n")
	found := promqltest.Start(t, promqltest.Setup{
		Config: "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs: [{job_name: app, static_configs: [{targets: [\"" + strings.TrimPrefix(server.URL, "http://") + "\"]}]}]\n",
		Past:   past.String(), Ready: "vector(1)",
	})
	found.Wait(t, fmt.Sprintf("count(count_over_time(mistral_tokens_total{model=\"small\"}[1h]) > %d) == 2", 2*rests))
	r, err := read(t, open(t, found.URL, "preset: checklist_tokens", nil, nil), time.Now())
	if err != nil || r.Hour == nil {
		t.Fatalf("%v, %s", err, r.Why)
	}
	for _, n := range r.Hour.Tokens {
		if n.N > 1e6 {
			t.Errorf("%s of %s: %d tokens, want what was counted since it was found", n.Direction, n.Model, n.N)
		}
	}
	if r.Confidence != source.Partial || !strings.Contains(r.Why, "found late") {
		t.Errorf("got %s because %q, want it to say that a process was found late", r.Confidence, r.Why)
	}
}
