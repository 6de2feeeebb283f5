package chat

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

// The bounds of one ping: a monitor's prompt is no place for documents, and its cost must stay small.
const (
	maxPrompt    = 64 << 10 // bytes, system prompt included
	maxMaxTokens = 32768
)

// Params is the `with:` section.
type Params struct {
	Model            string        `jsonschema:"required" jsonschema_description:"The model to ask, an id or an alias." yaml:"model"`
	Prompt           string        `jsonschema_description:"What the user says. It is never stored." yaml:"prompt"`
	System           string        `jsonschema_description:"The system prompt. Default: none is sent." yaml:"system"`
	MaxTokens        int           `jsonschema_description:"The most tokens that may be produced; with the prompt it is the most that a run can cost. A model that thinks first needs more than a few." yaml:"max_tokens"`
	Temperature      *float64      `jsonschema_description:"Sent only when given: some models refuse 0. Default: the model's own." yaml:"temperature"`
	Stream           bool          `jsonschema_description:"Stream the answer, which is the only way to see the time to the first token." yaml:"stream"`
	JSON             bool          `jsonschema_description:"Ask for a JSON object (response_format json_object). The prompt must ask for JSON too." yaml:"json"`
	Expect           expect.Params `jsonschema_description:"What the answer must be; all that is given must hold. Default: anything but nothing." yaml:"expect"`
	TimeToFirstToken time.Duration `jsonschema_description:"Degraded when the first content of the stream comes later. 0 is no objective." yaml:"time_to_first_token"`
	InterChunk       time.Duration `jsonschema_description:"Degraded when the stream is silent for longer between two chunks. 0 is no objective." yaml:"inter_chunk"`
}

func defaults() Params {
	return Params{Prompt: "Reply with the single word: pong", MaxTokens: 16, Stream: true}
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if !calls.IsModel(p.Model) {
		bad("model", "%q, want a model's id such as mistral-small-latest", p.Model)
	}
	if strings.TrimSpace(p.Prompt) == "" {
		bad("prompt", "it is empty")
	}
	if len(p.Prompt)+len(p.System) > maxPrompt {
		bad("prompt", "%d bytes with the system prompt, want at most %d", len(p.Prompt)+len(p.System), maxPrompt)
	}
	if p.MaxTokens < 1 || p.MaxTokens > maxMaxTokens {
		bad("max_tokens", "%d, want 1 to %d", p.MaxTokens, maxMaxTokens)
	}
	if t := p.Temperature; t != nil && (math.IsNaN(*t) || *t < 0 || *t > 2) {
		bad("temperature", "%v, want 0 to 2", *t)
	}
	for path, objective := range map[string]time.Duration{"time_to_first_token": p.TimeToFirstToken, "inter_chunk": p.InterChunk} {
		if objective < 0 {
			bad(path, "%s, want 0 or more", objective)
		}
		if objective > 0 && !p.Stream {
			bad(path, "only a stream has it, want stream: true")
		}
	}
	_, err := expect.New("expect", p.Expect)
	return errors.Join(errors.Join(errs...), err)
}
