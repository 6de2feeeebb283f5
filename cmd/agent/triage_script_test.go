package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

//nolint:gochecknoglobals // a flag of the test
var updateTriage = flag.Bool("update-triage", false, "write what triage says into its scripts")

// triageWorld is what the scripts of triage need beside those of all.
type triageWorld struct {
	t     *testing.T
	ca    *outboundtest.CA
	certs map[string]*tls.Config
}

// Every branch of the tree, with its verdict, its exit code and what it says as JSON.
func TestTriageScripts(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	w := &triageWorld{t: t, ca: ca, certs: map[string]*tls.Config{
		"good": ca.Config(t, outboundtest.Valid(), "127.0.0.1", "api.mistral.ai", "status.mistral.ai"), "expired": ca.Config(t, outboundtest.Expired(), "127.0.0.1"),
		"other": ca.Config(t, outboundtest.Valid(), "other.example"),
	}}
	all := commands()
	maps.Copy(all, map[string]func(*testscript.TestScript, bool, []string){
		"triage": w.triage, "setup": w.setup, "fault": fault, "answer": answerWith, "metrics": metrics, "way": w.way, "silent": silent,
		"interrupt": w.interrupt, "socket": silentSocket,
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/triage", Cmds: all, RequireExplicitExec: true, UpdateScripts: *updateTriage,
		Setup: setup(t, func(env *testscript.Env) error {
			env.Setenv("MISTRAL_API_KEY", canaryKey)
			env.Setenv("CA", ca.File)
			return nil
		}),
	})
}

// setup ADDRESS writes a configuration for a provider there, with what the file more.yaml adds. The reference host is on the
// third port.
func (w *triageWorld) setup(ts *testscript.TestScript, _ bool, args []string) {
	more, _ := os.ReadFile(ts.MkAbs("more.yaml"))
	checks, _ := os.ReadFile(ts.MkAbs("checks.yaml"))
	text := fmt.Sprintf(`listen: ""
state_dir: %s/state
providers:
  mistral: {base_url: %q, api_key: {env: MISTRAL_API_KEY}, stall_after: 9s}
network:
  ca_file: %s
%schecks:
  - {name: chat-small, kind: chat, schedule: "@every 1h", timeout: 10s, with: {model: mistral-small-latest, max_tokens: 16}}
  - {name: way, kind: egress, schedule: "@every 1h", with: {hosts: [{host: 127.0.0.1}], reference: "127.0.0.1:%s"}}
%s`, ts.Getenv("WORK"), args[0], w.ca.File, more, ts.Getenv("PORT3"), checks)
	ts.Check(os.WriteFile(ts.MkAbs("schedules.yaml"), []byte(text), 0o600))
}

// triage CODE ARGS… wants an exit code, and leaves in the file told what is said as JSON: a line for the whole and one for
// each step, without what differs from run to run; and in the file whole all of it, without its texts. The key is nowhere.
func (w *triageWorld) triage(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	err := ts.Exec("windsock", append([]string{"triage", "-o", "json"}, args[1:]...)...)
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exited.ExitCode()
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	w.look(ts, stdout+stderr)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s%s", code, args[0], stdout, stderr)
	}
	if stdout == "" {
		return
	}
	told, err := normalised(ts, stdout)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("told"), told, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("whole"), []byte(constant(ts, shape(stdout))), 0o600))
}

// shape is all of a triage, with a word for each text of the runbook and the first of its lists' entries.
func shape(said string) string {
	before, after, _ := strings.Cut(said, `"runbook": `)
	var page map[string]any
	_ = json.NewDecoder(strings.NewReader(after)).Decode(&page)
	for key, value := range page {
		if list, is := value.([]any); is && len(list) > 0 {
			page[key] = list[:1]
		}
	}
	text, _ := json.MarshalIndent(page, "  ", "  ")
	after = regexp.MustCompile(`": ("([^"\\]|\\.)*"|[0-9.]+)`).ReplaceAllString(string(text), `": TEXT OR SECONDS`)
	before = regexp.MustCompile(`"took": [0-9.e-]+`).ReplaceAllString(before, `"took": SECONDS`)
	return before + `"runbook": ` + after + "\n}\n"
}

// look wants the key in no form in what was said.
func (w *triageWorld) look(ts *testscript.TestScript, text string) {
	if form := checktest.Leak(text, canaryKey); form != "" || strings.Contains(text, canaryKey[:12]) || strings.Contains(text, canaryKey[12:]) {
		ts.Fatalf("the key is there (%s):\n%s", form, text)
	}
}

// normalised takes out of a triage what differs from run to run, and what the pages of the runbook say.
func normalised(ts *testscript.TestScript, text string) ([]byte, error) {
	var told map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return nil, fmt.Errorf("reading what triage said: %w", err)
	}
	var steps []map[string]any
	if err := json.Unmarshal(told["steps"], &steps); err != nil {
		return nil, fmt.Errorf("reading the steps: %w", err)
	}
	for _, name := range []string{"steps", "runbook", "took", "started_at", "provider"} {
		delete(told, name)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(told); err != nil {
		return nil, err
	}
	for _, step := range steps {
		delete(step, "took")
		if step["verdict"] == "skipped" && (step["detail"] == "not looked at" || strings.HasPrefix(fmt.Sprint(step["detail"]), "no ")) {
			continue
		}
		if err := encoder.Encode(step); err != nil {
			return nil, err
		}
	}
	return []byte(constant(ts, out.String())), nil
}

// constant takes out of a text what differs from run to run.
func constant(ts *testscript.TestScript, said string) string {
	for i := 1; i <= 3; i++ {
		said = strings.ReplaceAll(said, ts.Getenv("PORT"+strconv.Itoa(i)), "PORT"+strconv.Itoa(i))
	}
	said = strings.ReplaceAll(said, ts.Getenv("WORK"), "WORK")
	for _, r := range []struct{ what, by string }{
		{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "TIMESTAMP"},
		{`\b\d+(\.\d+)?(ns|µs|ms|s)\b`, "TIME"},
		{`request id [0-9a-zA-Z-]+`, "request id ID"},
		{`incident [0-9A-Z]{26}`, "incident ID"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`tokens \d+ in, \d+ out; \$[0-9.]+`, "tokens N in, N out; COST"},
		{`127\.0\.0\.1:\d{5}(->|-\\u003e)`, "127.0.0.1:PORT->"},
		{`(the name does not exist, or has no A+ record|no DNS answer in TIME|the system's resolver failed)`, "DNS FAILURE"},
		{`\d+ of \d+ (requests|tokens)(?: a [a-z]+)? left`, "N of N $1 left"},
		{`\d+ models listed`, "N models listed"},
		{`uid \d+|root( or uid \d+)?`, "USER"},
	} {
		said = regexp.MustCompile(r.what).ReplaceAllString(said, r.by)
	}
	return said
}

// fault JSON… puts the faults in place of those that the simulator on the first port has, and begins with a new state.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	address := "http://127.0.0.1:" + ts.Getenv("PORT1") + "/admin/faults"
	if status, body := fetch(http.MethodDelete, address, ""); status/100 != 2 {
		ts.Fatalf("clearing the faults: %d %s", status, body)
	}
	for _, text := range args {
		if status, body := fetch(http.MethodPost, address, text); status/100 != 2 {
			ts.Fatalf("adding %s: %d %s", text, status, body)
		}
	}
	ts.Check(os.RemoveAll(ts.MkAbs("state")))
}

// answerWith answers every request to PORT with STATUS and the text of FILE, - for none, and the HEADERS NAME=VALUE. Asked
// to follow somewhere, it says so in the file followed.
func answerWith(ts *testscript.TestScript, _ bool, args []string) {
	body := ""
	if args[2] != "-" {
		body = ts.ReadFile(args[2])
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	followed := ts.MkAbs("followed")
	listenOn(ts, args[0], http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/login") {
			_ = os.WriteFile(followed, []byte(r.URL.Path), 0o600)
		}
		for _, header := range args[3:] {
			name, value, _ := strings.Cut(header, "=")
			rw.Header().Set(name, value)
		}
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}))
}

// metrics PORT WORD=VALUE… is a Prometheus: a query that holds the word has the value, any other no series.
func metrics(ts *testscript.TestScript, _ bool, args []string) {
	listenOn(ts, args[0], http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		query, result := r.FormValue("query"), "[]"
		for _, known := range args[1:] {
			at := strings.LastIndex(known, "=")
			if strings.Contains(query, known[:at]) && result == "[]" {
				result = fmt.Sprintf(`[{"metric":{},"value":[%d,%q]}]`, time.Now().Unix(), known[at+1:])
			}
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"status":"success","data":{"resultType":"vector","result":%s}}`, result)
	}))
}

// way PORT tls CERTIFICATE [TO] is a TLS server, in front of another where one is given; way PORT proxy [TO] is a proxy that
// refuses, or leads every connection to one place.
func (w *triageWorld) way(ts *testscript.TestScript, _ bool, args []string) {
	if args[1] == "tls" {
		handler := http.NotFoundHandler()
		if len(args) > 3 {
			handler = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: args[3]})
		}
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+args[0])
		ts.Check(err)
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(tls.NewListener(listener, w.certs[args[2]])) })
		ts.Defer(func() { _ = server.Close(); serving.Wait() })
		return
	}
	listenOn(ts, args[0], http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if len(args) < 3 || r.Method != http.MethodConnect {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		tunnel(rw, args[2])
	}))
}

// tunnel leads a connection to an address.
func tunnel(rw http.ResponseWriter, to string) {
	there, err := net.Dial("tcp", to) //nolint:noctx // ended with the connection
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	hijacker, ok := rw.(http.Hijacker)
	if !ok {
		return
	}
	here, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
}

// silent PORT takes connections, says nothing, and notes the first in the file reached.
func silent(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	hold(ts, listener)
}

// silentSocket DIR is the control socket of an agent that hangs.
func silentSocket(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", filepath.Join(ts.MkAbs(args[0]), "control.sock"))
	ts.Check(err)
	hold(ts, listener)
}

func hold(ts *testscript.TestScript, listener net.Listener) {
	reached := ts.MkAbs("reached")
	var held sync.WaitGroup
	held.Go(func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
			_ = os.WriteFile(reached, []byte("yes"), 0o600)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	ts.Defer(func() { _ = listener.Close(); held.Wait() })
}

// interrupt CODE ARGS… sends SIGINT to a triage once something silent was reached, and wants its exit code.
func (w *triageWorld) interrupt(ts *testscript.TestScript, _ bool, args []string) {
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "windsock"); program == "" && exists(path) {
			program = path
		}
	}
	cmd := exec.Command(cmp.Or(program, "windsock"), append([]string{"triage"}, args[1:]...)...) //nolint:noctx // the test's own
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "MISTRAL_API_KEY", "WORK"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	ts.Check(cmd.Start())
	waitFor(ts, false, []string{"reached", "yes"})
	ts.Check(cmd.Process.Signal(syscall.SIGINT))
	var exited *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exited) || strconv.Itoa(exited.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit code %s\n%s", err, args[0], said.String())
	}
	w.look(ts, said.String())
	ts.Check(os.WriteFile(ts.MkAbs("said"), said.Bytes(), 0o600))
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
