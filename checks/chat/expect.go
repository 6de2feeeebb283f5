package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/gojq"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	jqPatience = time.Second // an expression may loop for ever
	jqOutputs  = 100
)

// expectation is a compiled Expect. It is immutable.
type expectation struct {
	contains string // folded
	raw      Expect
	matches  *regexp.Regexp
	schema   *jsonschema.Schema
	jq       *gojq.Code
}

// compile checks all parts and says what is wrong with each.
func compile(e Expect) (*expectation, error) {
	x := &expectation{raw: e, contains: strings.ToLower(e.Contains)}
	var matches, schema, jq error
	if e.Matches != "" {
		if x.matches, matches = regexp.Compile(e.Matches); matches != nil {
			matches = checks.Invalid("expect.matches", "%v", matches)
		}
	}
	if e.JSONSchema != nil {
		if x.schema, schema = compileSchema(e.JSONSchema); schema != nil {
			schema = checks.Invalid("expect.json_schema", "%v", schema)
		}
	}
	if e.JQ != "" {
		if x.jq, jq = compileJQ(e.JQ); jq != nil {
			jq = checks.Invalid("expect.jq", "%v", jq)
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

// compileJQ gives expressions no environment, no modules and no input but the answer.
func compileJQ(text string) (*gojq.Code, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not a jq expression: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return nil, fmt.Errorf("not a jq expression: %w", err)
	}
	return code, nil
}

// miss is an expectation that was not met; text is "" where it was.
type miss struct {
	text string
	ours bool // it could not be judged, by our own fault
}

// steps are the parts that were asked for and whether content satisfies them, up to the first that it does not. Their
// details quote the configuration and never the answer. ours means that the last could not be judged.
func (x *expectation) steps(ctx context.Context, content string) (steps []checks.Step, ours bool) {
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

func (x *expectation) unmetContains(content string) string {
	if strings.Contains(strings.ToLower(content), x.contains) {
		return ""
	}
	return fmt.Sprintf("the answer does not contain %q", shorten(x.raw.Contains))
}

func (x *expectation) unmetMatches(content string) string {
	if x.matches.MatchString(content) {
		return ""
	}
	return fmt.Sprintf("the answer does not match %q", shorten(x.raw.Matches))
}

func (x *expectation) unmetSchema(content string) string {
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

func (x *expectation) unmetJQ(ctx context.Context, content string) miss {
	ctx, cancel := context.WithTimeout(ctx, jqPatience)
	defer cancel()
	iter := x.jq.RunWithContext(ctx, jqInput(content))
	unmet := fmt.Sprintf("the answer does not satisfy the jq expression %q", shorten(x.raw.JQ))
	for n := 0; ; n++ {
		value, more := iter.Next()
		switch {
		case !more && n == 0:
			return miss{text: unmet + ": no output"}
		case !more:
			return miss{}
		case n == jqOutputs:
			return miss{fmt.Sprintf("the jq expression %q has more than %d outputs", shorten(x.raw.JQ), jqOutputs), true}
		}
		if _, failed := value.(error); failed { // whose text may quote the answer
			if ctx.Err() != nil {
				return miss{fmt.Sprintf("the jq expression %q did not end in time", shorten(x.raw.JQ)), true}
			}
			return miss{text: unmet + ": it failed"}
		}
		if value == nil || value == false {
			return miss{text: unmet}
		}
	}
}

// jqInput is content read as JSON, or itself where it is not exactly one JSON value.
func jqInput(content string) any {
	decoder := json.NewDecoder(strings.NewReader(content))
	var value any
	if decoder.Decode(&value) != nil {
		return content
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return content
	}
	return value
}

func shorten(s string) string {
	const most = 60
	if len([]rune(s)) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}
