package python_test

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk/python"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

const (
	interpreter = "/usr/bin/python3"
	cookie      = wire.CookieKey
	cookieValue = wire.CookieValue
)

// needPython skips where the interpreter or gRPC for it is not there.
func needPython(t *testing.T) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), interpreter, "-c", "import grpc, google.protobuf").Run(); err != nil {
		t.Skipf("%s has no grpc and protobuf (Debian: python3-grpcio, python3-protobuf): %v", interpreter, err)
	}
}

// archive makes the test plugin the one file that an author would ship.
func archive(t *testing.T) *os.File {
	t.Helper()
	main, err := os.ReadFile("testdata/probe/__main__.py")
	if err != nil {
		t.Fatal(err)
	}
	packed := bytes.NewBufferString("#!" + interpreter + "\n")
	w := zip.NewWriter(packed)
	w.SetOffset(int64(packed.Len()))
	for name, text := range map[string][]byte{"__main__.py": main, "windsock_plugin.py": python.Library, "api.binpb": python.API} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// command runs the file as the agent does: by its open descriptor, with next to nothing in the environment.
func command(t *testing.T, file *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), interpreter, "/proc/self/fd/3")
	cmd.ExtraFiles, cmd.Dir = []*os.File{file}, "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	return cmd
}

type services struct {
	plugin.NetRPCUnsupportedPlugin
	Base     pluginv1.BasePluginClient
	Check    pluginv1.CheckPluginClient
	Exporter pluginv1.ExporterPluginClient
}

func (services) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (services) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return services{
		Base: pluginv1.NewBasePluginClient(conn), Check: pluginv1.NewCheckPluginClient(conn), Exporter: pluginv1.NewExporterPluginClient(conn),
	}, nil
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type process struct {
	services
	client *plugin.Client
	cmd    *exec.Cmd
	stderr *buffer
	dir    string // of the socket
}

// start starts the test plugin under go-plugin's own client.
func start(t *testing.T, mtls bool) process {
	t.Helper()
	needPython(t)
	dir, err := os.MkdirTemp("", "ws") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := process{cmd: command(t, archive(t)), stderr: &buffer{}, dir: dir}
	p.cmd.Env = append(p.cmd.Env, "PLUGIN_UNIX_SOCKET_DIR="+dir)
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: cookie, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{1: {"windsock": &services{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd:              p.cmd, AutoMTLS: mtls, SkipHostEnv: true, Stderr: p.stderr, Logger: hclog.NewNullLogger(),
		StartTimeout: 20 * time.Second,
	})
	t.Cleanup(p.client.Kill)
	conn, err := p.client.Client()
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr)
	}
	if err := conn.Ping(); err != nil {
		t.Fatalf("health: %v", err)
	}
	made, err := conn.Dispense("windsock")
	if err != nil {
		t.Fatal(err)
	}
	p.services = made.(services) //nolint:forcetypeassert // it is what GRPCClient makes
	return p
}

func (p process) configure(t *testing.T, r *pluginv1.ConfigureRequest) []*pluginv1.Diagnostic {
	t.Helper()
	answer, err := p.Base.Configure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetDiagnostics()
}

// echo makes an instance that does what mode says.
func (p process) echo(t *testing.T, id, mode string) {
	t.Helper()
	config := []byte(`{"name": "a", "mode": "` + mode + `", "password": {"secret": "pw"}}`)
	found := p.configure(t, &pluginv1.ConfigureRequest{
		InstanceId: id, Kind: "echo", ConfigJson: config, Name: "front", Secrets: map[string][]byte{"pw": []byte("s3cret")},
	})
	if len(found) > 0 {
		t.Fatalf("got %v, want no diagnostics", found)
	}
}

func (p process) run(ctx context.Context, id string) (*pluginv1.RunResponse, error) {
	return p.Check.Run(ctx, &pluginv1.RunRequest{InstanceId: id, Timeout: durationpb.New(20 * time.Second), Memory: []byte("m")})
}
