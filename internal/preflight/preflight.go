// Package preflight goes through the checklist before a deployment, item by item, and says of each what shows it. What is
// not shown is blocked, and never passes. It runs the programs that the configuration names for it and no others, sends
// canaries and generated keys and never a live one to an application, and puts no secret and no output of a program into a report.
package preflight

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// Verdict is what became of an item.
type Verdict string

// The verdicts.
const (
	Pass     Verdict = "pass"     // shown
	Fail     Verdict = "fail"     // measured, and not as it must be
	Blocked  Verdict = "blocked"  // not shown
	Attested Verdict = "attested" // not shown, and somebody stands for it
)

// Place is a place in a file of the target.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	What   string `json:"what,omitempty"`
}

func (p Place) String() string {
	text := p.File
	if p.Line > 0 {
		text = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.What != "" {
		text += ": " + p.What
	}
	return text
}

// Item is one line of the checklist.
type Item struct {
	Item        string       `json:"item"`
	Section     string       `json:"section"`
	Title       string       `json:"title"`
	Verdict     Verdict      `json:"verdict"`
	Detail      string       `json:"detail"`
	ToDo        string       `json:"todo,omitempty"` // what shows it, or what mends it
	Evidence    []string     `json:"evidence,omitempty"`
	Places      []Place      `json:"places,omitempty"`
	MorePlaces  int          `json:"more_places,omitempty"`
	Attestation *Attestation `json:"attestation,omitempty"`
}

// Report is the whole checklist.
type Report struct {
	Environment string          `json:"environment"`
	Target      string          `json:"target,omitempty"`
	Config      string          `json:"config,omitempty"`
	At          time.Time       `json:"at"`
	Took        float64         `json:"took"` // seconds
	Ready       bool            `json:"ready"`
	Interrupted bool            `json:"interrupted,omitempty"`
	Counts      map[Verdict]int `json:"counts"`
	Items       []Item          `json:"items"`
}

// Options is what Run needs.
type Options struct {
	Config     *config.Config // nil: there is none that can be used
	NoConfig   string         // why
	Registry   config.Registry
	Version    string
	Env        string // the environment that is deployed to
	Target     string // in place of the configuration's
	Free       bool   // nothing that costs money
	Getenv     func(string) string
	Scrubber   *secret.Scrubber // learns the canaries and the generated keys
	Production bool             // the rules of production count
	Within     time.Duration    // in which a health route answers; 0: as the checklist says

	// Once runs checks of a configuration by their names through the whole road, budget and store included.
	Once func(ctx context.Context, cfg *config.Config, names []string, each func(*checks.Report)) error
	// Running has the agent that holds the state directory make a run of one of its own checks; nil where none runs.
	Running func(ctx context.Context, name string) (*checks.Report, error)
}

// run is one pass over the checklist.
type run struct {
	o       Options
	cfg     *config.Config // never nil
	target  string         // "" where nobody says
	network *outbound.Network
	began   time.Time
	road    sync.Mutex // one agent at a time holds the state directory

	mu    sync.Mutex // guards found
	found map[string]finding
}

// finding is what was found of an item.
type finding struct {
	verdict  Verdict
	detail   string
	todo     string
	evidence []string
	places   []Place
}

func pass(format string, args ...any) finding {
	return finding{verdict: Pass, detail: fmt.Sprintf(format, args...)}
}

func fail(todo, format string, args ...any) finding {
	return finding{verdict: Fail, todo: todo, detail: fmt.Sprintf(format, args...)}
}

func blocked(todo, format string, args ...any) finding {
	return finding{verdict: Blocked, todo: todo, detail: fmt.Sprintf(format, args...)}
}

// many counts things for a person: "1 call", "2 calls".
func many(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func (f finding) with(evidence ...string) finding {
	f.evidence = append(f.evidence, evidence...)
	return f
}

func (r *run) set(id string, f finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found[id] = f
}

// Run goes through the checklist. It returns when all is known, or soon after ctx has ended: what was not reached then is blocked.
func Run(ctx context.Context, o Options) *Report {
	r := &run{o: o, cfg: o.Config, began: time.Now(), found: map[string]finding{}, target: o.Target}
	if r.cfg == nil {
		r.cfg = &config.Config{}
	}
	if r.target == "" {
		r.target = r.cfg.Preflight.Target
	}
	network, err := outbound.New(outbound.Options{
		HTTPProxy: r.cfg.Network.HTTPProxy, HTTPSProxy: r.cfg.Network.HTTPSProxy, NoProxy: r.cfg.Network.NoProxy, CAFile: r.cfg.Network.CAFile,
		AllowAddresses: r.cfg.Network.AllowAddresses, UserAgent: "windsock/" + o.Version + " (synthetic)",
	})
	if err != nil { // a CA file that is gone: the rest goes on with the system's
		network, _ = outbound.New(outbound.Options{UserAgent: "windsock/" + o.Version + " (synthetic)"})
	}
	r.network = network
	defer network.Close()
	r.configuration(err)
	var groups sync.WaitGroup
	for _, group := range []func(context.Context){r.account, r.alerting, r.sources, r.application, r.documents, r.staging} {
		groups.Go(func() { group(ctx) })
	}
	groups.Wait()
	r.commands(ctx) // alone: a test suite takes the whole machine, and the others look at times
	return r.report(ctx)
}

// configuration judges the file itself, and whether it is of the environment.
func (r *run) configuration(network error) {
	switch {
	case r.o.Config == nil:
		r.set(itemConfig, blocked("give one with --config; `windsock preflight --help` says where it is looked for", "there is none: %s", r.o.NoConfig))
		r.set(itemEnvironment, blocked("add labels: {env: "+r.o.Env+"} to the configuration", "no configuration says which environment it is of"))
		return
	case network != nil:
		r.set(itemConfig, fail("look at network", "%v", network))
	default:
		r.set(itemConfig, pass("%s can be used, with %s", r.cfg.Path, many(len(r.cfg.Checks), "check")))
	}
	switch label := r.cfg.Labels["env"]; label {
	case r.o.Env:
		r.set(itemEnvironment, pass("the label env of the configuration is %s", label))
	case "":
		r.set(itemEnvironment, blocked("add labels: {env: "+r.o.Env+"}", "the configuration has no label env: nothing says that it is that of %s", r.o.Env))
	default:
		r.set(itemEnvironment, fail("give the configuration of "+r.o.Env+" with --config, or --env "+label, "the configuration is that of %s, and the deployment goes to %s", label, r.o.Env))
	}
}

// noConfig is a finding for what only a configuration can say.
func (r *run) noConfig(ids ...string) bool {
	if r.o.Config != nil {
		return false
	}
	for _, id := range ids {
		r.set(id, blocked("give a configuration with --config", "there is no configuration that says what to look at"))
	}
	return true
}

// folder is the target, where it can be looked at.
func (r *run) folder() (string, *finding) {
	if r.target == "" {
		f := blocked("give --target, or add preflight.target", "nobody says where the application's sources are")
		return "", &f
	}
	info, err := os.Stat(r.target)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: r.target, Err: fs.ErrInvalid}
	}
	if err != nil {
		f := blocked("give --target with a folder that is there", "the target cannot be looked at: %v", err)
		return "", &f
	}
	return r.target, nil
}

// report puts what was found into the order of the checklist.
func (r *run) report(ctx context.Context) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &Report{
		Environment: r.o.Env, Target: r.target, Config: r.cfg.Path, At: r.began.UTC().Truncate(time.Second), Took: time.Since(r.began).Round(time.Millisecond).Seconds(),
		Interrupted: ctx.Err() != nil, Counts: map[Verdict]int{}, Ready: ctx.Err() == nil,
	}
	stands := attestations(r.cfg.Preflight.Attestations, r.began)
	for _, line := range checklist(r.o.Production) {
		f, known := r.found[line.id]
		if !known {
			f = blocked("run it again", "not reached: it was interrupted")
		}
		item := Item{Item: line.id, Section: line.section, Title: line.title}
		if line.id == itemAttestations {
			f = stands.file()
		} else {
			stands.judge(&item, &f)
		}
		item.Verdict, item.Detail, item.ToDo, item.Evidence = f.verdict, r.clean(f.detail), r.clean(f.todo), f.evidence
		for i := range item.Evidence {
			item.Evidence[i] = r.clean(item.Evidence[i])
		}
		item.Places = slices.Clone(f.places[:min(len(f.places), mostPlaces)])
		item.MorePlaces = len(f.places) - len(item.Places)
		for i := range item.Places { // a file may have any name
			item.Places[i].File, item.Places[i].What = r.clean(item.Places[i].File), r.clean(item.Places[i].What)
		}
		out.Counts[item.Verdict]++
		out.Ready = out.Ready && (item.Verdict == Pass || item.Verdict == Attested)
		out.Items = append(out.Items, item)
	}
	return out
}

// mostPlaces is how many places of one item a report holds.
const mostPlaces = 50

// clean makes a line for people of what others may have worded.
func (r *run) clean(text string) string {
	return outbound.Sanitize(r.o.Scrubber.String(text), 500)
}
