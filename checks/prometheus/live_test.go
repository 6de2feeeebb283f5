//go:build prometheus

package prometheus_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// record writes the server's answers to testdata/recorded.json: go test -tags prometheus ./checks/prometheus -args -record
//
//nolint:gochecknoglobals // a flag of the test
var record = flag.Bool("record", false, "write the answers of the real server to testdata")

// hash is bcrypt of key, as a web configuration file of Prometheus wants it.
const hash = "$2b$04$5Uo6zzh15C1DLBjCgokZq.zzpq8Cqy6.1QEx4sjMGK1kFNep5lVge"

// exposed is what the application of these tests says at /metrics. mistral_late carries a time of two minutes ago.
func exposed(now time.Time) string {
	return `# TYPE mistral_errors_total counter
mistral_errors_total{status_code="429"} 3
mistral_errors_total{status_code="500"} 7
# TYPE mistral_circuit_state gauge
mistral_circuit_state 0
# TYPE mistral_request_duration_ms histogram
mistral_request_duration_ms_bucket{le="100"} 0
mistral_request_duration_ms_bucket{le="+Inf"} 0
mistral_request_duration_ms_sum 0
mistral_request_duration_ms_count 0
# TYPE mistral_late gauge
mistral_late 5 ` + strconv.FormatInt(now.Add(-2*time.Minute).UnixMilli(), 10) + "\n"
}

// live is a real Prometheus on loopback, behind TLS and basic authentication, which scrapes a target of the test's own.
type live struct {
	url     string
	ca      *outboundtest.CA
	client  *http.Client
	version string
}

func start(t *testing.T) *live {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("this test needs the program prometheus (Debian: apt-get install prometheus): %v", err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, exposed(time.Now()))
	}))
	t.Cleanup(app.Close)
	dir, ca := t.TempDir(), outboundtest.NewCA(t)
	config := ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	secret, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"prometheus.yml": "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: app, static_configs: [{targets: [\"" + strings.TrimPrefix(app.URL, "http://") + "\"]}]}]\n",
		"web.yml":        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {windsock: \"" + hash + "\"}\n",
		"cert.pem":       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]})),
		"key.pem":        string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	server := &live{url: "https://" + address, ca: ca}
	server.run(t, binary, dir, address)
	return server
}

// run starts the process, ends it with the test, and waits until the target was scraped.
func (l *live) run(t *testing.T, binary, dir, address string) {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), binary, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	l.version, _, _ = strings.Cut(string(version), "\n")
	var log strings.Builder
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--web.config.file="+filepath.Join(dir, "web.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	pool := x509.NewCertPool()
	text, err := os.ReadFile(l.ca.File)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("reading the authority: %v", err)
	}
	l.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}
	t.Cleanup(l.client.CloseIdleConnections)
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if _, body := l.get(t.Context(), t, http.MethodGet, "/api/v1/query?query=mistral_late", ""); strings.Contains(body, `"5"`) {
			return
		}
	}
	t.Fatal("the server did not scrape its target within a minute")
}

// get asks the server itself, with its credentials.
func (l *live) get(ctx context.Context, t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("windsock", key)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, err.Error() // not up yet
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (l *live) rest() string {
	return fmt.Sprintf("auth: {basic: {username: windsock, password: a-reference}}\ntls: {ca_file: %q}\n", l.ca.File)
}

func TestARealServer(t *testing.T) {
	server := start(t)
	for name, q := range questions() {
		t.Run(name, func(t *testing.T) { q.hold(t, ask(t, server.url, q.params, server.rest())) })
	}
	for name, tc := range map[string]struct {
		url, rest string
		want      question
	}{
		"without credentials": {server.url, fmt.Sprintf("tls: {ca_file: %q}\n", server.ca.File), question{status: checks.Failed, cause: checks.CauseAuth, blame: checks.BlameOurs, says: "401"}},
		"an unknown user":     {server.url, strings.Replace(server.rest(), "windsock", "nobody", 1), question{status: checks.Failed, cause: checks.CauseAuth, blame: checks.BlameOurs, says: "401"}},
		"not trusted":         {server.url, "", question{status: checks.Failed, cause: checks.CauseTLS, blame: checks.BlameNetwork, says: "unknown authority"}},
		"another name":        {server.url, strings.Replace(server.rest(), "tls: {", "tls: {server_name: other.example, ", 1), question{status: checks.Failed, cause: checks.CauseTLS, blame: checks.BlameNetwork, says: "other.example"}},
		"a wrong path":        {server.url + "/prometheus", server.rest(), question{status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "404"}},
	} {
		t.Run(name, func(t *testing.T) { tc.want.hold(t, ask(t, tc.url, "query: up", tc.rest)) })
	}
	if *record {
		server.record(t)
	}
}

// record asks everything once more through a witness, and writes what it saw.
func (l *live) record(t *testing.T) {
	t.Helper()
	var mu sync.Mutex // guards file
	file := recording{Source: l.version, Date: time.Now().UTC().Format(time.DateOnly)}
	witness := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, answer := l.get(r.Context(), t, r.Method, r.URL.RequestURI(), string(body))
		form, _ := url.ParseQuery(r.URL.RawQuery + string(body))
		mu.Lock()
		defer mu.Unlock()
		file.Exchanges = append(file.Exchanges, exchange{r.Method, r.URL.Path, form.Get("query"), status, answer})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer witness.Close()
	for _, q := range questions() {
		ask(t, witness.URL, q.params, "")
	}
	ask(t, witness.URL+"/prometheus", "query: up", "")
	file.sort()
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/recorded.json", append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *recording) sort() {
	slices.SortFunc(r.Exchanges, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Query, b.Query))
	})
	r.Exchanges = slices.CompactFunc(r.Exchanges, func(a, b exchange) bool { return a.Path == b.Path && a.Query == b.Query })
}
