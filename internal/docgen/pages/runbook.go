package pages

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// Runbook makes a page for each end of the decision tree and for each built-in rule that is none, by its path below docs.
func Runbook(rules []alerts.Rule) map[string][]byte {
	rendered := map[string][]byte{}
	for _, p := range slices.Concat(runbook.Pages(), runbook.RulePages()) {
		rendered["runbook/"+string(p.Branch)+".md"] = runbookPage(&p, rules)
	}
	return rendered
}

func runbookPage(p *runbook.Page, rules []alerts.Rule) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s%s\n\n", p.Title, mark, linked(p.Means))
	fmt.Fprintf(&b, "As a rule **%s**: an answer within %s.", p.Severity, runbook.ResponseTime(p.Severity))
	if p.Blame != checks.BlameNone {
		fmt.Fprintf(&b, " Blame: `%s`.", p.Blame)
	}
	b.WriteString(" What stands in CAPITALS is yours to fill in; `windsock triage` fills in what [`runbook:`](README.md#your-own-names-in-the-commands) says.\n")
	b.WriteString(seenBy(p, rules))
	b.WriteString("\n## First\n\nNone of the three changes anything.\n\n")
	var first strings.Builder
	for i, a := range p.Actions {
		fmt.Fprintf(&first, "%d. %s\n%s", i+1, linked(sentence(a.Text)), shell("   ", a.Command))
	}
	b.WriteString(strings.TrimRight(first.String(), "\n"))
	b.WriteString("\n\n## To gain time\n\nEach of these is temporary, the least invasive first. Note it (`windsock incident mark`), and take it back.\n\n")
	for _, m := range p.Mitigations {
		fmt.Fprintf(&b, "* %s\n%s  Back: %s. Look again after %s.\n", linked(sentence(m.What)), shell("  ", m.Command), wayBack(m.Revert), runbook.Lasting(m.Expires))
	}
	if len(p.Commands) > 0 {
		b.WriteString("\n## Commands\n\n" + commandList(p.Commands))
	}
	fmt.Fprintf(&b, "\n## Escalate\n\n%s Whom: [escalation.md](escalation.md).\n\n## The end\n\n%s\n\n## For the postmortem\n\n", linked(p.Escalate), linked(p.Over))
	for _, item := range p.Items {
		fmt.Fprintf(&b, "* %s\n", sentence(item))
	}
	b.WriteString(questions(p, rules))
	return b.Bytes()
}

// seenBy is which causes and rules lead to the page.
func seenBy(p *runbook.Page, rules []alerts.Rule) string {
	var b strings.Builder
	if all := causesOf(p.Branch); len(all) > 0 {
		b.WriteString("\n## Causes\n\n| cause | what was seen |\n|---|---|\n")
		for _, c := range all {
			fmt.Fprintf(&b, "| `%s` | %s |\n", c.Cause, cell(c.Doc))
		}
	}
	var hints strings.Builder
	table := "\n## Alerts\n\n| rule | severity | answer within | fires when |\n|---|---|---|---|\n"
	for i := range rules {
		r := &rules[i]
		if r.Runbook != string(p.Branch) {
			continue
		}
		fmt.Fprintf(&b, "%s| %s | %s | %s | %s |\n", table, r.Name, severities(r), answers(r), cell(firesWhen(r)))
		table = ""
		if hint := runbook.Hint(r.Name); hint != "" {
			fmt.Fprintf(&hints, "* %s: %s\n", r.Name, linked(hint))
		}
	}
	if hints.Len() > 0 {
		b.WriteString("\n" + hints.String())
	}
	return b.String()
}

func causesOf(b runbook.Branch) []checks.CauseInfo {
	var all []checks.CauseInfo
	for _, c := range checks.Causes() {
		if runbook.Of(c.Cause, c.Blame, "chat") == b {
			all = append(all, c)
		}
	}
	return all
}

// answers is within what time somebody answers, for each severity that a rule can have.
func answers(r *alerts.Rule) string {
	all := []string{runbook.ResponseTime(r.Severity)}
	for _, e := range r.Escalations {
		if last := runbook.ResponseTime(e.Severity); last != all[len(all)-1] {
			all = append(all, last)
		}
	}
	return strings.Join(all, " → ")
}

// questions are what the page's rules ask of Prometheus; "" where none does.
func questions(p *runbook.Page, rules []alerts.Rule) string {
	var b strings.Builder
	for i := range rules {
		if rules[i].Runbook == string(p.Branch) {
			b.WriteString(question(&rules[i]))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n## What is asked of Prometheus\n\nBy the metric names of the checklist. An empty answer is not zero: it says that nobody knows.\n" + b.String()
}

// question is what a rule of the traffic layer asks Prometheus; "" for any other.
func question(r *alerts.Rule) string {
	name, ok := strings.CutPrefix(r.When.Metric, "query.")
	if !ok {
		return ""
	}
	q, ok := traffic.Find(traffic.Checklist(), name)
	if !ok {
		return ""
	}
	return fmt.Sprintf("\n%s (%s):\n\n```promql\n%s\n```\n\n```sh\ncurl -sS -m 10 --get PROMETHEUS_URL/api/v1/query --data-urlencode 'query=%s'\n```\n",
		r.Name, q.Doc, q.PromQL, strings.ReplaceAll(q.PromQL, "'", `'\''`))
}

// shell is a block with one line, below a point of a list; "" without a line.
func shell(indent, line string) string {
	if line == "" {
		return ""
	}
	return "\n" + indent + "```sh\n" + indent + line + "\n" + indent + "```\n\n"
}

func commandList(commands []runbook.Command) string {
	var b strings.Builder
	for _, c := range commands {
		what := linked(sentence(c.What))
		if c.Changes {
			what += " **Changes something.**"
		}
		fmt.Fprintf(&b, "* %s\n%s", what, shell("  ", c.Line))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// wayBack is a command as one, and words as they are.
func wayBack(text string) string {
	for _, program := range []string{"kubectl ", "systemctl ", "apt-get ", "resolvectl ", "windsock ", "rm "} {
		if strings.HasPrefix(text, program) {
			return "`" + text + "`"
		}
	}
	return linked(text)
}

// sentence is text with an end.
func sentence(text string) string {
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// linked makes links of the names of pages.
func linked(text string) string {
	return regexp.MustCompile(`[a-z][a-z-]*\.md`).ReplaceAllString(text, "[$0]($0)")
}

// Written are the pages of docs/runbook that people write, and into which something is filled, by their path below docs.
func Written() []string { return slices.Sorted(maps.Keys(blocksOf(nil))) }

// WithRunbook fills what is generated into the pages of docs/runbook that people write, by their path below docs. It is
// an error where one has no place for what belongs there.
func WithRunbook(written map[string][]byte, rules []alerts.Rule) (map[string][]byte, error) {
	filled := map[string][]byte{}
	for path, blocks := range blocksOf(rules) {
		page := string(written[path])
		for name, text := range blocks {
			begin, end := "<!-- Generated by internal/docgen: "+name+". Do not edit: go generate ./checks/all -->\n", "<!-- End of "+name+". -->\n"
			before, rest, begins := strings.Cut(page, begin)
			_, after, ends := strings.Cut(rest, end)
			if !begins || !ends {
				return nil, fmt.Errorf("%s has no place for %s: want the lines\n%s%s", path, name, begin, end)
			}
			page = before + begin + "\n" + text + "\n" + end + after
		}
		filled[path] = []byte(page)
	}
	return filled, nil
}

// blocksOf is what is filled into each page, by the name of its place.
func blocksOf(rules []alerts.Rule) map[string]map[string]string {
	return map[string]map[string]string{
		"runbook/README.md":       {"ends": indexOf(runbook.Pages(), rules), "rules": indexOf(runbook.RulePages(), rules)},
		"runbook/key-rotation.md": rotations(),
		"runbook/rollback.md":     rollbacks(),
		"runbook/escalation.md":   {"times": times()},
	}
}

func indexOf(pages []runbook.Page, rules []alerts.Rule) string {
	var b strings.Builder
	b.WriteString("| page | as a rule | blame | causes | alerts |\n|---|---|---|---|---|\n")
	for i := range pages {
		p := &pages[i]
		var causes, related []string
		for _, c := range causesOf(p.Branch) {
			causes = append(causes, string(c.Cause))
		}
		for j := range rules {
			if rules[j].Runbook == string(p.Branch) {
				related = append(related, rules[j].Name)
			}
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s | %s |\n", p.Title, p.Branch, p.Severity, p.Blame, strings.Join(causes, ", "), strings.Join(related, ", "))
	}
	return b.String()
}

func rotations() map[string]string {
	kubernetes := runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: "DEPLOYMENT", Namespace: "NAMESPACE"}}
	unit := runbook.Deployment{Systemd: &runbook.SystemdUnit{Unit: "UNIT.service"}}
	blocks := map[string]string{}
	for name, s := range map[string]runbook.Setting{
		"gcp":        {Deployment: kubernetes, KeyInEnv: true, Store: runbook.SecretStore{GCP: &runbook.GCPSecret{Secret: "SECRET", Project: "PROJECT"}}},
		"aws":        {Deployment: kubernetes, KeyInEnv: true, Store: runbook.SecretStore{AWS: &runbook.AWSSecret{SecretID: "SECRET_ID", Region: "REGION"}}},
		"kubernetes": {Deployment: kubernetes, KeyInEnv: true, Store: runbook.SecretStore{Kubernetes: &runbook.KubernetesSecret{Secret: "SECRET", Key: "KEY_NAME", Namespace: "NAMESPACE"}}},
		"vault":      {Deployment: kubernetes, KeyInEnv: true, Store: runbook.SecretStore{Vault: &runbook.VaultSecret{Path: "MOUNT/PATH", Field: "FIELD"}}},
		"systemd":    {Deployment: unit, Store: runbook.SecretStore{Systemd: &runbook.SystemdCredential{Credential: "CREDENTIAL"}}},
	} {
		blocks[name] = numbered(s.Rotation())
	}
	return blocks
}

func rollbacks() map[string]string {
	kubernetes := runbook.Setting{Deployment: runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: "DEPLOYMENT", Namespace: "NAMESPACE"}}}
	unit := runbook.Setting{Deployment: runbook.Deployment{Systemd: &runbook.SystemdUnit{Unit: "UNIT.service"}}}
	return map[string]string{"kubernetes": numbered(kubernetes.Rollback()), "resume": numbered(kubernetes.Resume()), "systemd": numbered(unit.Rollback())}
}

func numbered(commands []runbook.Command) string {
	var b strings.Builder
	for i, c := range commands {
		number := strconv.Itoa(i+1) + ". "
		b.WriteString(number + linked(sentence(c.What)) + "\n" + shell(strings.Repeat(" ", len(number)), c.Line))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func times() string {
	var b strings.Builder
	b.WriteString("| severity | somebody answers within |\n|---|---|\n")
	for _, s := range []checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4} {
		fmt.Fprintf(&b, "| %s | %s |\n", s, runbook.ResponseTime(s))
	}
	return b.String()
}
