package alerts

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"text/template"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Bounds on one rule.
const (
	maxDepth  = 8
	maxLeaves = 64
)

// program is a rule made ready.
type program struct {
	rule      *Rule
	when      node
	worse     []node // of the escalations, in their order
	notes     []node
	leaves    []*leaf // of when and worse; a group has a window for each
	judging   int     // how many of leaves are when's
	groupBy   []string
	groups    map[string]*instance
	summary   *template.Template
	impact    *template.Template
	action    *template.Template
	remembers []*leaf // of the notes
}

// node is a Condition made ready.
type node struct {
	all, any []node
	leaf     *leaf
}

// leaf is one comparison made ready.
type leaf struct {
	*Condition

	program   *program
	index     int // in the program's leaves; of a note in its remembers
	aggregate Aggregate
	kind      exporters.PointKind
	known     exporters.Metric
	runs      int
	span      time.Duration
	ordered   bool // its windows keep their values by size
	summed    bool // and their sum
	group     []ref
	share     []ref
	static    []Matcher // on what a check always is
	dynamic   []Matcher // on what a sample is
	manner    []Matcher // on why the run was made
	fixed     bool      // group and share are known without a sample
	note      *memory   // of a note's leaf
	fullAt    int64     // until when windows may lack samples of before the start, see Missing; 0: they do not
}

// ref is an attribute that samples are told apart by.
type ref struct {
	key    string
	static bool
}

// counts reports whether the metric is a counter.
func (l *leaf) counts() bool { return l.kind == exporters.Counter }

func compile(rule *Rule) (*program, error) {
	p := &program{rule: rule, groups: make(map[string]*instance)}
	if err := p.scalars(); err != nil {
		return nil, fmt.Errorf("rule %q: %w", rule.Name, err)
	}
	if err := p.conditions(); err != nil {
		return nil, fmt.Errorf("rule %q: %w", rule.Name, err)
	}
	p.groupBy = grouping(rule, p.leaves[:p.judging])
	for _, l := range p.leaves {
		l.classify(p.groupBy)
	}
	for _, l := range p.remembers {
		l.classify(nil)
		l.note = &memory{series: make(map[string]*remembered)}
	}
	return p, nil
}

func (p *program) scalars() error {
	r := p.rule
	switch {
	case r.Name == "":
		return errors.New("a rule needs a name")
	case rank(r.Severity) == 0:
		return fmt.Errorf("severity %q is not one of P1, P2, P3, P4", r.Severity)
	case r.For < 0 || r.KeepFiringFor < 0:
		return errors.New("for and keep_firing_for cannot be negative")
	case r.AbsentAfter.Runs != 0 || r.AbsentAfter.Time < 0 || r.AbsentAfter.Intervals < 0:
		return errors.New("absent_after is a time or a number of intervals")
	case r.AbsentAfter.Time > 0 && r.AbsentAfter.Intervals > 0:
		return errors.New("absent_after is a time or a number of intervals, not both")
	}
	for _, text := range []struct {
		name, text string
		to         **template.Template
	}{{"summary", r.Summary, &p.summary}, {"impact", r.Impact, &p.impact}, {"action", r.Action, &p.action}} {
		if text.text == "" {
			continue
		}
		t, err := Text(text.text)
		if err != nil {
			return fmt.Errorf("%s: %w", text.name, err)
		}
		*text.to = t
	}
	return nil
}

func (p *program) conditions() error {
	var err error
	if p.when, err = p.node(&p.rule.When, 0, &p.leaves); err != nil {
		return err
	}
	p.judging = len(p.leaves)
	for i := range p.rule.Escalations {
		s := &p.rule.Escalations[i]
		if rank(s.Severity) == 0 {
			return fmt.Errorf("escalation: severity %q is not one of P1, P2, P3, P4", s.Severity)
		}
		n, err := p.node(&s.When, 0, &p.leaves)
		if err != nil {
			return fmt.Errorf("escalation to %s: %w", s.Severity, err)
		}
		p.worse = append(p.worse, n)
	}
	for i := range p.rule.Notes {
		n, err := p.node(&p.rule.Notes[i].When, 0, &p.remembers)
		if err != nil {
			return fmt.Errorf("note: %w", err)
		}
		p.notes = append(p.notes, n)
	}
	if h := p.rule.Inhibits; h != nil && h.Severity != "" && rank(h.Severity) == 0 {
		return fmt.Errorf("inhibits: severity %q is not one of P1, P2, P3, P4", h.Severity)
	}
	return nil
}

func (p *program) node(c *Condition, depth int, into *[]*leaf) (node, error) {
	set := 0
	for _, yes := range []bool{c.Metric != "", len(c.All) > 0, len(c.Any) > 0} {
		if yes {
			set++
		}
	}
	switch {
	case set != 1:
		return node{}, errors.New("a condition has a metric, or all, or any")
	case depth > maxDepth:
		return node{}, fmt.Errorf("conditions are nested more than %d deep", maxDepth)
	case c.Metric != "":
		if len(*into) == maxLeaves {
			return node{}, fmt.Errorf("more than %d conditions", maxLeaves)
		}
		l, err := newLeaf(p, c)
		if err != nil {
			return node{}, fmt.Errorf("%s: %w", c.Metric, err)
		}
		l.index = len(*into)
		*into = append(*into, l)
		return node{leaf: l}, nil
	}
	var n node
	var err error
	if n.all, err = p.nodes(c.All, depth, into); err != nil {
		return node{}, err
	}
	n.any, err = p.nodes(c.Any, depth, into)
	return n, err
}

func (p *program) nodes(all []Condition, depth int, into *[]*leaf) ([]node, error) {
	var out []node
	for i := range all {
		n, err := p.node(&all[i], depth+1, into)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func newLeaf(p *program, c *Condition) (*leaf, error) {
	l := &leaf{Condition: c, program: p, aggregate: c.Aggregate, runs: c.Window.Runs, span: c.Window.Time}
	l.known, _ = exporters.Lookup(c.Metric)
	l.kind = l.known.Kind
	if l.aggregate == "" {
		l.aggregate = Last
	}
	if c.Window.IsZero() {
		l.runs = 1
	}
	l.ordered = l.aggregate.ordered()
	l.summed = l.aggregate == Avg || l.aggregate == Sum || (l.aggregate == Rate && l.counts())
	switch {
	case !slices.Contains(Aggregates(), l.aggregate):
		return nil, fmt.Errorf("aggregate %q is not one of %v", c.Aggregate, Aggregates())
	case c.Op != Above && c.Op != Below && c.Op != Equals:
		return nil, fmt.Errorf("comparison %q is not one of above, below, equals", c.Op)
	case math.IsNaN(c.Threshold) || math.IsInf(c.Threshold, 0):
		return nil, errors.New("the threshold is not a number")
	case c.MinSamples < 0:
		return nil, errors.New("min_samples cannot be negative")
	}
	return l, l.bounds()
}

func (l *leaf) bounds() error {
	w := l.Window
	switch {
	case w.Runs < 0 || w.Time < 0 || w.Intervals < 0:
		return errors.New("a window cannot be negative")
	case w.Intervals > 0:
		return errors.New("a window is a time or a number of runs")
	case w.Runs > 0 && w.Time > 0:
		return errors.New("a window is a time or a number of runs, not both")
	case w.Runs > maxSamples:
		return fmt.Errorf("a window has at most %d runs", maxSamples)
	case l.Share != nil && (l.Share.AtLeast < 0 || l.Share.AtLeast > 1 || math.IsNaN(l.Share.AtLeast)):
		return errors.New("a share is between 0 and 1")
	case l.Share != nil && len(l.Share.Of) == 0:
		return errors.New("a share needs the attributes that tell its members apart")
	}
	for _, m := range l.Match {
		if m.Attr == "" {
			return errors.New("a match without an attribute")
		}
	}
	return nil
}

// grouping is by what there is one alert each: what the rule says, or what all of its metrics have by default.
func grouping(r *Rule, leaves []*leaf) []string {
	if r.GroupBy != nil {
		return slices.Compact(slices.Sorted(slices.Values(r.GroupBy)))
	}
	by := leaves[0].grouping()
	for _, l := range leaves[1:] {
		other := l.grouping()
		by = slices.DeleteFunc(by, func(key string) bool { return !slices.Contains(other, key) })
	}
	return by
}

// grouping is the metric's default without the attributes that tell the members of its share apart.
func (l *leaf) grouping() []string {
	var by []string
	if !l.known.Self {
		by = append(by, "check")
	}
	if l.kind == exporters.Gauge || l.known.Self {
		by = append(by, l.known.Attrs...)
	}
	if l.Share != nil {
		by = slices.DeleteFunc(by, func(key string) bool { return slices.Contains(l.Share.Of, key) })
	}
	slices.Sort(by)
	return by
}

// classify tells what a check always is from what only a sample can say.
func (l *leaf) classify(groupBy []string) {
	for _, m := range l.Match {
		switch {
		case m.Attr == "trigger":
			l.manner = append(l.manner, m)
		case l.constant(m.Attr):
			l.static = append(l.static, m)
		default:
			l.dynamic = append(l.dynamic, m)
		}
	}
	l.fixed = true
	refs := func(keys []string) []ref {
		var out []ref
		for _, key := range keys {
			out = append(out, ref{key, l.constant(key)})
			l.fixed = l.fixed && l.constant(key)
		}
		return out
	}
	l.group = refs(groupBy)
	if l.Share != nil {
		l.share = refs(l.Share.Of)
	}
}

// constant reports whether the attribute is the same for all samples of a check.
func (l *leaf) constant(key string) bool {
	switch key {
	case "check", "kind", "provider", "location", "paid":
		return !l.known.Self
	case "status", "cause", "blame", "trigger":
		return false
	}
	// A label of the check, unless the metric has an attribute of that name: of metrics outside the catalogue nobody knows.
	return l.known.Name != "" && !l.known.Self && !slices.Contains(l.known.Attrs, key)
}

// rank orders severities, the worst first; 0 for none.
func rank(s checks.Severity) int {
	return 1 + slices.Index([]checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4}, s)
}
