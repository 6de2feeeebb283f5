package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// MaxMessage is the largest message that a plugin takes, in bytes.
const MaxMessage = 16 << 20

// Server answers the calls of the agent. It is safe for concurrent use.
type Server struct {
	plugin    Plugin
	described *pluginv1.DescribeResponse
	kinds     map[string]*kind
	log       *slog.Logger

	mu        sync.Mutex           // guards all below
	instances map[string]*instance // by the agent's id
	draining  bool
	calls     sync.WaitGroup // Add only under mu and while not draining
}

// NewServer checks everything that the plugin says of itself and starts nothing. Its calls are served by Register, as in a
// test of a plugin within one process.
func NewServer(p Plugin) (*Server, error) {
	described, kinds, err := manifest(&p)
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	log := p.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{plugin: p, described: described, kinds: kinds, log: log, instances: map[string]*instance{}}, nil
}

// Register serves the plugin's calls on gs, which should take messages of MaxMessage bytes.
func (s *Server) Register(gs grpc.ServiceRegistrar) {
	pluginv1.RegisterBasePluginServer(gs, &base{s: s})
	pluginv1.RegisterCheckPluginServer(gs, &checkPlugin{s: s})
	pluginv1.RegisterExporterPluginServer(gs, &exporterPlugin{s: s})
}

// Close waits for the calls that go on, until ctx ends, and closes every instance. The server answers nothing any more.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	all := s.instances
	s.instances = map[string]*instance{}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		s.calls.Wait()
	}()
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(all)) {
		errs = append(errs, all[id].retire(ctx))
	}
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, status.FromContextError(ctx.Err()).Err())
	}
	return errors.Join(errs...)
}

// begin counts a call; end must follow where the error is nil.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return status.Error(codes.Unavailable, "the plugin is about to end")
	}
	s.calls.Add(1)
	return nil
}

func (s *Server) end() { s.calls.Done() }

// take removes an instance, or puts another in its place; nil where there was none.
func (s *Server) take(id string, next *instance) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.instances[id]
	if delete(s.instances, id); next != nil {
		s.instances[id] = next
	}
	return before
}

func (s *Server) instance(id string) (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.instances[id]; found != nil {
		return found, nil
	}
	return nil, errNotThere()
}

// recovered makes an error of a panic, whose stack the log gets.
func (s *Server) recovered(method, name string, err *error) {
	if v := recover(); v != nil {
		s.log.Error("a call panicked", "method", method, "name", name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s of %q panicked; the plugin's log has the stack", method, name)
	}
}

// base serves what every plugin does.
type base struct {
	pluginv1.UnimplementedBasePluginServer

	s *Server
}

func (b *base) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	out, _ := proto.Clone(b.s.described).(*pluginv1.DescribeResponse)
	return out, nil
}

func (b *base) Release(ctx context.Context, r *pluginv1.ReleaseRequest) (_ *pluginv1.ReleaseResponse, err error) {
	before := b.s.take(r.GetInstanceId(), nil)
	if before == nil {
		return &pluginv1.ReleaseResponse{}, nil
	}
	defer b.s.recovered("Release", before.name, &err)
	if err := before.retire(ctx); err != nil {
		return nil, err
	}
	return &pluginv1.ReleaseResponse{}, nil
}

func (b *base) Drain(ctx context.Context, _ *pluginv1.DrainRequest) (_ *pluginv1.DrainResponse, err error) {
	defer b.s.recovered("Drain", b.s.plugin.Name, &err)
	if err := b.s.Close(ctx); err != nil {
		code := status.Code(err)
		if ctx.Err() != nil {
			code = status.FromContextError(ctx.Err()).Code()
		}
		return nil, status.Error(code, err.Error())
	}
	return &pluginv1.DrainResponse{}, nil
}
