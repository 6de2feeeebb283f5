package usagelog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

// Start is where a log that was never read before is begun.
type Start string

// The starts.
const (
	StartBeginning Start = "beginning"
	StartEnd       Start = "end"
)

// The defaults of what is left out.
const (
	defaultMaxLag = time.Hour
	defaultTime   = ".timestamp // .time // .ts"
	defaultModel  = ".model"
	defaultInput  = ".usage.prompt_tokens // .usage.input_tokens // .prompt_tokens // .input_tokens"
	defaultCached = ".usage.prompt_tokens_details.cached_tokens // .usage.num_cached_tokens // .usage.prompt_token_details.cached_tokens // " +
		".prompt_tokens_details.cached_tokens // .num_cached_tokens // .cached_tokens"
	defaultOutput = ".usage.completion_tokens // .usage.output_tokens // .completion_tokens // .output_tokens"
	defaultTier   = ".usage.service_tier // .service_tier"
	defaultMarker = "_tokens"
)

// The bounds of what is given.
const (
	maxPath     = 4096
	maxJQ       = 4 << 10
	maxMarkers  = 16
	maxMarker   = 256
	shortestLag = time.Minute
)

// Params is a usage log, as a section of a check's parameters.
type Params struct {
	Path     string        `jsonschema:"required" jsonschema_description:"Absolute path of the log: one file of JSON lines. It is followed over its rotation, by name or by truncation. It may be a symbolic link, but not a pipe or a device." yaml:"path"`
	Start    Start         `jsonschema:"enum=beginning,enum=end" jsonschema_description:"Where a log that was never read before is begun. At its end, sums are partial until a whole day, a whole month was seen. At its beginning, a large one is read in pieces, and sums are partial meanwhile. Default: beginning." yaml:"start"`
	Contains []string      `jsonschema_description:"A line that has none of these texts is passed over before it is read as JSON, which is much faster. Exactly as the bytes stand in the file. Default: _tokens, or nothing where fields.input, fields.output or fields.cost is given." yaml:"contains"`
	Select   string        `jsonschema_description:"jq expression: the lines for which it is neither false nor null are usage records. Default: the lines in which tokens or a cost are found." yaml:"select"`
	Fields   Fields        `jsonschema_description:"Where things stand in a record, as jq expressions. Paths, alternatives by //, comparisons, and, or are several times faster than others." yaml:"fields"`
	MaxLag   time.Duration `jsonschema_description:"How long the log may be silent. After that the last hour is not known, and neither is a day or a month of which nothing was seen: never zero. At least 1m. Default: 1h." yaml:"max_lag"`
}

// Fields are where things stand in a record.
type Fields struct {
	Time   string `jsonschema_description:"When: RFC 3339, a date and a time in the check's time zone, or Unix time in seconds, ms, us or ns. Default: .timestamp // .time // .ts" yaml:"time"`
	Model  string `jsonschema_description:"Which model: an id or an alias. Default: .model" yaml:"model"`
	Input  string `jsonschema_description:"Tokens of the prompt, the cached ones included. Default: .usage.prompt_tokens // .usage.input_tokens // .prompt_tokens // .input_tokens" yaml:"input"`
	Cached string `jsonschema_description:"Tokens of the prompt that came from the cache. Default: .usage.prompt_tokens_details.cached_tokens and the other spellings, with and without .usage" yaml:"cached"`
	Output string `jsonschema_description:"Tokens of the answer. Default: .usage.completion_tokens // .usage.output_tokens // .completion_tokens // .output_tokens" yaml:"output"`
	Tier   string `jsonschema_description:"Service tier: standard, priority, batch. Default: .usage.service_tier // .service_tier" yaml:"tier"`
	Cost   string `jsonschema_description:"What the request cost, in US dollars, where the application knows. Default: none, the tokens are priced." yaml:"cost"`
}

// Validate checks the section that stands at path.
func (p Params) Validate(path string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, checks.Invalid(path+"."+key, format, args...))
	}
	if !filepath.IsAbs(p.Path) || len(p.Path) > maxPath || strings.ContainsRune(p.Path, 0) {
		bad("path", "%q, want the absolute path of a file", p.Path)
	}
	if !slices.Contains([]Start{"", StartBeginning, StartEnd}, p.Start) {
		bad("start", "%q, want beginning or end", p.Start)
	}
	if len(p.Contains) > maxMarkers {
		bad("contains", "%d texts, want at most %d", len(p.Contains), maxMarkers)
	}
	for _, c := range p.Contains {
		if c == "" || len(c) > maxMarker || strings.Contains(c, "\n") {
			bad("contains", "%q, want a text within one line, at most %d bytes", c, maxMarker)
		}
	}
	if p.MaxLag != 0 && p.MaxLag < shortestLag {
		bad("max_lag", "%s, want %s or more", p.MaxLag, shortestLag)
	}
	for _, e := range p.expressions() {
		if err := e.validate(); err != nil {
			bad(e.key, "%v", err)
		}
	}
	return errors.Join(errs...)
}

func (e expression) validate() error {
	if len(e.text) > maxJQ {
		return fmt.Errorf("%d bytes, want at most %d", len(e.text), maxJQ)
	}
	if e.text == "" {
		return nil
	}
	_, err := expect.NewQuery(e.text)
	return err
}

// whole is p with what was left out.
func (p Params) whole() Params {
	if len(p.Contains) == 0 && p.Fields.Input == "" && p.Fields.Output == "" && p.Fields.Cost == "" {
		p.Contains = []string{defaultMarker}
	}
	for text, preset := range map[*string]string{
		(*string)(&p.Start): string(StartBeginning), &p.Fields.Time: defaultTime, &p.Fields.Model: defaultModel, &p.Fields.Input: defaultInput,
		&p.Fields.Cached: defaultCached, &p.Fields.Output: defaultOutput, &p.Fields.Tier: defaultTier,
	} {
		if *text == "" {
			*text = preset
		}
	}
	if p.MaxLag == 0 {
		p.MaxLag = defaultMaxLag
	}
	return p
}

// expression is one of the section, by its key.
type expression struct{ key, text string }

// expressions are all of them, in the order of the slots of an extract. An empty one is null.
func (p Params) expressions() []expression {
	return []expression{
		{"select", p.Select},
		{"fields.time", p.Fields.Time},
		{"fields.model", p.Fields.Model},
		{"fields.input", p.Fields.Input},
		{"fields.cached", p.Fields.Cached},
		{"fields.output", p.Fields.Output},
		{"fields.tier", p.Fields.Tier},
		{"fields.cost", p.Fields.Cost},
	}
}

// The places of the expressions.
const (
	atSelect = iota
	atTime
	atModel
	atInput
	atCached
	atOutput
	atTier
	atCost
	places
)
