package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// maxBatch is how many bytes of records go to a plugin in one call, unless one record alone is larger.
const maxBatch = 1 << 20

func announced(name string) func(manifest.Measurement) bool {
	return func(m manifest.Measurement) bool { return m.Name == name }
}

// Exporter is an exporter of a plugin's kind, named without the plugin. It is an io.Closer, an exporters.Refresher where the
// kind asks for it, and an exporters.Selective where it wants some types of record only.
func (h *Host) Exporter(plugin, kind string, in Instance) (exporters.Exporter, error) {
	s, err := h.find(plugin)
	if err != nil {
		return nil, fmt.Errorf("opening the exporter %q: %w", in.Name, err)
	}
	e := &exporter{in: s.open(kind, in)}
	spec := e.in.kindSpec()
	picky := selective{spec.Records}
	switch {
	case spec.Refresh && len(spec.Records) > 0:
		return struct {
			exporters.Exporter
			exporters.Refresher
			exporters.Selective
			io.Closer
		}{e, refresher{e}, picky, e}, nil
	case spec.Refresh:
		return struct {
			exporters.Exporter
			exporters.Refresher
			io.Closer
		}{e, refresher{e}, e}, nil
	case len(spec.Records) > 0:
		return struct {
			exporters.Exporter
			exporters.Selective
			io.Closer
		}{e, picky, e}, nil
	}
	return e, nil
}

// selective is an exporters.Selective.
type selective struct{ records []string }

// Wants implements exporters.Selective.
func (s selective) Wants(t checks.RecordType) bool { return slices.Contains(s.records, string(t)) }

// exporter is an instance as an exporters.Exporter.
type exporter struct {
	in     *instance
	closed sync.Once
}

// Close gives the instance back.
func (e *exporter) Close() error {
	e.closed.Do(e.in.leave)
	return nil
}

// Export makes one attempt. A plugin that fails, answers nonsense or dies has taken nothing: the batch comes again.
func (e *exporter) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if most := e.in.kindSpec().MaxBatch; most > 0 && len(batch) > most {
		return exporters.Outcome{}, exporters.Split(e.in.s.fault("a batch has %d records, and it takes %d", len(batch), most))
	}
	request := &pluginv1.ExportRequest{InstanceId: e.in.id, BatchId: batchID(batch), Records: wire.RecordsToProto(batch)}
	if size := proto.Size(request); size > maxBatch && len(batch) > 1 {
		return exporters.Outcome{}, exporters.Split(e.in.s.fault("a batch has %d bytes, and a plugin gets %d", size, maxBatch))
	}
	ctx, cancel := e.in.bounded(ctx)
	defer cancel()
	var outcome exporters.Outcome
	var verdict error
	err := e.in.call(ctx, "Export", 0, func(ctx context.Context, session *session) error {
		answer, err := session.exporter.Export(ctx, request)
		if err == nil {
			outcome, verdict = e.judge(answer, len(batch))
		}
		return err
	})
	if err != nil {
		return exporters.Outcome{}, exporters.Retry(err, 0)
	}
	return outcome, verdict
}

// judge looks at an answer, and keeps the state that came with it for the next process. It is this exporter's turn.
func (e *exporter) judge(answer *pluginv1.ExportResponse, batch int) (exporters.Outcome, error) {
	scrub := e.in.s.o.Scrubber.String
	answer.Message = scrub(answer.GetMessage())
	for _, r := range answer.GetRejections() {
		if r != nil {
			r.Reason = scrub(r.GetReason())
		}
	}
	outcome, err := wire.OutcomeFromProto(answer, batch)
	if errors.Is(err, wire.ErrAnswer) {
		e.in.s.stats.fault()
		return exporters.Outcome{}, exporters.Retry(e.in.s.fault("its answer cannot be used: %s", oneLine(err)), 0)
	}
	if answer.State != nil {
		e.in.state = answer.GetState()
	}
	return outcome, e.named(err)
}

// named puts the plugin's name before an error, which stays what it is.
func (e *exporter) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", e.in.s.name, err)
}

// refresher is an exporter whose kind asks for Refresh.
type refresher struct{ *exporter }

// Refresh implements exporters.Refresher.
func (e refresher) Refresh(ctx context.Context, open []checks.Alert) ([]byte, error) {
	ctx, cancel := e.in.bounded(ctx)
	defer cancel()
	request := &pluginv1.RefreshRequest{InstanceId: e.in.id, Alerts: wire.AlertsToProto(open)}
	var state []byte
	var verdict error
	err := e.in.call(ctx, "Refresh", 0, func(ctx context.Context, session *session) error {
		answer, err := session.exporter.Refresh(ctx, request)
		if err != nil {
			return err
		}
		answer.Message = e.in.s.o.Scrubber.String(answer.GetMessage())
		if state, verdict = wire.RefreshFromProto(answer); state != nil {
			e.in.state = state
		}
		if errors.Is(verdict, wire.ErrAnswer) {
			e.in.s.stats.fault()
		}
		return nil
	})
	if err != nil {
		return nil, exporters.Retry(err, 0)
	}
	return state, e.named(verdict)
}

// batchID is the same for the same records.
func batchID(batch []checks.Record) string {
	h := sha256.New()
	for i := range batch {
		_, _ = io.WriteString(h, batch[i].ID)
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
