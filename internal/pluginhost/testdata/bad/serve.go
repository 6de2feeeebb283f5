package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

const schema = `{"type":"object","additionalProperties":false,"properties":{"mode":{"type":"string"},"password":{"type":"object"}}}`

// instance is one check or exporter.
type instance struct {
	mode     string
	name     string
	password string
	state    []byte
	runs     int
}

type bad struct {
	pluginv1.UnimplementedBasePluginServer
	pluginv1.UnimplementedCheckPluginServer
	pluginv1.UnimplementedExporterPluginServer

	mu        sync.Mutex
	instances map[string]*instance
	inside    int
}

func (b *bad) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	measures := []*pluginv1.MeasurementSpec{{Name: "bad.value", Unit: "s"}}
	kind := func(name string, t pluginv1.KindType) *pluginv1.Kind {
		return &pluginv1.Kind{Name: name, Type: t, DocMarkdown: "It is bad.", ConfigSchemaJson: []byte(schema)}
	}
	probe, costly := kind("probe", pluginv1.KindType_KIND_TYPE_CHECK), kind("costly", pluginv1.KindType_KIND_TYPE_CHECK)
	probe.Measurements, costly.Measurements = measures, measures
	costly.MaxCostPicoUsd = 1000
	sink, beacon := kind("sink", pluginv1.KindType_KIND_TYPE_EXPORTER), kind("beacon", pluginv1.KindType_KIND_TYPE_EXPORTER)
	beacon.ExporterLimits = &pluginv1.ExporterLimits{Refresh: true, MaxBatch: 2, RecordTypes: []pluginv1.RecordType{pluginv1.RecordType_RECORD_TYPE_ALERT}}
	out := &pluginv1.DescribeResponse{
		Name: "bad", Version: "1.0.0", Summary: "Does what no plugin should.", Sdk: &pluginv1.Sdk{Name: "none", Version: "0"},
		Kinds:        []*pluginv1.Kind{probe, costly, sink, beacon},
		Capabilities: &pluginv1.PluginCapabilities{Concurrent: true, Reconfigure: os.Getenv("BAD_RIGID") == ""},
	}
	switch os.Getenv("BAD_MODE") {
	case "updated":
		out.Version = "2.0.0"
	case "nameless":
		out.Name = "Bad Name"
	case "mute":
		select {}
	}
	return out, nil
}

func (b *bad) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	var params struct {
		Mode     string
		Password struct{ Secret string }
	}
	if err := json.Unmarshal(r.GetConfigJson(), &params); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	switch params.Mode {
	case "refused":
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{
			{Severity: pluginv1.Severity_SEVERITY_WARNING, Summary: "this is old"},
			{Severity: pluginv1.Severity_SEVERITY_ERROR, Summary: "want another mode", Pointer: "/mode"},
		}}, nil
	case "nags":
		defer b.keep(r, params.Mode, params.Password.Secret)
		out := &pluginv1.ConfigureResponse{Diagnostics: slices.Repeat([]*pluginv1.Diagnostic{{Severity: pluginv1.Severity_SEVERITY_WARNING, Summary: "this is old"}}, 1000)}
		return out, nil
	case "betrays":
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{
			{Severity: pluginv1.Severity_SEVERITY_WARNING, Summary: "a short password: " + string(r.GetSecrets()["pw"])},
			{Severity: pluginv1.Severity_SEVERITY_ERROR, Summary: "not " + string(r.GetSecrets()["pw"]), Pointer: "/" + string(r.GetSecrets()["pw"])},
		}}, nil
	case "severe":
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{{Severity: 99, Summary: "worse than an error"}}}, nil
	case "greased":
		b.keep(r, params.Mode, params.Password.Secret)
		return greased(&pluginv1.ConfigureResponse{}), nil
	case "stalls":
		select {}
	case "broken":
		return nil, status.Error(codes.Internal, "out of cheese")
	case "dear":
		cost := int64(2000)
		return &pluginv1.ConfigureResponse{MaxCostPicoUsd: &cost}, nil
	case "cheap":
		cost := int64(10)
		defer b.keep(r, params.Mode, params.Password.Secret)
		return &pluginv1.ConfigureResponse{MaxCostPicoUsd: &cost}, nil
	}
	b.keep(r, params.Mode, params.Password.Secret)
	return &pluginv1.ConfigureResponse{}, nil
}

func (b *bad) keep(r *pluginv1.ConfigureRequest, mode, secret string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instances[r.GetInstanceId()] = &instance{
		mode: mode, name: r.GetName(), password: string(r.GetSecrets()[secret]), state: r.GetExporter().GetState(),
	}
}

func (b *bad) Release(_ context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.instances, r.GetInstanceId())
	return &pluginv1.ReleaseResponse{}, nil
}

func (b *bad) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	switch os.Getenv("BAD_MODE") {
	case "ends":
		done("drained")
	case "undrained":
		forever()
	}
	return &pluginv1.DrainResponse{}, nil
}

func (b *bad) find(id string) (*instance, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, ok := b.instances[id]
	if !ok {
		return nil, status.Error(codes.FailedPrecondition, "no instance "+id)
	}
	in.runs++
	if in.mode == "forgets" && in.runs%2 == 0 {
		delete(b.instances, id)
		return nil, status.Error(codes.FailedPrecondition, "no instance "+id)
	}
	return in, nil
}

func (b *bad) Run(ctx context.Context, r *pluginv1.RunRequest) (*pluginv1.RunResponse, error) {
	in, err := b.find(r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	if answer, ok := faults()[in.mode]; ok {
		return answer(), nil
	}
	if err := dies(in.mode, in.password); err != nil {
		return nil, err
	}
	if in.mode == "odd codes" {
		return nil, status.Error(codes.Code(1000+in.runs), "of my own")
	}
	out := &pluginv1.RunResponse{Result: &pluginv1.Result{Status: pluginv1.Status_STATUS_OK, Summary: "pid " + strconv.Itoa(os.Getpid())}}
	out.Result.Measurements = []*pluginv1.Measurement{{Name: "bad.value", Unit: "s", Value: 1.5}}
	b.special(ctx, r, in, out)
	return out, nil
}

// special is what needs the request.
func (b *bad) special(ctx context.Context, r *pluginv1.RunRequest, in *instance, out *pluginv1.RunResponse) {
	switch in.mode {
	case "counts":
		n, _ := strconv.Atoi(string(r.GetMemory()))
		out.Memory = []byte(strconv.Itoa(n + 1))
		out.Result.Summary = "run " + string(out.GetMemory())
	case "late":
		time.Sleep(r.GetTimeout().AsDuration())
		out.Result = &pluginv1.Result{Status: pluginv1.Status_STATUS_FAILED, Cause: "timeout", Summary: "no answer of the target"}
	case "waits":
		<-ctx.Done()
	case "hangs":
		time.Sleep(time.Hour)
	case "tells":
		fmt.Fprintln(os.Stderr, "the password is", in.password)
		fmt.Println("printed:", in.password)
		write(2, []byte("past the library: "+in.password+"\n"))
		out.Result.Summary = "with " + in.password
		out.Result.Facts = map[string]string{"header": in.password}
		out.Result.Usage = &pluginv1.Usage{Model: "m", PriceKnown: true, PriceDate: in.password}
		out.Result.Steps = []*pluginv1.Step{{Name: "auth", Ok: true, Detail: in.password}}
	case "dies telling":
		write(2, []byte("panic: "+in.password[:1]+"\x01"+in.password[1:]+"\n"))
		os.Exit(2)
	case "knows":
		out.Result.Summary = strconv.Itoa(len(in.password)) + " bytes, last " + in.password[max(0, len(in.password)-1):]
	case "fills", "spreads", "litters":
		if err := fill(in.mode); err != nil {
			out.Result.Summary = err.Error()
		}
	case "crowd":
		b.mu.Lock()
		b.inside++
		most := b.inside
		b.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		b.mu.Lock()
		b.inside--
		b.mu.Unlock()
		out.Result.Summary = strconv.Itoa(most)
	}
}

// fill puts into the folder for temporary files what takes much room, what only looks as if it did, or too many files.
func fill(mode string) error {
	for i := range map[string]int{"fills": 5, "spreads": 5, "litters": 10_001}[mode] {
		f, err := os.CreateTemp("", "t")
		if err != nil {
			return err
		}
		switch {
		case mode == "fills":
			err = syscall.Fallocate(int(f.Fd()), 0, 0, 60<<20)
		case mode == "spreads" && i < 4:
			err = syscall.Fallocate(int(f.Fd()), 0, 0, 60<<20)
		case mode == "spreads":
			err = f.Truncate(900 << 20)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// dies are errors of the call, and ends of the process.
func dies(mode, secret string) error {
	switch mode {
	case "exits":
		os.Exit(9)
	case "blurts":
		write(2, []byte("my last words: "+secret+"\n"))
		os.Exit(9)
	case "panics":
		go panic("no such star")
		time.Sleep(time.Hour)
	case "internal":
		return status.Error(codes.Internal, "out of cheese")
	case "shouts":
		return status.Error(codes.Internal, strings.Repeat("cheese ", 200_000))
	case "busy":
		return status.Error(codes.ResourceExhausted, "too many cooks")
	case "deadline":
		return status.Error(codes.DeadlineExceeded, "of my own")
	}
	return nil
}

// faults are answers that break the protocol, or come from its future.
func faults() map[string]func() *pluginv1.RunResponse {
	ok := func(change func(*pluginv1.Result)) func() *pluginv1.RunResponse {
		return func() *pluginv1.RunResponse {
			r := &pluginv1.Result{Status: pluginv1.Status_STATUS_OK, Summary: "fine"}
			change(r)
			return &pluginv1.RunResponse{Result: r}
		}
	}
	measured := func(m *pluginv1.Measurement) func() *pluginv1.RunResponse {
		return ok(func(r *pluginv1.Result) { r.Measurements = []*pluginv1.Measurement{m} })
	}
	costs := func(pico int64) func() *pluginv1.RunResponse {
		return ok(func(r *pluginv1.Result) { r.Usage = &pluginv1.Usage{Model: "m", CostPicoUsd: pico, PriceKnown: true} })
	}
	return map[string]func() *pluginv1.RunResponse{
		"nothing":     func() *pluginv1.RunResponse { return &pluginv1.RunResponse{} },
		"nan":         measured(&pluginv1.Measurement{Name: "bad.value", Unit: "s", Value: math.NaN()}),
		"unannounced": measured(&pluginv1.Measurement{Name: "bad.other", Unit: "s"}),
		"unit":        measured(&pluginv1.Measurement{Name: "bad.value", Unit: "ms"}),
		"enum":        ok(func(r *pluginv1.Result) { r.Status = 99 }),
		"greased": func() *pluginv1.RunResponse {
			r := ok(func(r *pluginv1.Result) {
				r.Measurements = []*pluginv1.Measurement{greased(&pluginv1.Measurement{Name: "bad.value", Unit: "s", Value: 1.5})}
				greased(r)
			})()
			return greased(r)
		},
		"text": ok(func(r *pluginv1.Result) { r.Summary = "\xff\xfe" }),
		"huge": ok(func(r *pluginv1.Result) { r.Summary = strings.Repeat("x", 5<<20) }),
		"many": ok(func(r *pluginv1.Result) {
			for i := range 300 {
				r.Measurements = append(r.Measurements, &pluginv1.Measurement{Name: "bad.value", Unit: "s", Attributes: map[string]string{"i": strconv.Itoa(i)}})
			}
		}),
		"swells": ok(func(r *pluginv1.Result) {
			r.Measurements = slices.Repeat([]*pluginv1.Measurement{{}}, 500_000)
		}),
		"hoards": func() *pluginv1.RunResponse {
			r := ok(func(*pluginv1.Result) {})()
			r.Memory = make([]byte, 65<<10)
			return r
		},
		"costs":   costs(900),
		"cheap":   costs(10),
		"spends":  costs(5000),
		"cheats":  ok(func(r *pluginv1.Result) { r.Usage = &pluginv1.Usage{Model: "m", CostPicoUsd: 700}; r.Cause = "timeout" }),
		"refuses": ok(func(r *pluginv1.Result) { r.Status, r.Cause = pluginv1.Status_STATUS_FAILED, "auth" }),
	}
}

// greased adds a field that only a later version of the protocol knows.
func greased[M proto.Message](m M) M {
	later := protowire.AppendString(protowire.AppendTag(nil, 18_001, protowire.BytesType), "later")
	m.ProtoReflect().SetUnknown(later)
	return m
}

func (b *bad) Export(ctx context.Context, r *pluginv1.ExportRequest) (*pluginv1.ExportResponse, error) {
	in, err := b.find(r.GetInstanceId())
	if err != nil {
		return nil, err
	}
	if err := dies(in.mode, in.password); err != nil {
		return nil, err
	}
	out := &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE}
	switch in.mode {
	case "totals": // its state is the number of records
		n, _ := strconv.Atoi(string(in.state))
		in.state = []byte(strconv.Itoa(n + len(r.GetRecords())))
		out.State = in.state
		if path := os.Getenv("BAD_FILE"); path != "" {
			done(string(in.state))
		}
	case "greased":
		greased(out)
	case "rejects":
		out.Rejections = []*pluginv1.Rejection{{Index: 0, Reason: "too old"}}
	case "rejects_wildly":
		out.Rejections = []*pluginv1.Rejection{{Index: 99, Reason: "too old"}}
	case "enum":
		out.Disposition = 99
	case "holds":
		out.Disposition, out.Message = pluginv1.Disposition_DISPOSITION_HOLD, "the password "+in.password+" is refused"
	case "waits":
		<-ctx.Done()
	case "notes":
		done(r.GetBatchId())
	}
	return out, nil
}

func (b *bad) Refresh(_ context.Context, r *pluginv1.RefreshRequest) (*pluginv1.RefreshResponse, error) {
	if _, err := b.find(r.GetInstanceId()); err != nil {
		return nil, err
	}
	return &pluginv1.RefreshResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE, State: []byte(strconv.Itoa(len(r.GetAlerts())))}, nil
}
