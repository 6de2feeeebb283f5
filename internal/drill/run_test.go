package drill_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/exporters"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/drill"
)

// asked is how often somebody wanted the DNS of this host.
var asked atomic.Int64 //nolint:gochecknoglobals // the resolver is the process's

func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, errors.New("a drill asks no DNS of this host")
	}}
	goleak.VerifyTestMain(m)
}

func registry() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
}

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schedules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, Registry: registry()})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func builtin(t *testing.T, names ...string) []drill.Scenario {
	t.Helper()
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := drill.Choose(all, names)
	if err != nil {
		t.Fatal(err)
	}
	return chosen
}

// play runs a drill whose only folder is empty when it is over. Where this machine was too slow to say, it is played once
// more, slower: a test is of the drill, and not of the machine.
func play(t *testing.T, cfg *config.Config, scenarios ...drill.Scenario) *drill.Report {
	t.Helper()
	r := playAt(t, 0, cfg, scenarios...)
	if r.Undecided > 0 {
		t.Logf("too slow here: %s", said(t, r))
		r = playAt(t, 8, cfg, scenarios...)
	}
	return r
}

func playAt(t *testing.T, speed float64, cfg *config.Config, scenarios ...drill.Scenario) *drill.Report {
	t.Helper()
	dir := t.TempDir()
	r, err := drill.Run(t.Context(), drill.Options{Config: cfg, Registry: registry(), Version: "test", Scenarios: scenarios, Dir: dir, Speed: speed})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the DNS of this host was asked %d times", n)
	}
	return r
}

func said(t *testing.T, r *drill.Report) string {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const small = `
providers: {mistral: {base_url: "https://api.mistral.ai", api_key: {file: /nowhere/mistral}}}
checks:
  - {name: models, kind: models, schedule: "@every 60s"}
  - {name: chat, kind: chat, schedule: "@every 60s", with: {model: mistral-small-latest}}
`

// Each kind of exporter hears of the alert and of its end, in the form that its backend reads, marked as a drill.
func TestEveryKindOfExporterIsHeard(t *testing.T) {
	t.Parallel()
	cfg := load(t, small+`
exporters:
  - {name: otlp, kind: otel, with: {endpoint: "http://127.0.0.1:4318"}}
  - {name: silent, kind: otel, with: {endpoint: "https://otel.example", events: none}}
  - {name: grpc, kind: otel, with: {endpoint: "https://otel.example:4317", protocol: grpc, compression: gzip, secret_headers: {x-key: {env: K}}}}
  - {name: dogstatsd, kind: datadog, with: {namespace: acme}}
  - {name: page, kind: prometheus}
  - {name: lines, kind: stdout}
  - {name: pretty, kind: stdout, with: {format: pretty}}
  - {name: hook, kind: webhook, with: {url: {env: HOOK}, signing_secret: {env: S}}}
  - {name: template, kind: webhook, with: {url: {env: HOOK}, template: '{"what": {{json (index .Alerts 0).Rule}}, "is": {{json .Status}}}'}}
  - {name: own, kind: webhook, with: {url: {env: HOOK}, template: '{"alerte": {{json (index .Alerts 0).Summary}}, "resolved": {{if eq .Status "firing"}}false{{else}}true{{end}}}'}}
  - {name: am, kind: alertmanager, with: {urls: ["http://127.0.0.1:9093", "https://alertmanager.example"]}}
  - {name: team, kind: slack, with: {webhook_url: {env: SLACK}}}
  - {name: bot, kind: slack, with: {token: {env: TOKEN}, channel: incidents}}
  - {name: oncall, kind: pagerduty, with: {routing_key: {env: PD}}}
`)
	r := play(t, cfg, builtin(t, "key-revoked")...)
	out := r.Scenarios[0]
	if out.Verdict != drill.Passed || len(out.Alerts) != 1 || len(out.Alerts[0].Routes) != 14 {
		t.Fatalf("got %s", said(t, r))
	}
	for _, route := range out.Alerts[0].Routes {
		if !route.Told || !route.Resolved || route.People && !route.Marked {
			t.Errorf("%s (%s): got %+v", route.Exporter, route.Kind, route)
		}
	}
}

func TestWhatWouldNotHavePagedIsRed(t *testing.T) {
	t.Parallel()
	mine, err := drill.Parse("mine.yaml", []byte(`
name: mine
what: the key is refused, and Slack takes nothing for ever
faults:
  - api: {key_revoked: true}
  - exporter: {which: team, how: deny, for_ever: true}
expect: [{rule: auth-failure, severity: [P1]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	named, err := drill.Parse("named.yaml", []byte(`
name: named
what: somebody must be paged
faults: [{api: {key_revoked: true}}]
expect: [{rule: auth-failure, routes: [oncall]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := drill.Parse("wrong.yaml", []byte(`
name: wrong
what: another severity and another blame are expected
faults: [{api: {key_revoked: true}}]
expect: [{rule: auth-failure, severity: [P3], blame: [provider], within: 30s}]
resolve_within: 1m
`))
	if err != nil {
		t.Fatal(err)
	}
	misspelt := drill.Scenario{Name: "misspelt", What: "a rule that nobody has", Expect: []drill.Expectation{{Rule: "traffic-api-dwon", Seen: []string{"prometheus"}}}}
	const team = "exporters: [{name: team, kind: slack, with: {webhook_url: {env: SLACK}}}]\n"
	tests := map[string]struct {
		config   string
		scenario drill.Scenario
		want     string
	}{
		"a rule is misspelt, and nothing sees the fault": {
			team, misspelt, "there is no rule traffic-api-dwon; did you mean traffic-api-down?",
		},
		"a rule is disabled": {
			team + "alerts: {rules: [{name: auth-failure, disable: true}]}\n", builtin(t, "key-revoked")[0], "the rule auth-failure is disabled",
		},
		"the built-in rules are off": {
			team + "alerts: {defaults: false}\n", builtin(t, "key-revoked")[0], "the configuration has no rule auth-failure",
		},
		"a rule waits for longer than anybody should": {
			team + "alerts: {rules: [{name: auth-failure, for: 2h}]}\n", builtin(t, "key-revoked")[0], "the rule auth-failure waits for 2h before it fires, want within 5m",
		},
		"there is no exporter": {
			"", builtin(t, "key-revoked")[0], "no route: the configuration has no exporter, so nobody hears of any alert",
		},
		"the route of P1 was removed": {
			`exporters:
  - {name: team, kind: slack, with: {webhook_url: {env: SLACK}, match: {severity: [P3, P4]}}}
  - {name: oncall, kind: pagerduty, with: {routing_key: {env: PD}, match: {severity: [P2]}}}
`, builtin(t, "key-revoked")[0],
			"nobody was told of auth-failure, P1: team (slack): its match does not select auth-failure of severity P1; oncall (pagerduty): its match does not select auth-failure of severity P1",
		},
		"the notifier refuses for ever": {team, *mine, "auth-failure was not told by team (slack): posting to the Slack webhook: status 401"},
		"a template says nothing of the alert": {
			`exporters: [{name: hook, kind: webhook, with: {url: {env: HOOK}, template: '{"text": "go and look, {{.Status}}"}'}}]`, builtin(t, "key-revoked")[0],
			"auth-failure was not told by hook (webhook): it gave up what it was to tell: --verbose shows why",
		},
		"a route that is named is not there":      {team, *named, "auth-failure must be told by oncall, and the configuration has no such exporter"},
		"it is as severe as nobody expects it to": {team, *wrong, "auth-failure fired as P1, blame account, want P3, blame provider, within 30s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := play(t, load(t, small+test.config), test.scenario)
			got := strings.Join(r.Scenarios[0].Missing, "\n")
			if r.Failed != 1 || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %q", said(t, r), test.want)
			}
		})
	}
}

// Without its rules there is no scenario that would have paged.
func TestEveryScenarioIsRedWithoutItsRules(t *testing.T) {
	t.Parallel()
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := play(t, load(t, full+"alerts: {defaults: false}\n"), all...)
	if r.Failed != len(all) {
		t.Errorf("got %s", said(t, r))
	}
}

// full is a configuration with everything that a scenario needs.
const full = small + `
  - {name: embeddings, kind: embeddings, schedule: "@every 5m", with: {model: mistral-embed}}
  - {name: app, kind: app, schedule: "@every 60s", with: {url: "http://127.0.0.1:3000/health"}}
  - {name: traffic, kind: prometheus, schedule: "@every 60s", with: {url: "http://127.0.0.1:9090", preset: checklist}}
  - {name: spend, kind: spend, schedule: "@every 60s", with: {sources: [{prometheus: {url: "http://127.0.0.1:9090", preset: checklist_cost}}]}}
exporters:
  - {name: collector, kind: otel, with: {endpoint: "http://127.0.0.1:4318"}}
  - {name: team, kind: slack, with: {webhook_url: {env: SLACK}}}
  - {name: oncall, kind: pagerduty, with: {routing_key: {env: PD}, match: {severity: [P1, P2]}}}
`

// A severity that the team gave to a built-in rule is the one that counts.
func TestASeverityOfTheTeamsOwnIsNotAFault(t *testing.T) {
	t.Parallel()
	cfg := load(t, small+`
exporters: [{name: team, kind: slack, with: {webhook_url: {env: SLACK}}}]
alerts: {rules: [{name: auth-failure, severity: P2}]}
`)
	if r := play(t, cfg, builtin(t, "key-revoked")...); r.Passed != 1 || r.Scenarios[0].Alerts[0].Severity != "P2" {
		t.Errorf("got %s", said(t, r))
	}
}

func TestWhatNoCheckCouldSeeIsNotCovered(t *testing.T) {
	t.Parallel()
	cfg := load(t, small+`
exporters: [{name: lines, kind: stdout}]
`)
	cfg.Checks = slices.DeleteFunc(cfg.Checks, func(c config.Check) bool { return c.Kind == "chat" })
	r := play(t, cfg, builtin(t, "app-down", "cost-spike", "notifier-down", "slow", "alias-moved")...)
	if r.NotCovered != 5 {
		t.Errorf("got %s", said(t, r))
	}
	for _, out := range r.Scenarios {
		if len(out.Add) == 0 || !strings.Contains(out.Add[0], " needs ") {
			t.Errorf("%s: got %q, want what to add", out.Scenario, out.Add)
		}
	}
}

// The rule fires before anything is wrong: nobody can tell what the fault would have done.
func TestARuleThatFiresAnywayIsUndecided(t *testing.T) {
	t.Parallel()
	cfg := load(t, small+`
exporters: [{name: lines, kind: stdout}]
alerts: {rules: [{name: always, severity: P3, when: {metric: probe.duration, above: 0s, aggregate: last}}]}
`)
	sc, err := drill.Parse("a.yaml", []byte("name: a\nwhat: a\nfaults: [{api: {error: internal}}]\nexpect: [{rule: always}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := playAt(t, 0, cfg, *sc); r.Undecided != 1 || !strings.Contains(r.Scenarios[0].Missing[0], "always was firing before the fault began") {
		t.Errorf("got %s", said(t, r))
	}
}

// The application, what it measures, and the other way: the checks beside those of the API.
func TestTheApplicationAndItsSpendAreDrilled(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
providers: {eu: {base_url: "https://gateway.example/mistral/", api_key: {env: K}, fallback_api_key: {env: F}}}
checks:
  - {name: list, kind: models, schedule: "@every 60s", with: {expect: [ft-our-own, mistral-small-latest]}}
  - {name: own, kind: chat, schedule: "@every 60s", with: {model: ft-our-own}}
  - name: app
    kind: app
    schedule: "*/1 * * * *"
    with:
      url: http://127.0.0.1:3000/health
      service: assistant
      max_age: 1m
      auth: {bearer: {file: /nowhere/token}}
      secrets: [{env: MISTRAL_API_KEY}]
      chat: {url: "http://127.0.0.1:3000/api/chat", body: {message: hello}, status: [201], expect: {jq: ".answer == 42"}}
  - name: traffic
    kind: prometheus
    schedule: "@every 60s"
    with:
      url: https://prometheus.example/mimir
      preset: checklist
      tls: {ca_file: /nowhere/ca.pem, cert_file: /nowhere/us.pem, key_file: /nowhere/us.key}
      queries:
        - {name: busy, query: worker_busy, by: [instance], max_age: 2m, above: 0.9}
        - {name: free, query: worker_free, range: 5m, aggregate: p95, below: 3}
  - name: spend
    kind: spend
    schedule: "@every 60s"
    with: {sources: [{usage_log: {path: /nowhere/usage.jsonl}}, {prometheus: {url: "https://prometheus.example/mimir", preset: checklist_tokens}}]}
  - name: egress
    kind: egress
    schedule: "@every 5m"
    with:
      hosts:
        - {host: gateway.example, families: [A, AAAA], expect_addresses: [192.0.2.0/24], http: {path: /mistral/v1/models, status: 401}}
        - {host: telemetry.example, port: 4317, server_name: other.example}
      reference: www.example.com:443
      forbid: ["169.254.169.254:80"]
  - {name: status, kind: status_page, schedule: "@every 15m", with: {base: "https://status.example"}}
exporters: [{name: team, kind: slack, with: {webhook_url: {env: SLACK}}}]
`)
	r := play(t, cfg, builtin(t, "app-down", "cost-spike")...)
	if r.Passed != 2 {
		t.Errorf("got %s", said(t, r))
	}
	if got := strings.Join(r.LeftOut, "; "); got != "check own: the drill's API does not know the model ft-our-own" {
		t.Errorf("left out %q", got)
	}
}

// The team's keys are read by nobody: the file of one is a pipe that nobody writes to, which would hang, and the state
// directory stays as it is.
func TestNothingOfTheTeamsIsTouched(t *testing.T) {
	t.Setenv("MISTRAL_API_KEY", "canary-in-the-environment")
	dir := t.TempDir()
	pipe, state := filepath.Join(dir, "key"), filepath.Join(dir, "state")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, fmt.Sprintf(`
state_dir: %s
listen: 127.0.0.1:1
providers: {mistral: {base_url: "https://api.mistral.ai", api_key: [{file: %[2]s}, {env: MISTRAL_API_KEY}]}}
checks: [{name: models, kind: models, schedule: "@every 60s"}]
exporters: [{name: team, kind: slack, with: {webhook_url: {file: %[2]s}}}]
heartbeat: {url: {file: %[2]s}}
network: {ca_file: /nowhere/ca.pem, https_proxy: "http://proxy.example:3128"}
`, state, pipe))
	r := play(t, cfg, builtin(t, "key-revoked")...)
	if r.Passed != 1 || strings.Contains(said(t, r), "canary") {
		t.Errorf("got %s", said(t, r))
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state directory: %v", err)
	}
}

func TestADrillThatIsStoppedLeavesNothing(t *testing.T) {
	t.Parallel()
	cfg := load(t, small+"exporters: [{name: lines, kind: stdout}]\n")
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err := drill.Run(ctx, drill.Options{Config: cfg, Registry: registry(), Scenarios: builtin(t, "slow", "dns"), Dir: dir})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestAScenarioForAnExporterThatIsNotThere(t *testing.T) {
	t.Parallel()
	sc, err := drill.Parse("a.yaml", []byte("name: a\nwhat: a\nfaults: [{exporter: {which: nosuch}}]\nexpect: [{rule: export-held}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = drill.Run(t.Context(), drill.Options{Config: load(t, small), Registry: registry(), Scenarios: []drill.Scenario{*sc}, Dir: t.TempDir()})
	if err == nil || err.Error() != `scenario a: the configuration has no exporter "nosuch"` {
		t.Errorf("got %v", err)
	}
}

// witness keeps the records that an exporter is given.
type witness struct {
	mu      sync.Mutex // guards records
	records []checks.Record
}

// Export implements exporters.Exporter.
func (w *witness) Export(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, batch...)
	return exporters.Outcome{}, nil
}

func TestRunsAndAlertsSayThatTheyAreOfADrill(t *testing.T) {
	t.Parallel()
	seen := &witness{}
	own := registry()
	own.Exporters = append(own.Exporters, exporters.NewKind("witness", "Of a test.", struct{}{},
		func(struct{}, exporters.Env) (exporters.Exporter, error) { return seen, nil }))
	cfg := load(t, small+"exporters: [{name: witness, kind: stdout}]\n")
	cfg.Exporters[0].Kind = "witness"
	if _, err := drill.Run(t.Context(), drill.Options{Config: cfg, Registry: own, Scenarios: builtin(t, "key-revoked"), Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	runs, alerts := 0, 0
	for _, record := range seen.records {
		switch {
		case record.Report != nil && record.Report.Status != checks.Skipped: // a slot that was missed was not run for any reason
			if runs++; record.Report.Trigger != checks.TriggerDrill {
				t.Errorf("%s: a run with the trigger %q", record.Report.Check, record.Report.Trigger)
			}
		case record.Alert != nil:
			if alerts++; record.Alert.Drill() != "key-revoked" {
				t.Errorf("%s: an alert with the labels %v", record.Alert.Rule, record.Alert.Labels)
			}
		}
	}
	if runs == 0 || alerts == 0 {
		t.Errorf("%d runs and %d alerts, want some of both", runs, alerts)
	}
}
