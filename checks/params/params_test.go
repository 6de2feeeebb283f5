package params_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/checks/params"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
)

type texts []string

func (*texts) UnmarshalYAML(func(any) error) error { return nil }

type free struct{}

func (*free) UnmarshalYAML(func(any) error) error { return nil }

type host struct {
	Name string `yaml:"name" jsonschema:"required"`
	Port int    `yaml:"port"`
}

type common struct {
	Retries uint `yaml:"retries"`
}

type sample struct {
	URL      string                   `yaml:"url" jsonschema:"required" jsonschema_description:"Where."`
	Mode     string                   `yaml:"mode" jsonschema:"enum=fast,enum=slow"`
	Wait     time.Duration            `yaml:"wait"`
	Budget   checks.PicoUSD           `yaml:"budget"`
	Password checks.Secret            `yaml:"password"`
	Keys     map[string]checks.Secret `yaml:"keys"`
	Hosts    []host                   `yaml:"hosts"`
	To       texts                    `yaml:"to"`
	Any      free                     `yaml:"any"`
	Address  netip.Addr               `yaml:"address"`
	Want     checks.Status            `yaml:"want"`
	Ratio    *float64                 `yaml:"ratio"`
	Strict   bool                     `yaml:"strict"`
	common   `yaml:"-"`
	Common   common `yaml:",inline"`
	Left     string `yaml:"-"`
}

func compile(t *testing.T, defaults any) *jsonschema.Schema {
	t.Helper()
	text, err := params.Schema(defaults)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return schema
}

func TestSchemaTakesAndRefuses(t *testing.T) {
	schema := compile(t, sample{})
	for text, good := range map[string]bool{
		`{"url":"x"}`:                                     true,
		`{}`:                                              false,
		`{"url":1}`:                                       false,
		`{"url":"x","nonsense":1}`:                        false,
		`{"url":"x","mode":"fast"}`:                       true,
		`{"url":"x","mode":"medium"}`:                     false,
		`{"url":"x","wait":"1d12h"}`:                      true,
		`{"url":"x","wait":5}`:                            false,
		`{"url":"x","wait":"soon"}`:                       false,
		`{"url":"x","budget":0.05}`:                       true,
		`{"url":"x","budget":0}`:                          false,
		`{"url":"x","budget":100001}`:                     false,
		`{"url":"x","password":{"secret":"p"}}`:           true,
		`{"url":"x","password":"hunter2"}`:                false,
		`{"url":"x","password":{}}`:                       false,
		`{"url":"x","password":{"secret":"p","env":"P"}}`: false,
		`{"url":"x","keys":{"a":{"secret":"p"}}}`:         true,
		`{"url":"x","keys":{"a":"p"}}`:                    false,
		`{"url":"x","hosts":[{"name":"a","port":1}]}`:     true,
		`{"url":"x","hosts":[{"port":1}]}`:                false,
		`{"url":"x","hosts":[{"name":"a","port":1.5}]}`:   false,
		`{"url":"x","to":"one"}`:                          true,
		`{"url":"x","to":["one","two"]}`:                  true,
		`{"url":"x","to":[1]}`:                            false,
		`{"url":"x","any":[1,{"a":null}]}`:                true,
		`{"url":"x","address":"10.0.0.1","want":"ok"}`:    true,
		`{"url":"x","want":1}`:                            false,
		`{"url":"x","ratio":0.5,"strict":true}`:           true,
		`{"url":"x","strict":"yes"}`:                      false,
		`{"url":"x","retries":3}`:                         true,
		`{"url":"x","Left":"x"}`:                          false,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); (err == nil) != good {
			t.Errorf("%s: got %v, want it taken: %t", text, err, good)
		}
	}
}

func TestSchemaSaysTheDefaults(t *testing.T) {
	text, err := params.Schema(sample{
		URL: "http://a", Wait: 10 * time.Minute, Budget: 50_000_000_000, Strict: true, Want: checks.Failed, Common: common{Retries: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"default":"http://a"`, `"default":"10m"`, `"default":0.05`, `"default":true`, `"default":"failed"`, `"default":3`, `"description":"Where."`,
		`"$schema":"https://json-schema.org/draft/2020-12/schema"`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the schema lacks %s:\n%s", want, text)
		}
	}
}

type knot struct {
	Inner []knot `yaml:"inner"`
}

func TestWhatHasNoSchemaIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		defaults any
		want     string
	}{
		"nothing":           {nil, "want a struct"},
		"no struct":         {"x", "want a struct"},
		"what holds itself": {knot{}, "holds itself"},
		"a channel": {struct {
			C chan int `yaml:"c"`
		}{}, "no file can hold"},
		"a function in a map": {struct {
			F map[string]func() `yaml:"f"`
		}{}, "no file can hold"},
		"a field with no tag": {struct{ URL string }{}, "has no yaml tag"},
	} {
		if got, err := params.Schema(c.defaults); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %s, %v, want an error with %q", name, got, err, c.want)
		}
	}
}

func TestEveryBuiltInKindHasASchema(t *testing.T) {
	for _, k := range checkkinds.Kinds() {
		compile(t, k.Defaults)
	}
	for _, k := range exporterkinds.Kinds() {
		compile(t, k.Defaults)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond,
	} {
		if got, err := params.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "d", "-1d", "1d-1h", "1dx", "99999d", "1.5d"} {
		if got, err := params.ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", 0: "0s"} {
		if got := params.FormatDuration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
