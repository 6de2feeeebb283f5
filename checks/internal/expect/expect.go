// Package expect judges what a target answered against what the operator expects: text, patterns, JSON Schema, jq. Its
// texts quote the expectation and never the answer. It performs no I/O.
package expect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
)

// Params is what an answer must be, as a section of a check's parameters.
type Params struct {
	Contains   string         `jsonschema_description:"Text that the answer contains, in upper or lower case." yaml:"contains"`
	Matches    string         `jsonschema_description:"Regular expression (RE2) that matches somewhere in the answer, exactly as written: begin it with (?i) to ignore case." yaml:"matches"`
	JSONSchema map[string]any `jsonschema_description:"JSON Schema (2020-12) that the answer, read as JSON, satisfies. References outside it are refused." yaml:"json_schema"`
	JQ         string         `jsonschema_description:"jq expression whose every output is neither false nor null. Its input is the answer read as JSON, or a string where it is not JSON." yaml:"jq"`
}

// Expectation is compiled Params. It is immutable.
type Expectation struct {
	contains string // folded
	raw      Params
	matches  *regexp.Regexp
	schema   *jsonschema.Schema
	jq       *gojq.Code
	bounds   *bounds // of jq
}

// New checks all parts of the section at path, and says what is wrong with each.
func New(path string, e Params) (*Expectation, error) {
	x := &Expectation{raw: e, contains: strings.ToLower(e.Contains)}
	var matches, schema, jq error
	if e.Matches != "" {
		if x.matches, matches = regexp.Compile(e.Matches); matches != nil {
			matches = checks.Invalid(path+".matches", "%v", matches)
		}
	}
	if e.JSONSchema != nil {
		if x.schema, schema = compileSchema(e.JSONSchema); schema != nil {
			schema = checks.Invalid(path+".json_schema", "%v", schema)
		}
	}
	if e.JQ != "" {
		if x.jq, x.bounds, jq = compileJQ(e.JQ); jq != nil {
			jq = checks.Invalid(path+".jq", "%v", jq)
		}
	}
	return x, errors.Join(matches, schema, jq)
}

func compileSchema(schema map[string]any) (*jsonschema.Schema, error) {
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("it cannot be written as JSON: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it cannot be read as JSON: %w", err)
	}
	const name = "urn:windsock:expect"
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err //nolint:wrapcheck // the library's text names the place
	}
	return c.Compile(name)
}

// noLoader refuses every reference that leaves the schema: a check reads no files and calls no other hosts.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %q, want references within the schema only", url)
}

// miss is an expectation that was not met; text is "" where it was.
type miss struct {
	text string
	ours bool // it could not be judged, by our own fault
}

// Steps are the parts that were asked for and whether content satisfies them, up to the first that it does not. Their
// details quote the configuration and never the answer. ours means that the last could not be judged.
func (x *Expectation) Steps(ctx context.Context, content string) (steps []checks.Step, ours bool) {
	parts := []struct {
		asked bool
		name  string
		unmet func() miss
	}{
		{x.raw.Contains != "", "contains", func() miss { return miss{text: x.unmetContains(content)} }},
		{x.matches != nil, "matches", func() miss { return miss{text: x.unmetMatches(content)} }},
		{x.schema != nil, "json_schema", func() miss { return miss{text: x.unmetSchema(content)} }},
		{x.jq != nil, "jq", func() miss { return x.unmetJQ(ctx, content) }},
	}
	for _, part := range parts {
		if !part.asked {
			continue
		}
		unmet := part.unmet()
		steps = append(steps, checks.Step{Name: "expect." + part.name, OK: unmet.text == "", Detail: unmet.text})
		if unmet.text != "" {
			return steps, unmet.ours
		}
	}
	return steps, false
}

func (x *Expectation) unmetContains(content string) string {
	if strings.Contains(strings.ToLower(content), x.contains) {
		return ""
	}
	return fmt.Sprintf("the answer does not contain %q", shorten(x.raw.Contains))
}

func (x *Expectation) unmetMatches(content string) string {
	if x.matches.MatchString(content) {
		return ""
	}
	return fmt.Sprintf("the answer does not match %q", shorten(x.raw.Matches))
}

func (x *Expectation) unmetSchema(content string) string {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(content))
	if err != nil {
		return "the answer is not JSON"
	}
	err = x.schema.Validate(doc)
	if err == nil {
		return ""
	}
	// The error's own text and the place in the answer would quote the answer: only the rule is named.
	leaf, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return "the answer does not satisfy json_schema"
	}
	for len(leaf.Causes) > 0 {
		leaf = leaf.Causes[0]
	}
	_, place, _ := strings.Cut(leaf.SchemaURL, "#")
	rule := strings.Join(slices.Concat([]string{place}, leaf.ErrorKind.KeywordPath()), "/")
	return "the answer does not satisfy json_schema at " + shorten(rule)
}

func shorten(s string) string {
	const most = 60
	if len([]rune(s)) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}
