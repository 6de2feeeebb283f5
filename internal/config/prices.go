package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// prices reads what models cost, of this file and of the one that it names.
func (b *builder) prices() {
	b.cfg.Prices.MaxAge = b.file.Prices.MaxAge
	list := priceList{report: b.report, root: b.root, taken: map[priceKey]priceAt{}}
	list.read("prices.models", b.file.Prices.Models)
	if b.file.Prices.File != "" {
		b.pricesFile(&list)
	}
	b.cfg.Prices.Own = list.own
}

// pricesFile goes on with the file of prices, whose faults are told in its own name.
func (b *builder) pricesFile(list *priceList) {
	given := b.file.Prices.File
	data, mode, err := readFile(b.absolute(given))
	if err == nil && !mode.IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err // without its path, which is not as it was given
		}
		b.add(b.at("prices.file"), "", "the file %s cannot be read: %v", quote(given), err)
		return
	}
	name := given
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(b.cfg.Path), given)
	}
	list.report = newReport(name, data)
	list.first, list.named = "models", true
	b.others = append(b.others, list.report)
	if writable(mode) {
		list.warn(place{}, "everybody can write this file (mode %04o), and who writes it decides what the budget counts", mode.Perm())
	}
	if list.root = list.syntax(data); list.root == nil {
		return
	}
	var written priceFile
	inner := b.decoder
	inner.report = list.report
	inner.decode(list.root, reflect.ValueOf(&written).Elem())
	list.settle()
	list.read("models", written.Models)
}

// priceList reads lists of prices, of one file after the other.
type priceList struct {
	*report
	root  *ast.MappingNode
	taken map[priceKey]priceAt
	own   []pricing.Price
}

// priceKey is what may have one price.
type priceKey struct{ model, from string }

type priceAt struct {
	file string
	line int
}

func (l *priceList) at(path string) place { return locate(l.root, path, placeOf(l.root)) }

// read takes the prices at a path of the file.
func (l *priceList) read(path string, rows []price) {
	for i := range rows {
		row, path := &rows[i], fmt.Sprintf("%s.%d", path, i)
		at, key := l.at(path+".model"), priceKey{rows[i].Model, rows[i].From}
		if row.Model == "" || !isLabel(row.Model, 100) || strings.ContainsFunc(row.Model, unicode.IsSpace) {
			l.add(at, "", "found the model %s, want an id such as mistral-small-2603", quote(row.Model))
			continue
		}
		if before, taken := l.taken[key]; taken {
			where := fmt.Sprintf("line %d", before.line)
			if before.file != l.file {
				where = fmt.Sprintf("%s:%d", before.file, before.line)
			}
			l.add(at, "", "the price of %s is in %s already, want one for each model and `from`", quote(row.Model), where)
			continue
		}
		l.taken[key] = priceAt{l.file, at.line}
		l.own = append(l.own, l.price(path, row))
	}
}

// ahead is how far the day has come elsewhere: a date of the file is one of its writer's time zone.
const ahead = 14 * time.Hour

func (l *priceList) price(path string, row *price) pricing.Price {
	out := pricing.Price{
		Model: row.Model, Free: row.Free, Batch: row.Batch, Source: row.Source, CheckedOn: row.CheckedOn,
		From: l.day(path+".from", row.From),
	}
	if out.Source == "" {
		out.Source = "the configuration"
	}
	if row.Batch < 1 || row.Batch > 100 {
		l.add(l.at(path+".batch_percent"), "", "found %d, want 1 to 100", row.Batch)
	}
	switch given := l.amounts(path, row, &out); {
	case given && row.Free:
		l.add(l.at(path+".free"), "", "the price of %s has amounts and is free, want one of both", quote(row.Model))
	case !given && !row.Free:
		l.add(l.at(path+".model"), "", "the price of %s has no amount, want input_per_million and output_per_million, pages_per_thousand, minute, characters_per_million, or free: true", quote(row.Model))
	}
	if at := l.day(path+".checked_on", row.CheckedOn); at.After(time.Now().Add(ahead)) {
		l.add(l.at(path+".checked_on"), "", "the day %s has not come yet", row.CheckedOn)
	}
	return out
}

// amounts reads the prices of one of each unit, and reports whether there is one. An amount that is not a whole number of
// pico-dollars for one is refused: it would be rounded in silence. So is 0, which would be no price.
func (l *priceList) amounts(path string, row *price, out *pricing.Price) (given bool) {
	const million, thousand = 1_000_000, 1000
	for _, part := range []struct {
		key  string
		from *checks.PicoUSD
		of   checks.PicoUSD
		into *checks.PicoUSD
	}{
		{"input_per_million", row.Input, million, &out.Input},
		{"cached_per_million", row.Cached, million, &out.Cached},
		{"output_per_million", row.Output, million, &out.Output},
		{"pages_per_thousand", row.Pages, thousand, &out.Page},
		{"annotated_pages_per_thousand", row.Annotated, thousand, &out.AnnotatedPage},
		{"minute", row.Minute, 1, &out.Minute},
		{"characters_per_million", row.Speech, million, &out.Character},
	} {
		if part.from == nil {
			continue
		}
		given = true
		at := l.at(path + "." + part.key)
		switch {
		case *part.from == 0:
			l.add(at, "leave the key out, or say free: true and nothing else", "a price of 0 is none, want more")
		case *part.from%part.of != 0:
			l.add(at, "", "the price is finer than 10⁻¹² US dollar for one, want at most %d digits after the point", digitsOf(part.of))
		}
		*part.into = *part.from / part.of
	}
	if row.Input != nil && row.Cached == nil {
		out.Cached = (out.Input + 9) / 10
	}
	return given
}

// digitsOf is how many digits after the point an amount for so many may have.
func digitsOf(units checks.PicoUSD) int {
	return len(strconv.FormatInt(int64(checks.Dollar/units), 10)) - 1
}

// day reads a date; "" is the zero time.
func (l *priceList) day(path, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		l.add(l.at(path), "", "found %s, want a day such as 2026-11-01", quote(text))
	}
	return at
}
