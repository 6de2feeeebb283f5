package sdk_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func reports(n int) []*pluginv1.Record {
	var out []checks.Record
	for range n {
		out = append(out, checks.OfReport(&checks.Report{ID: "r", Check: "c", Result: checks.Pass("ok")}))
	}
	return wire.RecordsToProto(out)
}

func alert() *pluginv1.Record {
	return wire.RecordToProto(checks.Record{ID: "a", Alert: &checks.Alert{Rule: "down", State: checks.AlertFiring}})
}

func (c client) export(t *testing.T, id string, batch []*pluginv1.Record) (exporters.Outcome, error) {
	t.Helper()
	r, err := c.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: id, BatchId: "b", Records: batch})
	if err != nil {
		t.Fatal(err)
	}
	return wire.OutcomeFromProto(r, len(batch))
}

func TestExportHasEveryOutcome(t *testing.T) {
	c := shopServed(t)
	for answer, judge := range map[string]func(exporters.Outcome, error) bool{
		"done": func(o exporters.Outcome, err error) bool {
			return err == nil && string(o.State) == "+3" && o.RejectedPoints == 2
		},
		"reject": func(o exporters.Outcome, err error) bool {
			return err == nil && len(o.Rejected) == 1 && o.Rejected[0] == exporters.Rejection{Index: 2, Reason: "too old"}
		},
		"retry": func(_ exporters.Outcome, err error) bool {
			return exporters.RetryAfter(err) == 7*time.Second && err.Error() == "the lake is dry"
		},
		"hold":   func(_ exporters.Outcome, err error) bool { return exporters.IsHold(err) },
		"split":  func(_ exporters.Outcome, err error) bool { return exporters.IsSplit(err) },
		"poison": func(_ exporters.Outcome, err error) bool { return exporters.IsPoison(err) },
		"progress": func(_ exporters.Outcome, err error) bool {
			n, state := exporters.ProgressOf(err)
			return n == 1 && string(state) == "half" && !exporters.IsHold(err)
		},
	} {
		t.Run(answer, func(t *testing.T) {
			c.configured(t, answer, "lake", `{"answer":"`+answer+`"}`)
			if o, err := c.export(t, answer, reports(3)); !judge(o, err) {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
	c.configured(t, "i", "lake", `{"answer":"panic"}`)
	_, err := c.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: "i", Records: reports(1)})
	wantCode(t, err, codes.Internal)
}

func TestExporterIsOpenedWithItsState(t *testing.T) {
	c := shopServed(t)
	_, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{
		InstanceId: "i", Kind: "lake", Exporter: &pluginv1.ExporterContext{State: []byte("7"), AgentVersion: "1.0.0", Unclean: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.export(t, "i", reports(2)); err != nil || string(o.State) != "7+2" {
		t.Errorf("got %q, %v, want 7+2", o.State, err)
	}
}

func TestExporterGetsWhatItHasAUseFor(t *testing.T) {
	c := shopServed(t)
	unknown := &pluginv1.Record{Id: "of the future"}
	c.configured(t, "done", "picky", ``)
	c.configured(t, "reject", "picky", `{"answer":"reject"}`)
	c.configured(t, "progress", "picky", `{"answer":"progress"}`)
	batch := append(reports(2), alert(), unknown, reports(1)[0], alert(), reports(1)[0])
	if o, err := c.export(t, "done", batch); err != nil || string(o.State) != "+2" {
		t.Errorf("got %+v, %v, want the two alerts counted", o, err)
	}
	if o, err := c.export(t, "reject", batch); err != nil || len(o.Rejected) != 1 || o.Rejected[0].Index != 5 {
		t.Errorf("got %+v, %v, want the place in the whole batch", o, err)
	}
	_, err := c.export(t, "progress", batch)
	if n, _ := exporters.ProgressOf(err); n != 5 {
		t.Errorf("got progress %d, want all before the second alert", n)
	}
	_, err = c.export(t, "progress", batch[:5])
	if n, _ := exporters.ProgressOf(err); n != 5 {
		t.Errorf("got progress %d, want all of a batch whose only alert is done", n)
	}
	if o, err := c.export(t, "reject", reports(3)); err != nil || o.State != nil || o.Rejected != nil {
		t.Errorf("with nothing for it: got %+v, %v, want nothing but done", o, err)
	}
	c.configured(t, "lake", "lake", ``)
	if o, err := c.export(t, "lake", []*pluginv1.Record{unknown, reports(1)[0]}); err != nil || string(o.State) != "+1" {
		t.Errorf("got %+v, %v, want the record of the future left out", o, err)
	}
}

func TestRefresh(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "i", "lake", ``)
	c.configured(t, "hold", "lake", `{"answer":"hold"}`)
	c.configured(t, "picky", "picky", ``)
	open := []*pluginv1.Alert{{Rule: "a"}, {Rule: "b"}}
	r, err := c.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: "i", Alerts: open})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := wire.RefreshFromProto(r); err != nil || string(state) != "2 open" {
		t.Errorf("got %q, %v", state, err)
	}
	r, err = c.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: "hold"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.RefreshFromProto(r); !exporters.IsHold(err) {
		t.Errorf("got %v, want hold", err)
	}
	_, err = c.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: "picky"})
	wantCode(t, err, codes.Unimplemented)
}

func TestCallsOfWhatIsNotThere(t *testing.T) {
	c := shopServed(t)
	c.configured(t, "check", "login", `{"url":"http://a"}`)
	c.configured(t, "exporter", "lake", ``)
	for _, id := range []string{"check", "nobody", ""} {
		_, err := c.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: id, Records: reports(1)})
		wantCode(t, err, codes.FailedPrecondition)
		_, err = c.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: id})
		wantCode(t, err, codes.FailedPrecondition)
	}
	for _, id := range []string{"exporter", "nobody"} {
		_, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: id})
		wantCode(t, err, codes.FailedPrecondition)
	}
	bad := &pluginv1.Record{At: wire.RecordToProto(checks.Record{At: time.Unix(1, 0)}).GetAt()}
	bad.At.Nanos = -1
	_, err := c.Export(t.Context(), &pluginv1.ExportRequest{InstanceId: "exporter", Records: []*pluginv1.Record{bad}})
	wantCode(t, err, codes.InvalidArgument)
	_, err = c.Refresh(t.Context(), &pluginv1.RefreshRequest{InstanceId: "exporter", Alerts: []*pluginv1.Alert{{At: bad.GetAt()}}})
	wantCode(t, err, codes.InvalidArgument)
}

func TestExporterIsClosed(t *testing.T) {
	for name, end := range map[string]func(context.Context, client) error{
		"by release": func(ctx context.Context, c client) error {
			_, err := c.Release(ctx, &pluginv1.ReleaseRequest{InstanceId: "i"})
			return err
		},
		"by drain": func(ctx context.Context, c client) error {
			_, err := c.Drain(ctx, &pluginv1.DrainRequest{})
			return err
		},
		"by its successor": func(ctx context.Context, c client) error {
			_, err := c.Configure(ctx, &pluginv1.ConfigureRequest{InstanceId: "i", Kind: "picky"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			p := shop.Plugin()
			p.Log = slog.New(slog.NewJSONHandler(&logged, nil))
			c := served(t, p)
			c.configured(t, "i", "lake", ``)
			if err := end(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if strings.Count(logged.String(), "lake closed") != 1 {
				t.Errorf("want it closed once, the log has %s", logged.String())
			}
		})
	}
}
