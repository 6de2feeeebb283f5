package usagelog

import (
	"strconv"

	"github.com/itchyny/gojq"
)

// expr is an expression that needs no jq to run: paths, their alternatives, literals, comparisons with a literal, and, or.
// Its value is the one that jq gives, unfit where jq fails.
type expr interface {
	eval(values []value) value
}

type (
	path    int // the slot of its value
	literal value
	orElse  struct{ left, right expr } // left // right
	compare struct {
		left, right expr
		differ      bool // !=, else ==
	}
	logic struct {
		left, right expr
		or          bool // else and
	}
)

func (p path) eval(values []value) value { return values[p] }

func (l literal) eval([]value) value { return value(l) }

func (o orElse) eval(values []value) value {
	if v := o.left.eval(values); v.truthy() && v.sort != unfit {
		return v
	}
	return o.right.eval(values)
}

func (c compare) eval(values []value) value {
	l, r := c.left.eval(values), c.right.eval(values)
	if l.sort == unfit || r.sort == unfit {
		return value{sort: unfit}
	}
	return truth(equal(l, r) != c.differ)
}

func (l logic) eval(values []value) value {
	v := l.left.eval(values)
	if v.sort == unfit || v.truthy() == l.or {
		return v.judged()
	}
	return l.right.eval(values).judged()
}

// judged is true or false for what is taken for it.
func (v value) judged() value {
	if v.sort == unfit {
		return v
	}
	return truth(v.truthy())
}

func truth(yes bool) value {
	if yes {
		return value{sort: boolTrue}
	}
	return value{sort: boolFalse}
}

// equal compares where one of the two is a literal, which is never an object, an array or a large number.
func equal(l, r value) bool {
	switch {
	case l.sort != r.sort:
		return false
	case l.sort == number:
		a, errA := strconv.ParseFloat(string(l.raw), 64)
		b, errB := strconv.ParseFloat(string(r.raw), 64)
		return errA == nil && errB == nil && a == b
	case l.sort == text:
		return unescape(l.raw) == unescape(r.raw)
	}
	return true
}

// simple makes an expr of a jq expression that is one. It adds the places that it needs below root; slots is how many there
// are.
func simple(q *gojq.Query, root *node, slots *int) (expr, bool) {
	if q.Meta != nil || len(q.Imports) > 0 || len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		return nil, false
	}
	if q.Term != nil {
		return simpleTerm(q.Term, root, slots)
	}
	if q.Left == nil || q.Right == nil {
		return nil, false
	}
	left, ok := simple(q.Left, root, slots)
	if !ok {
		return nil, false
	}
	right, ok := simple(q.Right, root, slots)
	if !ok {
		return nil, false
	}
	switch q.Op { //nolint:exhaustive // the others are jq's to run
	case gojq.OpAlt:
		return orElse{left, right}, true
	case gojq.OpEq, gojq.OpNe:
		_, l := left.(literal)
		_, r := right.(literal)
		return compare{left, right, q.Op == gojq.OpNe}, l || r
	case gojq.OpAnd, gojq.OpOr:
		return logic{left, right, q.Op == gojq.OpOr}, true
	}
	return nil, false
}

func simpleTerm(t *gojq.Term, root *node, slots *int) (expr, bool) {
	switch t.Type { //nolint:exhaustive // the others are jq's to run
	case gojq.TermTypeIndex:
		return simplePath(t, root, slots)
	case gojq.TermTypeQuery:
		if len(t.SuffixList) == 0 {
			return simple(t.Query, root, slots)
		}
	case gojq.TermTypeString, gojq.TermTypeNumber, gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse:
		return simpleLiteral(t)
	}
	return nil, false
}

func simpleLiteral(t *gojq.Term) (expr, bool) {
	if len(t.SuffixList) > 0 {
		return nil, false
	}
	switch t.Type { //nolint:exhaustive // as the caller says
	case gojq.TermTypeTrue:
		return literal{sort: boolTrue}, true
	case gojq.TermTypeFalse:
		return literal{sort: boolFalse}, true
	case gojq.TermTypeNull:
		return literal{}, true
	case gojq.TermTypeNumber:
		const most = 1 << 53 // what a float64 holds exactly
		f, err := strconv.ParseFloat(t.Number, 64)
		return literal{sort: number, raw: []byte(t.Number)}, err == nil && f < most
	}
	if t.Str == nil || len(t.Str.Queries) > 0 {
		return nil, false
	}
	raw := strconv.AppendQuote(nil, t.Str.Str)
	if string(raw[1:len(raw)-1]) != t.Str.Str { // escapes are jq's to read
		return nil, false
	}
	return literal{sort: text, raw: raw[1 : len(raw)-1]}, true
}

// simplePath makes a path of .a.b.c, with keys in quotes or not.
func simplePath(t *gojq.Term, root *node, slots *int) (expr, bool) {
	keys := make([]string, 0, 1+len(t.SuffixList))
	key, ok := keyOf(t.Index)
	keys = append(keys, key)
	for _, s := range t.SuffixList {
		if !ok || s.Iter || s.Optional || s.Index == nil {
			return nil, false
		}
		key, ok = keyOf(s.Index)
		keys = append(keys, key)
	}
	if !ok {
		return nil, false
	}
	n := root
	for _, k := range keys {
		n = n.child(k)
	}
	if n.slot < 0 {
		n.slot = *slots
		*slots++
	}
	return path(n.slot), true
}

func keyOf(i *gojq.Index) (string, bool) {
	switch {
	case i == nil || i.IsSlice || i.Start != nil || i.End != nil:
		return "", false
	case i.Name != "":
		return i.Name, true
	case i.Str != nil && len(i.Str.Queries) == 0:
		return i.Str.Str, true
	}
	return "", false
}
