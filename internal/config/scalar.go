package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
)

// The forms of scalars that the schema gives as patterns too.
const (
	durationPattern = params.DurationPattern
	sizePattern     = `^[0-9]+ ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$`
	pluginPattern   = `^[a-z][a-z0-9_-]{0,63}$`
	kindPattern     = `^[a-z][a-z0-9_-]{0,63}/[a-z][a-z0-9_-]{0,63}$` // of plugins
	namePattern     = `^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`

	windowPattern    = `^[1-9][0-9]* (runs?|intervals?)$|` + durationPattern
	percentPattern   = `^-?[0-9]{1,9}(\.[0-9]{1,9})?%$`
	attributePattern = `^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`
)

// size is a number of bytes, written with its unit: "512MiB".
type size int64

func (d *decoder) scalar(n ast.Node, v reflect.Value) {
	switch {
	case v.Kind() == reflect.String:
		if text, ok := d.text(n); ok {
			v.SetString(text)
		}
	case v.Kind() == reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return
		}
		d.wrong(n, "true or false")
	case v.CanInt():
		i, err := strconv.ParseInt(digits(n), 10, 64)
		if err != nil || v.OverflowInt(i) {
			d.wrong(n, "a whole number")
			return
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(digits(n), 10, 64)
		if err != nil || v.OverflowUint(u) {
			d.wrong(n, "a whole number that is not negative")
			return
		}
		v.SetUint(u)
	case v.CanFloat():
		f, err := strconv.ParseFloat(decimals(n), 64)
		if err != nil || math.IsInf(f, 0) {
			d.wrong(n, "a number")
			return
		}
		v.SetFloat(f)
	default:
		d.add(placeOf(n), "", "this agent cannot read a %s", v.Type())
	}
}

// digits is the text of a plain whole number, else "". Hexadecimal, octal and 1_000 are traps: 010 is eight to some.
func digits(n ast.Node) string {
	if _, ok := n.(*ast.IntegerNode); ok && regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`).MatchString(n.GetToken().Value) {
		return n.GetToken().Value
	}
	return ""
}

// decimals is the text of a plain number, else "".
func decimals(n ast.Node) string {
	tk := n.GetToken()
	if tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType || n.Type() == ast.LiteralType {
		return ""
	}
	if regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$`).MatchString(tk.Value) {
		return tk.Value
	}
	return ""
}

// number reads a number of no given type.
func (d *decoder) number(n ast.Node) (any, bool) {
	if i, err := strconv.ParseInt(digits(n), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(decimals(n), 64)
	if err != nil || math.IsInf(f, 0) {
		d.wrong(n, "a plain number")
		return nil, false
	}
	return f, true
}

// text reads text. A number or a truth value is not taken for text, because 1.10 would become 1.1.
func (d *decoder) text(n ast.Node) (string, bool) {
	var text string
	switch v := n.(type) {
	case *ast.StringNode:
		text = v.Value
	case *ast.LiteralNode:
		text = v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NanNode, *ast.InfinityNode:
		d.add(placeOf(n), fmt.Sprintf("quote it: %q", n.GetToken().Value), "found %s, want text", describe(n))
		return "", false
	default:
		d.wrong(n, "text")
		return "", false
	}
	if strings.ContainsRune(text, 0) {
		d.add(placeOf(n), "", "the text holds a zero byte")
		return "", false
	}
	d.expansion(n, text)
	return text, true
}

// expansion tells people who know other tools that ${…} is text here.
func (d *decoder) expansion(n ast.Node, text string) {
	if !strings.Contains(text, "${") {
		return
	}
	if d.params { // a prompt or a pattern may hold it
		d.warn(placeOf(n), "found %s, and ${…} is not expanded anywhere in this file: it is used as it stands", describe(n))
		return
	}
	d.add(placeOf(n), "write the value itself; credentials are given as {credential: …}, {file: …} or {env: …}",
		"found %s, but ${…} is not expanded anywhere in this file", describe(n))
}

func (d *decoder) duration(n ast.Node, into *time.Duration) {
	if _, ok := n.(*ast.IntegerNode); ok {
		value := n.GetToken().Value
		d.add(placeOf(n), "", "found the bare number %s, want a duration such as %ss", value, strings.TrimPrefix(value, "-"))
		return
	}
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.wrong(n, "a duration such as 5s")
		return
	}
	value, err := params.ParseDuration(s.Value)
	switch {
	case err != nil:
		d.wrong(n, "a duration such as 500ms, 5s, 10m or 24h")
	case value < 0:
		d.wrong(n, "a duration that is not negative")
	default:
		*into = value
	}
}

// money reads US dollars from the digits themselves: no float comes near it.
func (d *decoder) money(n ast.Node, into *checks.PicoUSD) {
	const most = params.MostDollars
	form := regexp.MustCompile(`^([0-9]{1,9})(?:\.([0-9]{1,12}))?$`)
	tk := n.GetToken()
	quoted := tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType
	parts := form.FindStringSubmatch(tk.Value)
	if scalar := n.Type() == ast.IntegerType || n.Type() == ast.FloatType; !scalar || quoted || parts == nil {
		d.wrong(n, "US dollars as a plain number such as 0.05, with at most 12 digits after the point")
		return
	}
	whole, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		d.wrong(n, "US dollars")
		return
	}
	frac, err := strconv.ParseInt((parts[2] + "000000000000")[:12], 10, 64)
	if err != nil {
		d.wrong(n, "US dollars")
		return
	}
	if whole > most || whole == most && frac > 0 {
		d.wrong(n, fmt.Sprintf("at most %d US dollars", most))
		return
	}
	*into = checks.PicoUSD(whole)*checks.Dollar + checks.PicoUSD(frac)
}

func (d *decoder) size(n ast.Node, into *size) {
	const want = "a size such as 512MiB"
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.wrong(n, want)
		return
	}
	if !regexp.MustCompile(sizePattern).MatchString(s.Value) {
		d.wrong(n, want)
		return
	}
	number := strings.TrimRight(s.Value, " BKMGTikb")
	unit := map[string]int64{
		"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[strings.TrimSpace(s.Value[len(number):])]
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil || value > math.MaxInt64/unit {
		d.wrong(n, want)
		return
	}
	*into = size(value * unit)
}
