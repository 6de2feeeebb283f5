package sdk

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

type checkPlugin struct {
	pluginv1.UnimplementedCheckPluginServer

	s *Server
}

type exporterPlugin struct {
	pluginv1.UnimplementedExporterPluginServer

	s *Server
}

// use finds an instance and waits for its turn. done must follow where the error is nil.
func (s *Server) use(ctx context.Context, id string) (_ *instance, done func(), err error) {
	if err := s.begin(); err != nil {
		return nil, nil, err
	}
	i, err := s.instance(id)
	if err == nil {
		err = i.enter(ctx)
	}
	if err != nil {
		s.end()
		return nil, nil, err
	}
	return i, func() { i.leave(); s.end() }, nil
}

func (c *checkPlugin) Run(ctx context.Context, r *pluginv1.RunRequest) (_ *pluginv1.RunResponse, err error) {
	timeout, err := wire.DurationFromProto("timeout", r.GetTimeout())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	i, done, err := c.s.use(ctx, r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	defer done()
	defer c.s.recovered("Run", i.name, &err)
	if i.check == nil {
		return nil, status.Error(codes.FailedPrecondition, "the instance is an exporter")
	}
	ctx, cancel := bounded(ctx, timeout)
	defer cancel()
	if r.GetTraceparent() != "" {
		ctx = context.WithValue(ctx, traceparentKey{}, r.GetTraceparent())
	}
	i.memory.begin(r.GetMemory())
	defer i.memory.end() // after a panic
	result := ofRun(i.check.Run(ctx))
	return &pluginv1.RunResponse{Result: wire.ResultToProto(result), Memory: i.memory.end()}, nil
}

// bounded is the time of a check. Where the call ends with it, the check is given a little less, so that what it says of its
// deadline still arrives.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	const most = 100 * time.Millisecond
	now := time.Now()
	end, ends := ctx.Deadline()
	if ends {
		left := end.Sub(now)
		end = end.Add(-min(left/20, most))
	}
	if own := now.Add(timeout); timeout > 0 && (!ends || own.Before(end)) {
		end, ends = own, true
	}
	if !ends {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end)
}

// ofRun makes a result of an error, as the agent does for its own checks, and brings texts for people within their bounds.
func ofRun(r checks.Result, err error) checks.Result {
	if err != nil {
		cause := checks.CauseInternal
		if r.Cause == checks.CauseConfig {
			cause = checks.CauseConfig
		}
		r = checks.Result{
			Status: checks.Error, Cause: cause, Summary: err.Error(), Evidence: r.Evidence, Phases: r.Phases, Usage: r.Usage, Facts: r.Facts,
		}
	}
	r.Summary = wire.Line(r.Summary)
	for n := range r.Evidence {
		r.Evidence[n].Detail = wire.Line(r.Evidence[n].Detail)
	}
	return r
}

func (e *exporterPlugin) Export(ctx context.Context, r *pluginv1.ExportRequest) (_ *pluginv1.ExportResponse, err error) {
	i, done, err := e.exporter(ctx, r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	defer done()
	defer e.s.recovered("Export", i.name, &err)
	batch, err := wire.RecordsFromProto(r.GetRecords())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	wanted, places := choose(batch, i.exporter)
	if len(wanted) == 0 {
		return wire.OutcomeToProto(exporters.Outcome{}, nil), nil
	}
	outcome, err := i.exporter.Export(ctx, wanted)
	response := wire.OutcomeToProto(outcome, err)
	if err != nil {
		e.s.log.Debug("a batch was not taken", "name", i.name, "records", len(wanted), "error", err)
	}
	if places != nil {
		replace(response, places, len(batch))
	}
	return response, nil
}

func (e *exporterPlugin) exporter(ctx context.Context, id string) (*instance, func(), error) {
	i, done, err := e.s.use(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if i.exporter == nil {
		done()
		return nil, nil, status.Error(codes.FailedPrecondition, "the instance is a check")
	}
	return i, done, nil
}

// choose leaves out the records that the exporter has no use for, and those of types that this version does not know. places
// are where the others were; nil where all are left.
func choose(batch []checks.Record, e exporters.Exporter) (wanted []checks.Record, places []int32) {
	selective, _ := e.(exporters.Selective)
	use := func(r *checks.Record) bool { t := r.Type(); return t != "" && (selective == nil || selective.Wants(t)) }
	skips := false
	for n := range batch {
		skips = skips || !use(&batch[n])
	}
	if !skips {
		return batch, nil
	}
	for n := range batch {
		if use(&batch[n]) {
			wanted, places = append(wanted, batch[n]), append(places, int32(n))
		}
	}
	return wanted, places
}

// replace turns the places in what the exporter was given into those of the batch.
func replace(response *pluginv1.ExportResponse, places []int32, batch int) {
	for _, r := range response.GetRejections() {
		if n := int(r.GetIndex()); n >= 0 && n < len(places) {
			r.Index = places[n]
		}
	}
	switch n := int(response.GetDoneFirst()); {
	case n <= 0 || n > len(places):
	case n == len(places):
		response.DoneFirst = int32(batch)
	default:
		response.DoneFirst = places[n]
	}
}

func (e *exporterPlugin) Refresh(ctx context.Context, r *pluginv1.RefreshRequest) (_ *pluginv1.RefreshResponse, err error) {
	i, done, err := e.exporter(ctx, r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	defer done()
	defer e.s.recovered("Refresh", i.name, &err)
	refresher, ok := i.exporter.(exporters.Refresher)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "the exporter is not refreshed")
	}
	open, err := wire.AlertsFromProto(r.GetAlerts())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return wire.RefreshToProto(refresher.Refresh(ctx, open)), nil
}
