package imaplogin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	_ "github.com/windsock-monitor/windsock/internal/sandbox/shim"
	"github.com/windsock-monitor/windsock/plugins/plugintest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// need skips where a program, or a library of the interpreter's, is not there.
func need(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("%v: %v: %s", command, err, out)
	}
}

func run(t *testing.T, command ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return out
}

func TestItsOwnTestsPass(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "--version")
	need(t, "openssl", "version")
	need(t, "make", "--version")
	run(t, "make", "test")
}

// build makes the plugin in a folder of its own, as its author would.
func build(t *testing.T) (path string) {
	t.Helper()
	need(t, "/usr/bin/python3", "--version")
	need(t, "make", "--version")
	library, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"Makefile", "__main__.py", "imap_login.py"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "make", "-C", dir, "SDK="+library)
	return filepath.Join(dir, "dist", "mail")
}

func TestItDescribesItself(t *testing.T) {
	t.Parallel()
	var got struct {
		Name  string `json:"name"`
		Kinds []struct {
			Name string `json:"name"`
		} `json:"kinds"`
	}
	out := run(t, build(t), "--describe")
	if err := json.Unmarshal(out, &got); err != nil || got.Name != "mail" || len(got.Kinds) != 1 || got.Kinds[0].Name != "imap-login" {
		t.Errorf("got %v, %s, want the manifest of mail with imap-login", err, out)
	}
}

// mailServer is a server that lets everybody in and has an empty mailbox.
func mailServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { greet(conn) })
		}
	})
	return listener.Addr().String()
}

func greet(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	untagged := map[string]string{"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n", "EXAMINE": "* 0 EXISTS\r\n", "LOGOUT": "* BYE\r\n"}
	_, _ = fmt.Fprint(conn, "* OK ready\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			return
		}
		_, _ = fmt.Fprintf(conn, "%s%s OK done\r\n", untagged[words[1]], words[0])
	}
}

func TestItIsAPlugin(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "-c", "import grpc, google.protobuf")
	text, err := os.ReadFile("conformance.json")
	if err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf(`"imap-login": {
      "good": {"host": %q, "tls": "none", "user": "ann", "password": {"secret": "pw"}},`, mailServer(t))
	config := filepath.Join(t.TempDir(), "conformance.json")
	if err := os.WriteFile(config, bytes.Replace(text, []byte(`"imap-login": {`), []byte(good), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	plugintest.Conform(t, build(t), config)
}

// The agent's own launcher, with its sandbox and with TLS.
func TestItRunsConfined(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "-c", "import grpc, google.protobuf")
	sockets, err := os.MkdirTemp("", "ws") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	process, err := launch.Start(t.Context(), launch.Program{
		Name: "mail", Path: build(t), Sockets: sockets, MTLS: true, Env: []string{"PATH=/usr/bin:/bin"}, StartTimeout: time.Minute,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer process.Stop(10 * time.Second)
	closed, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // gone at once: its port is one where nobody listens
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is TCP
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := pluginv1.NewBasePluginClient(process.Conn()).Configure(t.Context(), &pluginv1.ConfigureRequest{
		InstanceId: "1", Kind: "imap-login", ConfigJson: fmt.Appendf(nil, `{"host": "127.0.0.1", "port": %d}`, port),
	})
	if err != nil || len(made.GetDiagnostics()) > 0 {
		t.Fatalf("got %v, %v, want no diagnostics", made, err)
	}
	got, err := pluginv1.NewCheckPluginClient(process.Conn()).Run(t.Context(), &pluginv1.RunRequest{InstanceId: "1", Timeout: durationpb.New(time.Minute)})
	if err != nil || got.GetResult().GetStatus() != pluginv1.Status_STATUS_FAILED || got.GetResult().GetCause() != "connect" {
		t.Errorf("got %v, %v, want a connection that is refused", got, err)
	}
}
