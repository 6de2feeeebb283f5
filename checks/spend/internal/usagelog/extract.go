package usagelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

// extract makes records of lines. It is for one goroutine.
type extract struct {
	markers  [][]byte
	selected bool // select is given
	scan     scanner
	decoder  decoder
	simple   [places]expr          // nil where jq has to run, or where nothing is asked
	queries  [places]*expect.Query // nil where it need not
	jq       bool                  // there is one of them
	zone     *time.Location        // of times that have none
	got      [places]value
}

func newExtract(p Params, zone *time.Location) (*extract, error) {
	x := &extract{selected: p.Select != "", zone: zone, scan: scanner{root: &node{slot: -1}}}
	for _, c := range p.Contains {
		x.markers = append(x.markers, []byte(c))
	}
	slots := 0
	for i, e := range p.expressions() {
		if e.text == "" {
			continue
		}
		parsed, err := gojq.Parse(e.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.key, err)
		}
		var ok bool
		if x.simple[i], ok = simple(parsed, x.scan.root, &slots); ok {
			continue
		}
		x.simple[i], x.jq = nil, true
		if x.queries[i], err = expect.NewQuery(e.text); err != nil {
			return nil, fmt.Errorf("%s: %w", e.key, err)
		}
	}
	x.scan.values = make([]value, slots)
	return x, nil
}

// record is one usage record.
type record struct {
	at     time.Time
	model  []byte // nil: not given
	input  int64  // cached tokens included
	cached int64
	output int64
	tier   []byte
	cost   checks.PicoUSD
	given  bool // the cost was
}

// flaw is why a line that may be a record is none.
type flaw string

// The flaws.
const (
	flawNone    flaw = ""
	flawBroken  flaw = "broken"  // not JSON, or not UTF-8
	flawLong    flaw = "long"    // beyond the bound of a line
	flawHole    flaw = "hole"    // NUL bytes where a line begins
	flawUnfit   flaw = "unfit"   // an expression fails on it
	flawBeyond  flaw = "beyond"  // an expression takes too long
	flawEmpty   flaw = "empty"   // it was selected, and holds neither tokens nor a cost
	flawUntimed flaw = "untimed" // no time that can be read
	flawFuture  flaw = "future"  // a time that is not yet
	flawAbsurd  flaw = "absurd"  // a count or a cost that cannot be
	flawLate    flaw = "late"    // none: the run was over, and the line is read in the next
	flawLost    flaw = "lost"    // not a line: bytes that were gone before they were read
)

// wanted reports whether the line has one of the markers.
func (x *extract) wanted(line []byte) bool {
	for _, m := range x.markers {
		if bytes.Contains(line, m) {
			return true
		}
	}
	return len(x.markers) == 0
}

// record reads one line. is is whether it is a record; a line with a flaw is none. turn is nil where x.jq is false.
func (x *extract) record(turn *expect.Turn, line []byte) (r record, is bool, f flaw) {
	if !utf8.Valid(line) || !x.scan.scan(line) {
		return record{}, false, flawBroken
	}
	if f := x.evaluate(turn, line); f != flawNone {
		return record{}, false, f
	}
	if x.selected && !x.got[atSelect].truthy() {
		return record{}, false, flawNone
	}
	told := x.got[atInput].sort != null || x.got[atOutput].sort != null || x.got[atCost].sort != null
	if !told && !x.selected {
		return record{}, false, flawNone
	}
	if !told {
		return record{}, false, flawEmpty
	}
	r, f = x.read()
	return r, f == flawNone, f
}

// evaluate runs all expressions, of which those after a select that says no are left out.
func (x *extract) evaluate(turn *expect.Turn, line []byte) flaw {
	clear(x.got[:])
	var doc any // of the line, for jq
	for i := range x.got {
		switch {
		case x.simple[i] != nil:
			x.got[i] = x.simple[i].eval(x.scan.values)
		case x.queries[i] != nil:
			if doc == nil {
				doc = x.decoder.decode(line)
			}
			var f flaw
			if x.got[i], f = ask(turn, x.queries[i], doc); f != flawNone {
				return f
			}
		}
		if x.got[i].sort == unfit {
			return flawUnfit
		}
		if i == atSelect && x.selected && !x.got[i].truthy() {
			return flawNone
		}
	}
	return flawNone
}

func ask(turn *expect.Turn, q *expect.Query, doc any) (value, flaw) {
	v, err := q.First(turn, doc)
	switch {
	case err == nil:
		return valueOf(v), flawNone
	case errors.Is(err, expect.ErrFailed):
		return value{}, flawUnfit
	case errors.Is(err, expect.ErrBeyond):
		return value{}, flawBeyond
	}
	return value{}, flawLate
}

// valueOf is what jq gave.
func valueOf(v any) value {
	switch v := v.(type) {
	case nil:
		return value{}
	case bool:
		return truth(v)
	case string:
		raw, err := json.Marshal(v)
		if err != nil || len(raw) < 2 {
			return value{sort: unfit}
		}
		return value{sort: text, raw: raw[1 : len(raw)-1]}
	case json.Number:
		return value{sort: number, raw: []byte(v)}
	case int:
		return value{sort: number, raw: strconv.AppendInt(nil, int64(v), 10)}
	case float64:
		return value{sort: number, raw: strconv.AppendFloat(nil, v, 'g', -1, 64)}
	case *big.Int:
		return value{sort: number, raw: v.Append(nil, 10)}
	case []any:
		return value{sort: array}
	case map[string]any:
		return value{sort: object}
	}
	return value{sort: unfit}
}

// The largest that is believed of one request.
const (
	maxTokens = 1_000_000_000
	maxCost   = 1_000_000 * checks.Dollar
)

// read makes the record of what was found.
func (x *extract) read() (record, flaw) {
	r := record{given: x.got[atCost].sort != null}
	var ok bool
	if r.at, ok = timeOf(x.got[atTime], x.zone); !ok {
		return r, flawUntimed
	}
	for _, c := range []struct {
		at   int
		into *int64
	}{{atInput, &r.input}, {atCached, &r.cached}, {atOutput, &r.output}} {
		if *c.into, ok = count(x.got[c.at]); !ok {
			return r, flawAbsurd
		}
	}
	if r.given {
		cost, _, ok := scaled(x.got[atCost].decimal(), 12)
		if r.cost = checks.PicoUSD(cost); !ok || cost < 0 || r.cost > maxCost {
			return r, flawAbsurd
		}
	}
	r.model, r.tier = x.got[atModel].bytes(), x.got[atTier].bytes()
	return r, flawNone
}

// bytes are those of a text, nil for any other value.
func (v value) bytes() []byte {
	switch {
	case v.sort != text:
		return nil
	case bytes.IndexByte(v.raw, '\\') < 0:
		return v.raw
	}
	return []byte(unescape(v.raw))
}

// decimal is the text of a number, or a text that may hold one.
func (v value) decimal() []byte {
	if v.sort != number && v.sort != text {
		return nil
	}
	return v.raw
}

// count is a whole number of tokens; 0 where none is told.
func count(v value) (int64, bool) {
	if v.sort == null {
		return 0, true
	}
	n, exact, ok := scaled(v.decimal(), 0)
	return n, ok && exact && n >= 0 && n <= maxTokens
}
