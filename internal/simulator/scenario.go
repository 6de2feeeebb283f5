package simulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxScenario is the longest scenario file, in bytes.
const maxScenario = 256 << 10

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

// decodeStrict decodes one YAML (or JSON) document into a struct; every error says where it is and what was wanted.
func decodeStrict(name string, data []byte, into any) (ast.Node, error) {
	if len(data) > maxScenario {
		return nil, fmt.Errorf("%s: more than %d KiB", name, maxScenario>>10)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, placedYAML(name, data, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType {
		return nil, fmt.Errorf("%s: want one document", name)
	}
	root := file.Docs[0].Body
	checker := &keyChecker{}
	checker.check(root, reflect.TypeOf(into).Elem())
	if len(checker.wrong) > 0 {
		var all []error
		for _, w := range checker.wrong {
			all = append(all, placed(name, data, w.node, w.text))
		}
		return nil, errors.Join(all...)
	}
	if err := yaml.NodeToValue(root, into, yaml.Strict()); err != nil {
		return nil, placedYAML(name, data, err)
	}
	return root, nil
}

// keyChecker finds all unknown keys at once, where the decoder stops at the first.
type keyChecker struct {
	wrong []struct {
		node ast.Node
		text string
	}
}

func (k *keyChecker) add(node ast.Node, text string) {
	k.wrong = append(k.wrong, struct {
		node ast.Node
		text string
	}{node, text})
}

func (k *keyChecker) check(node ast.Node, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		k.add(node, "anchors, aliases and tags are not read here; write the value out")
	case *ast.SequenceNode:
		for _, v := range n.Values {
			k.check(v, element(t, reflect.Slice))
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			k.pair(v, t)
		}
	case *ast.MappingValueNode:
		k.pair(n, t)
	}
}

// element is the type of what is in a slice or a map; any other type stands for itself, and the decoder will object.
func element(t reflect.Type, kind reflect.Kind) reflect.Type {
	if t.Kind() == kind {
		return t.Elem()
	}
	return t
}

func (k *keyChecker) pair(v *ast.MappingValueNode, t reflect.Type) {
	key := v.Key.String()
	if _, merge := v.Key.(*ast.MergeKeyNode); merge {
		k.add(v.Key, "anchors, aliases and tags are not read here; write the value out")
		return
	}
	if t.Kind() != reflect.Struct {
		k.check(v.Value, element(t, reflect.Map))
		return
	}
	var known []string
	for field := range t.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if tag == strings.Trim(key, `"'`) {
			k.check(v.Value, field.Type)
			return
		}
		known = append(known, tag)
	}
	text := fmt.Sprintf("unknown key %q", strings.Trim(key, `"'`))
	if near := nearest(strings.Trim(key, `"'`), known); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	k.add(v.Key, text+" (known: "+strings.Join(known, ", ")+")")
}

// nearest is the known word that is at most two edits away, or that the word begins.
func nearest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := edits(word, k); d < distance {
			best, distance = k, d
		}
	}
	for _, k := range known {
		if best == "" && len(word) > 2 && (strings.HasPrefix(k, word) || strings.HasPrefix(word, k)) {
			best = k
		}
	}
	return best
}

func edits(a, b string) int {
	if len(a) > 40 { // no key is
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := previous
			if a[i] != b[j] {
				change++
			}
			previous = row[j+1]
			row[j+1] = min(change, row[j]+1, previous+1)
		}
	}
	return row[len(b)]
}

// nodeAt follows a path as problems makes them; where it leads nowhere, as far as it goes.
func nodeAt(root ast.Node, path string) ast.Node {
	for path != "$" && path != "" {
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterNode(root); err == nil && node != nil {
				return node
			}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return root
}

func placed(name string, data []byte, node ast.Node, text string) error {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		node = m.Values[0].Key
	}
	if v, ok := node.(*ast.MappingValueNode); ok {
		node = v.Key
	}
	return placedAt(name, data, node.GetToken(), text)
}

func placedYAML(name string, data []byte, err error) error {
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		return placedAt(name, data, syntax.GetToken(), syntax.GetMessage())
	}
	return fmt.Errorf("%s: %w", name, err)
}

// placedAt is the form of every error in a file: where, what, and the line itself with a mark under the place.
func placedAt(name string, data []byte, at *token.Token, text string) error {
	if at == nil || at.Position == nil {
		return fmt.Errorf("%s: %s", name, text)
	}
	line, column := at.Position.Line, at.Position.Column
	lines := strings.Split(string(data), "\n")
	if line < 1 || line > len(lines) {
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, text)
	}
	source := strings.ToValidUTF8(strings.TrimRight(lines[line-1], "\r"), "?")
	if len(source) > 120 {
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, text)
	}
	return fmt.Errorf("%s:%d:%d: %s\n  %4d | %s\n       | %*s", name, line, column, text, line, source, max(1, column), "^")
}
