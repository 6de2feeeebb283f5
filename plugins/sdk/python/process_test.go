package python_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk/python"
)

func TestTheEnd(t *testing.T) {
	t.Parallel()
	cases := map[string]func(p process){
		"the agent says so":    func(p process) { p.client.Kill() },
		"the system says so":   func(p process) { _ = p.cmd.Process.Signal(syscall.SIGTERM) },
		"while a run hangs on": func(p process) { go func() { _, _ = p.run(context.Background(), "1") }(); p.client.Kill() },
	}
	for name, end := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, true)
			p.echo(t, "1", "block")
			if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Base.Describe(t.Context(), &pluginv1.DescribeRequest{}); err != nil {
				t.Errorf("got %v after SIGINT, want a plugin that lives", err)
			}
			end(p)
			for began := time.Now(); !p.client.Exited(); time.Sleep(5 * time.Millisecond) {
				if time.Since(began) > 5*time.Second {
					t.Fatal("the plugin lives on")
				}
			}
			if left, err := os.ReadDir(p.dir); err != nil || len(left) > 0 {
				t.Errorf("got %v, %v, want no socket left", left, err)
			}
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("got exit code %d, want 0", code)
			}
		})
	}
}

func TestAPluginDiesWithItsParent(t *testing.T) {
	t.Parallel()
	needPython(t)
	cmd := command(t, archive(t))
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", interpreter + " /proc/self/fd/3 & read line"}
	cmd.Env = append(cmd.Env, cookie+"="+cookieValue, "PLUGIN_UNIX_SOCKET_DIR="+t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "1|1|unix|/") {
		t.Fatalf("got %q, %v, want a handshake", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(out); err != nil { // until the plugin, too, has closed its end
		t.Error(err)
	}
	_ = stdin.Close()
	_ = cmd.Wait()
}

func TestWithoutTheAgent(t *testing.T) {
	t.Parallel()
	needPython(t)
	cmd := command(t, archive(t))
	out, err := cmd.CombinedOutput()
	want := "probe 1.2.3 is a plugin of Windsock, the monitoring agent, which starts it: it does nothing by itself."
	if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), want) {
		t.Errorf("got %v, %q, want exit code 1 and %q", err, out, want)
	}
	cmd = command(t, archive(t))
	cmd.Args = append(cmd.Args, "--describe")
	out, err = cmd.Output()
	var got struct {
		Name  string `json:"name"`
		Kinds []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"kinds"`
	}
	if err != nil || json.Unmarshal(out, &got) != nil || got.Name != "probe" || len(got.Kinds) != 2 || got.Kinds[1].Type != "exporter" {
		t.Errorf("got %v, %s, want the manifest", err, out)
	}
}

func TestNoTLSWhereTheAgentWantsNone(t *testing.T) {
	t.Parallel()
	p := start(t, false)
	if _, err := p.Base.Describe(t.Context(), &pluginv1.DescribeRequest{}); err != nil {
		t.Error(err)
	}
}

func TestTheCertificateWithoutOpenSSL(t *testing.T) {
	t.Parallel()
	needPython(t)
	if err := exec.CommandContext(t.Context(), interpreter, "-c", "import cryptography").Run(); err != nil {
		t.Skipf("%s has no cryptography (Debian: python3-cryptography): %v", interpreter, err)
	}
	script := "import sys, shutil; shutil.which = lambda _: None; sys.path.insert(0, '.'); sys.dont_write_bytecode = True\n" +
		"import windsock_plugin, ssl, tempfile\nkey, cert = windsock_plugin._certificate()\n" +
		"f = tempfile.NamedTemporaryFile(); f.write(key + cert); f.flush()\n" +
		"ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f.name); print('good')"
	out, err := exec.CommandContext(t.Context(), interpreter, "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "good") {
		t.Errorf("got %v, %s, want a pair that fits", err, out)
	}
}

// The descriptors are those of the Go code: made of the same .proto files.
func TestTheDescriptorsAreFresh(t *testing.T) {
	t.Parallel()
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(python.API, &set); err != nil {
		t.Fatal(err)
	}
	digest := func(d *descriptorpb.FileDescriptorProto) [32]byte {
		d.SourceCodeInfo = nil
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(text)
	}
	want := map[string][32]byte{}
	for _, file := range []protoreflect.FileDescriptor{
		pluginv1.File_windsock_plugin_v1_base_proto, pluginv1.File_windsock_plugin_v1_check_proto, pluginv1.File_windsock_plugin_v1_exporter_proto,
	} {
		want[file.Path()] = digest(protodesc.ToFileDescriptorProto(file))
	}
	for _, file := range set.GetFile() {
		if strings.HasPrefix(file.GetName(), "windsock/") && digest(file) != want[file.GetName()] {
			t.Errorf("%s is not what the Go code was made of: make proto", file.GetName())
		}
		delete(want, file.GetName())
	}
	if len(want) > 0 {
		t.Errorf("got no descriptors of %v", want)
	}
}

func TestNothingToMakeACertificateWith(t *testing.T) {
	t.Parallel()
	needPython(t)
	script := "import sys, shutil; shutil.which = lambda _: None; sys.modules['cryptography'] = None; sys.path.insert(0, '.')\n" +
		"sys.dont_write_bytecode = True\nimport windsock_plugin\nwindsock_plugin._certificate()"
	cmd := exec.CommandContext(t.Context(), interpreter, "-c", script)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.HasSuffix(string(out), "apt-get install openssl.\n") || strings.Contains(string(out), "Traceback") {
		t.Errorf("got exit code %d, %s, want 1 and what to install", cmd.ProcessState.ExitCode(), out)
	}
}
