package plugintest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxMistakes bounds what is tried of one kind: a schema may have hundreds of parameters.
const maxMistakes = 100

// mistake is a set of parameters with one thing wrong.
type mistake struct {
	what   string
	name   string // the parameter
	at     string // its JSON Pointer
	config []byte
}

// mistakes leave out each parameter that must be there, give each one that is known a value of another type, and add one
// that nobody knows: in the parameters, and in the objects and first elements of lists within them. What the schema does not
// refuse is no mistake.
func mistakes(k *kind, good []byte) []mistake {
	var schema map[string]any
	var params any
	if json.Unmarshal(k.Schema, &schema) != nil || json.Unmarshal(good, &params) != nil {
		return nil
	}
	m := &maker{kind: k, good: good, root: schema}
	m.walk(schema, params, nil)
	return m.out[:min(len(m.out), maxMistakes)]
}

// maker walks a schema beside parameters that obey it.
type maker struct {
	kind *kind
	good []byte
	root map[string]any
	out  []mistake
}

func (m *maker) walk(schema map[string]any, value any, path []string) {
	schema = m.resolve(schema)
	switch v := value.(type) {
	case map[string]any:
		m.object(schema, path)
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if below, ok := properties[name].(map[string]any); ok {
				m.walk(below, v[name], append(slices.Clone(path), name))
			}
		}
	case []any:
		if items, ok := schema["items"].(map[string]any); ok && len(v) > 0 {
			m.walk(items, v[0], append(slices.Clone(path), "0"))
		}
	}
}

// resolve follows references within the schema.
func (m *maker) resolve(schema map[string]any) map[string]any {
	for range 8 {
		ref, ok := schema["$ref"].(string)
		pointer, local := strings.CutPrefix(ref, "#/")
		if !ok || !local {
			return schema
		}
		var at any = m.root
		for word := range strings.SplitSeq(pointer, "/") {
			object, _ := at.(map[string]any)
			at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(word)]
		}
		found, ok := at.(map[string]any)
		if !ok {
			return schema
		}
		schema = found
	}
	return schema
}

// object makes the mistakes of one object.
func (m *maker) object(schema map[string]any, path []string) {
	required, _ := schema["required"].([]any)
	for _, one := range required {
		if name, ok := one.(string); ok {
			m.try("left out", name, path, func(o map[string]any) { delete(o, name) })
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		for i, value := range []any{map[string]any{"no": "such"}, []any{7.5}, 7.5, "no such value", true} {
			how := "as " + []string{"an object", "a list", "a number", "a text", "a truth value"}[i]
			if m.try(how, name, path, func(o map[string]any) { o[name] = value }) {
				break
			}
		}
	}
	const unknown = "no_such_parameter"
	m.try("that nobody knows", unknown, path, func(o map[string]any) { o[unknown] = 1 })
}

// try changes a copy of the good parameters. It is a mistake where the schema refuses it.
func (m *maker) try(how, name string, path []string, change func(object map[string]any)) bool {
	var params any
	if json.Unmarshal(m.good, &params) != nil {
		return false
	}
	at := params
	for _, word := range path {
		switch v := at.(type) {
		case map[string]any:
			at = v[word]
		case []any:
			at = v[0]
		}
	}
	object, ok := at.(map[string]any)
	if !ok {
		return false
	}
	change(object)
	data, err := json.Marshal(params)
	if err != nil || len(m.kind.schema.Validate(data)) == 0 {
		return false
	}
	pointer := pointerOf(append(slices.Clone(path), name))
	m.out = append(m.out, mistake{"the parameter " + strconv.Quote(pointer) + " " + how, name, pointer, data})
	return true
}

func pointerOf(path []string) string {
	var b strings.Builder
	for _, word := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(word))
	}
	return b.String()
}
