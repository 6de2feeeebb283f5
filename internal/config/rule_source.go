package config

import (
	"fmt"
	"strings"
)

// RuleSource is where the rules stand in the file, for who finds something wrong with them that takes more than the file to
// know. It holds the whole file, and is of no use once the agent runs.
type RuleSource struct {
	b     *builder
	index map[string]int // of the rules of the file, by name
}

// RuleFault is what is wrong with a field of a rule: when.window, or name for the rule as a whole.
type RuleFault struct{ Rule, Field, Text, Hint string }

func (b *builder) ruleSource(given []rule) *RuleSource {
	s := &RuleSource{b: b, index: make(map[string]int, len(given))}
	for i := range given {
		s.index[given[i].Name] = i
	}
	return s
}

func (s *RuleSource) path(rule, field string) (string, bool) {
	i, ok := s.index[rule]
	return fmt.Sprintf("alerts.rules.%d.%s", i, field), ok
}

// Given reports whether the file writes a field of a rule.
func (s *RuleSource) Given(rule, field string) bool {
	path, ok := s.path(rule, field)
	return ok && s.b.nodeAt(path) != nil
}

// Bare reports whether the file writes a number without a unit. A threshold of a built-in rule may stand outside of `when`.
func (s *RuleSource) Bare(rule, field string) bool {
	for _, at := range []string{field, strings.TrimPrefix(field, "when.")} {
		path, _ := s.path(rule, at)
		if n := s.b.nodeAt(path); n != nil && s.Given(rule, at) {
			_, given, ok := quantity(n)
			return ok && given == unitNone
		}
	}
	return false
}

// Errors are the faults in their places and in the order of the file; nil where there are none. Beyond a hundred they are
// counted only.
func (s *RuleSource) Errors(faults []RuleFault) *Errors {
	rep := s.b.fork()
	for _, f := range faults {
		if len(rep.problems) >= maxProblems {
			rep.more++ // thousands need no place
			continue
		}
		at := s.b.at("alerts")
		if path, ok := s.path(f.Rule, f.Field); ok {
			at = s.b.at(path)
		}
		rep.add(at, f.Hint, "%s", f.Text)
	}
	if len(rep.problems) == 0 {
		return nil
	}
	return &Errors{problems: rep.sorted(rep.problems), more: rep.more, masked: rep.masked}
}

// More is how many problems there are beside those of List.
func (e *Errors) More() int { return e.more }
