package expect

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// The bounds of what one function of jq is given: it runs in one step, which nothing can stop. A value can be small in
// memory and without end when it is walked, because its parts may be the same ones over and over.
const (
	jqNodes   = 1 << 20 // values within a value
	jqText    = 2 << 20 // bytes of all its texts
	jqDepth   = 10_000
	jqSearch  = 32 << 10 // bytes of a text in which all matches are looked for: each is counted from the text's beginning
	jqDigits  = 1 << 16  // of a text that may become a number
	jqProduct = 1 << 24  // what two values weigh, multiplied, where each part of one meets each of the other
)

// The names under which expressions call what is theirs: a name of ours before the function's own.
const (
	ours     = "windsock_"
	weigh    = ours + "weigh"
	searched = ours + "searched"
	numeral  = ours + "numeral"
	asKey    = ours + "key"
)

// dear are the functions that walk all that they are given, in one step.
func dear() []string {
	return []string{
		"add", "tojson", "tostring", "implode", "explode", "split", "flatten", "min", "max", "sort", "unique", "bsearch", "reverse", "strftime",
		"strflocaltime", "strptime", "startswith", "endswith", "ltrimstr", "rtrimstr", "trimstr", "ltrim", "rtrim", "trim", "ascii_downcase",
		"ascii_upcase", "test", "IN", "INDEX", "from_entries", "with_entries",
	}
}

// orders are the functions that compare their elements by an expression.
func orders() []string {
	return []string{"min_by", "max_by", "sort_by", "group_by", "unique_by"}
}

// searches look for all matches in a text.
func searches() []string {
	return []string{"match", "capture", "scan", "splits", "split", "sub", "gsub"}
}

// pairs are the functions, by name and number of arguments, in which each part of one value meets each of another, and
// what they are for $a and $b.
func pairs() map[string]string {
	return map[string]string{
		"multiply/2": "$a * $b", "subtract/2": "$a - $b", "transpose/0": "$a | transpose", "join/1": "$a | join($b)",
		"contains/1": "$a | contains($b)", "inside/1": "$a | inside($b)",
		"indices/1": "$a | indices($b)", "index/1": "$a | index($b)", "rindex/1": "$a | rindex($b)",
	}
}

// weight is what walking a value costs.
type weight struct{ nodes, text int }

// add reports whether the value is within the bounds.
func (w *weight) add(v any, depth int) bool {
	w.nodes++
	switch v := v.(type) {
	case string:
		w.text += len(v)
	case *big.Int:
		w.text += v.BitLen() / 8
	case []any:
		for _, part := range v {
			if !w.add(part, depth+1) {
				return false
			}
		}
	case map[string]any:
		for key, part := range v {
			w.text += len(key)
			if !w.add(part, depth+1) {
				return false
			}
		}
	}
	return w.nodes <= jqNodes && w.text <= jqText && depth <= jqDepth
}

// bounds are the functions that an expression calls in the stead of jq's own.
type bounds struct {
	beyond error // cannot be caught by an expression
	pairs  map[string]*gojq.Code
}

func newBounds() (*bounds, error) {
	b := &bounds{pairs: map[string]*gojq.Code{}}
	halt, err := gojq.Parse(`"beyond its bounds" | halt_error`)
	if err != nil {
		return nil, err //nolint:wrapcheck // cannot be
	}
	value, _ := halt.Run(nil).Next()
	stop, ok := value.(error)
	if !ok {
		return nil, errors.New("no error of its own")
	}
	b.beyond = stop
	for name, text := range pairs() {
		query, err := gojq.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if b.pairs[name], err = gojq.Compile(query, gojq.WithVariables([]string{"$a", "$b"})); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return b, nil
}

// options give an expression the functions.
func (b *bounds) options() []gojq.CompilerOption {
	options := []gojq.CompilerOption{
		b.guard(weigh, func(any) bool { return true }),
		b.guard(searched, func(v any) bool {
			text, _ := v.(string)
			return len(text) <= jqSearch
		}),
		b.guard(numeral, func(v any) bool {
			text, _ := v.(string)
			return longestNumeral(text) <= jqDigits
		}),
		b.guard(asKey, func(v any) bool { // a list within a list is looked for at every place
			list, _ := v.([]any)
			return len(list) <= 1
		}),
	}
	for key, code := range b.pairs {
		name, n, _ := strings.Cut(key, "/")
		args, _ := strconv.Atoi(n)
		options = append(options, gojq.WithFunction(ours+name, args, args, func(v any, of []any) any {
			if all := append([]any{v, nil}, of...); args < 2 {
				return b.meet(name, code, all[0], all[len(all)-1])
			}
			return b.meet(name, code, of[0], of[1])
		}))
	}
	return options
}

// guard passes a value on that is within the bounds, and fine.
func (b *bounds) guard(name string, fine func(v any) bool) gojq.CompilerOption {
	return gojq.WithFunction(name, 0, 0, func(v any, _ []any) any {
		if w := (weight{}); !fine(v) || !w.add(v, 0) {
			return b.beyond
		}
		return v
	})
}

// meet runs one of the pairs where the two are not too much for each other.
func (b *bounds) meet(name string, code *gojq.Code, left, right any) any {
	var a, c weight
	if !a.add(left, 0) || !c.add(right, 0) || tooMuch(left, right) || tooMuch(right, left) {
		return b.beyond
	}
	bad := false
	switch name {
	case "transpose":
		bad = square(left) > jqNodes
	case "join":
		bad = a.text+a.nodes*c.text > jqText
	case "multiply":
	default:
		bad = a.nodes*c.nodes > jqProduct
	}
	if bad {
		return b.beyond
	}
	value, _ := code.Run(nil, left, right).Next()
	return value
}

// square is how many places a list of lists has when it is transposed.
func square(v any) int {
	rows, _ := v.([]any)
	longest := 0
	for _, row := range rows {
		row, _ := row.([]any)
		longest = max(longest, len(row))
	}
	return len(rows) * longest
}

// longestNumeral is the length of the longest row of digits.
func longestNumeral(text string) int {
	longest, run := 0, 0
	for i := range len(text) {
		if run++; text[i] < '0' || text[i] > '9' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
