package simulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxScenario is the longest scenario file, in bytes.
const maxScenario = 64 << 10

// Scenario is a story in phases. The clock starts when the server does.
type Scenario struct {
	Name   string  `yaml:"name,omitempty"`
	Repeat bool    `yaml:"repeat,omitempty"` // begin again after the last phase; without it the last one stays
	Faults []Fault `yaml:"faults,omitempty"` // in every phase, under those of the phase
	Phases []Phase `yaml:"phases,omitempty"`
}

// Phase is a part of the story.
type Phase struct {
	Name   string        `yaml:"name"`
	After  time.Duration `yaml:"after,omitempty"` // how long it lasts: after that the next begins. Of the last phase it counts only where the scenario repeats
	Faults []Fault       `yaml:"faults,omitempty"`
}

// Total is the length of one round of all phases.
func (sc *Scenario) Total() time.Duration {
	var d time.Duration
	for _, p := range sc.Phases {
		d += p.After
	}
	return d
}

// Compress returns the scenario with a timeline n times as fast. It leaves the latencies as they are: Options.Speed
// divides those, once. The receiver stays as it is.
func (sc *Scenario) Compress(n float64) *Scenario {
	fast := *sc
	fast.Faults = slices.Clone(sc.Faults)
	fast.Phases = slices.Clone(sc.Phases)
	for i := range fast.Phases {
		p := &fast.Phases[i]
		p.Faults = slices.Clone(p.Faults)
		if n > 0 && p.After > 0 {
			p.After = max(1, time.Duration(float64(p.After)/n))
		}
	}
	return &fast
}

// at finds the phase that the clock is in, counted on over repetitions, and the time to the next; negative where there is
// none.
func (sc *Scenario) at(elapsed time.Duration) (n int, next time.Duration) {
	count := len(sc.Phases)
	if count == 0 {
		return -1, -1
	}
	if total := sc.Total(); sc.Repeat && total > 0 {
		n = count * int(elapsed/total)
		elapsed %= total
	}
	for i, p := range sc.Phases {
		last := i == count-1
		if elapsed < p.After || last {
			if last && !sc.Repeat {
				return n + i, -1
			}
			return n + i, p.After - elapsed
		}
		elapsed -= p.After
	}
	return n, -1 // not reached: the last phase returned
}

// begins is the moment of phase n, from the start.
func (sc *Scenario) begins(n int) time.Duration {
	d := time.Duration(n/len(sc.Phases)) * sc.Total()
	for _, p := range sc.Phases[:n%len(sc.Phases)] {
		d += p.After
	}
	return d
}

func (sc *Scenario) name(n int) string {
	if n < 0 {
		return ""
	}
	return sc.Phases[n%len(sc.Phases)].Name
}

// Validate says everything that is wrong with the scenario, in one error.
func (sc *Scenario) Validate() error {
	var all []error
	for _, p := range sc.problems() {
		all = append(all, errors.New(strings.TrimPrefix(p.key, "$.")+": "+p.text))
	}
	return errors.Join(all...)
}

// problems has YAML paths for keys, so that a file can be pointed into.
func (sc *Scenario) problems() []problem {
	var out []problem
	if len(sc.Phases) == 0 && len(sc.Faults) == 0 {
		out = append(out, problem{"$", "want phases, or faults that are always there"})
	}
	out = append(out, faultProblems("$", sc.Faults)...)
	names := map[string]bool{}
	for i, p := range sc.Phases {
		at := "$.phases[" + strconv.Itoa(i) + "]"
		if names[p.Name] && p.Name != "" {
			out = append(out, problem{at + ".name", fmt.Sprintf("%q is the name of another phase too", p.Name)})
		}
		names[p.Name] = true
		out = append(out, p.problems(at, i < len(sc.Phases)-1 || sc.Repeat)...)
		out = append(out, faultProblems(at, p.Faults)...)
	}
	return out
}

func (p *Phase) problems(at string, ends bool) []problem {
	var out []problem
	if p.Name == "" {
		out = append(out, problem{at, "a phase needs a name"})
	}
	switch {
	case p.After < 0, p.After > 0 && p.After < time.Microsecond, p.After > 1000*time.Hour:
		out = append(out, problem{at + ".after", "want 1us to 1000h"})
	case p.After == 0 && ends:
		out = append(out, problem{at, fmt.Sprintf("phase %q needs after: how long it lasts, as 10s", p.Name)})
	}
	return out
}

func faultProblems(at string, faults []Fault) []problem {
	var out []problem
	for i := range faults {
		for _, p := range faults[i].problems() {
			if p.key != "" {
				p.key = "." + p.key
			}
			out = append(out, problem{at + ".faults[" + strconv.Itoa(i) + "]" + p.key, p.text})
		}
	}
	return out
}

// LoadScenario reads a scenario file.
func LoadScenario(path string) (*Scenario, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("reading scenario: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxScenario+1))
	if err != nil {
		return nil, fmt.Errorf("reading scenario %q: %w", path, err)
	}
	return ParseScenario(path, data)
}

// ParseScenario reads a scenario; name stands in the errors, each of which is placed as name:line:column and quotes the
// line. Anchors and aliases are refused: they are how a small file becomes a large one.
func ParseScenario(name string, data []byte) (*Scenario, error) {
	var sc Scenario
	root, err := decodeStrict(name, data, &sc)
	if err != nil {
		return nil, err
	}
	var all []error
	for _, p := range sc.problems() {
		all = append(all, placed(name, data, nodeAt(root, p.key), p.text))
	}
	if len(all) > 0 {
		return nil, errors.Join(all...)
	}
	return &sc, nil
}
