package runbook_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

func TestEveryCauseHasABranch(t *testing.T) {
	t.Parallel()
	pages := map[runbook.Branch]bool{}
	for _, p := range runbook.Pages() {
		pages[p.Branch] = true
	}
	blind := []checks.Cause{checks.CauseInternal, checks.CauseBreakerOpen, checks.CauseOverlap, checks.CauseMissed, checks.CauseMaintenance}
	for _, row := range checks.Causes() {
		got := runbook.Of(row.Cause, row.Blame, "chat")
		if !pages[got] {
			t.Errorf("%s: got %q, which has no page", row.Cause, got)
		}
		if (got == runbook.CannotTell) != slices.Contains(blind, row.Cause) {
			t.Errorf("%s: got %q", row.Cause, got)
		}
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cause checks.Cause
		blame checks.Blame
		kind  string
		want  runbook.Branch
	}{
		"nothing is wrong":                      {"", "", "chat", runbook.Nobody},
		"a refused key":                         {checks.CauseAuth, checks.BlameAccount, "credentials", runbook.Key},
		"no allowance":                          {checks.CauseNoAllowance, checks.BlameAccount, "chat", runbook.NoAllowance},
		"the month is used up":                  {checks.CauseQuota, checks.BlameAccount, "chat", runbook.NoAllowance},
		"slow":                                  {checks.CauseSlow, checks.BlameProvider, "chat", runbook.Timeout},
		"a name that does not resolve":          {checks.CauseDNS, checks.BlameNetwork, "models", runbook.DNS},
		"that does not, nor does the reference": {checks.CauseDNS, checks.BlameLocal, "models", runbook.LocalNetwork},
		"the application is not reached, nor the world": {checks.CauseConnect, checks.BlameLocal, "app", runbook.LocalNetwork},
		"the application fails":                         {checks.CauseServer, checks.BlameApplication, "app", runbook.Application},
		"the application does not answer":               {checks.CauseTimeout, checks.BlameProvider, "app", runbook.Application},
		"the application says 401 to us":                {checks.CauseAuth, checks.BlameApplication, "app", runbook.Application},
		"the application is slow":                       {checks.CauseSlow, checks.BlameApplication, "app", runbook.Application},
		"its metrics are above a threshold":             {checks.CauseAssertion, checks.BlameProvider, "prometheus", runbook.Application},
		"the metrics cannot be read":                    {checks.CauseConnect, checks.BlameOurs, "prometheus", runbook.CannotTell},
		"a key of our own that is absent":               {checks.CauseConfig, checks.BlameOurs, "app", runbook.Configuration},
		"the file":                                      {checks.CauseConfig, checks.BlameOurs, "chat", runbook.Configuration},
		"spend":                                         {checks.CauseAssertion, checks.BlameApplication, "spend", runbook.Cost},
		"the budget":                                    {checks.CauseBudget, checks.BlameSkipped, "chat", runbook.Cost},
		"too little headroom":                           {checks.CauseHeadroom, checks.BlameSkipped, "chat", runbook.RateLimited},
		"an open breaker":                               {checks.CauseBreakerOpen, checks.BlameSkipped, "app", runbook.CannotTell},
		"a plugin's own cause":                          {"out_of_paper", checks.BlameProvider, "print/tray", runbook.CannotTell},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := runbook.Of(tt.cause, tt.blame, tt.kind); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func allPages() []runbook.Page { return slices.Concat(runbook.Pages(), runbook.RulePages()) }

func TestEveryPageIsWhole(t *testing.T) {
	t.Parallel()
	titles := map[string]bool{}
	for _, p := range allPages() {
		if titles[p.Title] || p.Title == "" {
			t.Errorf("%s: the title %q is empty, or another page's", p.Branch, p.Title)
		}
		titles[p.Title] = true
		if len(p.Actions) != 3 {
			t.Errorf("%s: %d actions, want 3", p.Branch, len(p.Actions))
		}
		for name, text := range map[string]string{"means": p.Means, "escalate": p.Escalate, "over": p.Over} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s is no sentence: %q", p.Branch, name, text)
			}
		}
		if !strings.HasPrefix(p.Over, "It is over when ") || p.Severity == "" || len(p.Items) == 0 || len(p.Mitigations) == 0 {
			t.Errorf("%s: not whole: %+v", p.Branch, p)
		}
		for _, m := range p.Mitigations {
			if m.What == "" || m.Revert == "" || m.Expires < time.Hour {
				t.Errorf("%s: a mitigation without a way back or an end: %+v", p.Branch, m)
			}
		}
		for _, a := range p.Actions {
			if a.Text == "" {
				t.Errorf("%s: an action that says nothing", p.Branch)
			}
		}
	}
}

func TestEveryBuiltInRuleHasAPageAsSevere(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, rule := range alerts.Builtin() {
		known[rule.Name] = true
		branch, ok := runbook.ForRule(rule.Name)
		if p := branch.Page(runbook.Setting{}); !ok || p.Branch != branch || !slices.Contains(p.Related, rule.Name) {
			t.Errorf("%s: got %q, %t", rule.Name, branch, ok)
		}
	}
	if branch, ok := runbook.ForRule("latency-of-ours"); ok {
		t.Errorf("a rule of the team's: got %q, want none", branch)
	}
	of := map[string]runbook.Branch{}
	for _, p := range allPages() {
		for _, rule := range p.Related {
			if other := of[rule]; other != "" || !known[rule] {
				t.Errorf("%s: %s is no built-in rule, or %s's too", p.Branch, rule, other)
			}
			of[rule] = p.Branch
		}
	}
	for _, p := range allPages() {
		for _, rule := range alerts.Builtin() {
			if slices.Contains(p.Related, rule.Name) && rule.Severity != p.Severity {
				t.Errorf("%s: got %s, want %s as the rule", p.Branch, p.Severity, rule.Severity)
			}
		}
	}
}

// hostile is what a value may be at the worst, and still is one word that does nothing.
const hostile = `it's "$(id)" ; false # \ ` + "`id`\n|&<>*?[]{}"

func settings() map[string]runbook.Setting {
	all := map[string]runbook.Setting{"nothing is said": {}}
	for kind, name := range map[string]string{"": "mistral-api-key", " with hostile names": hostile} {
		k8s := runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: name, Namespace: name, Context: name}}
		unit := runbook.Deployment{Systemd: &runbook.SystemdUnit{Unit: name}}
		for store, s := range map[string]runbook.Setting{
			"gcp":        {Deployment: k8s, Store: runbook.SecretStore{GCP: &runbook.GCPSecret{Secret: name, Project: name}}},
			"aws":        {Deployment: k8s, Store: runbook.SecretStore{AWS: &runbook.AWSSecret{SecretID: name, Region: name}}},
			"kubernetes": {Deployment: k8s, Store: runbook.SecretStore{Kubernetes: &runbook.KubernetesSecret{Secret: name, Key: name, Namespace: name, Context: name}}},
			"vault":      {Deployment: unit, Store: runbook.SecretStore{Vault: &runbook.VaultSecret{Path: name, Field: name, Address: name}}},
			"systemd":    {Deployment: unit, Store: runbook.SecretStore{Systemd: &runbook.SystemdCredential{Credential: name}}},
		} {
			all[store+kind] = s
		}
	}
	return all
}

// lines are all that a setting prints for a shell.
func lines(s runbook.Setting) []string {
	var all []string
	for _, commands := range [][]runbook.Command{s.Rotation(), s.Rollback(), s.Restart(), s.Resume()} {
		for _, c := range commands {
			all = append(all, c.Line)
		}
	}
	for _, unfilled := range allPages() {
		p := unfilled.Branch.Page(s)
		for _, a := range p.Actions {
			if a.Command != "" {
				all = append(all, a.Command)
			}
		}
		for _, c := range p.Commands {
			all = append(all, c.Line)
		}
		for _, m := range p.Mitigations {
			if m.Command != "" {
				all = append(all, m.Command)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestEveryCommandIsOneOfAShell(t *testing.T) {
	t.Parallel()
	for name, s := range settings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, line := range lines(s) {
				if strings.ContainsAny(line, "\n\x1b") || line == "" {
					t.Errorf("not one line: %q", line)
				}
			}
			parse := exec.CommandContext(t.Context(), "sh", "-n")
			parse.Stdin = strings.NewReader(strings.Join(lines(s), "\n"))
			if said, err := parse.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

// What a shell makes of a hostile name is that name: the programs are replaced by one that prints its arguments.
func TestNamesAreOneWord(t *testing.T) {
	t.Parallel()
	want := strings.ReplaceAll(hostile, "\n", "?")
	for name, s := range settings() {
		if !strings.HasSuffix(name, "hostile names") {
			continue
		}
		for _, c := range slices.Concat(s.Rotation(), s.Rollback(), s.Restart(), s.Resume()) {
			program, _, _ := strings.Cut(strings.TrimPrefix(c.Line, "(umask 077; "), " ")
			if !slices.Contains([]string{"kubectl", "gcloud", "aws", "vault", "systemd-creds", "systemctl"}, program) {
				continue
			}
			if got := arguments(t.Context(), t, program, c.Line); !strings.Contains(got, want) && !strings.Contains(got, strings.ReplaceAll(strings.ReplaceAll(want, `\`, `\\`), `"`, `\"`)) {
				t.Errorf("%s: %s\ngot  %q\nwant %q in it", name, c.Line, got, want)
			}
		}
	}
}

func arguments(ctx context.Context, t *testing.T, program, line string) string {
	t.Helper()
	line, program = strings.ReplaceAll(line, "systemd-creds", "creds"), strings.TrimPrefix(program, "systemd-")
	line = program + `() { for word; do printf '<%s>' "$word" >&2; done; }` + "\n" + line
	sh := exec.CommandContext(ctx, "sh", "-c", line)
	sh.Dir = t.TempDir()
	said, err := sh.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", line, err, said)
	}
	return string(said)
}

func TestNoCommandShowsAKey(t *testing.T) {
	t.Parallel()
	for name, s := range settings() {
		for _, line := range lines(s) {
			for _, bad := range []string{"MISTRAL_API_KEY", "echo $", "echo \"", "head -c", "wc ", "cut -c", "printenv", "sha256sum", "-o yaml >", "Bearer"} {
				if strings.Contains(line, bad) {
					t.Errorf("%s: %q in %s", name, bad, line)
				}
			}
			for _, reads := range []string{"versions access", "get-secret-value", "base64decode", "vault kv get", "systemd-creds decrypt", "cat PATH_OF_THE_KEY"} {
				if strings.Contains(line, reads) && !strings.HasPrefix(line, "(umask 077; ") {
					t.Errorf("%s: it reads a key, and not into a private file: %s", name, line)
				}
			}
		}
	}
}

func TestCommandsAskTheApplicationThatIsKnown(t *testing.T) {
	t.Parallel()
	p := runbook.Key.Page(runbook.Setting{Application: "http://shop.example/it's?deep=1"})
	var all []string
	for _, c := range p.Commands {
		all = append(all, c.Line)
	}
	text := strings.Join(all, "\n")
	if want := `windsock gate --once --app 'http://shop.example/it'\''s?deep=1'`; !strings.Contains(text, want) || strings.Contains(text, "APPLICATION_URL") {
		t.Errorf("got %q, want %q in it", text, want)
	}
}

// TestCommandsAskTheTeamsProvider: what another address answers tells nothing of the one that is used.
func TestCommandsAskTheTeamsProvider(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ api, want, not string }{
		"its global address":     {"", "getent ahosts api.mistral.ai", ""},
		"another zone":           {"https://api.eu.mistral.ai", "getent ahosts api.eu.mistral.ai", "api.mistral.ai"},
		"a gateway with a path":  {"https://gw.example:8443/mistral/", "https://gw.example:8443/mistral/v1/models", "api.mistral.ai"},
		"and its port":           {"https://gw.example:8443/mistral/", "-connect gw.example:8443 -servername gw.example <", "api.mistral.ai"},
		"the trial of the keys":  {"https://api.eu.mistral.ai", `base_url: "https://api.eu.mistral.ai"`, `"https://api.mistral.ai"`},
		"what a shell would run": {"https://x$(id)'.example", "getent ahosts api.mistral.ai", "$(id)"},
	}
	for name, tt := range tests {
		var all []string
		for _, p := range allPages() {
			p = p.Branch.Page(runbook.Setting{API: tt.api})
			for _, a := range p.Actions {
				all = append(all, a.Command)
			}
			for _, c := range p.Commands {
				all = append(all, c.Line)
			}
			for _, m := range p.Mitigations {
				all = append(all, m.What, m.Command, m.Revert)
			}
		}
		text := strings.Join(all, "\n")
		if !strings.Contains(text, tt.want) {
			t.Errorf("%s: no %q", name, tt.want)
		}
		if tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("%s: %q is still in it", name, tt.not)
		}
	}
}

// TestTheKeyOfAClusterIsChangedAlone: what kubectl is given holds the new key, and nothing that would drop another one.
func TestTheKeyOfAClusterIsChangedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mistral-new-key"), []byte(strings.Repeat("canary", 20)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := runbook.Setting{Store: runbook.SecretStore{Kubernetes: &runbook.KubernetesSecret{Secret: "mistral", Key: "api-key.v1", Namespace: "prod"}}}
	patched := false
	for _, c := range s.Rotation() {
		patched = patched || c.Line == "kubectl --namespace=prod patch secret mistral --patch-file=mistral-key-patch.json"
		if !strings.Contains(c.Line, ">mistral-key-patch.json") {
			continue
		}
		sh := exec.CommandContext(t.Context(), "sh", "-c", c.Line)
		sh.Dir = dir
		if said, err := sh.CombinedOutput(); err != nil || len(said) > 0 {
			t.Fatalf("%v: it prints %q", err, said)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "mistral-key-patch.json"))
	if err != nil || info.Mode().Perm() != 0o600 || !patched {
		t.Fatalf("the patch: %v, %v, it is used: %v", info, err, patched)
	}
	text, err := os.ReadFile(filepath.Join(dir, "mistral-key-patch.json"))
	var patch struct {
		Data map[string][]byte `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(text, &patch)
	}
	if err != nil || len(patch.Data) != 1 || string(patch.Data["api-key.v1"]) != strings.Repeat("canary", 20) {
		t.Errorf("%v: the patch is %s", err, text)
	}
}

// TestTheProxiesAreShownWithoutPasswords runs the line in all the forms that a proxy's address has.
func TestTheProxiesAreShownWithoutPasswords(t *testing.T) {
	t.Parallel()
	line := runbook.Proxy.Page(runbook.Setting{}).Actions[0].Command
	for _, proxy := range []string{"http://ada:canary@proxy:3128", "ada:canary@proxy:3128", "http://ada:can@ary@proxy:3128", "http://ada:x/canary@proxy:3128", "canary@proxy:3128"} {
		sh := exec.CommandContext(t.Context(), "sh", "-c", line)
		sh.Env = []string{"PATH=/usr/bin:/bin", "https_proxy=" + proxy}
		said, err := sh.CombinedOutput()
		if err != nil || strings.Contains(string(said), "ary") || !strings.Contains(string(said), "proxy:3128") {
			t.Errorf("%s: %v: it prints %q", proxy, err, said)
		}
	}
}

func TestActionsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, s := range settings() {
		if strings.HasSuffix(name, "hostile names") {
			continue
		}
		for _, unfilled := range allPages() {
			for _, a := range unfilled.Branch.Page(s).Actions {
				for _, changes := range []string{" restart ", " undo ", " pause ", " resume ", " put", " patch", " add ", " apply", "install", "reload", ">mistral", "rm ", " set ", "disable"} {
					if strings.Contains(a.Command, changes) {
						t.Errorf("%s: %s: %q changes something", name, unfilled.Branch, a.Command)
					}
				}
			}
		}
	}
}

func TestCommandsAreFilledIn(t *testing.T) {
	t.Parallel()
	s := runbook.Setting{
		Deployment: runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: "shop", Namespace: "production"}},
		Store:      runbook.SecretStore{GCP: &runbook.GCPSecret{Secret: "mistral", Project: "example"}},
		KeyInEnv:   true,
	}
	for want, commands := range map[string][]runbook.Command{
		"kubectl --namespace=production rollout undo deployment/shop":                       s.Rollback(),
		"kubectl --namespace=production rollout resume deployment/shop":                     s.Resume(),
		"kubectl --namespace=production rollout status deployment/shop --timeout=5m":        s.Restart(),
		"gcloud secrets versions add mistral --project=example --data-file=mistral-new-key": s.Rotation(),
		"kubectl --namespace=production rollout restart deployment/shop":                    s.Rotation(),
	} {
		if !slices.ContainsFunc(commands, func(c runbook.Command) bool { return c.Line == want }) {
			t.Errorf("no %q in %+v", want, commands)
		}
	}
	s.KeyInEnv = false
	if slices.ContainsFunc(s.Rotation(), func(c runbook.Command) bool { return strings.Contains(c.Line, "restart") }) {
		t.Error("a restart where the key is read anew")
	}
	unit := runbook.Setting{Deployment: runbook.Deployment{Systemd: &runbook.SystemdUnit{Unit: "shop.service"}}}
	if got := unit.Resume(); got != nil {
		t.Errorf("a unit has no rollout: got %+v", got)
	}
}

func TestResponseTimes(t *testing.T) {
	t.Parallel()
	for severity, want := range map[checks.Severity]string{checks.P1: "15 minutes", checks.P2: "1 hour", checks.P3: "4 hours", checks.P4: "the next business day"} {
		if got := runbook.ResponseTime(severity); got != want {
			t.Errorf("%s: got %q, want %q", severity, got, want)
		}
	}
}

func TestATimeInWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		time.Minute: "1 minute", 15 * time.Minute: "15 minutes", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", 4 * time.Hour: "4 hours",
		24 * time.Hour: "1 day", 48 * time.Hour: "2 days", 0: "0s", 30 * time.Second: "30s", 61 * time.Second: "1m1s",
	} {
		if got := runbook.Lasting(in); got != want {
			t.Errorf("%d: got %q, want %q", in, got, want)
		}
	}
}
