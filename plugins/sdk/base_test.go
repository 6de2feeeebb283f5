package sdk_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
)

func TestDescribe(t *testing.T) {
	c := shopServed(t)
	got, err := c.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Describe(t.Context(), &pluginv1.DescribeRequest{HostVersion: "9"})
	if err != nil || !proto.Equal(got, again) {
		t.Errorf("the second answer differs: %v, %v", again, err)
	}
	if got.GetName() != "shop" || got.GetVersion() != "1.2.3" || got.GetSdk().GetName() != "windsock-go" || got.GetSdk().GetVersion() == "" {
		t.Errorf("got identity %v %v %v", got.GetName(), got.GetVersion(), got.GetSdk())
	}
	if !got.GetCapabilities().GetConcurrent() || !got.GetCapabilities().GetReconfigure() {
		t.Errorf("got capabilities %v, want both", got.GetCapabilities())
	}
	names := map[string]pluginv1.KindType{}
	for _, k := range got.GetKinds() {
		names[k.GetName()] = k.GetType()
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.GetConfigSchemaJson()))
		if err != nil {
			t.Fatal(err)
		}
		schema, _ := doc.(map[string]any)
		if schema["type"] != "object" || schema["additionalProperties"] != false {
			t.Errorf("kind %s: want a schema of an object without other properties, got %s", k.GetName(), k.GetConfigSchemaJson())
		}
	}
	check, exporter := pluginv1.KindType_KIND_TYPE_CHECK, pluginv1.KindType_KIND_TYPE_EXPORTER
	want := map[string]pluginv1.KindType{"login": check, "paying": check, "fickle": check, "lake": exporter, "picky": exporter, "page": exporter}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	login, lake := got.GetKinds()[0], got.GetKinds()[3]
	if login.GetMeasurements()[0].GetUnit() != "s" || login.GetMinInterval().GetSeconds() != 60 || login.GetDefaultTimeout().GetSeconds() != 5 || login.GetExporterLimits() != nil {
		t.Errorf("got %v, want what was declared", login)
	}
	if lake.GetExporterLimits().GetMaxBatch() != 500 || !lake.GetExporterLimits().GetRefresh() || got.GetKinds()[1].GetMaxCostPicoUsd() != int64(checks.Dollar) {
		t.Errorf("got %v, want what was declared", lake)
	}
}

func TestPluginThatIsNotSound(t *testing.T) {
	good := func() sdk.Plugin {
		return sdk.Plugin{Name: "shop", Version: "1.0.0", Checks: []checks.Kind{shop.Login()}, Exporters: []exporters.Kind{shop.Lake()}}
	}
	declare := func(name string, d sdk.Declaration) func(*sdk.Plugin) {
		return func(p *sdk.Plugin) { p.Declare = map[string]sdk.Declaration{name: d} }
	}
	untagged := checks.NewKind("untagged", "Has no tags.", struct{ URL string }{}, func(struct{ URL string }, checks.Env) (checks.Check, error) { return nil, nil })
	if _, err := sdk.NewServer(good()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*sdk.Plugin)
		want  string
	}{
		"name":             {func(p *sdk.Plugin) { p.Name = "My Shop" }, `its name is "My Shop"`},
		"version":          {func(p *sdk.Plugin) { p.Version = "v1" }, `its version is "v1"`},
		"homepage":         {func(p *sdk.Plugin) { p.Homepage = "shop.example" }, "its homepage is"},
		"no kind":          {func(p *sdk.Plugin) { p.Checks, p.Exporters = nil, nil }, "offers no kind"},
		"two of a name":    {func(p *sdk.Plugin) { p.Checks[0].Name = "lake" }, `two kinds are called "lake"`},
		"a kind's name":    {func(p *sdk.Plugin) { p.Checks[0].Name = "a/b" }, `kind "a/b": want a name`},
		"no documentation": {func(p *sdk.Plugin) { p.Checks[0].Doc = "" }, "no documentation"},
		"a provider":       {func(p *sdk.Plugin) { p.Checks[0].Provider = checks.ProviderNeeded }, "needs a provider"},
		"no tags":          {func(p *sdk.Plugin) { p.Checks[0] = untagged }, "has no yaml tag"},
		"nobody's":         {declare("nobody", sdk.Declaration{}), `declares something of "nobody"`},
		"money":            {declare("login", sdk.Declaration{MaxCost: -1}), "negative number"},
		"a measurement":    {declare("login", sdk.Declaration{Measurements: []sdk.Measurement{{Name: "Shop"}}}), `declares the measurement "Shop"`},
		"twice":            {declare("login", sdk.Declaration{Measurements: []sdk.Measurement{{Name: "a"}, {Name: "a"}}}), "once"},
		"a record type":    {declare("lake", sdk.Declaration{Records: []checks.RecordType{"nonsense"}}), `records of type "nonsense"`},
		"a check's batch":  {declare("login", sdk.Declaration{MaxBatch: 1}), "what only exporters have"},
		"an exporter's":    {declare("lake", sdk.Declaration{MaxCost: 1}), "what only checks have"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good()
			c.spoil(&p)
			if _, err := sdk.NewServer(p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// problems are the pointers and summaries of diagnostics.
func problems(all []*pluginv1.Diagnostic) map[string]string {
	out := map[string]string{}
	for _, d := range all {
		out[d.GetPointer()] += d.GetSummary()
	}
	return out
}

func TestConfigureTellsWhatIsWrong(t *testing.T) {
	c := shopServed(t)
	for name, k := range map[string]struct {
		kind, config string
		want         map[string]string // part of a summary, by its pointer
	}{
		"missing":             {"login", `{}`, map[string]string{"/url": `"url" is missing`}},
		"missing below":       {"login", `{"url":"http://a","hosts":[{"name":"a","port":1},{"port":2}]}`, map[string]string{"/hosts/1/name": `"name" is missing`}},
		"nothing at all":      {"login", ``, map[string]string{"/url": "missing"}},
		"unknown":             {"login", `{"url":"http://a","nonsense":1,"a/b~c":2}`, map[string]string{"/nonsense": `no parameter "nonsense"`, "/a~1b~0c": "no parameter"}},
		"several":             {"login", `{"says":"maybe","wait":5}`, map[string]string{"/url": "missing", "/says": "one of", "/wait": "found number, want string"}},
		"null":                {"login", `{"url":null}`, map[string]string{"/url": "found null, want string"}},
		"a plain secret":      {"login", `{"url":"http://a","password":"hunter2"}`, map[string]string{"/password": "want object"}},
		"a secret's key":      {"login", `{"url":"http://a","headers":{"x.y":{"env":"A"}}}`, map[string]string{"/headers/x.y/secret": "missing", "/headers/x.y/env": "no parameter"}},
		"of no form":          {"login", `{"url":"http://a","to":[1]}`, map[string]string{"/to": "none of the forms"}},
		"what a type refuses": {"login", `{"url":"http://a","want":"great","retries":300}`, map[string]string{"/want": `status "great"`, "/retries": "int8 can hold"}},
		"what a kind refuses": {"login", `{"url":"ftp://a","hosts":[{"name":"a"}]}`, map[string]string{"/url": "want an http address", "/hosts/0/port": "want a port"}},
		"what building says":  {"login", `{"url":"http://refused"}`, map[string]string{"": "this address is refused"}},
		"too much money":      {"login", `{"url":"http://a","budget":1e-13}`, map[string]string{"/budget": "12 digits"}},
		"no JSON":             {"login", `{"url"`, map[string]string{"": "no JSON"}},
		"no object":           {"login", `[]`, map[string]string{"": "found array, want object"}},
		"no such kind":        {"logout", `{}`, map[string]string{"": `no kind "logout", want one of fickle, lake, login`}},
		"too dear":            {"paying", `{"cost":2}`, map[string]string{"": "a run can cost $2.000000, the plugin declares at most $1.000000"}},
		"an exporter's":       {"lake", `{"answer":"refuse"}`, map[string]string{"/answer": "refused"}},
		"a page":              {"page", `{}`, map[string]string{"": "which a plugin cannot"}},
		"nothing made":        {"fickle", `{"when":"nil"}`, map[string]string{"": "made nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "i", Kind: k.kind, ConfigJson: []byte(k.config)})
			if err != nil {
				t.Fatal(err)
			}
			got := problems(r.GetDiagnostics())
			for at, want := range k.want {
				if !strings.Contains(got[at], want) {
					t.Errorf("at %q: got %q, want %q", at, got[at], want)
				}
			}
			if len(got) != len(k.want) {
				t.Errorf("got problems %q, want %q", got, k.want)
			}
			if strings.Contains(strings.Join([]string{got[""], got["/password"]}, ""), "hunter2") {
				t.Error("the diagnostic tells the secret")
			}
			_, err = c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
			wantCode(t, err, codes.FailedPrecondition)
		})
	}
}

func TestValidateOnlyKeepsNothing(t *testing.T) {
	c := shopServed(t)
	r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "i", Kind: "login", ConfigJson: []byte(`{"url":"http://a","password":{"secret":"p"}}`), ValidateOnly: true})
	if err != nil || len(r.GetDiagnostics()) != 0 {
		t.Fatalf("got %v, %v, want nothing wrong", r, err)
	}
	_, err = c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
	wantCode(t, err, codes.FailedPrecondition)
	if r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{Kind: "login", ValidateOnly: true}); err != nil || len(r.GetDiagnostics()) != 1 {
		t.Errorf("without the url: got %v, %v, want one diagnostic", r, err)
	}
}

func TestConfigureThatPanicsIsAnError(t *testing.T) {
	c := shopServed(t)
	for _, when := range []string{"validate", "new"} {
		_, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "i", Kind: "fickle", ConfigJson: []byte(`{"when":"` + when + `"}`), Name: "n"})
		wantCode(t, err, codes.Internal)
	}
	c.configured(t, "i", "fickle", `{"when":"never"}`)
	_, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{Kind: "login", ConfigJson: []byte(`{"url":"http://a"}`)})
	wantCode(t, err, codes.InvalidArgument)
}

func TestConfigureTellsTheCostAndWarns(t *testing.T) {
	c := shopServed(t)
	r := c.configured(t, "i", "paying", `{"cost":0.25}`)
	if r.MaxCostPicoUsd == nil || r.GetMaxCostPicoUsd() != int64(checks.Dollar/4) {
		t.Errorf("got cost %v, want a quarter of a dollar", r.MaxCostPicoUsd)
	}
	if got := problems(r.GetDiagnostics()); !strings.Contains(got[""], "shop.undeclared") || strings.Contains(got[""], "shop.paid") {
		t.Errorf("got warnings %q, want one of what is not declared", got)
	}
	if r := c.configured(t, "i", "login", `{"url":"http://a"}`); r.MaxCostPicoUsd != nil {
		t.Errorf("a check that costs nothing: got %v, want none", r.GetMaxCostPicoUsd())
	}
}

func TestReleaseAndConfigureAgain(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "login", `{"url":"http://a"}`)
	c.configured(t, "i", "login", `{"url":"http://b"}`)
	r, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
	if err != nil || r.GetResult().GetSummary() != "200 from http://b" {
		t.Errorf("got %v, %v, want the second configuration", r, err)
	}
	for range 2 {
		if _, err := c.Release(t.Context(), &pluginv1.ReleaseRequest{InstanceId: "i"}); err != nil {
			t.Error(err)
		}
	}
	_, err = c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: "i"})
	wantCode(t, err, codes.FailedPrecondition)
}

// The parameters that the agent's own file takes are those that a plugin of the same kind takes.
func TestBuiltInKindsMoveIntoAPlugin(t *testing.T) {
	p := sdk.Plugin{Name: "moved", Version: "1.0.0"}
	for _, k := range checkkinds.Kinds() {
		if k.Provider != checks.ProviderNeeded {
			p.Checks = append(p.Checks, k)
		}
	}
	c := served(t, p)
	for _, k := range p.Checks {
		var section any
		if err := yaml.Unmarshal([]byte(checkkinds.Examples()[k.Name]), &section); err != nil {
			t.Fatal(err)
		}
		config := []byte("{}")
		if section != nil {
			text, err := yaml.MarshalWithOptions(byReference(section), yaml.JSON())
			if err != nil {
				t.Fatal(err)
			}
			config = text
		}
		r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: "i", Kind: k.Name, ConfigJson: config, ValidateOnly: true})
		if err != nil || len(r.GetDiagnostics()) > 0 {
			t.Errorf("%s with %s: got %v, %v, want nothing wrong", k.Name, config, r, err)
		}
	}
	if len(p.Checks) < 5 {
		t.Errorf("got %d kinds, want more to try", len(p.Checks))
	}
}

// byReference turns sources of secrets into the form of the protocol.
func byReference(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, source := range []string{"credential", "file", "env", "command"} {
			if _, ok := v[source]; ok && len(v) == 1 {
				return map[string]any{"secret": "s"}
			}
		}
		for key := range v {
			v[key] = byReference(v[key])
		}
	case []any:
		for i := range v {
			v[i] = byReference(v[i])
		}
	}
	return v
}
