//go:build prometheus

package prometheus_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// record writes the server's answers to testdata/recorded.json: go test -tags prometheus ./checks/prometheus -args -record
//
//nolint:gochecknoglobals // a flag of the test
var record = flag.Bool("record", false, "write the answers of the real server to testdata")

// hash is bcrypt of key, as a web configuration file of Prometheus wants it.
const hash = "$2b$04$5Uo6zzh15C1DLBjCgokZq.zzpq8Cqy6.1QEx4sjMGK1kFNep5lVge"

// exposed is what the application of these tests says at /metrics for the n-th time. mistral_late carries a time of two
// minutes ago. The shop is another application, with names of its own, whose requests often take longer than its highest
// bucket.
func exposed(now, began time.Time, n int64) string {
	return fmt.Sprintf(`process_start_time_seconds %d
# TYPE shop_failed counter
shop_failed{code="401"} 1
# TYPE shop_seconds histogram
shop_seconds_bucket{le="1"} %d
shop_seconds_bucket{le="5"} %d
shop_seconds_bucket{le="+Inf"} %d
shop_seconds_sum 0
shop_seconds_count %[4]d
# TYPE shop_dollars counter
shop_dollars 1.5
`, began.Unix(), n, 2*n, 4*n) + `# TYPE mistral_errors_total counter
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

func start(t *testing.T) (server *promqltest.Server, rest string) {
	t.Helper()
	began, n := time.Now(), atomic.Int64{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, exposed(time.Now(), began, n.Add(1)))
	}))
	t.Cleanup(app.Close)
	ca := outboundtest.NewCA(t)
	config := ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	secret, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca.File)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("reading the authority: %v", err)
	}
	server = promqltest.Start(t, promqltest.Setup{
		Config: "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: app, static_configs: [{targets: [\"" + strings.TrimPrefix(app.URL, "http://") + "\"]}]}]\n",
		Files: map[string]string{
			"web.yml":  "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {windsock: \"" + hash + "\"}\n",
			"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]})),
			"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
		},
		Past:  past(began),
		Flags: []string{"--web.config.file=web.yml"}, Scheme: "https", User: "windsock", Key: key, Ready: "count_over_time(shop_dollars[1m]) > 2",
		Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}},
	})
	return server, fmt.Sprintf("auth: {basic: {username: windsock, password: a-reference}}\ntls: {ca_file: %q}\n", ca.File)
}

// past is a gauge of an hour that ended ten minutes ago: 1, 2, 3 … at each minute, 20 minutes of which are missing.
func past(now time.Time) string {
	var b strings.Builder
	b.WriteString("# TYPE past gauge\n")
	first := now.Add(-70 * time.Minute).Truncate(time.Minute) // what is younger than a block is refused
	for i := range 60 {
		if i < 20 || i >= 40 {
			fmt.Fprintf(&b, "past %d %d\n", i+1, first.Add(time.Duration(i)*time.Minute).Unix())
		}
	}
	return b.String() + "# EOF\n"
}

func TestARealServer(t *testing.T) {
	server, rest := start(t)
	for name, q := range questions() {
		t.Run(name, func(t *testing.T) { q.hold(t, ask(t, server.URL, q.params, rest)) })
	}
	for name, p := range presets() {
		t.Run(name, func(t *testing.T) { p.hold(t, run(t, "url: "+server.URL+"\n"+p.params+"\n"+rest)) })
	}
	for name, tc := range map[string]struct {
		url, rest string
		want      question
	}{
		"without credentials": {server.URL, rest[strings.Index(rest, "tls:"):], question{status: checks.Failed, cause: checks.CauseAuth, blame: checks.BlameOurs, says: "401"}},
		"an unknown user":     {server.URL, strings.Replace(rest, "windsock", "nobody", 1), question{status: checks.Failed, cause: checks.CauseAuth, blame: checks.BlameOurs, says: "401"}},
		"not trusted":         {server.URL, "", question{status: checks.Failed, cause: checks.CauseTLS, blame: checks.BlameNetwork, says: "unknown authority"}},
		"another name":        {server.URL, strings.Replace(rest, "tls: {", "tls: {server_name: other.example, ", 1), question{status: checks.Failed, cause: checks.CauseTLS, blame: checks.BlameNetwork, says: "other.example"}},
		"a wrong path":        {server.URL + "/prometheus", rest, question{status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "404"}},
	} {
		t.Run(name, func(t *testing.T) { tc.want.hold(t, ask(t, tc.url, "query: up", tc.rest)) })
	}
	if *record {
		promqltest.Record(t, server, "testdata/recorded.json", 0, func(url string) {
			for _, q := range questions() {
				ask(t, url, q.params, "")
			}
			for _, p := range presets() {
				run(t, "url: "+url+"\n"+p.params)
			}
			ask(t, url+"/prometheus", "query: up", "")
		})
	}
}
