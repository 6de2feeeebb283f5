package python_test

import (
	"bufio"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func TestTheManifest(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	got, err := p.Base.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]map[string]any{}
	for _, k := range got.GetKinds() {
		var schema map[string]any
		if err := json.Unmarshal(k.GetConfigSchemaJson(), &schema); err != nil {
			t.Errorf("schema of %s: %v", k.GetName(), err)
		}
		schemas[k.GetName()], k.ConfigSchemaJson = schema, nil
	}
	want := &pluginv1.DescribeResponse{
		Name: "probe", Version: "1.2.3", Summary: "A probe.", Homepage: "https://example.com",
		Sdk:          &pluginv1.Sdk{Name: "windsock-python", Version: "1.0.0"},
		Capabilities: &pluginv1.PluginCapabilities{Concurrent: true, Reconfigure: true},
		Kinds: []*pluginv1.Kind{
			{
				Name: "echo", Type: pluginv1.KindType_KIND_TYPE_CHECK, DocMarkdown: "Says what it was told.\n\nAnd more.",
				DefaultTimeout: durationpb.New(1500 * time.Millisecond),
				Measurements:   []*pluginv1.MeasurementSpec{{Name: "echo.runs", Unit: "{run}", Description: "Runs so far."}},
			},
			{
				Name: "sink", Type: pluginv1.KindType_KIND_TYPE_EXPORTER, DocMarkdown: "Takes what it is told.",
				ExporterLimits: &pluginv1.ExporterLimits{
					MaxBatch: 10, Refresh: true, RecordTypes: []pluginv1.RecordType{pluginv1.RecordType_RECORD_TYPE_REPORT, pluginv1.RecordType_RECORD_TYPE_ALERT},
				},
			},
		},
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if schemas["echo"]["additionalProperties"] != false || schemas["echo"]["type"] != "object" {
		t.Errorf("got %v, want the schema of an object that is closed", schemas["echo"])
	}
}

func TestAResult(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	p.echo(t, "1", "ok")
	answer, err := p.run(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetResult()
	if left := got.GetFacts()["left"]; !strings.HasPrefix(left, "19.") {
		t.Errorf("got %q seconds left, want something below 20", left)
	}
	delete(got.Facts, "left")
	want := &pluginv1.Result{
		Status: pluginv1.Status_STATUS_DEGRADED, Cause: "slow", Summary: "one two ? " + strings.Repeat("é", 145),
		Measurements: []*pluginv1.Measurement{{Name: "echo.runs", Value: 1, Unit: "{run}", Attributes: map[string]string{"inside": "1"}}},
		Phases:       []*pluginv1.Phase{{Name: "connect", Took: durationpb.New(250 * time.Millisecond)}},
		Steps:        []*pluginv1.Step{{Name: "dns", Ok: true, Detail: "fine"}},
		Facts:        map[string]string{"name": "front"},
	}
	if !proto.Equal(got, want) || string(answer.GetMemory()) != "m+" {
		t.Errorf("got  %v, %q\nwant %v, m+", got, answer.GetMemory(), want)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	cases := map[string]struct {
		mode    string
		code    codes.Code
		summary string
	}{
		"a secret is there and does not print":        {"secret", codes.OK, "6 characters, Secrets(…)"},
		"an exception is an error of the call":        {"raise", codes.Internal, "ZeroDivisionError: division by zero"},
		"a measurement that nobody announced":         {"alien", codes.Internal, "KeyError: 'echo.other'"},
		"what is printed neither blocks nor confuses": {"print", codes.OK, "printed"},
		"the client's certificate leaves the environment": {
			"environ", codes.OK, "LC_CTYPE PATH PLUGIN_MAX_PORT PLUGIN_MIN_PORT PLUGIN_PROTOCOL_VERSIONS PLUGIN_UNIX_SOCKET_DIR WINDSOCK_PLUGIN_COOKIE",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.echo(t, name, c.mode)
			answer, err := p.run(t.Context(), name)
			summary := answer.GetResult().GetSummary()
			if err != nil {
				summary = status.Convert(err).Message()
			}
			if status.Code(err) != c.code || summary != c.summary {
				t.Errorf("got %v, %q, want %v, %q", status.Code(err), summary, c.code, c.summary)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	cases := map[string]struct{ kind, config, pointer, want string }{
		"none of a required one":        {"echo", `{}`, "/name", `"name" is required`},
		"one too many":                  {"echo", `{"name": "a", "x/y~z": 1}`, "/x~1y~0z", `"x/y~z" is not known: there are hosts, mode, name, password`},
		"another type":                  {"echo", `{"name": 5}`, "/name", "want string, got number"},
		"true is no number":             {"echo", `{"name": "a", "hosts": [{"port": true}]}`, "/hosts/0/port", "want integer, got boolean"},
		"a fraction is no integer":      {"echo", `{"name": "a", "hosts": [{"port": 1.5}]}`, "/hosts/0/port", "want integer, got number"},
		"too small, within a list":      {"echo", `{"name": "a", "hosts": [{"port": 1}, {"port": 0}]}`, "/hosts/1/port", "want 1 or more, got 0"},
		"too large":                     {"echo", `{"name": "a", "hosts": [{"port": 65536.0}]}`, "/hosts/0/port", "want 65535 or less, got 65536.0"},
		"too few":                       {"echo", `{"name": "a", "hosts": []}`, "/hosts", "want 1 items or more, got 0"},
		"none of the words":             {"echo", `{"name": "a", "mode": "x"}`, "/mode", `want one of "ok", "raise"`},
		"not by the pattern":            {"echo", `{"name": "A"}`, "/name", "want text that matches ^[a-z/]+$"},
		"a secret that did not come":    {"echo", `{"name": "a", "password": {"secret": "x"}}`, "/password", `the secret "x" was not given to this plugin`},
		"a secret in the clear":         {"echo", `{"name": "a", "password": "hunter2"}`, "/password", "want object, got string"},
		"what the author finds":         {"echo", `{"name": "bad"}`, "/name", "bad is taken"},
		"what the author only warns of": {"echo", `{"name": "old"}`, "/name", "old goes away"},
		"a kind that is not there":      {"nope", `{}`, "", `there is no kind "nope"; there are echo, sink`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := p.configure(t, &pluginv1.ConfigureRequest{InstanceId: name, Kind: c.kind, ConfigJson: []byte(c.config)})
			if len(found) != 1 || found[0].GetPointer() != c.pointer || !strings.HasPrefix(found[0].GetSummary(), c.want) {
				t.Fatalf("got %v, want one at %q: %s", found, c.pointer, c.want)
			}
			warning := found[0].GetSeverity() == pluginv1.Severity_SEVERITY_WARNING
			_, err := p.run(t.Context(), name)
			if there := status.Code(err) != codes.FailedPrecondition; warning != (c.config == `{"name": "old"}`) || there != warning {
				t.Errorf("got a warning %v and an instance %v, want the same of both: %v", warning, there, found)
			}
		})
	}
}

func TestTheLifeOfAnInstance(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	gone := func(when, id string) {
		t.Helper()
		if _, err := p.run(t.Context(), id); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("got %v %s, want FailedPrecondition", err, when)
		}
	}
	gone("before Configure", "1")
	if found := p.configure(t, &pluginv1.ConfigureRequest{InstanceId: "1", Kind: "echo", ConfigJson: []byte(`{"name": "a"}`), ValidateOnly: true}); found != nil {
		t.Errorf("got %v, want nothing", found)
	}
	gone("after a look only", "1")
	p.echo(t, "1", "ok")
	p.echo(t, "1", "secret")
	if answer, err := p.run(t.Context(), "1"); err != nil || !strings.HasPrefix(answer.GetResult().GetSummary(), "6 characters") {
		t.Errorf("got %v, %v, want what the second configuration says", answer, err)
	}
	for range 2 {
		if _, err := p.Base.Release(t.Context(), &pluginv1.ReleaseRequest{InstanceId: "1"}); err != nil {
			t.Error(err)
		}
	}
	gone("after Release", "1")
}

func TestRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	p.echo(t, "one", "sleep")
	for _, c := range []struct {
		what string
		ids  func(i int) string
	}{{"of one instance", func(int) string { return "one" }}, {"of many", func(i int) string { return string(rune('a' + i)) }}} {
		began, summaries := time.Now(), make([]string, 8)
		var group sync.WaitGroup
		for i := range summaries {
			id := c.ids(i)
			if id != "one" {
				p.echo(t, id, "sleep")
			}
			group.Go(func() {
				answer, err := p.run(t.Context(), id)
				if err != nil {
					t.Error(err)
				}
				summaries[i] = answer.GetResult().GetSummary()
			})
		}
		group.Wait()
		if took := time.Since(began); c.what == "of one instance" && took < 8*200*time.Millisecond {
			t.Errorf("eight runs %s took %v, want them one after the other", c.what, took)
		}
		if slices.ContainsFunc(summaries, func(s string) bool { return s != "1" }) {
			t.Errorf("got %v %s, want each alone", summaries, c.what)
		}
	}
}

func TestARunThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(300*time.Millisecond, cancel)
			return ctx, cancel
		},
		"beyond its deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 300*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, true)
			p.echo(t, "1", "block")
			ctx, cancel := end(t.Context())
			defer cancel()
			if answer, err := p.run(ctx, "1"); err == nil {
				t.Errorf("got %v, want an error", answer)
			}
			p.echo(t, "1", "ok")
			if _, err := p.run(t.Context(), "1"); err != nil {
				t.Error(err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := p.Base.Drain(ctx, &pluginv1.DrainRequest{}); err != nil {
				t.Error(err)
			}
			p.client.Kill() // reads the log to its end
			if closed := strings.Count(p.stderr.String(), `"@message": "closed"`); closed != 2 {
				t.Errorf("got %d instances closed, want 2: the first when its run had heard of the end", closed)
			}
		})
	}
}

func TestARunThatDoesNotEndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	p.echo(t, "1", "stuck")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if answer, err := p.run(ctx, "1"); err == nil {
		t.Fatalf("got %v, want a deadline that passes", answer)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if answer, err := p.run(ctx, "1"); err != nil || answer.GetResult().GetSummary() != "run 1" {
		t.Errorf("got %v, %v, want the first run of an instance made anew", answer, err)
	}
	if _, err := p.Base.Drain(t.Context(), &pluginv1.DrainRequest{}); err != nil {
		t.Error(err)
	}
	p.client.Kill() // reads the log to its end
	if closed := strings.Count(p.stderr.String(), `"@message": "closed"`); closed != 2 {
		t.Errorf("got %d instances closed, want both", closed)
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	cases := map[string]*pluginv1.ExportResponse{
		"done": {
			Disposition: pluginv1.Disposition_DISPOSITION_DONE, State: []byte("s1"), RejectedPoints: 2,
			Rejections: []*pluginv1.Rejection{{Index: 1, Reason: "too old"}},
		},
		"retry": {
			Disposition: pluginv1.Disposition_DISPOSITION_RETRY, Message: "later", DoneFirst: 1,
			RetryAfter: durationpb.New(1500 * time.Millisecond),
		},
		"hold":   {Disposition: pluginv1.Disposition_DISPOSITION_HOLD, Message: "b1 front"},
		"split":  {Disposition: pluginv1.Disposition_DISPOSITION_SPLIT, Message: "large"},
		"poison": {Disposition: pluginv1.Disposition_DISPOSITION_POISON, Message: "bad"},
		"raise":  nil,
	}
	for say, want := range cases {
		t.Run(say, func(t *testing.T) {
			t.Parallel()
			found := p.configure(t, &pluginv1.ConfigureRequest{
				InstanceId: say, Kind: "sink", ConfigJson: []byte(`{"say": "` + say + `"}`), Exporter: &pluginv1.ExporterContext{State: []byte("s")},
			})
			if found != nil {
				t.Fatal(found)
			}
			report := &pluginv1.Record{Id: "r", Payload: &pluginv1.Record_Report{Report: &pluginv1.Report{Check: "front"}}}
			got, err := p.Exporter.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: say, BatchId: "b1", Records: []*pluginv1.Record{report, {}}})
			if want == nil && status.Code(err) != codes.Internal || want != nil && (err != nil || !proto.Equal(got, want)) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			again, err := p.Exporter.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: say, Alerts: []*pluginv1.Alert{{Rule: "r"}}})
			if err != nil || again.GetDisposition() != pluginv1.Disposition_DISPOSITION_DONE {
				t.Errorf("got %v, %v, want a refresh that is done", again, err)
			}
		})
	}
}

func TestDrainWaitsForWhatGoesOn(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	p.echo(t, "1", "sleep")
	done := make(chan error, 1)
	go func() {
		_, err := p.run(t.Context(), "1")
		done <- err
	}()
	for p.configure(t, &pluginv1.ConfigureRequest{InstanceId: "2", Kind: "sink", ConfigJson: []byte(`{"say": "x"}`)}) != nil {
		t.Fatal("want no diagnostics")
	}
	time.Sleep(50 * time.Millisecond) // so that the run has likely begun; either order must end well
	if _, err := p.Base.Drain(t.Context(), &pluginv1.DrainRequest{}); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil && status.Code(err) != codes.FailedPrecondition {
		t.Error(err)
	}
	p.client.Kill() // reads the log to its end
	if !strings.Contains(p.stderr.String(), `"@message": "closed"`) {
		t.Errorf("got the log %s, want that the instance was closed", p.stderr)
	}
}

func TestTheLogIsReadable(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	p.echo(t, "1", "print")
	if _, err := p.run(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	p.client.Kill()
	lines := bufio.NewScanner(strings.NewReader(p.stderr.String()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]string
		if json.Unmarshal(lines.Bytes(), &line) != nil || line["@message"] != "hello 5" {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, line["@timestamp"]); err != nil || line["@level"] != "warn" || line["host"] != "h" {
			t.Errorf("got %v, %v, want a warning with its field and its time", line, err)
		}
		return
	}
	t.Errorf("got %d bytes of log, want a line that says hello", len(p.stderr.String()))
}

// What exporters in Python write of a record is what those in Go do.
func TestTheOneJSONFormOfRecords(t *testing.T) {
	t.Parallel()
	p := start(t, true)
	at := time.Date(2026, 11, 28, 5, 30, 0, 120_000_000, time.UTC)
	full := checks.OfReport(&checks.Report{
		ID: "01JD00000000000000000000AA", Check: "front", Kind: "mail/imap-login", Provider: "p", Location: "paris", Labels: map[string]string{"team": "a"},
		ScheduledAt: at, StartedAt: at.Add(time.Second), Took: 1500 * time.Millisecond, Timeout: 10 * time.Second, Trigger: checks.TriggerSchedule,
		Attempt: 1, Final: true, Slots: 1,
		Result: checks.Result{
			Status: checks.Failed, Cause: "tls", Blame: "network", Summary: "bad — é",
			Measurements: []checks.Measurement{{Name: "a.b", Value: 0, Unit: "s", Attrs: map[string]string{"k": "v"}}, {Name: "a.c", Value: 2.5}},
			Phases:       []checks.Phase{{Name: "connect", Took: 250 * time.Millisecond}},
			Evidence:     []checks.Step{{Name: "dns", OK: true}, {Name: "tls", Detail: "no"}},
			Usage:        &checks.Usage{Model: "m", PromptTokens: 3, Cost: 1_500_000, PriceKnown: true, PriceDate: "2026-11-01"},
			Facts:        map[string]string{"id": "x"},
		},
	})
	bare := checks.OfReport(&checks.Report{ID: "01JD00000000000000000000AB", Check: "b", Kind: "k", ScheduledAt: at.Truncate(time.Second), Result: checks.Skip("missed", "late")})
	alert := checks.Record{ID: "01JD00000000000000000000AC", At: at, Alert: &checks.Alert{
		Rule: "r", Fingerprint: "f", State: checks.AlertNoData, Previous: checks.AlertFiring, Severity: checks.P2, Since: at, At: at,
		Labels: map[string]string{"l": "v"}, Reminder: true, RespondBy: at, Summary: "s",
	}}
	state := checks.Record{ID: "01JD00000000000000000000AD", At: at, Agent: &checks.Snapshot{
		Version: "1.0.0", StartedAt: at, Measurements: []checks.Measurement{{Name: "n", Value: 1}},
	}}
	if found := p.configure(t, &pluginv1.ConfigureRequest{InstanceId: "1", Kind: "sink", ConfigJson: []byte(`{"say": "json"}`)}); found != nil {
		t.Fatal(found)
	}
	batch := []checks.Record{full, bare, alert, state}
	answer, err := p.Exporter.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: "1", Records: wire.RecordsToProto(batch)})
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	if err := json.Unmarshal(answer.GetState(), &got); err != nil || len(got) != len(batch) {
		t.Fatalf("got %v, %s, want %d records", err, answer.GetState(), len(batch))
	}
	for i, r := range batch {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("%s differs, - is what Go writes:\n%s", r.ID, diff)
		}
	}
}
