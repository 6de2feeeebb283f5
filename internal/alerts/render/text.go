package render

import (
	"fmt"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// words is a condition as a person would say it: "p95 of probe.duration over 5 runs above 5".
func words(c *alerts.Condition) string {
	if len(c.All) > 0 || len(c.Any) > 0 {
		of, word := c.All, " and "
		if len(of) == 0 {
			of, word = c.Any, " or "
		}
		parts := make([]string, len(of))
		for i := range of {
			parts[i] = words(&of[i])
		}
		return strings.Join(parts, word)
	}
	text := c.Metric
	if c.Aggregate != "" && c.Aggregate != alerts.Last {
		text = string(c.Aggregate) + " of " + text
	}
	switch {
	case c.Window.Runs > 1:
		text += fmt.Sprintf(" over %d runs", c.Window.Runs)
	case c.Window.Time > 0:
		text += " over " + duration(c.Window.Time)
	}
	return fmt.Sprintf("%s %s %s", text, c.Op, number(c.Threshold))
}

// plain is a text in which no template begins.
func plain(text string) string {
	return strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
}

// templated is a rule's text in the words of Prometheus's templates: .Value and .Labels are alike, functions have other
// names, and what the rule knows is put in. It is false for a text that names what Prometheus does not know.
func templated(r *alerts.Rule, severity checks.Severity, text string) (string, bool) {
	t, err := alerts.Text(text)
	if err != nil {
		return "", false
	}
	known := map[string]string{"Rule": r.Name, "Severity": string(severity), "Metric": metricOf(&r.When)}
	tr := translator{known: known, threshold: threshold(&r.When)}
	if !tr.list(t.Root) {
		return "", false
	}
	return t.Root.String(), true
}

func threshold(c *alerts.Condition) float64 {
	for _, of := range [][]alerts.Condition{c.All, c.Any} {
		if len(of) > 0 {
			return threshold(&of[0])
		}
	}
	return c.Threshold
}

func metricOf(c *alerts.Condition) string {
	for _, of := range [][]alerts.Condition{c.All, c.Any} {
		if len(of) > 0 {
			return metricOf(&of[0])
		}
	}
	return c.Metric
}

type translator struct {
	known     map[string]string
	threshold float64
}

func (tr translator) list(l *parse.ListNode) bool {
	if l == nil {
		return true
	}
	var out []parse.Node
	for _, n := range l.Nodes {
		if !tr.node(n) {
			return false
		}
		if chosen, ok := decided(n); ok {
			out = append(out, chosen...)
		} else {
			out = append(out, n)
		}
	}
	l.Nodes = out
	return true
}

// decided is what is left of an if whose two texts are known by now, as the severity is.
func decided(n parse.Node) ([]parse.Node, bool) {
	branch, ok := n.(*parse.IfNode)
	if !ok || len(branch.Pipe.Cmds) != 1 || len(branch.Pipe.Cmds[0].Args) != 3 {
		return nil, false
	}
	args := branch.Pipe.Cmds[0].Args
	name, isName := args[0].(*parse.IdentifierNode)
	a, isText := args[1].(*parse.StringNode)
	b, areTexts := args[2].(*parse.StringNode)
	if !isName || !isText || !areTexts || name.Ident != "eq" {
		return nil, false
	}
	list := branch.ElseList
	if a.Text == b.Text {
		list = branch.List
	}
	if list == nil {
		return nil, true
	}
	return list.Nodes, true
}

func (tr translator) node(n parse.Node) bool {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return true
	case *parse.ActionNode:
		return tr.pipe(n.Pipe)
	case *parse.WithNode:
		return tr.pipe(n.Pipe) && tr.list(n.List) && tr.list(n.ElseList)
	case *parse.IfNode:
		return tr.pipe(n.Pipe) && tr.list(n.List) && tr.list(n.ElseList)
	}
	return false
}

func (tr translator) pipe(p *parse.PipeNode) bool {
	if len(p.Decl) > 0 {
		return false
	}
	for _, c := range p.Cmds {
		if !tr.command(c) {
			return false
		}
	}
	return true
}

func (tr translator) command(c *parse.CommandNode) bool {
	for i, arg := range c.Args {
		switch arg := arg.(type) {
		case *parse.FieldNode:
			value, ok := tr.field(arg)
			if !ok {
				return false
			}
			c.Args[i] = value
		case *parse.PipeNode:
			if !tr.pipe(arg) {
				return false
			}
		}
	}
	name, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok {
		return true
	}
	with, ok := functions()[name.Ident]
	if !ok {
		return false
	}
	name.Ident = with[0]
	for _, more := range with[1:] {
		text := &parse.StringNode{NodeType: parse.NodeString, Quoted: fmt.Sprintf("%q", more), Text: more}
		c.Args = slices.Insert(c.Args, 1, parse.Node(text))
	}
	return true
}

// functions are Prometheus's functions for ours, with what stands before the argument.
func functions() map[string][]string {
	out := map[string][]string{
		"seconds": {"humanizeDuration"}, "usd": {"printf", "$%.2f"}, "percent": {"humanizePercentage"}, "number": {"printf", "%.3g"},
	}
	for _, same := range []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "printf", "len"} {
		out[same] = []string{same}
	}
	return out
}

// field is what stands for a field of the facts.
func (tr translator) field(f *parse.FieldNode) (parse.Node, bool) {
	switch name := f.Ident[0]; name {
	case "Value", "Labels":
		return f, true
	case "Threshold":
		text := number(tr.threshold)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return &parse.NumberNode{NodeType: parse.NodeNumber, IsFloat: true, Float64: tr.threshold, Text: text}, true
	default:
		text, ok := tr.known[name]
		return &parse.StringNode{NodeType: parse.NodeString, Quoted: fmt.Sprintf("%q", text), Text: text}, ok
	}
}
