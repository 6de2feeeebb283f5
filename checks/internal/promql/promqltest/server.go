package promqltest

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Setup is how a server is to be.
type Setup struct {
	Config string            // prometheus.yml
	Files  map[string]string // beside it, by name
	Flags  []string          // beside those of paths and the address; a path is relative to the files
	Past   string            // what it knows already, in the OpenMetrics format with times; "" is nothing
	Scheme string            // "" is http
	Client *http.Client      // how Ask asks; nil is the default client
	User   string            // of Ask; "" is none
	Key    string
	Ready  string // a query; the server is ready when it has a series
}

// Server is a real Prometheus on loopback.
type Server struct {
	URL     string
	Version string

	setup Setup
}

// Start starts a server, which ends with the test. It needs Debian's package prometheus.
func Start(tb testing.TB, setup Setup) *Server {
	tb.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		tb.Fatalf("this test needs the program prometheus (Debian: apt-get install prometheus): %v", err)
	}
	dir := tb.TempDir()
	files := map[string]string{"prometheus.yml": setup.Config, "past.txt": setup.Past}
	maps.Copy(files, setup.Files)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	if setup.Past != "" {
		tool := exec.CommandContext(tb.Context(), "promtool", "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data")
		tool.Dir = dir
		if said, err := tool.CombinedOutput(); err != nil {
			tb.Fatalf("writing the past: %v\n%s", err, said)
		}
	}
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if setup.Scheme == "" {
		setup.Scheme = "http"
	}
	if setup.Client == nil {
		setup.Client = &http.Client{Transport: &http.Transport{}}
	}
	s := &Server{URL: setup.Scheme + "://" + address, setup: setup}
	s.run(tb, binary, dir, address)
	return s
}

// run starts the process, ends it with the test, and waits until it is ready.
func (s *Server) run(tb testing.TB, binary, dir, address string) {
	tb.Helper()
	version, err := exec.CommandContext(tb.Context(), binary, "--version").CombinedOutput()
	if err != nil {
		tb.Fatal(err)
	}
	s.Version, _, _ = strings.Cut(string(version), "\n")
	var log strings.Builder
	flags := append([]string{"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=" + address}, s.setup.Flags...)
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), binary, flags...) //nolint:gosec // the server that is tested with
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Log(log.String())
		}
	})
	tb.Cleanup(s.setup.Client.CloseIdleConnections)
	s.Wait(tb, s.setup.Ready)
}

// Wait asks until a query has a series.
func (s *Server) Wait(tb testing.TB, query string) {
	tb.Helper()
	body := ""
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if _, body = s.Ask(tb.Context(), tb, http.MethodPost, "/api/v1/query", url.Values{"query": {query}}.Encode()); strings.Contains(body, `"value":[`) {
			return
		}
	}
	tb.Fatalf("the server did not know %s within a minute: %s", query, body)
}

// Ask asks the server itself, with its credentials. Status 0 is that it is not up.
func (s *Server) Ask(ctx context.Context, tb testing.TB, method, path, body string) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body)) //nolint:gosec // it goes to the server that the test started
	if err != nil {
		tb.Fatal(err)
	}
	if s.setup.User != "" {
		req.SetBasicAuth(s.setup.User, s.setup.Key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.setup.Client.Do(req) //nolint:gosec // as above
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
