package simulator

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/windsock-monitor/windsock/internal/nearest"
)

// decodeStrict decodes one YAML (or JSON) document into a struct; every error says where it is and what was wanted.
func decodeStrict(name string, data []byte, into any) (ast.Node, error) {
	if len(data) > maxScenario {
		return nil, fmt.Errorf("%s: more than %d KiB", name, maxScenario>>10)
	}
	tokens := lexer.Tokenize(string(data))
	if at, text := tooMuch(tokens); at != nil {
		return nil, placedAt(name, data, at, text)
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, placedYAML(name, data, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType {
		return nil, fmt.Errorf("%s: want one document", name)
	}
	root := file.Docs[0].Body
	c := &checker{}
	c.check(root, reflect.TypeOf(into).Elem())
	if len(c.wrong) > 0 {
		var all []error
		for _, w := range c.wrong {
			all = append(all, placed(name, data, w.node, w.text))
		}
		return nil, errors.Join(all...)
	}
	if err := yaml.NodeToValue(root, into, yaml.Strict()); err != nil {
		return nil, placedYAML(name, data, err)
	}
	return root, nil
}

// tooMuch finds what the parser must not see: it takes minutes and gigabytes over some ten thousand open brackets, and a
// few anchors make a small file a large one. Nothing that a scenario says needs more than this.
func tooMuch(tokens token.Tokens) (at *token.Token, text string) {
	const flow, column = 16, 80
	depth := 0
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // every other token is harmless
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return t, "anchors, aliases and tags are not read here; write the value out"
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth <= 0 && t.Position.Column > column {
				return t, "nested too deep"
			}
		}
		if depth > flow {
			return t, "nested too deep"
		}
	}
	return nil, ""
}

// checker finds everything at once that does not fit the struct, where the decoder stops at the first.
type checker struct {
	wrong []struct {
		node ast.Node
		text string
	}
}

func (c *checker) add(node ast.Node, text string) {
	c.wrong = append(c.wrong, struct {
		node ast.Node
		text string
	}{node, text})
}

func (c *checker) check(node ast.Node, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		c.add(node, "anchors, aliases and tags are not read here; write the value out")
	case *ast.NullNode:
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice {
			c.add(node, "a list, "+wantedOf(t))
			return
		}
		for _, v := range n.Values {
			c.check(v, t.Elem())
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			c.pair(v, t)
		}
	case *ast.MappingValueNode:
		c.pair(n, t)
	default:
		if !fits(node, t) {
			c.add(node, quote(node.GetToken().Value)+", "+wantedOf(t))
		}
	}
}

// fits reports whether a scalar can become a value of the type.
func fits(node ast.Node, t reflect.Type) bool {
	kind, whole := t.Kind(), node.Type() == ast.IntegerType
	switch {
	case t == reflect.TypeFor[time.Duration]():
		_, err := time.ParseDuration(node.GetToken().Value) // a number without a unit would be nanoseconds
		return err == nil
	case nested(kind):
		return false
	case kind == reflect.Bool:
		return node.Type() == ast.BoolType
	case kind == reflect.Int, kind == reflect.Int64:
		return whole
	case kind == reflect.Float64:
		return whole || node.Type() == ast.FloatType
	}
	return true
}

// quote keeps an error to a line, whatever the file holds.
func quote(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return strconv.Quote(text)
}

func nested(kind reflect.Kind) bool {
	return kind == reflect.Struct || kind == reflect.Map || kind == reflect.Slice
}

func wantedOf(t reflect.Type) string {
	kind := t.Kind()
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "want a duration with its unit, as 500ms, 10s or 2m"
	case kind == reflect.Slice:
		return "want a list"
	case nested(kind):
		return "want keys and values"
	case kind == reflect.Bool:
		return "want true or false"
	case kind == reflect.Int, kind == reflect.Int64:
		return "want a whole number"
	case kind == reflect.Float64:
		return "want a number"
	}
	return "want a text"
}

func (c *checker) pair(v *ast.MappingValueNode, t reflect.Type) {
	key := v.Key.String()
	if _, merge := v.Key.(*ast.MergeKeyNode); merge {
		c.add(v.Key, "anchors, aliases and tags are not read here; write the value out")
		return
	}
	if t.Kind() == reflect.Map {
		c.check(v.Value, t.Elem())
		return
	}
	if t.Kind() != reflect.Struct {
		c.add(v.Key, "keys and values, "+wantedOf(t))
		return
	}
	var known []string
	for field := range t.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if tag == strings.Trim(key, `"'`) {
			c.check(v.Value, field.Type)
			return
		}
		known = append(known, tag)
	}
	text := "unknown key " + quote(strings.Trim(key, `"'`))
	if near := nearest.Word(strings.Trim(key, `"'`), known); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	c.add(v.Key, text+" (known: "+strings.Join(known, ", ")+")")
}

// nodeAt follows a path as problems makes them; where it leads nowhere, as far as it goes.
func nodeAt(root ast.Node, path string) ast.Node {
	for path != "$" && path != "" {
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterNode(root); err == nil && node != nil {
				return node
			}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return root
}

func placed(name string, data []byte, node ast.Node, text string) error {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		node = m.Values[0].Key
	}
	if v, ok := node.(*ast.MappingValueNode); ok {
		node = v.Key
	}
	return placedAt(name, data, node.GetToken(), text)
}

func placedYAML(name string, data []byte, err error) error {
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		return placedAt(name, data, syntax.GetToken(), syntax.GetMessage())
	}
	return fmt.Errorf("%s: %w", name, err)
}

// placedAt is the form of every error in a file: where, what, and the line itself with a mark under the place.
func placedAt(name string, data []byte, at *token.Token, text string) error {
	if at == nil || at.Position == nil {
		return fmt.Errorf("%s: %s", name, text)
	}
	line, column := at.Position.Line, at.Position.Column
	lines := strings.Split(string(data), "\n")
	if line < 1 || line > len(lines) {
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, text)
	}
	source := strings.ToValidUTF8(strings.TrimRight(lines[line-1], "\r"), "?")
	if len(source) > 120 {
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, text)
	}
	return fmt.Errorf("%s:%d:%d: %s\n  %4d | %s\n       | %*s", name, line, column, text, line, source, max(1, column), "^")
}

// Document is a YAML file that was read strictly, so that what is wrong with it can be told in its place.
type Document struct {
	name string
	data []byte
	root ast.Node
}

// Decode reads one YAML document into a struct whose fields have yaml tags, as scenarios are read: unknown keys, anchors and
// aliases are refused, and each error is placed as name:line:column and quotes the line.
func Decode(name string, data []byte, into any) (Document, error) {
	root, err := decodeStrict(name, data, into)
	return Document{name, data, root}, err
}

// Wrong is an error at a YAML path such as $.faults[0].api, or where the path leads nowhere at what is nearest above it.
func (d Document) Wrong(path, text string) error {
	return placed(d.name, d.data, nodeAt(d.root, path), text)
}

// EachProblem tells everything that is wrong with the fault, by the YAML key that it is about; "" is the fault itself.
func (f *Fault) EachProblem(tell func(key, text string)) {
	for _, p := range f.problems() {
		tell(p.key, p.text)
	}
}
