package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// story is how the world makes one rule fire, and how it mends. Times of the file are natural and divided by speed.
type story struct {
	rule     string
	name     string // beside the rule
	checks   string
	extra    string
	speed    float64
	prepare  func(w *alertWorld)
	breaks   func(w *alertWorld, reload chan<- os.Signal)
	mends    func(w *alertWorld, reload chan<- os.Signal)
	severity checks.Severity // as it is worst
	says     string          // in diagnosis or summary
	passes   bool            // it mends by itself
	heals    bool            // it is mended before the restart: what breaks it would not start again
	loses    bool            // the records of then end with the process; people are told before that
}

const (
	chatEvery   = `  - {name: chat, kind: chat, schedule: "@every 60s", timeout: 50s, degraded_above: 49s, run_at_start: true, with: {model: mistral-small-latest}}` + "\n"
	modelsEvery = `  - {name: models, kind: models, schedule: "@every 60s", timeout: 50s, degraded_above: 49s, run_at_start: true, with: {expect: [mistral-small-latest]}}` + "\n"
	trafficOf   = `  - {name: traffic, kind: prometheus, schedule: "@every 60s", timeout: 50s, run_at_start: true, with: {url: "http://PROMETHEUS", preset: checklist}}` + "\n"
	appEvery    = `  - {name: app, kind: app, schedule: "@every 60s", timeout: 50s, degraded_above: 49s, run_at_start: true, with: {url: "http://APP/health"}}` + "\n"
)

func (w *alertWorld) fault(f simulator.Fault) {
	if err := w.sim.Apply(f); err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
}

func failWith(f simulator.Fault) func(*alertWorld, chan<- os.Signal) {
	return func(w *alertWorld, _ chan<- os.Signal) { w.fault(f) }
}

func clearFaults(w *alertWorld, _ chan<- os.Signal) { w.sim.Clear() }

func setBroken(yes bool) func(*alertWorld, chan<- os.Signal) {
	return func(w *alertWorld, _ chan<- os.Signal) { w.setBroken(yes) }
}

func rewrite(old, fresh string) func(*alertWorld, chan<- os.Signal) {
	return func(w *alertWorld, reload chan<- os.Signal) {
		w.change(old, fresh)
		reload <- syscall.SIGHUP
	}
}

func answering(question string, value float64) func(*alertWorld, chan<- os.Signal) {
	return func(w *alertWorld, _ chan<- os.Signal) { w.query(question, value) }
}

func trafficStory(rule, question string, bad float64, severity checks.Severity) story {
	quiet := func(w *alertWorld) {
		for _, name := range []string{"errors_5xx", "errors_429", "errors_401", "latency_p95", "circuit_state", "cost_hour"} {
			w.query(name, 0)
		}
	}
	return story{
		rule: rule, checks: trafficOf, prepare: quiet, breaks: answering(question, bad), mends: answering(question, 0), severity: severity,
	}
}

func stories() []story {
	return slices.Concat(providerStories(), accountStories(), moneyStories(), modelStories(), trafficStories(), ownStories())
}

func providerStories() []story {
	down := simulator.Fault{Error: "internal"}
	return []story{
		{rule: "api-down", checks: chatEvery + modelsEvery, breaks: failWith(down), mends: clearFaults, severity: checks.P1},
		{
			rule: "api-down", name: "one model of two", severity: checks.P2, mends: clearFaults,
			checks: chatEvery + strings.NewReplacer("name: chat", "name: large", "mistral-small-latest", "mistral-large-latest").Replace(chatEvery),
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Model: "mistral-large-latest", Error: "internal"}),
		},
		{
			rule: "api-down", name: "no capacity is not the account's", checks: chatEvery, severity: checks.P1, mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "capacity"}),
		},
		{
			rule: "circuit-open", checks: chatEvery, severity: checks.P2, mends: clearFaults, // no outage explains it
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "rate_limited"}),
		},
		{rule: "app-down", checks: appEvery, breaks: setBroken(true), mends: setBroken(false), severity: checks.P1},
		{
			rule: "check-failing", checks: chatEvery, mends: clearFaults, severity: checks.P3,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "tier_not_allowed"}),
		},
		{
			rule: "high-latency", checks: chatEvery, speed: 20, mends: clearFaults, severity: checks.P2, // 5 s are 250 ms
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Latency: 900 * time.Millisecond}),
		},
		certificateStory(),
		{
			rule: "blind", checks: chatEvery, severity: checks.P4,
			breaks: func(w *alertWorld, reload chan<- os.Signal) {
				w.setenv("KEY", "")
				reload <- syscall.SIGHUP
			},
			mends: func(w *alertWorld, reload chan<- os.Signal) {
				w.setenv("KEY", "k-0123456789")
				reload <- syscall.SIGHUP
			},
		},
	}
}

func accountStories() []story {
	keys := `  - {name: keys, kind: credentials, schedule: "@every 60s", timeout: 50s, run_at_start: true}` + "\n"
	return []story{
		{
			rule: "auth-failure", checks: chatEvery + keys, severity: checks.P1, says: "the fallback key is accepted",
			breaks: func(w *alertWorld, _ chan<- os.Signal) { w.sim.Revoke("k-0123456789") },
			mends:  func(w *alertWorld, _ chan<- os.Signal) { w.sim.Accept("k-0123456789") },
		},
		{
			rule: "rate-limited", checks: chatEvery, severity: checks.P2, mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "rate_limited"}),
		},
		{
			rule: "rate-limited", name: "no allowance", checks: chatEvery, severity: checks.P1, says: "the allowance is zero", mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "no_allowance"}),
		},
		{
			rule: "quota-exhausted", checks: chatEvery, severity: checks.P1, mends: clearFaults,
			// a pause for the sake of a month's allowance is looked at again in an hour
			prepare: func(w *alertWorld) { w.change("fallback_api_key:", "headroom: {pause_below: 0}, fallback_api_key:") },
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "rate_limited", Headers: map[string]string{
				"X-Ratelimit-Limit-Tokens-Month": "1000", "X-Ratelimit-Remaining-Tokens-Month": "0",
			}}),
		},
		{
			rule: "payment", checks: chatEvery, severity: checks.P1, mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "payment_required"}),
		},
		{
			rule: "headroom-low", checks: chatEvery, severity: checks.P3, mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Headers: map[string]string{
				"X-Ratelimit-Limit-Req-Minute": "100", "X-Ratelimit-Remaining-Req-Minute": "3",
			}}),
		},
	}
}

// usage writes the application's usage log: a line a record, each of so many dollars.
func (w *alertWorld) usage(at time.Time, dollars float64) {
	f, err := os.OpenFile(filepath.Join(w.dir, "usage.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, `{"ts":%q,"model":"mistral-small-latest","usd":%v}`+"\n", at.UTC().Format(time.RFC3339), dollars)
		_ = f.Close()
	}
	if err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
}

func moneyStories() []story {
	spend := `  - name: spend
    kind: spend
    schedule: "@every 60s"
    timeout: 50s
    run_at_start: true
    with: {above_per_hour: 0, spike_above: 0, sources: [{usage_log: {path: "USAGE/usage.jsonl", start: beginning, max_lag: 100000h, fields: {time: .ts, model: .model, cost: .usd}}}]}` + "\n"
	recent := func(w *alertWorld) { w.change("USAGE", w.dir); w.usage(time.Now().Add(-time.Minute), 0.01) }
	// what was spent almost an hour ago is soon no more of the last hour
	spends := func(w *alertWorld, _ chan<- os.Signal) { w.usage(time.Now().Add(-59*time.Minute-30*time.Second), 20) }
	return []story{
		{rule: "cost-spike", checks: spend, prepare: recent, breaks: spends, passes: true, severity: checks.P3},
		{
			rule: "spend-unusual", checks: spend, breaks: spends, passes: true, severity: checks.P3,
			prepare: func(w *alertWorld) {
				for day := range 9 {
					for hour := range 3 {
						w.usage(time.Now().Add(-time.Duration(9-day)*24*time.Hour+time.Duration(hour-1)*time.Hour), 1)
					}
				}
				recent(w)
			},
		},
		{
			rule: "budget-exhausted", checks: chatEvery, extra: "budget: {per_hour: 1, per_day: 1}\n", severity: checks.P3,
			breaks: rewrite("per_hour: 1, per_day: 1", "per_hour: 0.000000001, per_day: 0.000000001"),
			mends:  rewrite("per_hour: 0.000000001, per_day: 0.000000001", "per_hour: 1, per_day: 1"),
		},
		{
			rule: "price-unknown", checks: chatEvery, severity: checks.P4,
			breaks: rewrite("model: mistral-small-latest", "model: nobody-prices-this"),
			mends:  rewrite("model: nobody-prices-this", "model: mistral-small-latest"),
		},
	}
}

func modelStories() []story {
	var retires atomic.Bool
	return []story{
		{
			rule: "model-retiring", severity: checks.P3,
			checks: strings.Replace(modelsEvery, "with: {", "with: {retire_within: 0s, ", 1),
			prepare: func(w *alertWorld) {
				to := &url.URL{Scheme: "http", Host: w.urls["SIMULATOR"]}
				proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
				list := func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v1/models" {
						proxy.ServeHTTP(rw, r)
						return
					}
					left := 200 * 24 * time.Hour
					if retires.Load() {
						left = 20 * 24 * time.Hour
					}
					rw.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(rw, `{"object":"list","data":[{"id":"mistral-small-latest","object":"model","name":"mistral-small-latest","deprecation":%q,`+
						`"capabilities":{"completion_chat":true}}]}`, time.Now().Add(left).UTC().Format(time.RFC3339))
				}
				w.serve("SIMULATOR", http.HandlerFunc(list))
			},
			breaks: func(*alertWorld, chan<- os.Signal) { retires.Store(true) },
			mends:  func(*alertWorld, chan<- os.Signal) { retires.Store(false) },
		},
		{
			rule: "alias-moved", severity: checks.P4, passes: true, speed: 7200, // a day is 12 s
			checks: strings.NewReplacer("60s", "2h", "50s", "100m", "49s", "99m").Replace(modelsEvery),
			breaks: failWith(simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: "mistral-small-latest", To: "mistral-large-2512"}}),
		},
		{
			rule: "model-gone", checks: chatEvery, severity: checks.P2, mends: clearFaults,
			breaks: failWith(simulator.Fault{Route: simulator.RouteChat, Error: "invalid_model"}),
		},
	}
}

func trafficStories() []story {
	return []story{
		trafficStory("traffic-api-down", "errors_5xx", 11, checks.P1),
		trafficStory("traffic-auth-failure", "errors_401", 0.2, checks.P1),
		trafficStory("traffic-high-latency", "latency_p95", 6, checks.P2),
		trafficStory("traffic-rate-limited", "errors_429", 6, checks.P2),
		trafficStory("traffic-circuit-open", "circuit_state", 2, checks.P2),
		trafficStory("traffic-cost-spike", "cost_hour", 10.5, checks.P3),
	}
}

func ownStories() []story {
	collector := `  - {name: collector, kind: otel, with: {endpoint: "http://COLLECTOR", compression: none}}` + "\n"
	return []story{
		{
			rule: "export-held", checks: chatEvery, severity: checks.P3, extra: strings.Replace(collector, "COLLECTOR", "REFUSES", 1),
			prepare: func(w *alertWorld) {
				w.serve("REFUSES", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					if w.isBroken() {
						http.Error(rw, "who are you", http.StatusUnauthorized)
					}
				}))
			},
			breaks: setBroken(true),
			mends: func(w *alertWorld, reload chan<- os.Signal) { // what an operator does who does not want to wait
				w.setBroken(false)
				reload <- syscall.SIGHUP
			},
		},
		{
			rule: "export-behind", checks: chatEvery, extra: collector + "alerts: {rules: [{name: export-behind, above: 5s}]}\n", breaks: setBroken(true), severity: checks.P3,
			mends: func(w *alertWorld, reload chan<- os.Signal) {
				w.setBroken(false)
				reload <- syscall.SIGHUP
			},
		},
		storeStory(),
		{
			rule: "reload-refused", checks: chatEvery, severity: checks.P4, heals: true,
			breaks: rewrite("kind: chat", "kind: chatt"), mends: rewrite("kind: chatt", "kind: chat"),
		},
		{
			rule: "heartbeat-failed", checks: chatEvery, extra: "heartbeat: {url: {env: HEARTBEAT}, every: 1m}\n", severity: checks.P3,
			breaks: setBroken(true), mends: setBroken(false),
		},
	}
}

// holdStore is an operator whose shell holds the database, until release is called.
func (w *alertWorld) holdStore() (release func()) {
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "state", "windsock.db")+"?_txlock=immediate&_busy_timeout=20000")
	if err != nil {
		w.t.Errorf("%s: %v", w.name, err)
		return func() {}
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
	return func() {
		if tx != nil {
			_ = tx.Rollback()
		}
		_ = db.Close()
	}
}

// storeStory has the database held by somebody else.
func storeStory() story {
	release := func() {}
	return story{
		rule: "store-degraded", checks: chatEvery, severity: checks.P2, loses: true,
		breaks: func(w *alertWorld, _ chan<- os.Signal) { release = w.holdStore() },
		mends:  func(*alertWorld, chan<- os.Signal) { release() },
	}
}

// certificateStory has a host whose certificate ends in three days, and then another.
func certificateStory() story {
	var soon atomic.Bool
	return story{
		rule: "certificate-expiring", severity: checks.P3,
		checks: `  - {name: egress, kind: egress, schedule: "@every 60s", timeout: 50s, run_at_start: true, with: {hosts: [{host: localhost, port: 4430000, families: [], min_days: 0}]}}` + "\n",
		extra:  "network: {ca_file: ca.pem}\n",
		prepare: func(w *alertWorld) {
			short, long := certificate(w.t, 3), certificate(w.t, 90)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "ok") }))
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if soon.Load() {
					return short, nil
				}
				return long, nil
			}}
			server.StartTLS()
			w.t.Cleanup(server.Close)
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			w.change("4430000", port)
			var roots []byte
			for _, c := range []*tls.Certificate{short, long} {
				roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
			}
			if err := os.WriteFile(filepath.Join(w.dir, "ca.pem"), roots, 0o600); err != nil {
				w.t.Error(err)
			}
		},
		breaks: func(*alertWorld, chan<- os.Signal) { soon.Store(true) },
		mends:  func(*alertWorld, chan<- os.Signal) { soon.Store(false) },
	}
}

func certificate(t *testing.T, days int) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(days)), Subject: pkix.Name{CommonName: fmt.Sprint("localhost ", days)}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Every built-in rule has a story.
func TestEveryBuiltinRuleHasAStory(t *testing.T) {
	t.Parallel()
	told := map[string]bool{}
	for _, s := range stories() {
		told[s.rule] = true
	}
	for _, rule := range alerts.Builtin() {
		if !told[rule.Name] {
			t.Errorf("nobody has seen %s fire and resolve", rule.Name)
		}
		delete(told, rule.Name)
	}
	for name := range told {
		t.Errorf("%s is no built-in rule", name)
	}
}
