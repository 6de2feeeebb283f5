package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/windsock-monitor/windsock/internal/nearest"
)

// Schema is the compiled JSON Schema of a kind's parameters. It is safe for concurrent use.
type Schema struct{ schema *jsonschema.Schema }

// Finding is one fault of the parameters.
type Finding struct {
	Path    []string // where it stands: keys and indexes from the parameters down; none: the parameters as a whole
	Key     bool     // the key at Path is what is wrong, not its value
	Secret  bool     // a text stands where a reference to a credential is wanted: it may be the credential itself
	Message string
	Hint    string // the word that was meant, perhaps
}

// Compile reads the kind's schema. It loads nothing from outside: a reference to another document is an error, and so is a
// schema that is too much to validate with.
func (k Kind) Compile() (*Schema, error) {
	if len(k.Schema) == 0 {
		return nil, errors.New("it has no schema of its parameters")
	}
	if len(k.Schema) > MaxSchema {
		return nil, fmt.Errorf("its schema has %d bytes, want at most %d", len(k.Schema), MaxSchema)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.Schema))
	if err != nil {
		return nil, fmt.Errorf("its schema is not JSON: %w", err)
	}
	if object, ok := document.(map[string]any); !ok || object["type"] != "object" {
		return nil, errors.New(`its schema is not that of an object: want "type": "object"`)
	}
	if err := weigh(document); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothing{})
	const name = "schema.json"
	if err := compiler.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("its schema does not compile: %w", oneLine(err))
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("its schema does not compile: %w", oneLine(err))
	}
	return &Schema{schema}, nil
}

// nothing loads no document.
type nothing struct{}

// Load refuses.
func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, and a plugin's schema must stand alone", cut(url))
}

func oneLine(err error) error {
	return errors.New(cutTo(strings.Join(strings.Fields(err.Error()), " "), maxLine))
}

func cutTo(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Validate says what is wrong with parameters, a JSON object, in the order of their places.
func (s *Schema) Validate(config []byte) []Finding {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return []Finding{{Message: "not JSON: " + err.Error()}}
	}
	err = s.schema.Validate(value)
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return nil
	}
	var out []Finding
	s.walk(invalid, &out)
	slices.SortStableFunc(out, func(a, b Finding) int { return slices.Compare(a.Path, b.Path) })
	return slices.CompactFunc(out, func(a, b Finding) bool {
		return slices.Equal(a.Path, b.Path) && a.Message == b.Message
	})
}

// walk collects the leaves: what is above them only says that something below is wrong.
func (s *Schema) walk(e *jsonschema.ValidationError, out *[]Finding) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			s.walk(cause, out)
		}
		return
	}
	at := slices.Clone(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			*out = append(*out, Finding{
				Path: append(slices.Clone(at), name), Key: true, Hint: near(name, s.names(at)),
				Message: fmt.Sprintf("no parameter is called %q", cut(name)),
			})
		}
	case *kind.Required:
		for _, name := range k.Missing {
			*out = append(*out, Finding{Path: at, Message: fmt.Sprintf("the parameter %q is missing", name)})
		}
	default:
		text := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		wrong, isType := e.ErrorKind.(*kind.Type)
		secret := isType && wrong.Got == "string" && slices.Equal(s.names(at), []string{"secret"})
		*out = append(*out, Finding{Path: at, Secret: secret, Message: cutTo(text, maxLine)})
	}
}

func near(word string, known []string) string {
	if meant := nearest.Word(word, known); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return ""
}

// names are the parameters that the schema knows at a place.
func (s *Schema) names(at []string) []string {
	schema := s.schema
	for _, step := range at {
		for schema != nil && schema.Ref != nil {
			schema = schema.Ref
		}
		if schema == nil {
			return nil
		}
		schema = schema.Properties[step]
	}
	for schema != nil && schema.Ref != nil {
		schema = schema.Ref
	}
	if schema == nil {
		return nil
	}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Defaults is the kind's parameters as they are where the file gives none: the defaults of its schema.
func (k Kind) Defaults() map[string]any {
	var schema struct {
		Properties map[string]struct {
			Default any `json:"default"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(k.Schema, &schema) // Compile says what is wrong with it
	out := map[string]any{}
	for name, property := range schema.Properties {
		if property.Default != nil {
			out[name] = property.Default
		}
	}
	return out
}
