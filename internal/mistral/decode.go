package mistral

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// decode reads JSON leniently: unknown fields and fields of another type than expected are passed over; only what is not
// JSON at all is an error.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}

// flexString is a string, or a number as text, or nothing.
type flexString string

// UnmarshalJSON never fails.
func (s *flexString) UnmarshalJSON(data []byte) error {
	*s = flexString(scalar(data))
	return nil
}

// flexInt is a count: a number of any form, a string of digits, or nothing. Negative ones are nothing too.
type flexInt int64

// UnmarshalJSON never fails.
func (n *flexInt) UnmarshalJSON(data []byte) error {
	*n = 0
	text := scalar(data)
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = flexInt(max(i, 0))
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && f > 0 && f < math.MaxInt64 {
		*n = flexInt(f)
	}
	return nil
}

// flexFloat is a number, or NaN where there is none: null, a text, or more than a float64 holds. Zero would be a number
// that nobody sent.
type flexFloat float64

// UnmarshalJSON never fails.
func (f *flexFloat) UnmarshalJSON(data []byte) error {
	*f = flexFloat(math.NaN())
	if v, err := strconv.ParseFloat(string(data), 64); err == nil {
		*f = flexFloat(v)
	}
	return nil
}

// flexBool is true only where the wire says true.
type flexBool bool

// UnmarshalJSON never fails.
func (b *flexBool) UnmarshalJSON(data []byte) error {
	*b = string(data) == "true"
	return nil
}

// completion is an answer, or one chunk of it.
type completion struct {
	ID      flexString `json:"id"`
	Object  flexString `json:"object"`
	Model   flexString `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *usage     `json:"usage"`
	Error   any        `json:"error"`
}

type choice struct {
	Index        flexInt    `json:"index"`
	FinishReason flexString `json:"finish_reason"`
	Message      message    `json:"message"`
	Delta        message    `json:"delta"`
}

type message struct {
	Content   content           `json:"content"`
	Reasoning flexString        `json:"reasoning_content"` // what other servers of this dialect call thinking
	ToolCalls []json.RawMessage `json:"tool_calls"`
}

// content is a string or a list of blocks.
type content struct {
	text     string
	thinking bool // there was a thinking block
	thought  bool // and something in it
}

// UnmarshalJSON never fails.
func (c *content) UnmarshalJSON(data []byte) error {
	*c = content{text: scalar(data)}
	var blocks []json.RawMessage
	if c.text != "" || json.Unmarshal(data, &blocks) != nil {
		return nil //nolint:nilerr // null, or a shape that nobody has seen: no content
	}
	var text strings.Builder
	for _, raw := range blocks {
		var block struct {
			Type     flexString `json:"type"`
			Text     flexString `json:"text"`
			Thinking content    `json:"thinking"`
		}
		if s := scalar(raw); s != "" {
			text.WriteString(s)
			continue
		}
		if decode(raw, &block) != nil {
			continue
		}
		if block.Type == "thinking" {
			c.thinking = true
			c.thought = c.thought || block.Thinking.text != ""
			continue
		}
		text.WriteString(string(block.Text))
	}
	c.text = text.String()
	return nil
}

// usage has had three names for the cached tokens.
type usage struct {
	Prompt     flexInt      `json:"prompt_tokens"`
	Completion flexInt      `json:"completion_tokens"`
	Total      flexInt      `json:"total_tokens"`
	Cached     flexInt      `json:"num_cached_tokens"`
	Details    usageDetails `json:"prompt_tokens_details"`
	Detail     usageDetails `json:"prompt_token_details"`
	Tier       flexString   `json:"service_tier"`
}

type usageDetails struct {
	Cached flexInt `json:"cached_tokens"`
}

func (u *usage) public(s credential.Scrubber) *Usage {
	if u == nil {
		return nil
	}
	return &Usage{
		PromptTokens: int64(u.Prompt), CompletionTokens: int64(u.Completion), TotalTokens: int64(u.Total),
		CachedTokens: int64(max(u.Cached, u.Details.Cached, u.Detail.Cached)),
		ServiceTier:  s.Line(string(u.Tier), 32),
	}
}

// card is an entry of the list of models.
type card struct {
	ID           flexString                 `json:"id"`
	Name         flexString                 `json:"name"`
	Billing      flexString                 `json:"billing_model_name"`
	Aliases      []flexString               `json:"aliases"`
	Type         flexString                 `json:"type"`
	OwnedBy      flexString                 `json:"owned_by"`
	Created      flexString                 `json:"created"`
	Context      flexInt                    `json:"max_context_length"`
	Capabilities map[string]json.RawMessage `json:"capabilities"`
	Deprecation  flexString                 `json:"deprecation"`
	Replacement  flexString                 `json:"deprecation_replacement_model"`
	Temperature  json.RawMessage            `json:"default_model_temperature"`
	Archived     flexBool                   `json:"archived"`
}

const (
	maxID           = 256
	maxAliases      = 64
	maxCapabilities = 64
)

func (c card) public(s credential.Scrubber) Model {
	id := func(v flexString) string { return s.Line(string(v), maxID) }
	m := Model{
		ID: id(c.ID), Name: id(c.Name), BillingName: id(c.Billing), Type: id(c.Type), OwnedBy: id(c.OwnedBy),
		Created: parseTime(string(c.Created)), MaxContextLength: int64(c.Context),
		Deprecation: parseTime(string(c.Deprecation)), Replacement: id(c.Replacement), Archived: bool(c.Archived),
	}
	for _, alias := range c.Aliases[:min(len(c.Aliases), maxAliases)] {
		m.Aliases = append(m.Aliases, id(alias))
	}
	if len(c.Capabilities) > 0 {
		m.Capabilities = map[string]bool{}
	}
	for name, value := range c.Capabilities {
		if text := string(value); len(m.Capabilities) < maxCapabilities && (text == "true" || text == "false") {
			m.Capabilities[s.Line(name, 64)] = text == "true"
		}
	}
	if t, err := strconv.ParseFloat(scalar(c.Temperature), 64); err == nil && !math.IsNaN(t) && !math.IsInf(t, 0) {
		m.DefaultTemperature = &t
	}
	return m
}
