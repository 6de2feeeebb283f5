package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/preflight"
	"github.com/windsock-monitor/windsock/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run goes through the checklist with a configuration: its text, or nothing.
func run(t *testing.T, text string, change func(*preflight.Options)) map[string]preflight.Item {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{"HOME": dir, "PATH": os.Getenv("PATH")} //nolint:forbidigo // programs that tests run
	registry := config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
	o := preflight.Options{
		Registry: registry, Env: "production", Production: true, Free: true, Getenv: func(name string) string { return env[name] },
		Scrubber: secret.NewScrubber(), Within: time.Second, NoConfig: "nobody wrote one",
	}
	if text != "" {
		cfg, err := config.Parse(filepath.Join(dir, "schedules.yaml"), []byte(text), config.Options{Registry: registry, Getenv: o.Getenv})
		if err != nil {
			t.Fatal(err)
		}
		o.Config = cfg
	}
	if change != nil {
		change(&o)
	}
	report := preflight.Run(t.Context(), o)
	items := map[string]preflight.Item{}
	for _, item := range report.Items {
		items[item.Item] = item
		if item.Verdict != preflight.Pass && item.Verdict != preflight.Attested && item.ToDo == "" {
			t.Errorf("%s is %s, and nobody says what to do: %s", item.Item, item.Verdict, item.Detail)
		}
	}
	if !report.Interrupted && report.Ready != (report.Counts[preflight.Fail]+report.Counts[preflight.Blocked] == 0) {
		t.Errorf("ready is %v with %v", report.Ready, report.Counts)
	}
	return items
}

const models = `checks:
  - {name: models, kind: models, schedule: "@every 60s"}
`

// of is a configuration with an application.
func of(address string) string {
	return models + fmt.Sprintf("  - {name: shop, kind: app, schedule: \"@every 60s\", with: {url: %q}}\nproviders: {mistral: {base_url: \"http://127.0.0.1:1\"}}\n", address+"/health")
}

func TestWithoutEvidenceEverythingIsBlocked(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"without a configuration": "", "with next to nothing in it": models + "providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\n"} {
		items := run(t, text, nil)
		if len(items) < 30 {
			t.Errorf("%s: %d items", name, len(items))
		}
		for id, item := range items {
			if item.Verdict == preflight.Pass && id != "attestations" && (id != "config" || text == "") {
				t.Errorf("%s: %s passes by %q", name, id, item.Detail)
			}
		}
	}
}

func TestHealthRoutes(t *testing.T) {
	t.Parallel()
	said := func(status string) string {
		return fmt.Sprintf(`{"services":{"mistral":{"status":%q,"provider":"mistral","latencyMs":3}}}`, status)
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   preflight.Verdict
		why    string
	}{
		"a healthy one conforms":                             {200, said("healthy"), preflight.Pass, "healthy"},
		"a degraded one conforms":                            {200, said("degraded"), preflight.Pass, "degraded"},
		"503 is for what is unhealthy, and keeps from ready": {503, said("unhealthy"), preflight.Fail, "unhealthy"},
		"unhealthy with 200 is a contradiction":              {200, said("unhealthy"), preflight.Fail, "disagree"},
		"healthy with 503 is one, too":                       {503, said("healthy"), preflight.Fail, "disagree"},
		"a word of its own is none":                          {200, said("UP"), preflight.Fail, ""},
		"a page is no health":                                {200, "<html>welcome</html>", preflight.Fail, ""},
		"a key in it is told":                                {503, `{"status":"unhealthy","error":"401 for sk-live-0123456789abcdef"}`, preflight.Fail, "key"},
		"a stack trace in it is told":                        {503, `{"status":"unhealthy","error":"x\n    at ask (/srv/shop/llm.js:10:5)"}`, preflight.Fail, "stack"},
		"a login before it says nothing of it":               {401, "", preflight.Blocked, "something stands before"},
		"a redirect says nothing of it":                      {301, "", preflight.Blocked, "something stands before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/login")
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			item := run(t, of(server.URL), nil)["app.health"]
			if item.Verdict != tc.want || !strings.Contains(item.Detail+strings.Join(item.Evidence, " "), tc.why) {
				t.Errorf("%+v, want %s with %q", item, tc.want, tc.why)
			}
		})
	}
}

func TestHostileApplications(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		handler        http.HandlerFunc
		health, errors preflight.Verdict
	}{
		"one that hangs": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody tells that the client has gone
			<-r.Context().Done()
		}, preflight.Fail, preflight.Blocked},
		"one that never ends": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, preflight.Fail, preflight.Pass},
		"one that shows its stack to whoever asks wrongly": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" && r.Method == http.MethodGet {
				_, _ = w.Write([]byte(`{"status":"healthy"}`))
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("Traceback (most recent call last):\n  File \"app.py\", line 3"))
		}, preflight.Pass, preflight.Fail},
		"one that shows a key in a header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Debug", "Bearer sk-live-0123456789abcdef")
			_, _ = w.Write([]byte(`{"status":"healthy"}`))
		}, preflight.Pass, preflight.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			items := run(t, of(server.URL), nil)
			if got := items["app.health"]; got.Verdict != tc.health {
				t.Errorf("%+v, want %s", got, tc.health)
			}
			if got := items["app.errors"]; got.Verdict != tc.errors {
				t.Errorf("%+v, want %s", got, tc.errors)
			}
		})
	}
	if got := run(t, of("http://127.0.0.1:1"), nil)["app.health"]; got.Verdict != preflight.Blocked {
		t.Errorf("of an application that is not there: %+v", got)
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("What to do when the provider is down, and whom to call. ", 3)
	now := time.Now().UTC()
	day := func(ago int) string { return now.AddDate(0, 0, -ago).Format("2006-01-02") }
	for name, tc := range map[string]struct {
		text string
		age  time.Duration // of the file
		want preflight.Verdict
		why  string
	}{
		"reviewed lately, by a line":           {"# Runbook\n\nLast reviewed: " + day(3) + "\n\n" + long, 900 * 24 * time.Hour, preflight.Pass, "its line"},
		"reviewed lately, in bold":             {"**Reviewed:** " + day(3) + "\n" + long, 900 * 24 * time.Hour, preflight.Pass, "its line"},
		"reviewed lately, by its front matter": {"---\ntitle: x\nreviewed: \"" + day(2) + "\"\n---\n" + long, 900 * 24 * time.Hour, preflight.Pass, "front matter"},
		"reviewed long ago, and copied today":  {"reviewed: " + day(100) + "\n" + long, 0, preflight.Fail, day(100)},
		"reviewed next year":                   {"reviewed: " + day(-300) + "\n" + long, 0, preflight.Fail, "future"},
		"changed lately, and never reviewed":   {long, time.Hour, preflight.Pass, "the time of the file"},
		"changed long ago":                     {long, 100 * 24 * time.Hour, preflight.Fail, "want at most 90 days"},
		"empty":                                {"reviewed: " + day(1) + "\nTODO\n", 0, preflight.Fail, "says nothing"},
		"binary":                               {"\x00\x01" + long, 0, preflight.Blocked, "no text"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "runbook.md")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-tc.age), now.Add(-tc.age)); err != nil {
			t.Fatal(err)
		}
		items := run(t, models+"providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\npreflight: {documents: {runbook: runbook.md, rotation: none.md, rollback: .}}\n",
			func(o *preflight.Options) { o.Target = dir })
		if got := items["documents.runbook"]; got.Verdict != tc.want || !strings.Contains(got.Detail, tc.why) {
			t.Errorf("%s: %+v, want %s with %q", name, got, tc.want, tc.why)
		}
		if got := items["documents.rotation"]; got.Verdict != preflight.Fail {
			t.Errorf("%s: one that is not there: %+v", name, got)
		}
		if got := items["documents.rollback"]; got.Verdict != preflight.Blocked {
			t.Errorf("%s: a folder: %+v", name, got)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		argv string
		want preflight.Verdict
		why  string
	}{
		"one that is well":                    {`[sh, -c, "exit 0"]`, preflight.Pass, "exit code 0"},
		"one that is not":                     {`[sh, -c, "echo sk-live-0123456789abcdef; exit 7"]`, preflight.Fail, "exit code 7"},
		"one that hangs":                      {`[sh, -c, "sleep 300 & sleep 300"]`, preflight.Fail, "was ended after 1s"},
		"one that floods":                     {`[sh, -c, "exec yes"]`, preflight.Fail, "ended"},
		"one that is not there":               {`[no-such-program]`, preflight.Blocked, "no such program"},
		"it runs in the target":               {`[sh, -c, "test -f here"]`, preflight.Pass, ""},
		"it has a clean environment":          {`[sh, -c, "test -z \"$MISTRAL_API_KEY\" && test \"$CI\" = 1"]`, preflight.Pass, ""},
		"a program of the target by its path": {`[./here]`, preflight.Blocked, "no such program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			items := run(t, models+"providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\npreflight: {commands: {test: "+tc.argv+", env: [CI=1], timeout: 1s}}\n",
				func(o *preflight.Options) { o.Target = dir })
			got := items["code.test"]
			if got.Verdict != tc.want || !strings.Contains(got.Detail, tc.why) {
				t.Errorf("%+v, want %s with %q", got, tc.want, tc.why)
			}
			if name == "one that is not" && strings.Contains(strings.Join(got.Evidence, " "), "sk-live") {
				t.Errorf("the output of a program is shown: %+v", got)
			}
		})
	}
}

func TestAttestations(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	day := func(ahead int) string { return now.AddDate(0, 0, ahead).Format("2006-01-02") }
	entry := func(item, owner, date, expires string) string {
		return fmt.Sprintf("  - {item: %q, owner: %q, date: %q, expires: %q}\n", item, owner, date, expires)
	}
	for name, tc := range map[string]struct {
		text string
		want preflight.Verdict // of keys.staging, which nothing shows
		file preflight.Verdict
		why  string
	}{
		"somebody stands for it":       {"attestations:\n" + entry("keys.staging", "platform", day(-3), day(30)), preflight.Attested, preflight.Pass, "platform stands for it"},
		"until today":                  {"attestations:\n" + entry("keys.staging", "platform", day(-3), day(0)), preflight.Attested, preflight.Pass, "platform"},
		"it expired":                   {"attestations:\n" + entry("keys.staging", "platform", day(-30), day(-1)), preflight.Blocked, preflight.Blocked, "attestations.yaml:2: it expired on " + day(-1)},
		"it begins tomorrow":           {"attestations:\n" + entry("keys.staging", "platform", day(1), day(9)), preflight.Blocked, preflight.Blocked, "future"},
		"nobody owns it":               {"attestations:\n" + entry("keys.staging", " ", day(-1), day(9)), preflight.Blocked, preflight.Blocked, "no owner"},
		"no such item":                 {"attestations:\n" + entry("keys.stagin", "platform", day(-1), day(9)), preflight.Blocked, preflight.Blocked, ""},
		"a date that is none":          {"attestations:\n" + entry("keys.staging", "platform", "soon", day(9)), preflight.Blocked, preflight.Blocked, "no day"},
		"twice":                        {"attestations:\n" + strings.Repeat(entry("keys.staging", "platform", day(-1), day(9)), 2), preflight.Blocked, preflight.Blocked, "twice"},
		"a key that nobody knows":      {"attestations:\n  - {item: keys.staging, owner: a, date: 2026-01-01, expiry: 2027-01-01}\n", preflight.Blocked, preflight.Blocked, ""},
		"no YAML at all":               {"{", preflight.Blocked, preflight.Blocked, ""},
		"for the attestations":         {"attestations:\n" + entry("attestations", "platform", day(-1), day(9)), preflight.Blocked, preflight.Blocked, ""},
		"against what was measured":    {"attestations:\n" + entry("documents.runbook", "platform", day(-1), day(9)), preflight.Blocked, preflight.Pass, ""},
		"the file is not there at all": {"", preflight.Blocked, preflight.Blocked, ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "attestations.yaml")
		if tc.text != "" {
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		items := run(t, models+"providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\npreflight: {attestations: "+path+", documents: {runbook: none.md}}\n",
			func(o *preflight.Options) { o.Target = dir })
		got := items["keys.staging"]
		if got.Verdict != tc.want || !strings.Contains(got.Detail+strings.Join(got.Evidence, " "), tc.why) {
			t.Errorf("%s: %+v, want %s with %q", name, got, tc.want, tc.why)
		}
		if got.Verdict == preflight.Attested && (got.Attestation == nil || got.Attestation.Owner != "platform" || got.Attestation.Place.Line != 2) {
			t.Errorf("%s: %+v", name, got.Attestation)
		}
		if file := items["attestations"]; file.Verdict != tc.file {
			t.Errorf("%s: the file is %+v, want %s", name, file, tc.file)
		}
		if runbook := items["documents.runbook"]; runbook.Verdict != preflight.Fail {
			t.Errorf("%s: an attestation stands against what was measured: %+v", name, runbook)
		}
	}
}

func TestLogHygiene(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		line   func(r *http.Request, body string) string // that the application logs; "" is none
		status int
		source string
		want   preflight.Verdict
		why    string
	}{
		"one that logs where it was asked":  {func(r *http.Request, _ string) string { return r.Method + " " + r.URL.Path }, 200, "file: LOG", preflight.Pass, "neither canary"},
		"one that logs questions":           {func(_ *http.Request, body string) string { return body }, 200, "file: LOG", preflight.Fail, "phrase"},
		"one that logs escaped questions":   {func(_ *http.Request, body string) string { return url.QueryEscape(body) }, 200, "file: LOG", preflight.Fail, "phrase"},
		"one that logs headers":             {func(r *http.Request, _ string) string { return fmt.Sprint(r.Header) }, 200, "file: LOG", preflight.Fail, "key"},
		"one that logs the usual header":    {func(r *http.Request, _ string) string { return r.Header.Get("Authorization") }, 200, "file: LOG", preflight.Fail, "key"},
		"one that logs what it refuses":     {func(_ *http.Request, body string) string { return body }, 400, "file: LOG", preflight.Fail, "phrase"},
		"one that logs nothing":             {nil, 200, "file: LOG", preflight.Blocked, "nothing was written"},
		"one that does not take the canary": {func(r *http.Request, _ string) string { return r.URL.Path }, 401, "file: LOG", preflight.Blocked, "did not take"},
		"a log that is printed":             {func(_ *http.Request, body string) string { return body }, 200, "command: [cat, LOG]", preflight.Fail, "phrase"},
		"a quiet log that is printed":       {func(r *http.Request, _ string) string { return r.URL.Path }, 200, "command: [cat, LOG]", preflight.Pass, "neither"},
		"a printed log without news":        {nil, 200, "command: [cat, LOG]", preflight.Blocked, "nothing was written"},
		"a log that breaks after it":        {func(_ *http.Request, body string) string { return body }, 200, `command: [sh, -c, "cat LOG; test $(wc -l <LOG) -lt 3"]`, preflight.Fail, "phrase"},
		"a log that breaks":                 {func(r *http.Request, _ string) string { return r.URL.Path }, 200, `command: [sh, -c, "cat LOG; exit 3"]`, preflight.Blocked, "exit status 3"},
		"a log that is not there":           {nil, 200, "file: LOG.1", preflight.Blocked, "no such file"},
		"a program that is not there":       {nil, 200, "command: [no-such-program]", preflight.Blocked, "cannot be run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "shop.log")
			if err := os.WriteFile(log, []byte("started\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != "/chat" || r.Method != http.MethodPost {
					_, _ = w.Write([]byte(`{"status":"healthy"}`))
					return
				}
				if tc.line != nil {
					f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0o600)
					if err == nil {
						_, _ = fmt.Fprintln(f, tc.line(r, string(body)))
						_ = f.Close()
					}
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(`{"reply":"pong"}`))
			}))
			defer server.Close()
			text := fmt.Sprintf("checks: [{name: shop, kind: app, schedule: \"@every 60s\", with: {url: \"%[1]s/health\", chat: {url: \"%[1]s/chat\", body: {message: \"say pong\", n: 3}}}}]\n", server.URL) +
				"preflight: {log: {settle: 50ms, " + strings.ReplaceAll(tc.source, "LOG", log) + "}}\n"
			scrubber := secret.NewScrubber()
			got := run(t, text, func(o *preflight.Options) { o.Scrubber = scrubber })["log.hygiene"]
			if said := got.Detail + strings.Join(got.Evidence, " "); got.Verdict != tc.want || !strings.Contains(said, tc.why) {
				t.Errorf("%+v, want %s with %q", got, tc.want, tc.why)
			}
			if text := fmt.Sprint(got); scrubber.String(text) != text {
				t.Errorf("a canary is in the report: %s", text)
			}
		})
	}
}

// TestACheckOfTheAgentThatRunsIsWaitedFor: that it runs at this moment says nothing of the models.
func TestACheckOfTheAgentThatRunsIsWaitedFor(t *testing.T) {
	t.Parallel()
	text := "checks: [{name: models-usable, kind: usable, schedule: \"@every 1h\", with: {models: [mistral-small-2603]}}]\nproviders: {mistral: {}}\n"
	asked := 0
	got := run(t, text, func(o *preflight.Options) {
		o.Free = false
		o.Running = func(context.Context, string) (*checks.Report, error) {
			if asked++; asked == 1 {
				return nil, &agent.RefusedError{Status: http.StatusConflict, Text: "it runs at this moment"}
			}
			return nil, errors.New("the second answer")
		}
	})["keys.scope"]
	if said := got.Detail + strings.Join(got.Evidence, " "); asked != 2 || got.Verdict != preflight.Blocked || !strings.Contains(said, "the second answer") {
		t.Errorf("asked %d times: %+v", asked, got)
	}
}

// TestNamesOfFiles: whatever a file is called, a place is one line, and nothing in it moves a terminal.
func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := "a\n  PASS     code.secrets  none\x1b[2J.py"
	if err := os.WriteFile(filepath.Join(dir, name), []byte("API_KEY = \"sk-8f2e61b7c9d04a53AbCdEfGhIj01\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, "checks: [{name: models, kind: models, schedule: \"@every 1m\"}]\nproviders: {mistral: {}}\n", func(o *preflight.Options) { o.Target = dir })["code.secrets"]
	if got.Verdict != preflight.Fail || len(got.Places) != 1 || strings.ContainsAny(got.Places[0].String(), "\n\x1b") {
		t.Errorf("%+v", got)
	}
}

// TestWhoHearsOfAlerts: the severities that a notifier takes, whether it is there, and that nobody is told.
func TestWhoHearsOfAlerts(t *testing.T) {
	t.Parallel()
	var told atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/" {
			told.Add(1)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	dir := t.TempDir()
	there, away := filepath.Join(dir, "there"), filepath.Join(dir, "away")
	for path, address := range map[string]string{there: server.URL + "/hook/secret-path", away: "http://127.0.0.1:1/hook/secret-path"} {
		if err := os.WriteFile(path, []byte(address), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hook := func(name, path, match string) string {
		return fmt.Sprintf("  - {name: %s, kind: webhook, with: {url: {file: %s}%s}}\n", name, path, match)
	}
	for name, tc := range map[string]struct {
		exporters string
		p1, p2    preflight.Verdict
	}{
		"nobody":                          {"  - {name: out, kind: stdout}\n", preflight.Blocked, preflight.Blocked},
		"one for all":                     {hook("a", there, ""), preflight.Pass, preflight.Pass},
		"one for P1 only":                 {hook("a", there, ", match: {severity: [P1]}"), preflight.Pass, preflight.Fail},
		"one for another team":            {hook("a", there, ", match: {team: other}"), preflight.Fail, preflight.Fail},
		"one that is away":                {hook("a", away, ""), preflight.Fail, preflight.Fail},
		"one that is away, and one there": {hook("a", away, "") + hook("b", there, ", match: {severity: [P1, P2]}"), preflight.Pass, preflight.Pass},
		"one without its address":         {hook("a", filepath.Join(dir, "nowhere"), ""), preflight.Fail, preflight.Fail},
		"Alertmanager":                    {"  - {name: am, kind: alertmanager, with: {urls: [\"http://127.0.0.1:1\", \"" + server.URL + "\"]}}\n", preflight.Pass, preflight.Pass},
		"Slack":                           {"  - {name: s, kind: slack, with: {webhook_url: {file: " + there + "}}}\n", preflight.Pass, preflight.Pass},
		"a bot of Slack":                  {"  - {name: s, kind: slack, with: {token: {file: " + there + "}, channel: C0123456789, api_url: \"" + server.URL + "/api\"}}\n", preflight.Pass, preflight.Pass},
		"PagerDuty":                       {"  - {name: p, kind: pagerduty, with: {routing_key: {file: " + there + "}, url: \"" + server.URL + "/v2\"}}\n", preflight.Pass, preflight.Pass},
	} {
		items := run(t, models+"providers: {mistral: {base_url: \"http://127.0.0.1:1\"}}\nexporters:\n"+tc.exporters, nil)
		for id, want := range map[string]preflight.Verdict{"alerts.p1": tc.p1, "alerts.p2": tc.p2} {
			if got := items[id]; got.Verdict != want || strings.Contains(fmt.Sprint(got), "secret-path") {
				t.Errorf("%s: %+v, want %s", name, got, want)
			}
		}
	}
	if n := told.Load(); n > 0 {
		t.Errorf("somebody was told %d times", n)
	}
}

func TestWhatWasNotReachedIsBlocked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := preflight.Run(ctx, preflight.Options{
		Env: "production", Production: true, Getenv: func(string) string { return "" }, Scrubber: secret.NewScrubber(), NoConfig: "none", Target: t.TempDir(),
	})
	if !report.Interrupted || report.Ready {
		t.Errorf("interrupted %v, ready %v", report.Interrupted, report.Ready)
	}
	reached := 0
	for _, item := range report.Items {
		if !strings.Contains(item.Detail, "not reached") {
			reached++
		}
	}
	if reached == len(report.Items) {
		t.Error("nothing says that it was not reached")
	}
}
