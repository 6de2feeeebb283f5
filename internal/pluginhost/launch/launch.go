// Package launch starts one plugin process and ends it, through hashicorp/go-plugin with a runner of its own, and keeps
// every harm that the process can do from the agent: noise and floods on its pipes, a freeze, children that outlive it,
// sockets that it leaves, a death of the agent that it would survive. It does not decide which program may run, does not
// start anything again, and knows nothing of checks and exporters.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

const (
	defaultStartTimeout = 10 * time.Second
	maxReceive          = 4 << 20  // bytes of one answer of a plugin
	maxHeaders          = 64 << 10 // bytes of its headers, the text of an error among them
	noCertificate       = 50       // bytes of the handshake's last field that go-plugin takes for something else
)

// Program is a plugin to start.
type Program struct {
	Name   string                   // of the entry, for logs and errors
	Path   string                   // absolute
	Open   func() (*os.File, error) // opens and judges the file; nil: os.Open(Path). What it returns is what runs
	SHA256 string                   // lower-case hex; "" accepts any
	Env    []string                 // NAME=value: everything but TMPDIR, its own folder, and what go-plugin adds
	Policy sandbox.Policy           // Write gets the plugin's own folder, Cgroup that of the field below
	Cgroup *sandbox.Cgroup          // its own; killed and removed with it, where Start fails too; nil: none
	// Sockets is a folder of mode 0700 in which the plugin's own folder is made and removed. Its path has at most
	// LongestSockets bytes.
	Sockets      string
	MTLS         bool                // certificates both ways, new for each process
	Log          *slog.Logger        // what the plugin logs and prints goes here; nil throws it away
	Scrub        func(string) string // takes secrets out of it; nil: nothing is taken out
	StartTimeout time.Duration       // until it must be ready; 0: 10s
	Unsandboxed  bool                // for measurements: without the shim
}

// Process is a plugin that is ready. Whoever started it calls Stop or Kill, after it has ended by itself too.
type Process struct {
	run    *plugged
	client *plugin.Client
	conn   *grpc.ClientConn
	stop   sync.Once
	guest  *guest // of Attach, in the stead of run and client
}

// Start starts the plugin and returns when its health service answers. What it started is gone where it fails. Errors are
// an *Error. The end of ctx ends the attempt, not the process that was started before it.
func Start(ctx context.Context, p Program) (*Process, error) {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Scrub == nil {
		p.Scrub = func(text string) string { return text }
	}
	if p.StartTimeout <= 0 {
		p.StartTimeout = defaultStartTimeout
	}
	process, err := start(ctx, p)
	if err == nil {
		return process, nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = fault(Ours, "%v", err).because(err)
	}
	e.Plugin = p.Name
	return nil, e
}

func start(ctx context.Context, p Program) (*Process, error) {
	ctx, cancel := context.WithTimeout(ctx, p.StartTimeout)
	defer cancel()
	run, err := prepare(p, p.Log.With("plugin", p.Name))
	if err != nil {
		if p.Cgroup != nil {
			err = errors.Join(err, p.Cgroup.Remove())
		}
		return nil, err
	}
	// Whatever waits for the plugin below ends with it.
	release := context.AfterFunc(ctx, run.kill)
	process := &Process{run: run, client: plugin.NewClient(config(p, run))}
	if err := process.connect(ctx); err != nil || !release() {
		lost := ctx.Err()
		process.Kill()
		return nil, run.explain(err, lost)
	}
	return process, nil
}

// connect makes the handshake and asks for the plugin's health.
func (p *Process) connect(ctx context.Context) error {
	client, err := p.client.Client()
	if err != nil {
		return err
	}
	c, ok := client.(*plugin.GRPCClient)
	if !ok {
		return errors.New("it does not speak gRPC")
	}
	p.conn = c.Conn
	return p.Health(ctx)
}

func config(p Program, run *plugged) *plugin.ClientConfig {
	out := func(stream string) io.Writer {
		return &printed{stream: stream, gate: run.gate, log: run.log, scrub: p.Scrub}
	}
	c := &plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{wire.Protocol: {}},
		RunnerFunc:       run.accept,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.Sockets},
		StartTimeout:     p.StartTimeout + time.Second, // the bound is ours, and comes before
		Stderr:           io.Discard,
		SyncStdout:       out("stdout"),
		SyncStderr:       out("stderr"),
		Logger:           newAdapter(run.log),
		GRPCDialOptions:  dialOptions(),
	}
	if run.identity != nil {
		c.TLSConfig = run.identity.config
	}
	return c
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive), grpc.ForceCodecV2(codec{})),
		grpc.WithIdleTimeout(0), // a socket file that somebody removed would not be found again
		grpc.WithDisableServiceConfig(),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithStreamInterceptor(withoutBroker),
	}
}

// withoutBroker keeps go-plugin from its broker, by which plugins would call the host. This protocol has no use for it, and
// go-plugin keeps a goroutine for five seconds, or a channel for ever, for each message that a plugin sends there.
//
//nolint:revive // a grpc.StreamClientInterceptor has six arguments
func withoutBroker(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "there is no broker")
	}
	return open(ctx, desc, conn, method, opts...)
}

// Conn is the connection for the plugin's services.
func (p *Process) Conn() *grpc.ClientConn { return p.conn }

// PID is the process id.
func (p *Process) PID() int {
	if p.guest != nil {
		return p.guest.pid
	}
	return p.run.current().pid
}

// Done is closed when the process has ended, whoever ended it.
func (p *Process) Done() <-chan struct{} {
	if p.guest != nil {
		return p.guest.done
	}
	return p.run.current().done
}

// Exit is how it ended; the zero Exit before.
func (p *Process) Exit() Exit {
	select {
	case <-p.Done():
		if p.guest != nil {
			return p.guest.exit()
		}
		return p.run.exit()
	default:
		return Exit{}
	}
}

// Health asks the plugin's health service, within the deadline of ctx.
func (p *Process) Health(ctx context.Context) error {
	request := &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService}
	answer, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, request)
	if err != nil {
		return fmt.Errorf("asking for its health: %s", clip(status.Convert(err).Message(), maxQuoted))
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its health is %s, want SERVING", answer.GetStatus())
	}
	return nil
}

// Stop asks the plugin to shut down, kills it when the grace is over, and returns when it, its group and its folder are
// gone. Running calls are cut off. It may be called more than once, and at the same time.
func (p *Process) Stop(grace time.Duration) {
	p.stop.Do(func() {
		if p.guest != nil {
			p.guest.leave()
			<-p.guest.done
			_ = p.conn.Close()
			return
		}
		// go-plugin waits for an answer without a bound.
		force := time.AfterFunc(grace, p.run.kill)
		defer force.Stop()
		p.client.Kill()
		p.run.kill()
		p.run.finish()
	})
}

// Kill is Stop without grace.
func (p *Process) Kill() {
	if p.guest == nil {
		p.run.kill()
	}
	p.Stop(0)
}

// Dropped is how many lines of its log were dropped, because there were too many.
func (p *Process) Dropped() int64 {
	if p.guest != nil {
		return 0
	}
	return p.run.gate.dropped.Load()
}

// Guest reports whether somebody else started it: see Attach.
func (p *Process) Guest() bool { return p.guest != nil }

// Discarded is how many bytes of its standard output were thrown away.
func (p *Process) Discarded() int64 { return p.run.out.discarded.Load() }

// judge looks at the handshake before go-plugin does.
func (r *plugged) judge(h handshake) error {
	switch {
	case h.core != plugin.CoreProtocolVersion:
		return fault(Protocol, "it speaks version %d of the handshake, this agent speaks %d; update the plugin or the agent", h.core, plugin.CoreProtocolVersion)
	case h.app != wire.Protocol:
		return fault(Protocol, "it speaks version %d of the protocol, this agent speaks %d; update %s", h.app, wire.Protocol, whom(h.app))
	case h.protocol != string(plugin.ProtocolGRPC):
		return fault(Protocol, "it speaks %s, and this agent speaks gRPC", clip(h.protocol, maxQuoted))
	case r.program.MTLS && len(h.certificate) <= noCertificate:
		return fault(Handshake, "it offers no certificate; give it one, or say mtls: false in its entry")
	case !r.program.MTLS && len(h.certificate) > noCertificate: // go-plugin would take it for an answer to ours, and panic
		return fault(Handshake, "it offers a certificate that it was not asked for, and its entry says mtls: false; leave that out")
	}
	return r.judgeAddress(h.network, h.address)
}

func whom(version int) string {
	if version > wire.Protocol {
		return "the agent"
	}
	return "the plugin"
}

func (r *plugged) judgeAddress(network, address string) error {
	r.mu.Lock()
	folder := r.sockets
	r.mu.Unlock()
	if network != "unix" {
		return fault(Refused, "it listens on %s %s, want a unix socket in PLUGIN_UNIX_SOCKET_DIR", clip(network, 16), clip(address, maxQuoted))
	}
	info, err := os.Lstat(address)
	if filepath.Dir(address) != folder || filepath.Clean(address) != address {
		return fault(Refused, "it listens on %s, want a socket in PLUGIN_UNIX_SOCKET_DIR", clip(address, maxQuoted))
	}
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return fault(Refused, "it says that it listens on %s, where there is no socket", clip(filepath.Base(address), maxQuoted)).because(err)
	}
	return nil
}

// explain says why the plugin is not there, after its end: err is what go-plugin says, lost why the attempt was given up.
func (r *plugged) explain(err, lost error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	noise, fault, said := r.out.heard()
	if fault != nil {
		return fault
	}
	if r.requests == nil && err != nil {
		return err // of go-plugin, before it came to the program
	}
	exit := r.exit()
	e := r.sentence(exit, noise, said, lost)
	e.Err = err
	if !exit.At.IsZero() {
		e.Exit = &exit
	}
	if e.Text == "" {
		e.Text = fmt.Sprint(err)
	}
	return e
}

// sentence is the error for a program that ran and did not become a plugin.
func (r *plugged) sentence(exit Exit, noise []string, said bool, lost error) *Error {
	printed := ""
	if len(noise) > 0 {
		printed = fmt.Sprintf("; it printed %q", r.program.Scrub(noise[0]))
	}
	stderr := strings.Join(exit.Stderr, "\n")
	switch {
	case errors.Is(lost, context.Canceled):
		return fault(Ours, "its start was given up")
	case exit.Shim != "":
		return fault(Refused, "%s", exit.Shim)
	case lost != nil && said:
		return fault(Handshake, "it made its handshake and did not answer within %s", r.program.StartTimeout)
	case lost != nil:
		return fault(Handshake, "it made no handshake within %s%s", r.program.StartTimeout, printed)
	case strings.Contains(stderr, "This binary is a plugin"):
		return fault(Handshake, "it is a plugin of another program: it does not know the agent's cookie; correct the path, or take the entry out")
	case said:
		return fault(Handshake, "")
	case exit.Killed, exit.At.IsZero():
		return fault(Handshake, "it made no handshake%s", printed)
	case exit.Signal != "" || exit.Panic != "":
		return fault(Crash, "it ended before its handshake: %s", exit)
	case printed == "" && len(exit.Stderr) > 0:
		printed = fmt.Sprintf("; it said %q", exit.Stderr[len(exit.Stderr)-1])
	}
	return fault(Handshake, "it made no handshake and ended with status %d%s; is it a plugin?", exit.Code, printed)
}
