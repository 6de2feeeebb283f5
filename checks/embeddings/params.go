package embeddings

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
)

// The bounds of one run: a monitor embeds no documents, and its answer must stay small.
const (
	maxInputs     = 16
	maxInputBytes = 8 << 10 // of all texts
	maxDimensions = 8192
)

// Params is the `with:` section.
type Params struct {
	Model      string   `jsonschema_description:"The model to ask, an id or an alias." yaml:"model"`
	Input      []string `jsonschema_description:"The texts, at most 16. They are never stored. With two or more that differ, their vectors must differ too. Default: two short sentences." yaml:"input"`
	Dimensions int      `jsonschema_description:"How wide the vectors must be. Default: 1024 for mistral-embed, else any width." yaml:"dimensions"`
	Norm       Range    `jsonschema_description:"How long the vectors must be. Default: 0.99 to 1.01 for mistral-embed, whose vectors are unit vectors, else any length." yaml:"norm"`
	Usage      bool     `jsonschema_description:"The answer must say how many tokens were used; degraded where it does not." yaml:"usage"`
}

// Range is from Min to Max, both included.
type Range struct {
	Min float64 `jsonschema_description:"The least." yaml:"min"`
	Max float64 `jsonschema_description:"The most." yaml:"max"`
}

func defaults() Params {
	return Params{
		Model: "mistral-embed", Usage: true,
		Input: []string{"The wind blows from the north.", "Bread is made of flour, water and salt."},
	}
}

// known fills in what is known of the model's vectors (Mistral's documentation and recorded answers, 2026).
func (p Params) known() Params {
	if !slices.Contains([]string{"mistral-embed", "mistral-embed-2312"}, p.Model) {
		return p
	}
	if p.Dimensions == 0 {
		p.Dimensions = 1024
	}
	if p.Norm == (Range{}) {
		p.Norm = Range{Min: 0.99, Max: 1.01}
	}
	return p
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if !calls.IsModel(p.Model) {
		bad("model", "%q, want a model's id such as mistral-embed", p.Model)
	}
	if len(p.Input) == 0 || len(p.Input) > maxInputs {
		bad("input", "%d texts, want 1 to %d", len(p.Input), maxInputs)
	}
	size := 0
	for i, text := range p.Input {
		size += len(text)
		if strings.TrimSpace(text) == "" {
			bad("input."+strconv.Itoa(i), "it is empty")
		}
	}
	if size > maxInputBytes {
		bad("input", "%d bytes, want at most %d", size, maxInputBytes)
	}
	if p.Dimensions < 0 || p.Dimensions > maxDimensions {
		bad("dimensions", "%d, want 1 to %d, or 0 for any", p.Dimensions, maxDimensions)
	}
	if n := p.Norm; !(n.Min >= 0 && n.Min <= n.Max && n.Max <= math.MaxFloat64) {
		bad("norm", "from %v to %v, want numbers from 0 up, min no more than max", n.Min, n.Max)
	}
	return errors.Join(errs...)
}
