// Package ruletest runs users' tests of alert rules: what checks measure is written down, the engine of the agent judges it
// second by second, and what it says is held against what was expected. It measures nothing, tells nobody and knows no clock
// but the one of the test.
package ruletest

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
)

// Setup is what is tested.
type Setup struct {
	Rules  []alerts.Rule
	Checks []alerts.Check
}

// File is a file of tests that can be run.
type File struct {
	Name  string
	setup Setup
	tests []prepared
}

// document is a file as it is written.
type document struct {
	Config string         `yaml:"config"` // below the folder of the file
	Alerts config.Section `yaml:"alerts"` // in its place: rules as the configuration has them
	Checks []target       `yaml:"checks"` // with alerts
	Tests  []test         `jsonschema:"required" yaml:"tests"`
}

// target is a check that exists for the test only.
type target struct {
	Name     string            `jsonschema:"required" yaml:"name"`
	Kind     string            `yaml:"kind"`
	Provider string            `yaml:"provider"`
	Location string            `yaml:"location"`
	Labels   map[string]string `yaml:"labels"`
	Paid     bool              `yaml:"paid"`
	Every    *time.Duration    `yaml:"every"` // default 1m
}

type test struct {
	Name        string          `jsonschema:"required" yaml:"name"`
	Start       string          `yaml:"start"`    // RFC 3339
	Interval    *time.Duration  `yaml:"interval"` // of the series; default 1m
	Rules       []string        `yaml:"rules"`    // that are expected to say nothing else; default: those that are named
	Series      []series        `yaml:"series"`
	Runs        []run           `yaml:"runs"`
	Restarts    []time.Duration `yaml:"restarts"`
	Expect      []expectation   `yaml:"expect"`
	Transitions *[]transition   `yaml:"transitions"`
}

// series is what a check, or the agent itself where there is none, measures at each interval.
type series struct {
	Metric string            `jsonschema:"required" yaml:"metric"`
	Check  string            `yaml:"check"`
	Attrs  map[string]string `yaml:"attrs"`
	Values samples           `jsonschema:"required" yaml:"values"`
}

// samples is text in the notation of parseValues. A single number needs no quotes.
type samples string

// UnmarshalYAML reads text, or one number.
func (s *samples) UnmarshalYAML(decode func(any) error) error {
	var number float64
	if decode(&number) == nil {
		*s = samples(strconv.FormatFloat(number, 'g', -1, 64))
		return nil
	}
	var text string
	err := decode(&text)
	*s = samples(text)
	return err
}

// run is one run of a check, or several with the same end.
type run struct {
	Check        string             `jsonschema:"required" yaml:"check"`
	At           time.Duration      `yaml:"at"`    // when it begins
	Every        *time.Duration     `yaml:"every"` // default: the interval of the check
	Count        *int               `yaml:"count"` // default 1
	Status       string             `yaml:"status"`
	Cause        checks.Cause       `yaml:"cause"`
	Blame        checks.Blame       `yaml:"blame"`
	Took         time.Duration      `yaml:"took"`
	Measurements map[string]float64 `yaml:"measurements"`
}

// expectation is all alerts of some rules that are pending or open at a time.
type expectation struct {
	At     time.Duration `jsonschema:"required" yaml:"at"`
	Rules  []string      `yaml:"rules"` // default: those of the test, else those of the alerts, else all
	Alerts []alert       `yaml:"alerts"`
}

type alert struct {
	Rule     string            `jsonschema:"required" yaml:"rule"`
	State    checks.AlertState `jsonschema:"enum=pending,enum=firing,enum=no_data" yaml:"state"`
	Severity checks.Severity   `jsonschema:"enum=P1,enum=P2,enum=P3,enum=P4" yaml:"severity"`
	Labels   map[string]string `yaml:"labels"`
	Muted    *bool             `yaml:"muted"`
}

type transition struct {
	At       *time.Duration    `yaml:"at"`
	Rule     string            `jsonschema:"required" yaml:"rule"`
	State    checks.AlertState `jsonschema:"required,enum=pending,enum=firing,enum=no_data,enum=resolved" yaml:"state"`
	Severity checks.Severity   `jsonschema:"enum=P1,enum=P2,enum=P3,enum=P4" yaml:"severity"`
	Labels   map[string]string `yaml:"labels"`
}

// Read reads the text of a file of tests. configured gives the rules and checks of a configuration: of that which the file
// names, "" where it names none; it is not asked where the file has rules of its own. An error is a *config.Errors where a
// file is at fault.
func Read(name string, data []byte, configured func(path string) (Setup, error)) (*File, error) {
	var written document
	doc := config.Read(name, data, "tests", &written)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	p := &preparer{doc: doc, file: &File{Name: name}}
	if err := p.setup(&written, configured); err != nil {
		return nil, err
	}
	if len(written.Tests) == 0 {
		doc.Add("tests", "", "there is no test")
	}
	names := map[string]bool{}
	for i := range written.Tests {
		t := &written.Tests[i]
		if names[t.Name] || t.Name == "" {
			doc.Add(fmt.Sprintf("tests.%d.name", i), "", "found the name %q, want one that no other test has", t.Name)
		}
		names[t.Name] = true
		p.test(fmt.Sprintf("tests.%d", i), t)
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Run runs the tests, in the order of the file, until ctx ends.
func (f *File) Run(ctx context.Context) ([]Result, error) {
	results := make([]Result, 0, len(f.tests))
	for i := range f.tests {
		result, err := f.tests[i].run(ctx, f.setup)
		if err != nil {
			return results, fmt.Errorf("test %q: %w", f.tests[i].name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// setup finds the rules and the checks that are tested.
func (p *preparer) setup(written *document, configured func(path string) (Setup, error)) error {
	own := written.Alerts.Given()
	switch {
	case own && written.Config != "":
		p.doc.Add("config", "", "the file has rules of its own in `alerts:`, want one of both")
	case !own && len(written.Checks) > 0:
		p.doc.Add("checks", "", "the checks are those of the configuration; checks of the test's own go with rules of its own, in `alerts:`")
	}
	if err := p.doc.Err(); err != nil {
		return err
	}
	if own {
		p.file.setup.Rules = p.doc.Alerts().Rules
		p.targets(written.Checks)
		return p.doc.Err()
	}
	path := written.Config
	if path != "" {
		path = p.doc.Path(path)
	}
	setup, err := configured(path)
	if err != nil {
		return fmt.Errorf("the configuration of %s: %w", p.file.Name, err)
	}
	p.file.setup = setup
	return nil
}

func (p *preparer) targets(written []target) {
	for i := range written {
		t := &written[i]
		every := time.Minute
		if t.Every != nil {
			every = *t.Every
		}
		if every < time.Second {
			p.doc.Add(fmt.Sprintf("checks.%d.every", i), "", "found %s, want 1s or more", every)
		}
		if _, twice := p.check(t.Name); twice || t.Name == "" {
			p.doc.Add(fmt.Sprintf("checks.%d.name", i), "", "found the name %q, want one that no other check has", t.Name)
		}
		p.file.setup.Checks = append(p.file.setup.Checks, alerts.Check{
			Name: t.Name, Kind: t.Kind, Provider: t.Provider, Location: t.Location, Labels: t.Labels, Paid: t.Paid, Interval: every,
			Due: func(last time.Time, n int) time.Time { return last.Add(time.Duration(n) * every) },
		})
	}
}
