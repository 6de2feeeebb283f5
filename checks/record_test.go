package checks_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
)

// goldenRecords are full records: every field is set.
func goldenRecords() map[string]checks.Record {
	at := time.Date(2026, 11, 23, 8, 30, 0, 123456789, time.UTC)
	report := &checks.Report{
		ID: "01KATQ3Z0V8M4X2T6R9YC1DE5F", Check: "chat-small", Kind: "chat", Provider: "mistral", Location: "par1-vm7",
		Labels: map[string]string{"env": "production", "service": "checkout"}, ScheduledAt: at,
		StartedAt: at.Add(7 * time.Millisecond), Took: 6*time.Second + 1, Timeout: 30 * time.Second,
		Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: checks.Result{
			Status: checks.Degraded, Cause: checks.CauseSlow, Blame: checks.BlameProvider, Summary: "first token after 5.2s, budget 2s",
			Measurements: []checks.Measurement{
				{Name: "probe.llm.time_to_first_token", Value: 5.2, Unit: "s", Attrs: map[string]string{"model": "mistral-small-latest"}},
				{Name: "probe.http.status_code", Value: 200},
			},
			Phases: []checks.Phase{
				{Name: checks.PhaseResolve, Took: 12 * time.Millisecond},
				{Name: checks.PhaseConnect, Took: 8 * time.Millisecond},
				{Name: checks.PhaseTLS, Took: 15 * time.Millisecond},
				{Name: checks.PhaseFirstByte, Took: 5 * time.Second},
				{Name: checks.PhaseFirstToken, Took: 5200 * time.Millisecond},
				{Name: checks.PhaseTransfer, Took: 123456789},
			},
			Evidence: []checks.Step{{Name: "dns", OK: true, Detail: "192.0.2.7"}, {Name: "objective", OK: false, Detail: "5.2s, budget 2s"}},
			Usage: &checks.Usage{
				Model: "mistral-small-latest", PromptTokens: 15, CachedTokens: 4, CompletionTokens: 3, Cost: 3_510_001,
				PriceKnown: true, PriceDate: "2026-08-21", Estimated: true,
			},
			Facts: map[string]string{"request_id": "0198-aa", "finish_reason": "stop"},
		},
	}
	return map[string]checks.Record{
		"report": checks.OfReport(report),
		"alert": {
			ID: "01KATQ3Z0V8M4X2T6R9YC1DE5G", At: at, Alert: &checks.Alert{
				Rule: "high-latency", Fingerprint: "9b1f0c", State: checks.AlertFiring, Severity: checks.P2, Blame: checks.BlameProvider,
				Since: at.Add(-5 * time.Minute), At: at, Value: 5.2, Threshold: 5, Labels: map[string]string{"check": "chat-small"},
				Runbook: "high-latency", Incident: "inc-7",
			},
		},
		"agent": {
			ID: "01KATQ3Z0V8M4X2T6R9YC1DE5H", At: at, Agent: &checks.Snapshot{
				Version: "1.2.3", Location: "par1-vm7", StartedAt: at.Add(-time.Hour),
				Measurements: []checks.Measurement{{Name: "windsock.export.queue_age", Value: 0.5, Unit: "s", Attrs: map[string]string{"exporter": "collector"}}},
			},
		},
	}
}

func TestTheJSONFormOfAFullRecordStandsStill(t *testing.T) {
	t.Parallel()
	for name, record := range goldenRecords() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compact, err := json.Marshal(record)
			if err != nil {
				t.Fatalf("marshalling: %v", err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, compact, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("JSON form (-want +got):\n%s", diff)
			}
			var back checks.Record
			if err := json.Unmarshal(want, &back); err != nil {
				t.Fatalf("reading the golden file: %v", err)
			}
			if diff := cmp.Diff(record, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

// published compiles docs/record.schema.json. Its objects are open, so that consumers survive new fields; here they are
// closed, so that a field which the schema does not know fails the test.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "record.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("record.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func closeObjects(node any) {
	switch n := node.(type) {
	case map[string]any:
		if _, ok := n["properties"]; ok {
			n["additionalProperties"] = false
		}
		for _, child := range n {
			closeObjects(child)
		}
	case []any:
		for _, child := range n {
			closeObjects(child)
		}
	}
}

func validate(t *testing.T, schema *jsonschema.Schema, r checks.Record) error {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("marshalling: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

func TestEveryRecordMatchesThePublishedSchema(t *testing.T) {
	t.Parallel()
	schema := published(t)
	for name, record := range goldenRecords() {
		if err := validate(t, schema, record); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for seed := range uint64(300) {
		r := randomReport(rand.New(rand.NewPCG(seed, 1)))
		if err := validate(t, schema, checks.OfReport(r)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	bad := goldenRecords()["report"]
	bad.Report.Cause = "weather"
	if validate(t, schema, bad) == nil {
		t.Error("a cause outside the table passed the schema")
	}
}

func TestASchemaListsTheTableOfCauses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "record.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs struct {
			Cause struct {
				Enum []checks.Cause `json:"enum"`
			} `json:"cause"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var want []checks.Cause
	for _, row := range checks.Causes() {
		want = append(want, row.Cause)
	}
	if diff := cmp.Diff(want, doc.Defs.Cause.Enum); diff != "" {
		t.Errorf("causes in the schema (-table +schema):\n%s", diff)
	}
}

const ulidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// randomReport draws a report: every status, zero and set times, durations of odd nanoseconds.
func randomReport(r *rand.Rand) *checks.Report {
	id := make([]byte, 26)
	for i := range id {
		id[i] = ulidAlphabet[r.IntN(len(ulidAlphabet))]
	}
	duration := func() time.Duration { return time.Duration(r.Int64N(int64(40 * 24 * time.Hour))) }
	moment := func() time.Time {
		if r.IntN(3) == 0 {
			return time.Time{}
		}
		return time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC()
	}
	statuses := checks.Statuses()
	causes := checks.Causes()
	report := &checks.Report{
		ID: string(id), Check: "a", Kind: "k", ScheduledAt: moment(), StartedAt: moment(), Took: duration(), Timeout: duration(),
		Trigger: checks.TriggerConfirm, Attempt: 1 + r.IntN(3), Final: r.IntN(2) == 0, Slots: r.IntN(4),
		Result: checks.Result{Status: statuses[r.IntN(len(statuses))]},
	}
	if report.Status != checks.OK {
		row := causes[r.IntN(len(causes))]
		report.Cause, report.Blame = row.Cause, row.Blame
	}
	for _, name := range []checks.PhaseName{checks.PhaseResolve, checks.PhaseConnect, checks.PhaseTransfer, "warm_up", "zz"} {
		if r.IntN(2) == 0 {
			report.Phases = append(report.Phases, checks.Phase{Name: name, Took: duration()})
		}
	}
	if r.IntN(2) == 0 {
		report.Usage = &checks.Usage{Model: "m", PromptTokens: r.Int64N(1e6), Cost: checks.PicoUSD(r.Int64N(9e18))}
	}
	for range r.IntN(4) {
		report.Measurements = append(report.Measurements, checks.Measurement{Name: "probe.x", Value: r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))})
	}
	return report
}

func TestAReportComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		want := checks.OfReport(randomReport(rand.New(rand.NewPCG(seed, 2))))
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var got checks.Record
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestTheShortWayBackIsTheLongOne(t *testing.T) {
	t.Parallel()
	full := goldenRecords()["report"]
	odd := *full.Report
	odd.StartedAt = time.Now()
	odd.ScheduledAt = time.Now().In(time.FixedZone("here", 3600))
	odd.Labels, odd.Facts, odd.Evidence, odd.Usage = map[string]string{}, map[string]string{}, []checks.Step{}, nil
	odd.Phases = []checks.Phase{{Name: "z", Took: 3}, {Name: checks.PhaseTransfer, Took: 2}, {Name: checks.PhaseResolve, Took: 1}}
	odd.Measurements = []checks.Measurement{
		{Name: "a", Value: 1, Attrs: map[string]string{}}, {Name: "b", Value: math.NaN()}, {Name: "c <&>\u2028", Value: 1e300},
	}
	skipped := checks.Report{ID: "x", Check: "c", Kind: "k", Final: true, Slots: 7, Result: checks.Skip(checks.CauseMissed, "asleep")}
	none := skipped
	none.Measurements = []checks.Measurement{}
	for name, report := range map[string]*checks.Report{"full": full.Report, "odd": &odd, "skipped": &skipped, "none": &none} {
		rec := checks.OfReport(report)
		data, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		var want checks.Record
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got, ok := rec.AsRead()
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, the short way differs:\n%s", name, ok, cmp.Diff(want, got))
		}
	}
	if _, ok := goldenRecords()["alert"].AsRead(); ok {
		t.Error("an alert has a short way")
	}
}

func TestTimesAreWrittenInUTC(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("CEST", 2*3600)
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, paris)
	for name, record := range map[string]checks.Record{
		"report": checks.OfReport(&checks.Report{ScheduledAt: at, StartedAt: at}),
		"alert":  {Alert: &checks.Alert{Since: at, At: at}},
		"agent":  {At: at, Agent: &checks.Snapshot{StartedAt: at}},
	} {
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "+02:00") || strings.Count(string(text), "2026-07-01T10:00:00Z") != 2 {
			t.Errorf("%s: %s, want both times as 10:00:00Z", name, text)
		}
	}
}

func TestANumberThatJSONCannotSayLosesNoRecord(t *testing.T) {
	t.Parallel()
	numbers := []checks.Measurement{{Name: "a", Value: math.NaN()}, {Name: "b", Value: 2}, {Name: "c", Value: math.Inf(-1)}}
	for name, record := range map[string]checks.Record{
		"report": checks.OfReport(&checks.Report{Result: checks.Result{Measurements: numbers}}),
		"agent":  {Agent: &checks.Snapshot{Measurements: numbers}},
		"alert":  {Alert: &checks.Alert{Value: math.Inf(1), Threshold: math.NaN()}},
	} {
		text, err := json.Marshal(record)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "alert" && !strings.Contains(string(text), `[{"name":"b","value":2}]`) {
			t.Errorf("%s: %s, want the finite measurement only", name, text)
		}
	}
	if len(numbers) != 3 || numbers[1].Name != "b" {
		t.Error("marshalling changed the caller's measurements")
	}
}

func TestARecordThatHoldsNothingIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := json.Marshal(checks.Record{ID: "x"}); err == nil {
		t.Error("marshalling an empty record gave no error")
	}
	if got := (checks.Record{}).Type(); got != "" {
		t.Errorf("type of an empty record %q, want none", got)
	}
	for name, text := range map[string]string{
		"an unknown type":  `{"type":"weather","id":"x"}`,
		"no type":          `{"id":"x"}`,
		"an unknown state": `{"type":"report","id":"x","status":"fine"}`,
		"not an object":    `[]`,
		"cut short":        `{"type":"alert"`,
		"a wrong time":     `{"type":"alert","at":"noon"}`,
		"a wrong number":   `{"type":"agent","measurements":[{"value":"x"}]}`,
	} {
		var r checks.Record
		if err := json.Unmarshal([]byte(text), &r); err == nil {
			t.Errorf("%s was read as %+v, want an error", name, r)
		}
	}
}

func TestAReportBecomesTrueWhenItsRunEnds(t *testing.T) {
	t.Parallel()
	due := time.Unix(1000, 0)
	for name, tc := range map[string]struct {
		report checks.Report
		want   time.Time
	}{
		"a run":             {checks.Report{ScheduledAt: due, StartedAt: due.Add(time.Second), Took: 2 * time.Second}, due.Add(3 * time.Second)},
		"a slot not run":    {checks.Report{ScheduledAt: due}, due},
		"a run with no due": {checks.Report{StartedAt: due}, due},
	} {
		if got := tc.report.At(); !got.Equal(tc.want) {
			t.Errorf("%s: at %v, want %v", name, got, tc.want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, record := range goldenRecords() {
		text, err := json.Marshal(record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"type":"report","took":1e309}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second checks.Record
		if json.Unmarshal(text, &first) != nil {
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			return // a year beyond 9999 is read and cannot be written
		}
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		if first.Type() != second.Type() || first.ID != second.ID {
			t.Fatalf("%s %q came back as %s %q", first.Type(), first.ID, second.Type(), second.ID)
		}
	})
}
