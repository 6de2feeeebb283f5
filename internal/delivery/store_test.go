package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/webhook"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// address is a secret that is a URL.
type address string

func (a address) Read(context.Context) (string, error) { return string(a), nil }
func (a address) Renew(context.Context) (bool, error)  { return false, nil }
func (a address) Where() string                        { return "a test" }

// hooked is a webhook's receiver with what it was told and when.
type hooked struct {
	url string

	mu     sync.Mutex // guards the rest
	status int        // 0 is well
	told   []string
	times  map[string]time.Time
	tries  chan struct{}
}

func receive(tb testing.TB) *hooked {
	tb.Helper()
	h := &hooked{times: map[string]time.Time{}, tries: make(chan struct{}, 1000)}
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status != 0 {
		w.WriteHeader(h.status)
	} else {
		h.told = append(h.told, r.Header.Get("X-Windsock-Kind")+" "+string(body))
		h.times[string(body)] = now
	}
	select {
	case h.tries <- struct{}{}:
	default:
	}
}

func (h *hooked) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hooked) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// hook runs a worker with a webhook over a real store until the function that it returns is called.
func hook(tb testing.TB, s *store.Store, h *hooked, o delivery.Options) (stop func()) {
	tb.Helper()
	o.Name, o.Queue = "hook", s
	o.Open = func(_ context.Context, state []byte) (exporters.Exporter, error) {
		p := webhook.Kind().Defaults.(webhook.Params) //nolint:forcetypeassert // they are
		p.URL, p.Template, p.ContentType = checks.NewSecret(address(h.url)), "{{range .Alerts}}{{.Fingerprint}}{{end}}", "text/plain"
		e, err := webhook.New(p, exporters.Env{Name: "hook", State: state})
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	if _, err := s.Cursor(tb.Context(), "hook", false); err != nil {
		tb.Fatal(err)
	}
	worker := delivery.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx, make(chan struct{})) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("Run: %v", err)
		}
	}
	tb.Cleanup(stop)
	return stop
}

func openStore(tb testing.TB, dir string) *store.Store {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func transition(id int, fingerprint string, state checks.AlertState) checks.Record {
	now := time.Now()
	return checks.Record{ID: fmt.Sprintf("01KALERT%018d", id), At: now, Alert: &checks.Alert{
		Rule: "api-down", Fingerprint: fingerprint, State: state, Severity: checks.P1, Since: now, At: now, Incident: fingerprint,
	}}
}

func add(tb testing.TB, s *store.Store, records ...checks.Record) {
	tb.Helper()
	if err := s.Append(context.Background(), records...); err != nil {
		tb.Fatal(err)
	}
}

func await(tb testing.TB, h *hooked) {
	tb.Helper()
	select {
	case <-h.tries:
	case <-time.After(time.Minute):
		tb.Fatal("the webhook was not called within a minute")
	}
}

func TestANotifierThatIsDeadOverARestartIsToldOnceEach(t *testing.T) {
	for name, status := range map[string]int{"broken": http.StatusBadGateway, "without the right key": http.StatusUnauthorized, "moved": http.StatusPermanentRedirect} {
		t.Run(name, func(t *testing.T) {
			dir, h := t.TempDir(), receive(t)
			s := openStore(t, dir)
			stop := hook(t, s, h, delivery.Options{MaxAge: time.Hour})
			add(t, s, transition(1, "a", checks.AlertFiring))
			await(t, h)
			h.set(status)
			add(t, s, transition(2, "b", checks.AlertFiring))
			await(t, h) // in vain
			stop()
			add(t, s, transition(3, "a", checks.AlertResolved), transition(4, "b", checks.AlertResolved))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir)
			h.set(0)
			hook(t, s, h, delivery.Options{MaxAge: time.Hour})
			for range 3 {
				await(t, h)
			}
			if got, want := h.all(), []string{"opened a", "opened b", "resolved a", "resolved b"}; !slices.Equal(got, want) {
				t.Errorf("told %v, want %v", got, want)
			}
		})
	}
}

// BenchmarkATransitionReachesAWebhook is how long it takes from the append of a transition to its arrival, while 1,000
// reports flow in each second.
func BenchmarkATransitionReachesAWebhook(b *testing.B) {
	h := receive(b)
	s := openStore(b, b.TempDir())
	hook(b, s, h, delivery.Options{})
	reports := exportertest.Records(19*50, 1)
	reports = slices.DeleteFunc(reports, func(r checks.Record) bool { return r.Report == nil })
	ended, flowing := make(chan struct{}), sync.WaitGroup{}
	flowing.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			some := make([]checks.Record, 10)
			for j := range some {
				some[j] = reports[(10*i+j)%len(reports)]
				some[j].ID, some[j].At = fmt.Sprintf("01KREPORT%017d", 10*i+j), time.Now()
			}
			_ = s.Append(context.Background(), some...)
		}
	})
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		time.Sleep(150 * time.Millisecond)
		fingerprint := fmt.Sprint("f", i)
		began := time.Now()
		add(b, s, transition(i, fingerprint, checks.AlertFiring))
		await(b, h)
		h.mu.Lock()
		took = append(took, h.times[fingerprint].Sub(began))
		h.mu.Unlock()
	}
	close(ended)
	flowing.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms/most")
}
