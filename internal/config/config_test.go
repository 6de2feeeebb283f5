package config_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// specs compares schedules by what they mean.
func specs() cmp.Option {
	return cmp.Comparer(func(a, b schedule.Spec) bool { return a.String() == b.String() })
}

const one = `checks: [{name: models, kind: models, schedule: "@every 60s"}]` + "\n"

func parse(t *testing.T, text string, env map[string]string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("schedules.yaml", []byte(text), options(env))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestGoodFilesAreTaken(t *testing.T) {
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := config.Parse(path, read(t, path), options(nil)); err != nil {
				t.Error(err)
			}
		})
	}
}

// inFile is a secret of a file.
func inFile(path string) checks.Secret {
	s, err := secret.NewResolver(secret.Options{}).Secret(secret.Ref{File: path})
	if err != nil {
		panic(err)
	}
	return s
}

func TestEveryKeyArrives(t *testing.T) {
	path := filepath.Join("testdata", "good", "everything.yaml")
	cfg, err := config.Load(func() config.Options { o := options(nil); o.Path = path; return o }())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	got := *cfg
	if got.Scrubber == nil {
		t.Error("nobody knows the secrets' values")
	}
	got.Providers, got.Checks, got.Exporters, got.Secrets, got.Warnings = nil, nil, nil, nil, nil
	got.Network.PlaceCAFile, got.Scrubber, got.PlaceBudget = nil, nil, nil
	got.Alerts, got.Incidents = config.Alerts{}, config.Incidents{} // alerts_test.go
	want := config.Config{
		Path: path, Location: "par1-vm7", StateDir: filepath.Join(dir, "state"), Grace: 5 * time.Second,
		Labels: map[string]string{"env": "production", "service": "checkout", "team.name": "1.10"},
		Network: config.NetworkConfig{
			HTTPProxy: "http://proxy.example:3128", NoProxy: "localhost,.example", CAFile: filepath.Join(dir, "ca.pem"),
			AllowAddresses: []netip.Prefix{
				netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
			},
		},
		Programs: config.Programs{
			Directories: []string{"/usr/lib/nagios/plugins", "/opt/checks"}, Env: []string{"LC_TIME", "no_proxy"},
			Read: []string{"/var/lib/dpkg"}, Write: []string{"/var/tmp/checks"},
		},
		Budget:      config.Budget{PerHour: checks.Dollar / 20, PerDay: checks.Dollar / 2, Set: true},
		Store:       config.StoreConfig{MaxAge: 36 * time.Hour, MaxSize: 2 << 30},
		Prices:      config.Prices{MaxAge: 90 * 24 * time.Hour},
		Log:         config.Log{Level: slog.LevelWarn, Format: "json"},
		Concurrency: config.Concurrency{Global: 10, PerHost: 2},
		Snapshot:    time.Minute,
		Runbook: runbook.Setting{
			API: "https://api.mistral.ai", URL: "https://wiki.example/runbooks/", Service: "shop", Affected: "answers of the assistant", Channel: "#incident-mistral",
			StatusPage: "https://status.example",
			Deployment: runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: "shop", Namespace: "production", Context: "prod"}},
			Store:      runbook.SecretStore{Kubernetes: &runbook.KubernetesSecret{Secret: "mistral", Key: "api-key", Namespace: "production", Context: "prod"}},
			KeyInEnv:   true, Escalation: []runbook.Escalation{{Severity: "P1", After: 15 * time.Minute, Contact: "platform on-call"}},
		},
		Preflight: config.Preflight{
			Target: filepath.Join(dir, "shop"), Attestations: filepath.Join(dir, "attestations.yaml"), Models: []string{"mistral-large-2512"},
			Floating: []string{"mistral-small-latest"}, Headroom: 0.3, Load: config.Usage{Requests: 120, Tokens: 90000},
			Log:       config.LogSource{File: filepath.Join(dir, "shop.log"), Settle: time.Second},
			Documents: config.Documents{Runbook: "a.md", Rotation: "b.md", Rollback: "c.md", Escalation: "d.md", Limits: "e.md", MaxAge: 30 * 24 * time.Hour},
			Commands:  config.Commands{Typecheck: []string{"make", "types"}, Test: []string{"make", "test"}, Env: []string{"CI=1"}, Timeout: time.Minute},
			Staging: config.Staging{
				APIKey: inFile("/etc/windsock/staging"), AppURL: "http://127.0.0.1:3001/api/chat", Bearer: inFile("/etc/windsock/token"),
				Headers: map[string]string{"X-Tenant": "probe"}, Body: map[string]any{"message": "ping"}, SimulatorListen: "127.0.0.1:9399",
				Command: []string{"node", "server.js"}, Env: []string{"PORT"},
				Variables:   config.StagingVariables{BaseURL: "BASE", APIKey: "KEY", FallbackAPIKey: "KEY2"},
				StartWithin: time.Second, AnswerWithin: 2 * time.Second, Watch: 4 * time.Second, RetryAfter: 5 * time.Second,
				MinBackoff: 6 * time.Millisecond, MaxRequests: 7,
			},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), specs(), cmp.Comparer(func(a, b checks.Secret) bool { return a.Where() == b.Where() })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p := cfg.Providers[0]
	if p.Name != "mistral" || p.BaseURL != "https://api.mistral.ai" || !p.ReuseConnections || p.StallAfter != 90*time.Second ||
		p.Breaker != (config.Breaker{Failures: 3, Reset: 2 * time.Minute}) ||
		p.APIKey.Where() != "credential mistral-api-key, file "+filepath.Join(dir, "secrets/mistral")+", env MISTRAL_API_KEY" {
		t.Errorf("got provider %+v from %s", p, p.APIKey.Where())
	}
	if p := cfg.Providers[1]; p.Name != "local" || p.BaseURL != "http://127.0.0.1:8000/llm" || p.APIKey.Where() != "command /usr/bin/vault" ||
		p.Breaker != (config.Breaker{Failures: 5, Reset: time.Minute}) {
		t.Errorf("got provider %+v", p)
	}
	c := cfg.Checks[0]
	if c.Name != "chat-small" || c.Kind != "chat" || c.Provider != "mistral" || c.Schedule.String() != "*/5 * * * * Europe/Paris" ||
		c.Timeout != 20*time.Second || c.DegradedAbove != 2500*time.Millisecond || c.Confirm != 10*time.Second || !c.RunAtStart ||
		c.Overlap != schedule.OverlapQueue || c.Missed != schedule.MissedRunOnce || c.Labels["tier"] != "gold" || c.Line != 17 {
		t.Errorf("got check %+v", c)
	}
	if c := cfg.Checks[1]; c.Timeout != 8*time.Second || c.DegradedAbove != 0 || c.Overlap != schedule.OverlapSkip || c.Missed != schedule.MissedSkip {
		t.Errorf("got check %+v", c)
	}
	e := cfg.Exporters[0]
	if e.Name != "out" || e.Kind != "stdout" || e.MaxAge != 7*24*time.Hour || !e.Replay || e.BatchSize != 10 || e.Timeout != time.Second {
		t.Errorf("got exporter %+v", e)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].Message, "${…} is not expanded") || cfg.Warnings[0].Line != 31 {
		t.Errorf("got warnings %v, want one of the prompt", cfg.Warnings)
	}
}

func TestParametersArriveOverTheirDefaults(t *testing.T) {
	cfg := parse(t, string(read(t, filepath.Join("testdata", "good", "everything.yaml"))), nil)
	got, err := checks.DecodeParams(cfg.Checks[0].With, chatParams{Prompt: "x", Stream: true, Limits: map[string]time.Duration{"a": 1}})
	if err != nil {
		t.Fatal(err)
	}
	half := 0.5
	want := chatParams{
		Model: "mistral-small-latest", Prompt: "Costs ${PRICE}?\nReply with one word.\n", MaxTokens: 32, Temperature: &half,
		Expect: expectParams{Contains: "pong", JSONSchema: map[string]any{
			"type": "object", "required": []any{"a"}, "additionalProperties": false,
			"properties": map[string]any{"a": map[string]any{"type": "integer", "minimum": 1.5}},
		}},
		TimeToFirstToken: 3 * time.Second, Limits: map[string]time.Duration{"a": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	models, err := checks.DecodeParams(cfg.Checks[1].With, modelsParams{})
	if err != nil || models.Usable["mistral-small-2.5"][0] != "completion_chat" {
		t.Errorf("got %+v, %v", models, err)
	}
}

func TestACheckOfItsOwnTargetBelongsToNoProviderUnlessItSaysSo(t *testing.T) {
	o := options(nil)
	o.Registry.Checks[1].Provider = checks.ProviderNamed // egress
	const (
		egress = `{name: %s, kind: egress, schedule: "@every 60s", with: {hosts: [{host: a.example}]}%s}`
		first  = `m: {base_url: "https://m.example"}`
		second = `, n: {base_url: "https://n.example"}`
	)
	named := fmt.Sprintf(egress, "named", ", provider: m")
	text := "checks: [" + fmt.Sprintf(egress, "own", "") + ", " + named + "]\n"
	for name, providers := range map[string]string{"one provider": first, "two providers": first + second} {
		cfg, err := config.Parse("schedules.yaml", []byte(text+"providers: {"+providers+"}\n"), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := []string{cfg.Checks[0].Provider, cfg.Checks[1].Provider}; !slices.Equal(got, []string{"", "m"}) {
			t.Errorf("%s: the checks belong to %q, want none and m", name, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	cfg := parse(t, one, nil)
	c := cfg.Checks[0]
	if cfg.Listen != "127.0.0.1:9188" || cfg.Grace != 10*time.Second || cfg.Budget.Set || cfg.Store.MaxAge != 168*time.Hour ||
		cfg.Store.MaxSize != 512<<20 || cfg.Concurrency.Global != 64 || cfg.Concurrency.PerHost != 16 || cfg.Log.Format != config.LogAuto ||
		c.Timeout != 30*time.Second || c.DegradedAbove != 5*time.Second || c.Confirm != 0 || c.RunAtStart || c.Provider != "" {
		t.Errorf("got %+v", cfg)
	}
	cfg = parse(t, "providers: {mistral: {api_key: {credential: k}}}\n"+one, nil)
	if p := cfg.Providers[0]; p.BaseURL != "https://api.mistral.ai" || p.StallAfter != 10*time.Second || cfg.Checks[0].Provider != "mistral" {
		t.Errorf("got %+v, %+v", p, cfg.Checks[0])
	}
}

func TestProxiesComeFromTheEnvironmentAtEachLoad(t *testing.T) {
	env := map[string]string{"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2", "http_proxy": "http://c:3", "NO_PROXY": "x"}
	got := parse(t, one, env).Network
	if got.HTTPSProxy != "http://a:1" || got.HTTPProxy != "http://c:3" || got.NoProxy != "x" {
		t.Errorf("got %+v", got)
	}
	env["HTTPS_PROXY"] = "http://d:4"
	if got := parse(t, one, env).Network; got.HTTPSProxy != "http://d:4" {
		t.Errorf("after a change: got %+v", got)
	}
	if got := parse(t, one+`network: {https_proxy: "", no_proxy: y}`, env).Network; got.HTTPSProxy != "" || got.NoProxy != "y" || got.HTTPProxy != "http://c:3" {
		t.Errorf("the file wins: got %+v", got)
	}
}

func TestProxyPasswordOfTheEnvironmentIsScrubbed(t *testing.T) {
	o := options(map[string]string{"HTTPS_PROXY": "http://me:canary-password@proxy:3128"})
	o.Secrets = secret.NewResolver(secret.Options{})
	if _, err := config.Parse("x", []byte(one), o); err != nil {
		t.Fatal(err)
	}
	if got := o.Secrets.Scrubber().String("at http://me:canary-password@proxy:3128"); strings.Contains(got, "canary") {
		t.Errorf("got %q", got)
	}
}

func TestMoneyIsExact(t *testing.T) {
	for text, want := range map[string]config.Budget{
		"{per_hour: 0.05}":                       {PerHour: 50_000_000_000, PerDay: 1_200_000_000_000, Set: true},
		"{per_day: 0.1}":                         {PerHour: 100_000_000_000, PerDay: 100_000_000_000, Set: true},
		"{per_hour: 0.000000000001, per_day: 1}": {PerHour: 1, PerDay: checks.Dollar, Set: true},
		"{per_hour: 99999.999999999999}":         {PerHour: 99_999_999_999_999_999, PerDay: 24 * 99_999_999_999_999_999, Set: true},
		"{per_hour: 0.29, per_day: 100000}":      {PerHour: 290_000_000_000, PerDay: 100_000 * checks.Dollar, Set: true},
	} {
		t.Run(text, func(t *testing.T) {
			if got := parse(t, one+"budget: "+text, nil).Budget; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"only the environment":       {"providers: {m: {api_key: {env: KEY}}}\n" + one, "every program of the same user"},
		"no key":                     {"providers: {m: {}}\n" + one, "no api_key"},
		"plain http to another host": {"providers: {m: {base_url: 'http://api.example', api_key: {file: /k}}}\n" + one, "in the clear"},
		"open to others":             {"listen: 0.0.0.0:9188\n" + one, "from other hosts"},
		"open to others by default":  {"listen: ':9188'\n" + one, "from other hosts"},
		"a threshold out of reach":   {`checks: [{name: a, kind: models, schedule: "@every 60s", timeout: 5s, degraded_above: 6s}]`, "never reached"},
		"an hour above a day":        {"budget: {per_hour: 2, per_day: 1}\n" + one, "stops first"},
	} {
		t.Run(name, func(t *testing.T) {
			w := parse(t, tt.text, nil).Warnings
			if len(w) != 1 || !strings.Contains(w[0].Message, tt.want) || w[0].Line == 0 || w[0].Source == "" {
				t.Errorf("got %v, want one with %q", w, tt.want)
			}
		})
	}
}

func TestListOfSourcesWithTheEnvironmentLastIsNotWarnedOf(t *testing.T) {
	if w := parse(t, "providers: {m: {api_key: [{credential: k}, {env: KEY}]}}\n"+one, nil).Warnings; len(w) != 0 {
		t.Errorf("got %v", w)
	}
}

func TestSecretsAreSharedByName(t *testing.T) {
	env := map[string]string{"KEY": "a-value-of-some-length"}
	cfg := parse(t, "secrets: {mine: {env: KEY}}\nproviders: {m: {api_key: {secret: mine}}}\n"+one, env)
	for name, s := range map[string]checks.Secret{"named": cfg.Secrets["mine"], "used": cfg.Providers[0].APIKey} {
		if got, err := s.Reveal(context.Background()); got != env["KEY"] || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestFaultsOfABuiltKindArePlaced(t *testing.T) {
	cfg := parse(t, "checks:\n  - name: models\n    kind: models\n    schedule: '@every 60s'\n    with:\n      expect: [a, b]\n", nil)
	place := cfg.Checks[0].Place
	if err := place(nil); err != nil {
		t.Errorf("got %v for nothing", err)
	}
	cause := errors.New("the provider cannot list models")
	err := place(errors.Join(checks.Invalid("expect.1", "unknown"), fmt.Errorf("building: %w", checks.Invalid("min_count", "too small")), cause))
	wrong, ok := errors.AsType[*config.Errors](err)
	if !ok || !errors.Is(err, cause) {
		t.Fatalf("got %v, want *Errors around the cause", err)
	}
	var got []string
	for _, p := range wrong.List() {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Message))
	}
	want := []string{"5:5 min_count: too small", "5:5 the provider cannot list models", "6:19 expect.1: unknown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecodingIntoTheWrongThing(t *testing.T) {
	cfg := parse(t, one, nil)
	if err := cfg.Checks[0].With.Decode(modelsParams{}); err == nil {
		t.Error("a value that is no pointer was taken")
	}
}

func TestManyFaultsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("checks:\n")
	for range 5000 {
		b.WriteString("  - {nam: a}\n")
	}
	_, err := config.Parse("x.yaml", []byte(b.String()), options(nil))
	wrong, ok := errors.AsType[*config.Errors](err)
	if !ok || len(wrong.List()) != 100 || !strings.HasSuffix(err.Error(), "more") {
		t.Errorf("got %d problems, want 100 and a count", len(wrong.List()))
	}
}

func TestTenThousandChecksFit(t *testing.T) {
	var b strings.Builder
	b.WriteString("checks:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - {name: check-%05d, kind: models, schedule: \"@every 60s\"}\n", i)
	}
	if cfg := parse(t, b.String(), nil); len(cfg.Checks) != 10_000 {
		t.Errorf("got %d checks", len(cfg.Checks))
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	load := func(path string) (*config.Config, error) {
		o := options(nil)
		o.Path = path
		return config.Load(o)
	}
	if cfg, err := load(write("good.yaml", one, 0o600)); err != nil || len(cfg.Warnings) != 0 {
		t.Errorf("good: got %v", err)
	}
	if cfg, err := load(write("open.yaml", one, 0o666)); err != nil || len(cfg.Warnings) != 1 || cfg.Warnings[0].Line != 0 {
		t.Errorf("writable by all: got %v, want a warning", err)
	}
	if _, err := load(filepath.Join(dir, "absent.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: got %v, want fs.ErrNotExist", err)
	}
	if _, err := load(dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: got %v", err)
	}
	_, err := load(write("huge.yaml", one+strings.Repeat("# ten megabytes\n", 10<<20/16), 0o600))
	if wrong, ok := errors.AsType[*config.Errors](err); !ok || wrong.List()[0].Line != 0 || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("10 MB: got %v", err)
	}
}

func TestFileIsLookedFor(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := config.Load(options(nil)); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "/etc/windsock") {
		t.Errorf("got %v, want the places", err)
	}
	if err := os.WriteFile("schedules.yaml", []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := config.Load(options(nil)); err != nil || cfg.Path != "schedules.yaml" {
		t.Errorf("got %v", err)
	}
}

// What would make a parser slow is refused before it is parsed.
func TestTextThatWouldTakeLongIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a million quotes":          {strings.Repeat(`"`, 1<<20), "on one line"},
		"keys without end":          {strings.Repeat("a: 1\n", 200_000), "keys in one place"},
		"dashes on one line":        {strings.Repeat("- ", 100_000), "deep"},
		"brackets":                  {strings.Repeat("[", 1<<20), "deep"},
		"braces over lines":         {strings.Repeat("{\n", 1<<19), "deep"},
		"commas":                    {"a: [" + strings.Repeat("1,", 500_000) + "1]", "on one line"},
		"commas over lines":         {"a: [" + strings.Repeat("1,\n", 300_000) + "1]", "words and marks"},
		"anchors":                   {strings.Repeat("&a ", 300_000), "anchors"},
		"documents":                 {strings.Repeat("---\n", 200_000), "empty"},
		"a list of a million":       {"a:\n" + strings.Repeat("- b\n", 200_000), "words and marks"},
		"an unclosed quote":         {`a: "` + strings.Repeat("x\n", 500_000), "not YAML"},
		"one word of a megabyte":    {strings.Repeat("x", 1<<20), "found the text"},
		"a block of a megabyte":     {"a: |\n" + strings.Repeat("  x\n", 250_000), "unknown key"},
		"one byte more than it may": {strings.Repeat("#", 1<<20+1), "larger than 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("x.yaml", []byte(tt.text), options(nil))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %q in it", err, tt.want)
			}
			if err != nil && len(err.Error()) > 5000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// A pipe whose writer is gone ends the load, and so the reload, instead of waiting for somebody to come.
func TestPipeIsReadAndNeverWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	o := options(nil)
	o.Path = path
	if _, err := config.Load(o); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("without a writer: got %v, want the word empty", err)
	}
	reader, writer, err := os.Pipe() // as <(…) of a shell does it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if _, err := writer.WriteString(one); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	o.Path = fmt.Sprintf("/dev/fd/%d", reader.Fd())
	if cfg, err := config.Load(o); err != nil || len(cfg.Checks) != 1 {
		t.Errorf("with a writer: got %v, want the file", err)
	}
}
