package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/windsock-monitor/windsock/plugins/wire"
)

const (
	grace    = 1500 * time.Millisecond // for the calls that go on when the process is told to end
	closing  = 300 * time.Millisecond  // for what is left to close after the last call
	lookAt   = 2 * time.Second         // how often the parent is looked at
	debugArg = "--debug"
	descArg  = "--describe"
)

// process is the one that serves: what only main may touch.
type process struct {
	args           []string
	stdout, stderr io.Writer
	getenv         func(string) string
	getppid        func() int
}

// Serve is the main of a plugin, and ends the process: 0 when the agent stopped it, 1 where it cannot serve.
//
// Started by the agent, it serves the plugin on a socket until the agent says so, the agent is gone, or SIGTERM comes; calls
// that go on then have a second and a half to end. Started by a person, it prints what it is. --describe prints what it
// offers as JSON; --debug serves until it is interrupted, for an agent that is started with the line that it prints.
func Serve(p Plugin) {
	os.Exit(serve(p, process{os.Args, os.Stdout, os.Stderr, os.Getenv, os.Getppid})) //nolint:forbidigo // it is the main of every plugin
}

func serve(p Plugin, proc process) int {
	if p.Log == nil {
		p.Log = newLogger(proc.stderr) // before go-plugin takes the standard error for its own
	}
	s, err := NewServer(p)
	if err != nil {
		fmt.Fprintln(proc.stderr, err)
		return 1
	}
	arg := ""
	if len(proc.args) > 1 {
		arg = proc.args[1]
	}
	started := proc.getenv(wire.CookieKey) == wire.CookieValue
	switch {
	case started:
		return s.serve(proc, nil)
	case arg == descArg:
		return s.describe(proc)
	case arg == debugArg:
		return s.debug(proc)
	}
	fmt.Fprint(proc.stderr, s.greeting(proc.args[0]))
	return 1
}

// greeting is for a person who starts a plugin like a program.
func (s *Server) greeting(path string) string {
	return fmt.Sprintf(`%s %s is a plugin of Windsock: the agent starts it, and it does nothing by itself.
  what it offers:       %s %s
  whether it is sound:  windsock plugins test %s
  in a debugger:        %s %s
`, s.plugin.Name, s.plugin.Version, path, descArg, path, path, debugArg)
}

// serve runs until the agent, a signal or the end of the agent stops it. test is set for a debugger.
func (s *Server) serve(proc process, test *plugin.ServeTestConfig) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if test == nil {
		parent := proc.getppid() // before the agent knows of us: after it, it may be gone
		go orphaned(ctx, cancel, parent, proc.getppid)
	}
	var server stopper
	var ended sync.WaitGroup
	over := make(chan struct{})
	ended.Go(func() {
		select {
		case <-ctx.Done():
			s.leave(grace) //nolint:contextcheck // ctx has ended: that is the reason
			server.stop()
		case <-over:
		}
	})
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{wire.Protocol: {s.plugin.Name: &served{s: s}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return server.started(grpc.NewServer(append(options, grpc.MaxRecvMsgSize(MaxMessage))...))
		},
		Logger: hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, Output: proc.stderr, JSONFormat: true}),
		Test:   test,
	})
	close(over)
	ended.Wait()
	s.leave(closing)
	return 0
}

// leave ends what goes on, in so much time.
func (s *Server) leave(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		s.log.Warn("the plugin ends before its calls did", "error", err)
	}
}

// orphaned ends the plugin when its parent is no longer the one that started it: the agent was killed. Where the kernel does
// that itself, it is only for safety.
func orphaned(ctx context.Context, end context.CancelFunc, parent int, getppid func() int) {
	tick := time.NewTicker(lookAt)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if getppid() != parent {
				end()
				return
			}
		}
	}
}

// stopper stops a server that may not have started yet.
type stopper struct {
	mu      sync.Mutex // guards all below
	server  *grpc.Server
	stopped bool
}

func (s *stopper) started(server *grpc.Server) *grpc.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server = server; s.stopped {
		server.Stop()
	}
	return server
}

func (s *stopper) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped = true; s.server != nil {
		s.server.Stop()
	}
}

// served registers the plugin with go-plugin.
type served struct {
	plugin.NetRPCUnsupportedPlugin

	s *Server
}

// GRPCServer implements plugin.GRPCPlugin.
func (p *served) GRPCServer(_ *plugin.GRPCBroker, gs *grpc.Server) error {
	p.s.Register(gs)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin; a plugin is no client.
func (p *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no client")
}

// debug serves in this terminal, and tells how an agent finds it.
func (s *Server) debug(proc process) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	found := make(chan *plugin.ReattachConfig, 1)
	var told sync.WaitGroup
	told.Go(func() {
		select {
		case c := <-found:
			where, err := wire.Reattach(s.plugin.Name, c)
			if err != nil {
				fmt.Fprintln(proc.stderr, err)
				return
			}
			fmt.Fprintf(proc.stdout, "Start the agent with this in its environment. The plugin serves until it is interrupted.\n%s='%s'\n", wire.ReattachVariable, where)
		case <-ctx.Done():
		}
	})
	code := s.serve(proc, &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: found})
	stop()
	told.Wait()
	return code
}
