package manifest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
)

// folded is a schema that says two times the next, depth times: 2^depth parts.
func folded(depth int) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{`)
	for i := range depth {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"string","uniqueItems":true}}}`, depth)
	return b.String()
}

func TestSchemasThatAreTooMuch(t *testing.T) {
	t.Parallel()
	object := func(rest string) string { return `{"type":"object",` + rest + `}` }
	for name, tc := range map[string]struct{ schema, want string }{
		"a fold of 2^40":               {folded(40), "its schema unfolds to more than 10000 parts"},
		"a fold of 2^12":               {folded(12), "its schema unfolds to more than 10000 parts"},
		"one that is deep":             {object(`"properties":{"a":` + strings.Repeat(`{"items":`, 127) + "{}" + strings.Repeat("}", 128)), "its schema is nested more than 128 deep"},
		"a long list":                  {object(`"properties":{"a":{"enum":[` + strings.Repeat("1,", 10_000) + `1]}}`), "more than 10000 parts"},
		"long patterns":                {object(`"allOf":[` + strings.Repeat(`{"$ref":"#/$defs/p"},`, 200) + `true],"$defs":{"p":{"pattern":"` + strings.Repeat("a", 9000) + `"}}`), "more than 10000 parts"},
		"a fold in what looks as data": {object(`"properties":{"default":{"$ref":"#/$defs/d0"}},"$defs":` + folded(40)[strings.Index(folded(40), `{"d0"`):len(folded(40))-1]), "more than 10000 parts"},
		"a reference to the whole":     {object(`"properties":{"a":{"$ref":"#"}}`), `its schema refers to "#" from within, which has no end`},
		"a reference to itself":        {object(`"properties":{"a":{"$ref":"#/properties/a"}}`), `refers to "#/properties/a" from within`},
		"two that refer to each other": {object(`"$defs":{"a":{"items":{"$ref":"#/$defs/b"}},"b":{"items":{"$ref":"#/$defs/a"}}}`), `from within`},
		"a reference round the corner": {object(`"$defs":{"a/b":{"items":{"$ref":"#/%24defs/a~1b"}}}`), `refers to "#/%24defs/a~1b" from within`},
		"another document":             {object(`"properties":{"a":{"$ref":"https://example.com/s.json"}}`), "a plugin's schema must stand alone; want references like #/$defs/name"},
		"itself by its file's name":    {object(`"properties":{"a":{"$ref":"schema.json#/$defs/a"}},"$defs":{"a":true}`), "want references like #/$defs/name"},
		"a name that is no pointer":    {object(`"properties":{"a":{"$ref":"#a"}}`), "want references like #/$defs/name"},
		"a broken escape":              {object(`"properties":{"a":{"$ref":"#/%zz"}}`), "want references like #/$defs/name"},
		"nothing":                      {object(`"properties":{"a":{"$ref":"#/$defs/a"}}`), `refers to "#/$defs/a", where there is nothing`},
		"an item that is not there":    {object(`"allOf":[true],"properties":{"a":{"$ref":"#/allOf/1"}}`), "where there is nothing"},
		"an anchor":                    {object(`"properties":{"a":{"$anchor":"x"}}`), "the keyword $anchor"},
		"a dynamic anchor":             {object(`"properties":{"a":{"$dynamicAnchor":"x"}}`), "the keyword $dynamicAnchor"},
		"a dynamic reference":          {object(`"properties":{"a":{"$dynamicRef":"#x"}}`), "the keyword $dynamicRef"},
		"a recursive reference":        {object(`"properties":{"a":{"$recursiveRef":"#"}}`), "the keyword $recursiveRef"},
		"another base within":          {object(`"properties":{"a":{"$id":"x","$ref":"#/b","b":true}}`), "the keyword $id within it"},
		"another draft within":         {object(`"properties":{"a":{"$schema":"http://json-schema.org/draft-04/schema#","id":"x"}}`), "the keyword $schema within it"},
		"a draft with other names":     {object(`"$schema":"http://json-schema.org/draft-04/schema#"`), "its schema is of an unknown draft"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := described()
			d.Kinds[0].ConfigSchemaJson = []byte(tc.schema)
			if _, err := manifest.FromWire(d); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "does not compile") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSchemasThatAreNotTooMuch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ schema, bad string }{
		"a fold that can be told": {folded(9), `{"a":1}`},
		"escapes in references":   {`{"type":"object","properties":{"a":{"$ref":"#/%24defs/x~1y~0z%20"}},"$defs":{"x/y~z ":{"type":"string"}}}`, `{"a":1}`},
		"a reference into a list": {`{"type":"object","properties":{"a":{"$ref":"#/allOf/1"}},"allOf":[true,{"type":["object","string"]}]}`, `{"a":1}`},
		"parameters with the names of keywords": {
			`{"type":"object","properties":{"$ref":{"type":"string"},"$id":{"type":"string"},"$anchor":true,"$schema":{"default":"x"}}}`, `{"$ref":1}`,
		},
		"an identifier of the whole": {`{"$id":"https://example.com/s","$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"$ref":"#/definitions/a"}},"definitions":{"a":{"type":"string"}}}`, `{"a":1}`},
		"the same list twice":        {`{"type":"object","properties":{"a":{"enum":["x"]},"b":{"enum":["x"],"required":[]}}}`, `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, err := manifest.Kind{Schema: []byte(tc.schema)}.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if said := schema.Validate([]byte(tc.bad)); len(said) == 0 {
				t.Errorf("nothing was wrong with %s", tc.bad)
			}
			if said := schema.Validate([]byte(`{}`)); len(said) > 0 {
				t.Errorf("got %+v for no parameters", said)
			}
		})
	}
}

// Whatever a plugin sends as a schema, it is read or refused, and parameters are judged by it, in a time that people wait.
func FuzzSchema(f *testing.F) {
	deep := strings.Repeat(`{"items":`, 125) + "{}" + strings.Repeat("}", 125)
	deeper := strings.Repeat(`{"items":`, 9000) + "{}" + strings.Repeat("}", 9000)
	chain := strings.Builder{}
	for i := range 200 {
		fmt.Fprintf(&chain, `"d%d":{"$ref":"#/$defs/d%d"},`, i, i+1)
	}
	for _, schema := range []string{
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{` + chain.String() + `"d200":{"type":"string"}}}`,
		schema, folded(10), folded(40), `{"type":"object","properties":{"a":` + deep + `}}`, `{"type":"object","properties":{"a":` + deeper + `}}`,
		`{"type":"object","properties":{"a":{"$ref":"#"}}}`,
		`{"type":"object","properties":{"a":{"uniqueItems":true,"contains":{"pattern":"(a|a)*$"}}}}`,
	} {
		f.Add([]byte(schema), []byte(`{"a":[`+strings.Repeat(`"aaaa",`, 50)+`{}]}`))
	}
	f.Fuzz(func(t *testing.T, schema, config []byte) {
		over := make(chan struct{})
		go func() {
			defer close(over)
			compiled, err := (manifest.Kind{Name: "a", Type: manifest.Check, Schema: schema}).Compile()
			if err == nil {
				compiled.Validate(config)
			}
		}()
		select {
		case <-over:
		case <-time.After(20 * time.Second):
			t.Fatal("not over within 20s")
		}
	})
}
