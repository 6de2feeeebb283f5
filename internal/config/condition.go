package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const (
	maxConditions = 20
	maxRuns       = 1000
)

// condition reads one condition, with those within it.
func (b *builder) condition(n ast.Node) alerts.Condition {
	var keys conditionKeys
	before := len(b.problems)
	b.structure(n, reflect.ValueOf(&keys).Elem())
	if len(b.problems) > before {
		return alerts.Condition{} // what depends on it would be told twice
	}
	if len(keys.All)+len(keys.Any) == 0 {
		return b.single(n, &keys)
	}
	if m, ok := asMapping(n); ok && len(m.Values) > 1 {
		b.add(placeOf(n), "", "found %d keys, want `all:` alone, `any:` alone, or `metric:` and what belongs to it", len(m.Values))
	}
	var out alerts.Condition
	for _, list := range []struct {
		from []condition
		into *[]alerts.Condition
	}{{keys.All, &out.All}, {keys.Any, &out.Any}} {
		if len(list.from) > maxConditions {
			b.add(placeOf(n), "", "%d conditions, want at most %d", len(list.from), maxConditions)
			return out
		}
		for _, inner := range list.from {
			*list.into = append(*list.into, b.condition(inner.node))
		}
	}
	return out
}

// single reads a condition with a metric.
func (b *builder) single(n ast.Node, keys *conditionKeys) alerts.Condition {
	out := alerts.Condition{
		Metric: keys.Metric, Aggregate: alerts.Aggregate(keys.Aggregate), Until: keys.Until, MinSamples: keys.MinSamples,
		Match: b.matchers(keys.Match.node),
	}
	if keys.Window.node != nil {
		out.Window = b.window(keys.Window.node, "runs")
	}
	if keys.MinSamples < 0 || keys.MinSamples > 10_000 {
		b.add(locate(n, "min_samples", placeOf(n)), "", "found %d, want 0 to 10000", keys.MinSamples)
	}
	b.share(n, keys.Share, &out)
	if _, given := keyIn(n, "metric"); !given {
		b.add(placeOf(n), "", "the condition has no metric, want `metric:`, `all:` or `any:`")
		return out
	}
	if !b.metric(locate(n, "metric", placeOf(n)), keys.Metric) {
		return out
	}
	if out.Until && !isMoment(out.Metric) {
		b.add(locate(n, "until", placeOf(n)), "", "%s is no Unix time, so there is no time until then", out.Metric)
	}
	op, given := b.compared(keys.Above, keys.Below, keys.Equals)
	if op == "" {
		b.add(placeOf(n), "", "the condition compares with nothing, want `above:`, `below:` or `equals:`")
		return out
	}
	out.Op, out.Threshold = op, b.amount(given.node, &out)
	return out
}

// compared is the one comparison that is given; "" where none is.
func (b *builder) compared(above, below, equals amount) (found alerts.Op, given amount) {
	for _, row := range []struct {
		op    alerts.Op
		value amount
	}{{alerts.Above, above}, {alerts.Below, below}, {alerts.Equals, equals}} {
		switch {
		case row.value.node == nil:
		case found != "":
			b.add(placeOf(row.value.node), "", "found %s and %s, want one of both", found, row.op)
		default:
			found, given = row.op, row.value
		}
	}
	return found, given
}

func (b *builder) share(n ast.Node, keys *share, out *alerts.Condition) {
	if keys == nil {
		return
	}
	out.Share = &alerts.Share{Of: keys.Of}
	for i, name := range keys.Of {
		if !isAttribute(name) {
			b.add(locate(n, fmt.Sprintf("share.of.%d", i), placeOf(n)), "", "found the attribute %s, want a name such as check", quote(name))
		}
	}
	if keys.AtLeast.node == nil {
		return
	}
	value, unit, ok := quantity(keys.AtLeast.node)
	if !ok || unit == unitSeconds || value < 0 || value > 1 {
		b.wrong(keys.AtLeast.node, "a share such as 50% or 0.5")
		return
	}
	out.Share.AtLeast = value
}

// metric checks a name. Names that a check makes are left to the lint, which knows the checks.
func (b *builder) metric(at place, name string) bool {
	m, known := exporters.Lookup(name)
	switch {
	case known && m.Page:
		b.add(at, "", "the metric %s is made for the Prometheus page, and no rule can see it", name)
	case known, strings.HasPrefix(name, "query.") && len(name) > len("query."):
		return true
	default:
		names := metricNames()
		hint := near(name, names)
		prefix, _, dotted := strings.Cut(name, ".")
		if plugin := dotted && hint == "" && !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, prefix+".") }); plugin {
			return true
		}
		if hint == "" {
			hint = "docs/metrics.md lists them"
		}
		b.add(at, hint, "no metric is called %s", quote(name))
	}
	return false
}

func metricNames() []string {
	rows := exporters.Catalogue()
	names := make([]string, 0, len(rows))
	for i := range rows {
		names = append(names, rows[i].Name)
	}
	return names
}

// isMoment reports whether the values of a metric are Unix times.
func isMoment(name string) bool {
	m, known := exporters.Lookup(name)
	return !known || strings.HasPrefix(m.Doc, "Unix time ")
}

// unit is what a number of the file says of itself.
type unit string

const (
	unitNone    unit = ""
	unitSeconds unit = "a duration"
	unitPercent unit = "a percentage"
)

// quantity reads a number, a duration in seconds or a percentage, as a part of 1.
func quantity(n ast.Node) (value float64, of unit, ok bool) {
	if f, err := strconv.ParseFloat(decimals(n), 64); err == nil && !math.IsInf(f, 0) {
		return f, unitNone, true
	}
	s, isText := n.(*ast.StringNode)
	if !isText {
		return 0, "", false
	}
	if number, found := strings.CutSuffix(s.Value, "%"); found {
		if !regexp.MustCompile(percentPattern).MatchString(s.Value) {
			return 0, "", false
		}
		f, err := strconv.ParseFloat(number, 64)
		return f / 100, unitPercent, err == nil
	}
	if !regexp.MustCompile(durationPattern).MatchString(s.Value) {
		return 0, "", false
	}
	d, err := params.ParseDuration(s.Value)
	return d.Seconds(), unitSeconds, err == nil && d >= 0
}

// amount reads a threshold in the unit of what the condition makes of its metric.
func (b *builder) amount(n ast.Node, c *alerts.Condition) float64 {
	value, given, ok := quantity(n)
	if !ok {
		b.wrong(n, "a number, a duration such as 5s, or a percentage such as 10%")
		return 0
	}
	m, known := exporters.Lookup(c.Metric)
	if given == unitNone || !known {
		return value
	}
	hint := ""
	switch what := unitOf(m, c); {
	case given == unitSeconds && what == "seconds", given == unitPercent && what == "":
		return value
	case given == unitPercent && what == "%":
		return value * 100
	case what == "a Unix time":
		hint = "say `until: true` to compare the time until then"
		fallthrough
	default:
		if what == "" {
			what = "a plain number"
		}
		b.add(placeOf(n), hint, "found %s, which is %s, but %s is %s", describe(n), given, named(c), what)
	}
	return value
}

func named(c *alerts.Condition) string {
	if c.Aggregate == alerts.Count || c.Aggregate == alerts.Rate {
		return "the " + string(c.Aggregate) + " of " + c.Metric
	}
	return c.Metric
}

// unitOf names the unit of what is compared: "" of a plain number.
func unitOf(m exporters.Metric, c *alerts.Condition) string {
	switch {
	case c.Aggregate == alerts.Count:
		return "a number of samples"
	case c.Aggregate == alerts.Rate:
		return "per second"
	case isMoment(m.Name) && c.Until:
		return "seconds"
	case isMoment(m.Name):
		return "a Unix time"
	case m.Unit == "s":
		return "seconds"
	case strings.Contains(m.Name, ".usd"):
		return "US dollars"
	case m.Unit == "", m.Unit == "%":
		return m.Unit
	case m.Unit == "By":
		return "bytes"
	}
	return strings.Trim(m.Unit, "{}") + "s"
}

// window reads a duration, or a number of runs or of intervals.
func (b *builder) window(n ast.Node, counted string) alerts.Window {
	want := fmt.Sprintf("a duration such as 5m, or %s such as 3 %s", counted, counted)
	s, ok := n.(*ast.StringNode)
	if !ok {
		b.wrong(n, want)
		return alerts.Window{}
	}
	if number, word, found := strings.Cut(s.Value, " "); found {
		count, err := strconv.Atoi(number)
		singular := strings.TrimSuffix(counted, "s")
		switch {
		case word != counted && word != singular || err != nil || strings.HasPrefix(number, "+"):
			b.wrong(n, want)
		case count < 1 || count > maxRuns:
			b.add(placeOf(n), "", "found %s, want 1 to %d %s", describe(n), maxRuns, counted)
		case counted == "runs":
			return alerts.Window{Runs: count}
		default:
			return alerts.Window{Intervals: count}
		}
		return alerts.Window{}
	}
	d, err := params.ParseDuration(s.Value)
	switch {
	case err != nil:
		b.wrong(n, want)
	case d < time.Second || d > maxWindow:
		b.add(placeOf(n), "", "found %s, want 1s to %s", describe(n), short(maxWindow))
	default:
		return alerts.Window{Time: d}
	}
	return alerts.Window{}
}

// matchers reads which samples, alerts or checks are meant.
func (b *builder) matchers(n ast.Node) []alerts.Matcher {
	if n == nil {
		return nil
	}
	m, ok := asMapping(n)
	if !ok {
		b.wrong(n, "a mapping of attributes, such as {kind: chat}")
		return nil
	}
	var out []alerts.Matcher
	for _, p := range b.pairs(m) {
		if !isAttribute(p.key) {
			b.add(p.at, "", "found the attribute %s, want letters, digits, _, . and -, beginning with a letter", quote(p.key))
			continue
		}
		if matcher, ok := b.matcher(p); ok {
			out = append(out, matcher)
		}
	}
	return out
}

func (b *builder) matcher(p pair) (out alerts.Matcher, ok bool) {
	out.Attr = p.key
	switch v := p.value.(type) {
	case *ast.BoolNode:
		out.In = []string{strconv.FormatBool(v.Value)}
		return out, true
	case *ast.SequenceNode:
		return b.matchList(v, out)
	}
	text, ok := b.value(p.value)
	if !ok {
		return out, false
	}
	text, out.Not = strings.CutPrefix(text, "!")
	pattern, isPattern := strings.CutPrefix(text, "~")
	if !isPattern {
		out.In = []string{text}
		return out, true
	}
	re, err := wholePattern(pattern)
	if err != nil {
		b.add(placeOf(p.value), "", "the pattern %s cannot be read: %s", quote(pattern), patternFault(err))
		return out, false
	}
	out.Regexp = re
	return out, true
}

func (b *builder) matchList(list *ast.SequenceNode, out alerts.Matcher) (alerts.Matcher, bool) {
	if len(list.Values) == 0 {
		b.wrong(list, "at least one value")
		return out, false
	}
	for _, item := range list.Values {
		text, ok := b.value(item)
		if !ok {
			return out, false
		}
		if strings.HasPrefix(text, "!") || strings.HasPrefix(text, "~") {
			b.add(placeOf(item), `one pattern can say it: "~a|b", "!~a|b"`, "found %s in a list, where only plain values stand", describe(item))
			return out, false
		}
		out.In = append(out.In, text)
	}
	return out, true
}

// value reads a value of an attribute: text, which patterns may make look like ${.
func (b *builder) value(n ast.Node) (string, bool) {
	sub := b.decoder
	sub.params = true
	return sub.text(n)
}

// wholePattern makes a pattern match whole values. One that begins with ^ or ends with $ is open at its other side.
func wholePattern(text string) (*regexp.Regexp, error) {
	const most = 1000
	if len(text) > most {
		return nil, fmt.Errorf("it is longer than %d characters", most)
	}
	if _, err := regexp.Compile(text); err != nil {
		return nil, err //nolint:wrapcheck // who asks says what of
	}
	before, after := "", ""
	switch begins, ends := strings.HasPrefix(text, "^"), strings.HasSuffix(text, "$") && !strings.HasSuffix(text, `\$`); {
	case begins && !ends:
		after = ".*"
	case ends && !begins:
		before = ".*"
	}
	return regexp.Compile("^" + before + "(?:" + text + ")" + after + "$") //nolint:wrapcheck // who asks says what of
}

// patternFault is what is wrong with a pattern, without the pattern.
func patternFault(err error) string {
	if fault, ok := err.(*syntax.Error); ok { //nolint:errorlint // the library's own, not wrapped
		return string(fault.Code)
	}
	return err.Error()
}
