package config

import (
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// prices reads what models cost. An amount that is not a whole number of pico-dollars for one unit is refused: it would be
// rounded in silence.
func (b *builder) prices() {
	b.cfg.Prices.MaxAge = b.file.Prices.MaxAge
	type key struct{ model, from string }
	lines := map[key]int{}
	for i := range b.file.Prices.Models {
		row, path := &b.file.Prices.Models[i], fmt.Sprintf("prices.models.%d", i)
		at := b.at(path + ".model")
		if row.Model == "" || !isLabel(row.Model, 100) {
			if b.given(path, "model") {
				b.add(at, "", "found the model %s, want an id such as mistral-small-2603", quote(row.Model))
			}
			continue
		}
		k := key{row.Model, row.From}
		if line, taken := lines[k]; taken {
			b.add(at, "", "the price of %s is in line %d already, want one for each model and `from`", quote(row.Model), line)
			continue
		}
		lines[k] = at.line
		b.cfg.Prices.Own = append(b.cfg.Prices.Own, b.price(path, row))
	}
}

func (b *builder) price(path string, row *price) pricing.Price {
	out := pricing.Price{
		Model: row.Model, Free: row.Free, Batch: row.Batch, Source: row.Source, CheckedOn: row.CheckedOn,
		From: b.day(path+".from", row.From),
	}
	if out.Source == "" {
		out.Source = "the configuration"
	}
	b.upTo(path+".batch_percent", row.Batch, 100)
	const million, thousand = 1_000_000, 1000
	given := false
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
		if *part.from%part.of != 0 {
			b.add(b.at(path+"."+part.key), "", "the price is finer than 10⁻¹² US dollar for one, want at most six digits after the point")
		}
		*part.into = *part.from / part.of
	}
	if row.Input != nil && row.Cached == nil {
		out.Cached = (out.Input + 9) / 10
	}
	if !given && !row.Free {
		b.add(b.at(path+".model"), "", "the price of %s has no amount, want input_per_million and output_per_million, pages_per_thousand, minute, or free: true", quote(row.Model))
	}
	if at := b.day(path+".checked_on", row.CheckedOn); at.After(time.Now()) {
		b.add(b.at(path+".checked_on"), "", "the day %s has not come yet", row.CheckedOn)
	}
	return out
}

// day reads a date; "" is the zero time.
func (b *builder) day(path, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		b.add(b.at(path), "", "found %s, want a day such as 2026-11-01", quote(text))
	}
	return at
}
