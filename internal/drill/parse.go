package drill

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/nearest"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

//go:embed scenarios/*.yaml
var own embed.FS

const (
	mostBytes     = 64 << 10 // of a scenario file
	mostScenarios = 200
	// defaultWithin is how long an alert may take where its scenario does not say; defaultResolve is for its end.
	defaultWithin  = 15 * time.Minute
	defaultResolve = 30 * time.Minute
	longest        = 2 * time.Hour // that a scenario may wait: an hour of it takes two minutes at least
)

// Builtin are the scenarios that ship with the agent, by name.
func Builtin() ([]Scenario, error) {
	files, err := own.ReadDir("scenarios")
	if err != nil {
		return nil, fmt.Errorf("reading the agent's own scenarios: %w", err)
	}
	all := make([]Scenario, 0, len(files))
	for _, f := range files {
		data, err := own.ReadFile("scenarios/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the agent's own scenarios: %w", err)
		}
		sc, err := Parse(f.Name(), data)
		if err != nil {
			return nil, err
		}
		sc.File = ""
		all = append(all, *sc)
	}
	return all, nil
}

// Load reads one scenario file.
func Load(path string) (*Scenario, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that nobody writes to is empty, and is not waited for
	if err != nil {
		return nil, fmt.Errorf("reading the scenario: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, fmt.Errorf("reading the scenario: %q is no file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the scenario %q: %w", path, err)
	}
	return Parse(path, data)
}

// LoadDir reads the scenario files of a folder, those that end in .yaml or .yml, by name.
func LoadDir(dir string) ([]Scenario, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the scenarios: %w", err)
	}
	var (
		all  []Scenario
		errs []error
	)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if len(all)+len(errs) == mostScenarios {
			return nil, fmt.Errorf("reading the scenarios: %q holds more than %d", dir, mostScenarios)
		}
		sc, err := Load(filepath.Join(dir, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, *sc)
	}
	if len(all)+len(errs) == 0 {
		errs = append(errs, fmt.Errorf("reading the scenarios: %q holds no .yaml file", dir))
	}
	return all, errors.Join(errs...)
}

// Merge puts a team's scenarios beside others; one of the same name takes the other's place. Two of the team's own with one
// name are an error.
func Merge(base, team []Scenario) ([]Scenario, error) {
	all := slices.Clone(base)
	seen := map[string]string{}
	for i := range team {
		if other, twice := seen[team[i].Name]; twice {
			return nil, fmt.Errorf("%s and %s: both are called %q", other, team[i].File, team[i].Name)
		}
		seen[team[i].Name] = team[i].File
		if at := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == team[i].Name }); at >= 0 {
			all[at] = team[i]
			continue
		}
		all = append(all, team[i])
	}
	slices.SortStableFunc(all, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// UnknownError is a scenario that does not exist.
type UnknownError struct {
	Name, Near string
	Known      []string
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("no scenario is called %q", e.Name)
	if e.Near != "" {
		return text + fmt.Sprintf("; did you mean %q?", e.Near)
	}
	return text + ", want one of " + strings.Join(e.Known, ", ")
}

// Choose takes the named scenarios, in the order of the names. The error is an *UnknownError.
func Choose(all []Scenario, names []string) ([]Scenario, error) {
	known := make([]string, 0, len(all))
	for i := range all {
		known = append(known, all[i].Name)
	}
	var chosen []Scenario
	for _, name := range names {
		at := slices.Index(known, name)
		if at < 0 {
			return nil, &UnknownError{name, nearest.Word(name, known), known}
		}
		if !slices.ContainsFunc(chosen, func(s Scenario) bool { return s.Name == name }) {
			chosen = append(chosen, all[at])
		}
	}
	return chosen, nil
}

// Parse reads a scenario; name stands in the errors, each of which is placed as name:line:column and quotes the line.
func Parse(name string, data []byte) (*Scenario, error) {
	if len(data) > mostBytes {
		return nil, fmt.Errorf("%s: more than %d KiB", name, mostBytes>>10)
	}
	sc := Scenario{File: name}
	doc, err := simulator.Decode(name, data, &sc)
	if err != nil {
		return nil, err
	}
	v := &validation{doc: doc}
	v.scenario(&sc)
	if len(v.errs) > 0 {
		return nil, errors.Join(v.errs...)
	}
	sc.fill()
	return &sc, nil
}

// fill puts in what may be left out.
func (sc *Scenario) fill() {
	if sc.ResolveWithin == 0 {
		sc.ResolveWithin = defaultResolve
	}
	for i := range sc.Expect {
		if sc.Expect[i].Within == 0 {
			sc.Expect[i].Within = defaultWithin
		}
	}
	for i := range sc.Faults {
		f := &sc.Faults[i]
		switch {
		case f.DNS != nil && f.DNS.Answer == "":
			f.DNS.Answer = AnswerNXDomain
		case f.Connect != nil && f.Connect.How == "":
			f.Connect.How = ConnectRefused
		case f.TLS != nil && f.TLS.How == "":
			f.TLS.How = TLSExpired
		case f.Exporter != nil && f.Exporter.How == "":
			f.Exporter.How = ExporterRefuse
		}
	}
}

// The words of faults.
const (
	ModelRetired = "retired"
	ModelMoved   = "moved"

	AnswerNXDomain = "nxdomain"
	AnswerServfail = "servfail"
	AnswerTimeout  = "timeout"

	ConnectRefused     = "refused"
	ConnectTimeout     = "timeout"
	ConnectUnreachable = "unreachable"

	TLSExpired   = "expired"
	TLSWrongHost = "wrong_host"
	TLSUnknownCA = "unknown_ca"

	ExporterRefuse = "refuse"
	ExporterDeny   = "deny"
	ExporterFail   = "fail"

	healthy   = "healthy"
	degraded  = "degraded"
	unhealthy = "unhealthy"
)

type validation struct {
	doc  simulator.Document
	errs []error
}

func (v *validation) bad(path, format string, args ...any) {
	v.errs = append(v.errs, v.doc.Wrong(path, fmt.Sprintf(format, args...)))
}

func (v *validation) scenario(sc *Scenario) {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,47}$`).MatchString(sc.Name) {
		v.bad("$.name", "name: found %q, want small letters, digits and -, at most 48", sc.Name)
	}
	if sc.What == "" || len(sc.What) > 200 || strings.ContainsAny(sc.What, "\r\n") {
		v.bad("$.what", "what: want one line that says what goes wrong, at most 200 bytes")
	}
	v.span("$.hold", "hold", sc.Hold)
	v.span("$.resolve_within", "resolve_within", sc.ResolveWithin)
	if len(sc.Faults) == 0 {
		v.bad("$.faults", "faults: want at least one")
	}
	for i := range sc.Faults {
		v.fault(fmt.Sprintf("$.faults[%d]", i), &sc.Faults[i])
	}
	if len(sc.Expect) == 0 {
		v.bad("$.expect", "expect: want at least one alert that must follow")
	}
	for i := range sc.Expect {
		v.expectation(fmt.Sprintf("$.expect[%d]", i), &sc.Expect[i])
	}
}

func (v *validation) span(path, key string, d time.Duration) {
	if d < 0 || d > longest {
		v.bad(path, "%s: found %s, want at most %s", key, d, longest)
	}
}

func (v *validation) fault(at string, f *Fault) {
	given := 0
	for _, is := range []bool{f.API != nil, f.UsedModel != "", f.DNS != nil, f.Connect != nil, f.TLS != nil, f.App != nil, f.Prometheus != nil, f.Exporter != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		v.bad(at, "want exactly one of api, used_model, dns, connect, tls, app, prometheus and exporter")
	case f.API != nil:
		f.API.EachProblem(func(key, text string) {
			v.bad(strings.TrimSuffix(at+".api."+key, "."), "%s", strings.TrimPrefix(key+": "+text, ": "))
		})
	case f.UsedModel != "":
		v.word(at, "used_model", f.UsedModel, ModelRetired, ModelMoved)
	case f.DNS != nil:
		v.hosts(at+".dns", f.DNS.Hosts)
		v.word(at+".dns", "answer", f.DNS.Answer, AnswerNXDomain, AnswerServfail, AnswerTimeout)
	case f.Connect != nil:
		v.hosts(at+".connect", f.Connect.Hosts)
		v.word(at+".connect", "how", f.Connect.How, ConnectRefused, ConnectTimeout, ConnectUnreachable)
	case f.TLS != nil:
		v.hosts(at+".tls", f.TLS.Hosts)
		v.word(at+".tls", "how", f.TLS.How, TLSExpired, TLSWrongHost, TLSUnknownCA)
	case f.App != nil:
		v.app(at+".app", f.App)
	case f.Prometheus != nil:
		v.prometheus(at+".prometheus", f.Prometheus)
	case f.Exporter != nil:
		v.word(at+".exporter", "how", f.Exporter.How, ExporterRefuse, ExporterDeny, ExporterFail)
		if f.Exporter.Which == "" {
			v.bad(at+".exporter", "which: want backend, notifier or the name of an exporter")
		}
	}
}

func (v *validation) hosts(at string, hosts []string) {
	if len(hosts) == 0 || slices.Contains(hosts, "") {
		v.bad(at+".hosts", "hosts: want provider, reference, all or names of hosts")
	}
}

// word refuses what is none of some words; "" is the default.
func (v *validation) word(at, key, got string, want ...string) {
	if got == "" || slices.Contains(want, got) {
		return
	}
	text := fmt.Sprintf("%s: found %q, want one of %s", key, got, strings.Join(want, ", "))
	if near := nearest.Word(got, want); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	v.bad(at+"."+key, "%s", text)
}

func (v *validation) app(at string, a *SickApp) {
	v.word(at, "health", a.Health, healthy, degraded, unhealthy)
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		v.bad(at+".status", "status: found %d, want 200 to 599", a.Status)
	}
	if *a == (SickApp{}) {
		v.bad(at, "want health, status or refuse")
	}
}

func (v *validation) prometheus(at string, answers map[string]float64) {
	if len(answers) == 0 {
		v.bad(at, "want the name of a question and its answer, such as cost_hour: 25")
	}
	var known []string
	for _, q := range traffic.Questions(traffic.Checklist()) {
		known = append(known, q.Name)
	}
	for name := range answers {
		if !regexp.MustCompile(`^[a-z][a-z0-9_.]{0,63}$`).MatchString(name) {
			v.bad(at, "found the question %q, want the name of a query, such as one of %s", name, strings.Join(known, ", "))
		}
	}
}

func (v *validation) expectation(at string, e *Expectation) {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`).MatchString(e.Rule) {
		v.bad(at+".rule", "rule: found %q, want the name of a rule", e.Rule)
	}
	v.span(at+".within", "within", e.Within)
	for i, s := range e.Severity {
		v.word(fmt.Sprintf("%s.severity[%d]", at, i), "severity", string(s), string(checks.P1), string(checks.P2), string(checks.P3), string(checks.P4))
	}
	var blames []string
	for _, b := range checks.Blames() {
		blames = append(blames, string(b.Blame))
	}
	for i, b := range e.Blame {
		v.word(fmt.Sprintf("%s.blame[%d]", at, i), "blame", string(b), blames...)
	}
}
