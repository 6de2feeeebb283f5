package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
  "required": ["address"],
  "properties": {
    "address": {"type": "string", "minLength": 1, "description": "Where to look: host:port."},
    "note": {"type": "string", "description": "Anything."},
    "more": {"$ref": "#/$defs/more"},
    "password": {"type": "object", "additionalProperties": false, "required": ["secret"], "properties": {"secret": {"type": "string"}}}
  },
  "$defs": {"more": {
    "type": "object", "additionalProperties": false, "required": ["list"],
    "properties": {"list": {"type": "array", "items": {"type": "object", "additionalProperties": false, "properties": {"word": {"type": "string"}}}}}
  }}
}`

type params struct {
	Address  string            `json:"address"`
	Note     string            `json:"note"`
	Password map[string]string `json:"password"`
	More     *struct {
		List *[]struct {
			Word string `json:"word"`
		} `json:"list"`
	} `json:"more"`
	secret string
}

type server struct {
	pluginv1.UnimplementedBasePluginServer
	pluginv1.UnimplementedCheckPluginServer
	pluginv1.UnimplementedExporterPluginServer

	bad       string
	log       hclog.Logger
	described atomic.Int64
	running   sync.WaitGroup
	inFlight  atomic.Int64

	mu        sync.Mutex
	instances map[string]params
	hoard     [][]byte
	files     []*os.File
}

func newServer(bad string, log hclog.Logger) *server {
	return &server{bad: bad, log: log, instances: map[string]params{}}
}

func (s *server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	d := &pluginv1.DescribeResponse{
		Name: "shop", Version: "1.2.3", Summary: "Looks at a shop.", Homepage: "https://example.com/shop",
		Sdk: &pluginv1.Sdk{Name: "none", Version: "0.0.1"}, Capabilities: &pluginv1.PluginCapabilities{Concurrent: true, Reconfigure: true},
		Kinds: []*pluginv1.Kind{
			{
				Name: "probe", Type: pluginv1.KindType_KIND_TYPE_CHECK, DocMarkdown: "Asks the shop for its first page.", ConfigSchemaJson: []byte(schema),
				MinInterval: durationpb.New(time.Second), Measurements: []*pluginv1.MeasurementSpec{{Name: "shop.took", Unit: "s", Description: "How long it took."}},
			},
			{
				Name: "lake", Type: pluginv1.KindType_KIND_TYPE_EXPORTER, DocMarkdown: "Fills a lake.", ConfigSchemaJson: []byte(schema),
				ExporterLimits: &pluginv1.ExporterLimits{MaxBatch: 500, Refresh: true},
			},
		},
	}
	switch s.bad {
	case "describe-differs":
		d.Summary = fmt.Sprintf("Was asked %d times.", s.described.Add(1))
	case "describe-of-process":
		d.Summary = fmt.Sprintf("Process %d.", os.Getpid())
	case "describe-slow":
		time.Sleep(1200 * time.Millisecond)
	case "describe-needs-network":
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		_ = conn.Close()
	case "open-schema":
		d.Kinds[0].ConfigSchemaJson = []byte(`{"type": "object", "required": ["address"], "properties": {"address": {"type": "string"}, "password": {}}}`)
	case "bad-version":
		d.Version = "one"
	case "no-docs":
		d.Kinds[1].DocMarkdown = ""
	}
	return d, nil
}

func (s *server) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if s.bad == "logs-secrets" {
		s.log.Info("configured", "secrets", fmt.Sprint(r.GetSecrets()), "password", string(r.GetSecrets()["pw"]))
	}
	p, wrong := s.read(r.GetConfigJson())
	if wrong != nil && s.bad == "error-of-call" {
		return nil, status.Error(codes.InvalidArgument, wrong.Summary)
	}
	if wrong != nil {
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{wrong}}, nil
	}
	p.secret = string(r.GetSecrets()[p.Password["secret"]])
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.bad == "fifty-instances" && len(s.instances) > 50:
		return nil, status.Error(codes.ResourceExhausted, "too many instances")
	case s.bad == "hungry" && len(s.hoard) == 0:
		block := make([]byte, 200<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		s.hoard = append(s.hoard, block)
	case s.bad == "many-files" && len(s.files) == 0:
		for range 300 {
			f, err := os.Open("/dev/null")
			if err != nil {
				return nil, status.Error(codes.Internal, err.Error())
			}
			s.files = append(s.files, f)
		}
	}
	if !r.GetValidateOnly() || s.bad == "validate-keeps" {
		s.instances[r.GetInstanceId()] = p
	}
	return &pluginv1.ConfigureResponse{}, nil
}

// read reads parameters; the diagnostic says what is wrong with them.
func (s *server) read(config []byte) (p params, wrong *pluginv1.Diagnostic) {
	refuse := func(pointer, format string, args ...any) *pluginv1.Diagnostic {
		if s.bad == "no-pointer" {
			pointer, format, args = "", "something is wrong", nil
		}
		return &pluginv1.Diagnostic{Severity: pluginv1.Severity_SEVERITY_ERROR, Pointer: pointer, Summary: fmt.Sprintf(format, args...)}
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(config, &all); err != nil {
		return p, refuse("", "not an object")
	}
	for name, into := range map[string]any{"address": &p.Address, "note": &p.Note, "password": &p.Password, "more": &p.More} {
		decoder := json.NewDecoder(bytes.NewReader(all[name]))
		decoder.DisallowUnknownFields()
		if err := decode(decoder, all[name], into); err != nil {
			return p, refuse("/"+name, "%v", err)
		}
		delete(all, name)
	}
	for name := range all {
		if s.bad != "takes-unknown" {
			return p, refuse("/"+name, "no parameter is called %q", name)
		}
	}
	if p.Address == "" {
		return p, refuse("", "the parameter %q is missing", "address")
	}
	if p.More != nil && p.More.List == nil && s.bad != "shallow" {
		return p, refuse("/more", "the parameter %q is missing", "list")
	}
	if _, ok := p.Password["secret"]; p.Password != nil && (!ok || len(p.Password) > 1) {
		return p, refuse("/password", "want the name of a \"secret\" and no_such_parameter")
	}
	return p, nil
}

func decode(decoder *json.Decoder, data []byte, into any) error {
	if data == nil {
		return nil
	}
	return decoder.Decode(into)
}

func (s *server) Release(_ context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.instances[r.GetInstanceId()]; !ok && s.bad == "release-unknown" {
		return nil, status.Error(codes.NotFound, "no such instance")
	}
	if s.bad != "release-keeps" {
		delete(s.instances, r.GetInstanceId())
	}
	return &pluginv1.ReleaseResponse{}, nil
}

func (s *server) Drain(_ context.Context, _ *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if s.bad == "drains-at-once" {
		return &pluginv1.DrainResponse{}, nil
	}
	if s.bad == "never-drained" {
		time.Sleep(6 * time.Second)
	}
	s.running.Wait()
	return &pluginv1.DrainResponse{}, nil
}

func (s *server) instance(id string) (params, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.instances[id]
	if !ok && s.bad == "unknown-is-internal" {
		return p, status.Error(codes.Internal, "no such instance")
	}
	if !ok {
		return p, status.Error(codes.FailedPrecondition, "no such instance")
	}
	return p, nil
}

// leak does what a process does that leaks.
func (s *server) leak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.bad {
	case "leaks-files":
		f, _ := os.Open("/dev/null")
		s.files = append(s.files, f)
	case "leaks-memory":
		block := make([]byte, 64<<10)
		for i := range block {
			block[i] = byte(i)
		}
		s.hoard = append(s.hoard, block)
	}
}

func nan() float64 { return math.NaN() }
