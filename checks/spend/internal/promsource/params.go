package promsource

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
)

// Preset is a set of names that are in use.
type Preset string

// The presets.
const (
	PresetTokens Preset = "checklist_tokens"
	PresetCost   Preset = "checklist_cost"
	PresetGenAI  Preset = "genai"
)

const (
	defaultMaxAge    = 5 * time.Minute
	defaultModel     = "model"
	defaultDirection = "direction"
	maxMatcherBytes  = 1000
	maxNameBytes     = 200
	maxValues        = 20
)

// Params is a Prometheus with counters, as a section of a check's parameters.
type Params struct {
	URL      string            `jsonschema:"required" jsonschema_description:"Base URL of the server, without /api/v1: http://127.0.0.1:9090. A path before it is kept: https://mimir.example/prometheus." yaml:"url"`
	Auth     fetch.Auth        `jsonschema_description:"How requests prove who asks. Default: not at all." yaml:"auth"`
	Headers  map[string]string `jsonschema_description:"Headers that are no secrets: {X-Scope-OrgID: team-a}. Default: none." yaml:"headers"`
	TLS      fetch.TLS         `jsonschema_description:"Trust and certificates. Default: the agent's own." yaml:"tls"`
	Preset   Preset            `jsonschema:"enum=checklist_tokens,enum=checklist_cost,enum=genai" jsonschema_description:"Names that are in use, in place of tokens or cost: checklist_tokens is mistral_tokens_total by model and direction, checklist_cost is mistral_cost_usd_total, genai is the histogram gen_ai_client_token_usage of OpenTelemetry's conventions." yaml:"preset"`
	Tokens   *Tokens           `jsonschema_description:"A counter of tokens, which are priced by the agent." yaml:"tokens"`
	Cost     *Cost             `jsonschema_description:"A counter of US dollars." yaml:"cost"`
	Matchers string            `jsonschema_description:"Label matchers that choose among the series, as in braces: job=\"shop\", env=\"prod\". Default: all series." yaml:"matchers"`
	MaxAge   time.Duration     `jsonschema_description:"How old the oldest of the newest samples may be. What is older is not usable. Default: 5m" yaml:"max_age"`
}

// Tokens names a counter of tokens.
type Tokens struct {
	Metric         string   `jsonschema:"required" jsonschema_description:"The counter; of a classic histogram its _sum." yaml:"metric"`
	ModelLabel     string   `jsonschema_description:"The label that says which model: an id or an alias. Default: model" yaml:"model_label"`
	DirectionLabel string   `jsonschema_description:"The label that says which way the tokens went. Default: direction" yaml:"direction_label"`
	Input          []string `jsonschema:"required" jsonschema_description:"Its values for tokens of the prompt." yaml:"input"`
	Cached         []string `jsonschema_description:"Its values for tokens of the prompt that came from the cache. Where the input does not hold them, name them under input too. Default: none, which prices all input as not cached." yaml:"cached"`
	Output         []string `jsonschema:"required" jsonschema_description:"Its values for tokens of the answer." yaml:"output"`
}

// Cost names a counter of US dollars.
type Cost struct {
	Metric string `jsonschema:"required" jsonschema_description:"The counter of US dollars." yaml:"metric"`
}

// presets are what the presets stand for.
func presets(p Preset) (family, bool) {
	switch p {
	case PresetTokens:
		return family{
			metrics: []string{"mistral_tokens_total"}, model: defaultModel, direction: defaultDirection,
			input: []string{"input", "prompt"}, cached: []string{"cached"}, output: []string{"output", "completion"},
		}, true
	case PresetCost:
		return family{metrics: []string{"mistral_cost_usd_total"}}, true
	case PresetGenAI:
		return family{
			metrics: genAI(), model: "gen_ai_request_model", direction: "gen_ai_token_type",
			input: []string{"input"}, output: []string{"output", "completion"}, // "completion" is what output was called at first
		}, true
	}
	return family{}, false
}

// genAI are the spellings of the histogram's sum. The conventions give it the unit {token}, of which the translation to
// Prometheus leaves nothing; libraries that write the unit token get a suffix.
func genAI() []string {
	return []string{"gen_ai_client_token_usage_sum", "gen_ai_client_token_usage_token_sum"}
}

// family is what to count: the same counter, by each of its names.
type family struct {
	metrics               []string
	model, direction      string // labels; "" of a counter of dollars
	input, cached, output []string
}

func (f family) priced() bool { return f.direction != "" }

// family is of validated parameters.
func (p Params) family() family {
	switch {
	case p.Tokens != nil:
		return family{
			metrics: []string{p.Tokens.Metric}, model: or(p.Tokens.ModelLabel, defaultModel), direction: or(p.Tokens.DirectionLabel, defaultDirection),
			input: p.Tokens.Input, cached: p.Tokens.Cached, output: p.Tokens.Output,
		}
	case p.Cost != nil:
		return family{metrics: []string{p.Cost.Metric}}
	}
	f, _ := presets(p.Preset)
	return f
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

func (p Params) maxAge() time.Duration {
	if p.MaxAge == 0 {
		return defaultMaxAge
	}
	return p.MaxAge
}

// signature tells parameters apart that give other numbers.
func (p Params) signature(zone *time.Location) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%q\x00%+v", version, p.URL, p.Matchers, p.Headers, p.family())
	fmt.Fprintf(h, "\x00%s", zone)
	return h.Sum64()
}

// Validate checks the section that stands at path.
func (p Params) Validate(path string) error {
	errs := []error{
		promql.ValidURL(path+".url", p.URL), p.Auth.Validate(path + ".auth"), fetch.ValidHeaders(path+".headers", p.Headers), p.TLS.Validate(path + ".tls"),
		p.validateFamily(path),
	}
	switch {
	case len(p.Matchers) > maxMatcherBytes:
		errs = append(errs, checks.Invalid(path+".matchers", "%d bytes, want at most %d", len(p.Matchers), maxMatcherBytes))
	case !promql.IsMatchers("{" + p.Matchers + "}"):
		errs = append(errs, checks.Invalid(path+".matchers", `want what stands in braces, such as job="shop", env="prod"`))
	}
	if p.MaxAge < 0 {
		errs = append(errs, checks.Invalid(path+".max_age", "%s, want more than 0s", p.MaxAge))
	}
	return errors.Join(errs...)
}

func (p Params) validateFamily(path string) error {
	_, known := presets(p.Preset)
	given := 0
	for _, one := range []bool{p.Preset != "", p.Tokens != nil, p.Cost != nil} {
		if one {
			given++
		}
	}
	switch {
	case given != 1:
		return checks.Invalid(path, "want one of preset, tokens and cost")
	case p.Tokens != nil:
		return p.Tokens.validate(path + ".tokens")
	case p.Cost != nil:
		return validMetric(path+".cost.metric", p.Cost.Metric)
	case !known:
		return checks.Invalid(path+".preset", "%q, want %s, %s or %s", p.Preset, PresetTokens, PresetCost, PresetGenAI)
	}
	return nil
}

func (t Tokens) validate(path string) error {
	errs := []error{validMetric(path+".metric", t.Metric)}
	for key, label := range map[string]string{"model_label": t.ModelLabel, "direction_label": t.DirectionLabel} {
		if len(label) > maxNameBytes || !regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)?$`).MatchString(label) || label == partLabel || label == windowLabel {
			errs = append(errs, checks.Invalid(path+"."+key, "%q, want the name of a label", label))
		}
	}
	if or(t.ModelLabel, defaultModel) == or(t.DirectionLabel, defaultDirection) {
		errs = append(errs, checks.Invalid(path+".direction_label", "it is the label of the model too"))
	}
	for key, values := range map[string][]string{"input": t.Input, "cached": t.Cached, "output": t.Output} {
		if len(values) > maxValues || slices.Contains(values, "") {
			errs = append(errs, checks.Invalid(path+"."+key, "want at most %d values, none of them empty", maxValues))
		}
	}
	if len(t.Input) == 0 || len(t.Output) == 0 {
		errs = append(errs, checks.Invalid(path, "want values for input and for output"))
	}
	for _, value := range t.Output {
		if slices.Contains(t.Input, value) || slices.Contains(t.Cached, value) {
			errs = append(errs, checks.Invalid(path+".output", "%q is input too", value))
		}
	}
	return errors.Join(errs...)
}

func validMetric(path, name string) error {
	if name == "" || len(name) > maxNameBytes || !promql.IsMetricName(name) {
		return checks.Invalid(path, "%q, want the name of a counter, such as mistral_tokens_total", name)
	}
	return nil
}
