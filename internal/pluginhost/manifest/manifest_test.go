package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

const schema = `{"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
	"url": {"type": "string"}, "retries": {"type": "integer", "minimum": 0, "default": 2},
	"login": {"$ref": "#/$defs/login"}},
	"$defs": {"login": {"type": "object", "additionalProperties": false, "properties": {"user": {"type": "string"}}}}}`

func described() *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{
		Name: "shop", Version: "1.2.3", Summary: "The shop.", Homepage: "https://shop.example.com/windsock",
		Sdk: &pluginv1.Sdk{Name: "windsock-go", Version: "1"}, Capabilities: &pluginv1.PluginCapabilities{Concurrent: true},
		Kinds: []*pluginv1.Kind{
			{Name: "lake", Type: pluginv1.KindType_KIND_TYPE_EXPORTER, ConfigSchemaJson: []byte(`{"type":"object"}`), ExporterLimits: &pluginv1.ExporterLimits{
				MaxBatch: 100, Refresh: true, RecordTypes: []pluginv1.RecordType{pluginv1.RecordType_RECORD_TYPE_ALERT, 99},
			}},
			{
				Name: "login", Type: pluginv1.KindType_KIND_TYPE_CHECK, DocMarkdown: "Logs in.", ConfigSchemaJson: []byte(schema),
				MinInterval: durationpb.New(time.Minute), MaxCostPicoUsd: 5,
				Measurements: []*pluginv1.MeasurementSpec{{Name: "shop.login.duration", Unit: "s", Description: "How long."}},
			},
		},
	}
}

func TestAManifestIsReadAndKept(t *testing.T) {
	t.Parallel()
	m, err := manifest.FromWire(described())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), manifest.LockName)
	lock := &manifest.Lock{}
	lock.Set(manifest.Locked{SHA256: strings.Repeat("a", 64), Manifest: manifest.Manifest{Name: "shop"}})
	lock.Set(manifest.Locked{SHA256: strings.Repeat("b", 64), Manifest: m})
	if err := lock.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := manifest.ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := read.Find("shop")
	if !ok || got.SHA256 != strings.Repeat("b", 64) || len(read.Plugins) != 1 {
		t.Fatalf("got %+v", read)
	}
	if said := manifest.Differences(m, got.Manifest); len(said) > 0 {
		t.Errorf("written and read, it differs: %q", said)
	}
	if diff := cmp.Diff(m.Names(), []string{"lake", "login"}); diff != "" {
		t.Error(diff)
	}
	login, _ := got.Manifest.Kind("login")
	lake, _ := got.Manifest.Kind("lake")
	if login.MinInterval != manifest.Duration(time.Minute) || login.MaxCost != 5 || lake.MaxBatch != 100 || !lake.Refresh || len(lake.Records) != 1 {
		t.Errorf("got %+v and %+v", login, lake)
	}
	if _, there := read.Find("other"); there {
		t.Error("a plugin was found that is not there")
	}
}

func TestAFileThatIsNotThereIsAnEmptyLock(t *testing.T) {
	t.Parallel()
	lock, err := manifest.ReadLock(filepath.Join(t.TempDir(), "none"))
	if err != nil || len(lock.Plugins) != 0 {
		t.Errorf("got %+v, %v", lock, err)
	}
}

func TestWhatIsWrongWithAManifest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*pluginv1.DescribeResponse)
		want   string
	}{
		"no name":              {func(d *pluginv1.DescribeResponse) { d.Name = "" }, `its name is "", want lower-case`},
		"a name with a slash":  {func(d *pluginv1.DescribeResponse) { d.Name = "a/b" }, `its name is "a/b"`},
		"no version":           {func(d *pluginv1.DescribeResponse) { d.Version = "latest" }, `its version is "latest"`},
		"no kinds":             {func(d *pluginv1.DescribeResponse) { d.Kinds = nil }, "it has 0 kinds, want 1 to 64"},
		"two kinds of a name":  {func(d *pluginv1.DescribeResponse) { d.Kinds[0].Name = "login" }, `two kinds called "login"`},
		"a line feed":          {func(d *pluginv1.DescribeResponse) { d.Summary = "a\nb" }, "its summary is not one line"},
		"a script as homepage": {func(d *pluginv1.DescribeResponse) { d.Homepage = "javascript:alert(1)" }, "its homepage is not an http(s) address"},
		"no schema":            {func(d *pluginv1.DescribeResponse) { d.Kinds[0].ConfigSchemaJson = nil }, `kind "lake": it has no schema`},
		"a schema of a list":   {func(d *pluginv1.DescribeResponse) { d.Kinds[0].ConfigSchemaJson = []byte(`{"type":"array"}`) }, "not that of an object"},
		"a schema that is bad": {func(d *pluginv1.DescribeResponse) {
			d.Kinds[0].ConfigSchemaJson = []byte(`{"type":"object","required":3}`)
		}, "its schema does not compile"},
		"a schema elsewhere": {func(d *pluginv1.DescribeResponse) {
			d.Kinds[0].ConfigSchemaJson = []byte(`{"type":"object","properties":{"a":{"$ref":"https://example.com/s.json"}}}`)
		}, "a plugin's schema must stand alone"},
		"a negative cost":                {func(d *pluginv1.DescribeResponse) { d.Kinds[1].MaxCostPicoUsd = -1 }, "a bound of it is below 0"},
		"a negative time":                {func(d *pluginv1.DescribeResponse) { d.Kinds[1].DefaultTimeout = durationpb.New(-1) }, "default_timeout is not a duration"},
		"a measurement's name":           {func(d *pluginv1.DescribeResponse) { d.Kinds[1].Measurements[0].Name = "A b" }, `it announces the measurement "A b"`},
		"a verdict of its own":           {func(d *pluginv1.DescribeResponse) { d.Kinds[1].Measurements[0].Name = "probe.success" }, `announces the measurement "probe.success", which is a name of the agent's own`},
		"a verdict as Prometheus has it": {func(d *pluginv1.DescribeResponse) { d.Kinds[1].Measurements[0].Name = "probe_success" }, `"probe_success", which is a name of the agent's own`},
		"the agent's own state":          {func(d *pluginv1.DescribeResponse) { d.Kinds[1].Measurements[0].Name = "windsock.uptime" }, `"windsock.uptime", which is a name of the agent's own`},
		"a measurement is twice": {func(d *pluginv1.DescribeResponse) {
			d.Kinds[1].Measurements = append(d.Kinds[1].Measurements, d.Kinds[1].Measurements[0])
		}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := described()
			tc.change(d)
			if _, err := manifest.FromWire(d); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// What a later version of the protocol adds does not disturb: unknown fields and kinds of an unknown type.
func TestAManifestFromTheFuture(t *testing.T) {
	t.Parallel()
	d := described()
	d.Kinds = append(d.Kinds, &pluginv1.Kind{Name: "notifier", Type: 77})
	data, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, 0xfa, 0x3f, 0x02, 'h', 'i') // field 1023
	var later pluginv1.DescribeResponse
	if err := proto.Unmarshal(data, &later); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.FromWire(&later)
	if err != nil || len(m.Kinds) != 2 {
		t.Errorf("got %v, %v, want the two kinds that are known", m.Names(), err)
	}
}

func TestParametersAreJudgedInTheirPlaces(t *testing.T) {
	t.Parallel()
	compiled, err := (manifest.Kind{Schema: []byte(schema)}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string][]string{
		`{"url": `:                            {`: not JSON: unexpected EOF`},
		`{"url": "x"}`:                        nil,
		`{}`:                                  {`: the parameter "url" is missing`},
		`{"url": 1}`:                          {`url: got number, want string`},
		`{"url": "x", "retris": 1}`:           {`retris: no parameter is called "retris"; did you mean "retries"?`},
		`{"url": "x", "retries": -1}`:         {`retries: minimum: got -1, want 0`},
		`{"url": "x", "login": {"usr": "a"}}`: {`login.usr: no parameter is called "usr"; did you mean "user"?`},
		`{"retries": "a", "login": 7}`:        {`: the parameter "url" is missing`, `login: got number, want object`, `retries: got string, want integer`},
		`{"url": "x", "retries": 9007199254740993}`: nil,
	} {
		var got []string
		for _, f := range compiled.Validate([]byte(config)) {
			line := fmt.Sprintf("%s: %s", strings.Join(f.Path, "."), f.Message)
			if f.Hint != "" {
				line += "; " + f.Hint
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s: %s", config, diff)
		}
	}
}

func TestALockThatIsDamaged(t *testing.T) {
	t.Parallel()
	good, err := manifest.FromWire(described())
	if err != nil {
		t.Fatal(err)
	}
	lock := &manifest.Lock{}
	lock.Set(manifest.Locked{SHA256: strings.Repeat("c", 64), Manifest: good})
	data, err := lock.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ from, to, want string }{
		"cut off":          {string(data[len(data)/2:]), "", "not the JSON of a lock"},
		"a wrong type":     {`"version": 1,`, `"version": "one",`, "line 2: not the JSON of a lock"},
		"of a later form":  {`"version": 1,`, `"version": 2,`, "a lock of version 2"},
		"a short digest":   {strings.Repeat("c", 64), "cc", `"cc" is not a SHA-256 digest`},
		"a broken schema":  {`"type": "object"`, `"type": "thing"`, "its schema"},
		"a later protocol": {`"protocol": 1`, `"protocol": 9`, "speaks protocol 9, and this agent speaks 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), manifest.LockName)
			if err := os.WriteFile(path, []byte(strings.Replace(string(data), tc.from, tc.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := manifest.ReadLock(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "windsock plugins lock") {
				t.Errorf("got %v, want %q and the way out", err, tc.want)
			}
		})
	}
}

func TestWhatChangedIsSaid(t *testing.T) {
	t.Parallel()
	before, err := manifest.FromWire(described())
	if err != nil {
		t.Fatal(err)
	}
	d := described()
	d.Version, d.Kinds[0].Name, d.Kinds[1].ConfigSchemaJson = "2.0.0", "pond", []byte(`{"type":"object","additionalProperties":false}`)
	after, err := manifest.FromWire(d)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`version: "1.2.3" is now "2.0.0"`, "kind lake is gone", "kind login has another schema of parameters", "kind pond is new (exporter)",
	}
	if diff := cmp.Diff(manifest.Differences(before, after), want); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(`{"version":1,"plugins":[]}`))
	f.Add([]byte(`{"version":1,"plugins":[{"sha256":"","manifest":{"name":"a","kinds":[{"schema":{"type":"object"}}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := manifest.ParseLock(data)
		if err != nil {
			return
		}
		again, err := lock.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.ParseLock(again); err != nil {
			t.Errorf("a lock that was read cannot be read again: %v", err)
		}
	})
}
