// Command bad is a plugin that does what no plugin should, by BAD_MODE before its handshake and by the parameters of its
// instances after it.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func main() {
	mode := os.Getenv("BAD_MODE")
	if early, ok := before()[mode]; ok {
		early()
	}
	if late, ok := beside()[mode]; ok {
		go late()
	}
	cookie := "b6d3f2a4-windsock-plugin"
	if mode == "other" {
		cookie = "another-program"
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "WINDSOCK_PLUGIN_COOKIE", MagicCookieValue: cookie},
		VersionedPlugins: map[int]plugin.PluginSet{1: {"windsock": &services{}}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.MaxRecvMsgSize(16<<20))...)
		},
	})
	switch mode {
	case "ends":
		was, _ := os.ReadFile(os.Getenv("BAD_FILE"))
		done(string(was) + ", then shut down")
	case "lingers":
		select {}
	}
}

// before is what happens in the stead of, or ahead of, the handshake.
func before() map[string]func() {
	line := func(text string) func() { return func() { fmt.Println(text); forever() } }
	return map[string]func(){
		"noise": func() {
			for i := range 5 {
				fmt.Println("banner line", i)
			}
		},
		"babble":    func() { babble(40); forever() },
		"silent":    forever,
		"panics":    func() { panic("no such planet") },
		"quits":     func() { fmt.Fprintln(os.Stderr, "usage: bad FILE"); os.Exit(3) },
		"hello":     func() { fmt.Println("hello, world"); os.Exit(0) },
		"future":    line("1|2|unix|" + socket() + "|grpc|"),
		"core":      line("2|1|unix|" + socket() + "|grpc|"),
		"netrpc":    line("1|1|unix|" + socket() + "|netrpc|"),
		"tcp":       line("1|1|tcp|127.0.0.1:80|grpc|" + strings.Repeat("A", 60)),
		"elsewhere": line("1|1|unix|/run/docker.sock|grpc|" + strings.Repeat("A", 60)),
		"above":     line("1|1|unix|" + filepath.Dir(socket()) + "/../x.sock|grpc|" + strings.Repeat("A", 60)),
		"linked": func() {
			_ = os.Symlink("/run/docker.sock", socket())
			line("1|1|unix|" + socket() + "|grpc|" + strings.Repeat("A", 60))()
		},
		"absent":         line("1|1|unix|" + socket() + "|grpc|" + strings.Repeat("A", 60)),
		"endless":        func() { endless() },
		"unasked":        func() { line("1|1|unix|" + listening() + "|grpc|" + certificate())() },
		"deaf":           func() { deaf() },
		"sick":           func() { bare(true) },
		"bare":           func() { bare(false) },
		"brokers":        func() { bare(false, broker()) },
		"no_certificate": func() { bare(false) },
		"closed": func() {
			_ = os.Stdout.Close()
			_ = syscall.Close(1)
			time.Sleep(20 * time.Millisecond)
			os.Exit(7)
		},
		"inherits": func() { grandchild(nil, nil) },
		"escapes":  func() { grandchild(&syscall.SysProcAttr{Setpgid: true}, nil) },
		"hides":    func() { grandchild(&syscall.SysProcAttr{Setpgid: true}, []string{"A=B"}) },
		"leaves":   func() { grandchild(&syscall.SysProcAttr{Setsid: true}, []string{"A=B"}) },
		"survives": survives,
		"beheads":  func() { done(fmt.Sprint(again("headless"))) },
		"storm":    func() { forks(); os.Exit(0) },
		"headless": func() { syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0) },
		"moves":    moves,
	}
}

// beside is what goes on while the plugin serves.
func beside() map[string]func() {
	return map[string]func(){
		"long_line": func() {
			started()
			long := []byte(strings.Repeat("x", 200<<10) + "\n")
			for range 10 {
				write(1, long)
				write(2, long)
			}
			done("written")
		},
		"flood": func() {
			started()
			for i := range 100_000 {
				write(2, fmt.Appendf(nil, `{"@level":"info","@message":"line %d","@timestamp":"2026-01-01T00:00:00.000000Z"}`+"\n", i))
			}
			done("written")
		},
		"odd_log": func() {
			for _, line := range []string{`{"@message":1}`, ` {"@level":{}}`, `{"@timestamp":null,"@message":"x"}`, `{"@message":"odd","@message":[]}`, `{`, `{}`, `null`, `[{"@message":1}]`} {
				write(2, []byte(line+"\n"))
			}
			time.Sleep(50 * time.Millisecond)
			write(2, []byte(`{"@level":"info","@message":"after odd lines","@timestamp":"2026-01-01T00:00:00.000000Z"}`+"\n"))
		},
		"environment": func() { done(strings.Join(os.Environ(), "\x00")) },
		"dies":        func() { started(); panic("no such moon") },
		"forks":       func() { started(); again("storm") },
	}
}

// started waits for the word of a test, a file: the plugin is ready by then.
func started() {
	for {
		if _, err := os.Stat(os.Getenv("BAD_FILE") + ".go"); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// listening makes the socket.
func listening() string {
	if _, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket()); err != nil {
		panic(err)
	}
	return socket()
}

// certificate is one that can be read.
func certificate() string {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return base64.RawStdEncoding.EncodeToString(der)
}

func forever() { time.Sleep(time.Hour) }

func babble(n int) {
	for i := range n {
		fmt.Println("loading module", i)
	}
}

func endless() {
	chunk := []byte(strings.Repeat("y", 64<<10))
	for {
		write(1, chunk)
	}
}

func write(fd int, data []byte) {
	for len(data) > 0 {
		n, err := syscall.Write(fd, data)
		if err != nil {
			return
		}
		data = data[n:]
	}
}

// done leaves a file behind, by which a test knows.
func done(text string) {
	if path := os.Getenv("BAD_FILE"); path != "" {
		_ = os.WriteFile(path+".new", []byte(text), 0o600)
		_ = os.Rename(path+".new", path)
	}
}

func socket() string { return filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s") }

// grandchild leaves a process behind that holds the plugin's pipes, and its number, or why there is none.
func grandchild(attr *syscall.SysProcAttr, env []string) {
	cmd := exec.Command("/bin/sleep", "600")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = env
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		done(err.Error())
		return
	}
	done(fmt.Sprint(cmd.Process.Pid))
}

// again starts the program once more in a mode, in a group of its own and without the plugin's environment.
func again(mode string) (pid int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"BAD_MODE=" + mode, "BAD_FILE=" + os.Getenv("BAD_FILE")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return cmd.Process.Pid
}

// init keeps main on the first thread.
func init() {
	if os.Getenv("BAD_MODE") == "headless" {
		runtime.LockOSThread()
	}
}

// forks starts a process that forks, begins a group and ends, again and again: no list of processes has it for long. Each
// leaves a byte behind, and there are 3,000, because the numbers of processes are few.
func forks() {
	file, err := os.OpenFile(os.Getenv("BAD_FILE"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	fd, text := file.Fd(), []byte(".")
	fork := func() uintptr {
		pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		return pid
	}
	if fork() != 0 {
		return
	}
	for range 3_000 {
		syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&text[0])), 1)
		syscall.RawSyscall(syscall.SYS_SETPGID, 0, 0, 0)
		if fork() != 0 {
			break
		}
	}
	syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
}

// survives would live on without the agent, and says why it could not.
func survives() {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, 0, 0, 0, 0, 0)
	done(errno.Error())
}

// moves starts a process in the control group above its own. It leaves its number behind, or why there is none.
func moves() {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		panic(err)
	}
	_, path, _ := strings.Cut(string(own), "0::")
	folder, err := os.Open(filepath.Join(os.Getenv("BAD_CGROUPS"), filepath.Dir(strings.TrimSpace(path))))
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(folder.Fd())}
	if err := cmd.Start(); err != nil {
		done(err.Error())
		return
	}
	done(fmt.Sprint(cmd.Process.Pid))
}

// deaf makes the handshake and never accepts a connection.
func deaf() {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket())
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	fmt.Printf("1|1|unix|%s|grpc|\n", socket())
	forever()
}

// bare is a plugin without certificates, Shutdown, broker and stdio: what another language may offer.
func bare(sick bool, more ...*grpc.ServiceDesc) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket())
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	h := health.NewServer()
	status := grpc_health_v1.HealthCheckResponse_SERVING
	if sick {
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	h.SetServingStatus("plugin", status)
	grpc_health_v1.RegisterHealthServer(s, h)
	register(s)
	for _, one := range more {
		s.RegisterService(one, nil)
	}
	fmt.Printf("1|1|unix|%s|grpc|\n", socket())
	_ = s.Serve(l)
}

// broker floods go-plugin's broker, where the host listens to it.
func broker() *grpc.ServiceDesc {
	flood := func(_ any, stream grpc.ServerStream) error {
		done("called")
		for i := range uint32(100_000) {
			if err := stream.SendMsg(wrapperspb.UInt32(i)); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	}
	streams := []grpc.StreamDesc{{StreamName: "StartStream", Handler: flood, ServerStreams: true, ClientStreams: true}}
	return &grpc.ServiceDesc{ServiceName: "plugin.GRPCBroker", HandlerType: (*any)(nil), Streams: streams}
}

type services struct{ plugin.NetRPCUnsupportedPlugin }

func (*services) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	register(s)
	return nil
}

func (*services) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil //nolint:nilnil // a plugin is no client
}

func register(s *grpc.Server) {
	b := &bad{instances: map[string]*instance{}}
	pluginv1.RegisterBasePluginServer(s, b)
	pluginv1.RegisterCheckPluginServer(s, b)
	pluginv1.RegisterExporterPluginServer(s, b)
}
