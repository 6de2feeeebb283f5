package checktest_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
)

func TestAGoodResultIsValid(t *testing.T) {
	t.Parallel()
	good := checks.Result{
		Status: checks.Degraded, Cause: checks.CauseSlow, Blame: checks.BlameProvider, Summary: "slow",
		Measurements: []checks.Measurement{{Name: "a.b_c", Value: 1, Unit: "s", Attrs: map[string]string{"k": "v"}}, {Name: "a.b_c", Value: 1, Attrs: map[string]string{"k": "w"}}},
		Phases:       []checks.Phase{{Name: checks.PhaseTLS, Took: 1}}, Evidence: []checks.Step{{Name: "dns", OK: true}},
		Usage: &checks.Usage{Model: "m", PromptTokens: 2, CachedTokens: 1}, Facts: map[string]string{"a": "b"},
	}
	for name, r := range map[string]checks.Result{
		"degraded": good, "ok": checks.Pass("well"), "failed": checks.Fail(checks.CauseAuth, "no"), "skipped": checks.Skip(checks.CauseBudget, "no"),
		"unknown": checks.Undetermined(checks.CauseInternal, "?"), "error": {Status: checks.Error, Cause: checks.CauseConfig, Summary: "no key"},
	} {
		if err := checktest.Valid(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABadResultIsNot(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	one := func(m checks.Measurement) checks.Result {
		return checks.Result{Status: checks.OK, Summary: "s", Measurements: []checks.Measurement{m}}
	}
	for name, r := range map[string]checks.Result{
		"no summary":               {Status: checks.OK},
		"ok with a cause":          {Status: checks.OK, Cause: checks.CauseSlow, Summary: "s"},
		"ok with a blame":          {Status: checks.OK, Blame: checks.BlameOurs, Summary: "s"},
		"failed without a cause":   {Status: checks.Failed, Summary: "s"},
		"the zero result":          {},
		"a cause nobody knows":     checks.Fail("weather", "s"),
		"a skip by the target":     checks.Fail(checks.CauseBudget, "s"),
		"a skip without reason":    checks.Skip(checks.CauseAuth, "s"),
		"a status nobody knows":    {Status: 99, Cause: checks.CauseAuth, Summary: "s"},
		"a blame nobody knows":     {Status: checks.Failed, Cause: checks.CauseAuth, Blame: "you", Summary: "s"},
		"a summary of two lines":   checks.Pass("a\nb"),
		"a summary that is long":   checks.Pass(long),
		"a summary in other bytes": checks.Pass("a\xff"),
		"NaN":                      one(checks.Measurement{Name: "a", Value: math.NaN()}),
		"infinity":                 one(checks.Measurement{Name: "a", Value: math.Inf(1)}),
		"an upper-case name":       one(checks.Measurement{Name: "A"}),
		"a long name":              one(checks.Measurement{Name: long}),
		"an odd unit":              one(checks.Measurement{Name: "a", Unit: long}),
		"an empty attribute":       one(checks.Measurement{Name: "a", Attrs: map[string]string{"k": ""}}),
		"a long attribute":         one(checks.Measurement{Name: "a", Attrs: map[string]string{"k": long}}),
		"an attribute of lines":    one(checks.Measurement{Name: "a", Attrs: map[string]string{"k": "a\tb"}}),
		"an odd attribute key":     one(checks.Measurement{Name: "a", Attrs: map[string]string{"K k": "v"}}),
		"the same series twice":    {Status: checks.OK, Summary: "s", Measurements: []checks.Measurement{{Name: "a"}, {Name: "a", Value: 2}}},
		"too many measurements":    {Status: checks.OK, Summary: "s", Measurements: make([]checks.Measurement, 1000)},
		"a negative phase":         {Status: checks.OK, Summary: "s", Phases: []checks.Phase{{Name: "tls", Took: -1}}},
		"a phase twice":            {Status: checks.OK, Summary: "s", Phases: []checks.Phase{{Name: "tls"}, {Name: "tls"}}},
		"a step without name":      {Status: checks.OK, Summary: "s", Evidence: []checks.Step{{}}},
		"a step of two lines":      {Status: checks.OK, Summary: "s", Evidence: []checks.Step{{Name: "a", Detail: "a\r\nb"}}},
		"too many steps":           {Status: checks.OK, Summary: "s", Evidence: make([]checks.Step, 1000)},
		"negative tokens":          {Status: checks.OK, Summary: "s", Usage: &checks.Usage{Model: "m", PromptTokens: -1}},
		"more cached than sent":    {Status: checks.OK, Summary: "s", Usage: &checks.Usage{Model: "m", CachedTokens: 1}},
		"a negative cost":          {Status: checks.OK, Summary: "s", Usage: &checks.Usage{Model: "m", Cost: -1}},
		"usage of no model":        {Status: checks.OK, Summary: "s", Usage: &checks.Usage{}},
		"an empty fact":            {Status: checks.OK, Summary: "s", Facts: map[string]string{"a": ""}},
		"a long fact":              {Status: checks.OK, Summary: "s", Facts: map[string]string{"a": long}},
		"too many facts":           {Status: checks.OK, Summary: "s", Facts: many(1000)},
		"too many attributes":      one(checks.Measurement{Name: "a", Attrs: many(1000)}),
	} {
		if checktest.Valid(r) == nil {
			t.Errorf("%s was valid", name)
		}
	}
}

func many(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprint("k", i)] = "v"
	}
	return all
}

func TestAKeyIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	const key = `sk-Canary/+"4711 ü`
	for name, text := range map[string]string{
		"plain":             "Bearer " + key,
		"go quoted":         fmt.Sprintf("%q", key),
		"json":              `{"k":"sk-Canary/+\"4711 ü"}`,
		"url query":         "?k=" + url.QueryEscape(key),
		"url path":          "/" + url.PathEscape(key),
		"html":              "sk-Canary/+&#34;4711 ü",
		"hex":               hex.EncodeToString([]byte("x" + key)),
		"base64":            base64.StdEncoding.EncodeToString([]byte(key)),
		"base64 within 1":   base64.StdEncoding.EncodeToString([]byte("a" + key + "tail")),
		"base64 within 2":   base64.StdEncoding.EncodeToString([]byte("ab" + key + "tail")),
		"base64 of user":    base64.StdEncoding.EncodeToString([]byte("user:" + key)),
		"base64url":         base64.URLEncoding.EncodeToString([]byte("user:" + key)),
		"base64 no padding": base64.RawStdEncoding.EncodeToString([]byte("Bearer " + key)),
		"upper case":        strings.ToUpper(key),
	} {
		if checktest.Leak(text, key) == "" {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	for _, text := range []string{"", "nothing here", "sk-Canary", base64.StdEncoding.EncodeToString([]byte("nothing here at all"))} {
		if form := checktest.Leak(text, key); form != "" {
			t.Errorf("found %s in %q", form, text)
		}
	}
	if form := checktest.Leak("anything", ""); form != "" {
		t.Errorf("found no key as %s", form)
	}
}

type inner struct {
	Port int `jsonschema_description:"Port." yaml:"port"`
}

type params struct {
	Name  string           `jsonschema_description:"Name." yaml:"name"`
	Wait  time.Duration    `jsonschema_description:"Wait." yaml:"wait"`
	Key   checks.Secret    `jsonschema_description:"Key."  yaml:"key"`
	One   inner            `jsonschema_description:"One."  yaml:"one"`
	Many  []inner          `jsonschema_description:"Many." yaml:"many"`
	Named map[string]inner `jsonschema_description:"Map."  yaml:"named"`
}

func standard() params { return params{Name: "n", Wait: time.Second, One: inner{Port: 1}} }

func TestTheDecoderReadsOverDefaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]params{
		"": standard(), "# nothing": standard(), "{}": standard(),
		"wait: 5s": {Name: "n", Wait: 5 * time.Second, One: inner{Port: 1}},
		"many: [{port: 2}]\nnamed: {a: {port: 3}}": {
			Name: "n", Wait: time.Second, One: inner{Port: 1}, Many: []inner{{2}}, Named: map[string]inner{"a": {3}},
		},
	} {
		got := standard()
		if err := checktest.Decoder(text, "k").Decode(&got); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b checks.Secret) bool { return a.IsZero() == b.IsZero() })); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestTheDecoderIsStrict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"nme: a", "one: {prt: 1}", "many: [{prt: 1}]", "name: a\nname: b", "wait: soon", "wait: 5", "name: [a]", "[1]", "a: b: c"} {
		got := standard()
		if err := checktest.Decoder(text, "k").Decode(&got); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestTheDecoderGivesTheKey(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"key: {env: X}", "key: [{file: /a}, {env: X}]", "key: anything"} {
		var got params
		if err := checktest.Decoder(text, "the-key").Decode(&got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if value, err := got.Key.Reveal(t.Context()); value != "the-key" || err != nil {
			t.Errorf("%q gave the key %q, %v", text, value, err)
		}
	}
	if _, err := checktest.Secret("").Reveal(t.Context()); err == nil {
		t.Error("the empty key has a value")
	}
}

func TestUndocumentedFieldsAreFound(t *testing.T) {
	t.Parallel()
	if err := checktest.Documented(params{}); err != nil {
		t.Errorf("a good struct: %v", err)
	}
	for name, bad := range map[string]any{
		"no tag": struct{ A int }{},
		"no description": struct {
			A int `yaml:"a"`
		}{},
		"an upper-case name": struct {
			A int `jsonschema_description:"A." yaml:"A"`
		}{},
		"a list of such": struct {
			A []struct{ B int } `jsonschema_description:"A." yaml:"a"`
		}{},
		"a map of such": struct {
			A map[string]*struct{ B int } `jsonschema_description:"A." yaml:"a"`
		}{},
		"an unexported one": struct{ a int }{},
		"nothing":           nil,
	} {
		if checktest.Documented(bad) == nil {
			t.Errorf("%s was well", name)
		}
	}
}
