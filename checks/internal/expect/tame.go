package expect

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// tame walks an expression from its leaves up, puts bounds around everything that works in one step, and refuses what
// builds values from paths: an expectation asks and changes nothing, and one assignment to .[500000000] takes gigabytes.
func tame(v reflect.Value) error {
	switch v.Kind() { //nolint:exhaustive // the others hold no expressions
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if err := refuse(v.Interface()); err != nil {
			return err
		}
		if err := tame(v.Elem()); err != nil {
			return err
		}
		tameNode(v.Interface())
	case reflect.Slice:
		return each(v.Len(), v.Index)
	case reflect.Struct:
		return each(v.NumField(), v.Field)
	}
	return nil
}

func each(n int, at func(int) reflect.Value) error {
	for i := range n {
		if err := tame(at(i)); err != nil {
			return err
		}
	}
	return nil
}

func refuse(node any) error {
	switch n := node.(type) {
	case *gojq.Query:
		switch n.Op { //nolint:exhaustive // the others change nothing
		case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
			return fmt.Errorf("it assigns with %s, want an expression that only asks", n.Op)
		}
	case *gojq.Func:
		changing := []string{"setpath", "pick", "fromstream", "path", "del", "delpaths", "truncate_stream", "JOIN"}
		if strings.HasPrefix(n.Name, "_") || slices.Contains(changing, n.Name) {
			return fmt.Errorf("it calls %s, want an expression that only asks", n.Name)
		}
	case *gojq.FuncDef:
		_, pair := pairs()[n.Name+"/"+strconv.Itoa(len(n.Args))]
		if pair || slices.Contains(slices.Concat(dear(), orders(), searches()), n.Name) || strings.HasPrefix(n.Name, ours) {
			return fmt.Errorf("it defines %s, which jq has", n.Name)
		}
	}
	return nil
}

func tameNode(node any) {
	switch n := node.(type) {
	case *gojq.Query:
		tameOperator(n)
	case *gojq.Term:
		tameTerm(n)
	case *gojq.Index:
		if n.Start != nil && !n.IsSlice {
			n.Start = then(n.Start, call(asKey))
		}
	case *gojq.String:
		for _, part := range n.Queries {
			if t := part.Term; t != nil && t.Type == gojq.TermTypeQuery {
				t.Query = then(t.Query, call(weigh))
			}
		}
	}
}

func tameOperator(n *gojq.Query) {
	switch n.Op { //nolint:exhaustive // the others do not look into values
	case gojq.OpMul, gojq.OpSub:
		name := ours + "multiply"
		if n.Op == gojq.OpSub {
			name = ours + "subtract"
		}
		*n = gojq.Query{Meta: n.Meta, Imports: n.Imports, FuncDefs: n.FuncDefs, Term: call(name, n.Left, n.Right).Term}
	case gojq.OpAdd, gojq.OpDiv, gojq.OpMod, gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		n.Left, n.Right = then(n.Left, call(weigh)), then(n.Right, call(weigh))
	}
}

func tameTerm(t *gojq.Term) {
	switch {
	case t.Type == gojq.TermTypeFormat && t.Str == nil:
		become(t, then(call(weigh), &gojq.Query{Term: &gojq.Term{Type: t.Type, Format: t.Format}}))
	case t.Type == gojq.TermTypeFunc:
		tameCall(t, t.Func)
	}
}

func tameCall(t *gojq.Term, f *gojq.Func) {
	_, pair := pairs()[f.Name+"/"+strconv.Itoa(len(f.Args))]
	switch {
	case pair:
		f.Name = ours + f.Name
	case f.Name == "add" && len(f.Args) == 1: // of all outputs of an expression
		become(t, then(listed(f.Args[0]), then(call(weigh), call("add"))))
	case slices.Contains(orders(), f.Name) && len(f.Args) == 1:
		parts := then(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}}, listed(f.Args[0]))
		become(t, then(call(weigh), call("_"+f.Name, then(listed(parts), call(weigh)))))
	case slices.Contains(searches(), f.Name) && (f.Name != "split" || len(f.Args) == 2):
		bounded(t, f, searched)
	case f.Name == "tonumber" || f.Name == "fromjson":
		bounded(t, f, numeral)
	case slices.Contains(dear(), f.Name):
		bounded(t, f, weigh)
	}
}

// bounded puts a guard before a call, and weighs its arguments.
func bounded(t *gojq.Term, f *gojq.Func, guard string) {
	args := make([]*gojq.Query, len(f.Args))
	for i, arg := range f.Args {
		args[i] = then(arg, call(weigh))
	}
	become(t, then(call(guard), call(f.Name, args...)))
}

// become makes a term another expression; what follows it stays.
func become(t *gojq.Term, q *gojq.Query) {
	*t = gojq.Term{Type: gojq.TermTypeQuery, Query: q, SuffixList: t.SuffixList}
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func then(first, next *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: first, Op: gojq.OpPipe, Right: next}
}

func listed(q *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: q}}}
}
