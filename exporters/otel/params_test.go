package otel_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/otel"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func TestCompression(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		e := build(t, with+"compression: gzip\nevents: all\ntraces: true\n", exporters.Env{})
		records := exportertest.Records(40, 1)
		export(t, e, records)
		if got := len(b.events()); got != len(records) {
			t.Errorf("%d events, want %d", got, len(records))
		}
		if len(b.points(t)) == 0 || len(b.spans()) == 0 {
			t.Error("metrics or spans did not arrive")
		}
		b.with(func() {
			for _, h := range b.headers {
				if h.Get("Content-Encoding") != "gzip" && h.Get("Grpc-Accept-Encoding") == "" {
					t.Errorf("a request was not compressed: %v", h)
				}
			}
		})
	})
}

func TestTLSTrustsTheGivenAuthority(t *testing.T) {
	hermetic(t)
	cert, ca := authority(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	starts := map[string]func(t *testing.T) (*backend, string){
		"over http/protobuf": func(t *testing.T) (*backend, string) {
			t.Helper()
			b := &backend{}
			server := httptest.NewUnstartedServer(b)
			server.TLS = config.Clone()
			server.StartTLS()
			t.Cleanup(server.Close)
			return b, "endpoint: " + server.URL + "\n"
		},
		"over grpc": func(t *testing.T) (*backend, string) {
			t.Helper()
			b, url := startGRPC(t, grpc.Creds(credentials.NewTLS(config.Clone())))
			return b, "endpoint: " + strings.Replace(url, "http://", "https://", 1) + "\nprotocol: grpc\n"
		},
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			b, with := start(t)
			way, err := outbound.New(outbound.Options{})
			if err != nil {
				t.Fatal(err)
			}
			trust := fmt.Sprintf("tls: {ca_file: %s, cert_file: %s, key_file: %s}\n", ca, ca, ca+".key")
			e := build(t, with+trust, exporters.Env{Network: way})
			export(t, e, exportertest.Records(3, 1))
			if len(b.points(t)) == 0 {
				t.Error("nothing arrived")
			}
			for what, with := range map[string]string{
				"an unknown authority": with,
				"an absent file":       with + "tls: {ca_file: /nowhere/ca.pem}\n",
				"a file without PEM":   with + "tls: {ca_file: " + ca + ".key}\n",
				"no client":            with + "tls: {ca_file: " + ca + "}\n",
			} {
				if _, err := build(t, with, exporters.Env{}).Export(t.Context(), exportertest.Records(3, 1)); err == nil {
					t.Errorf("%s was accepted", what)
				}
			}
		})
	}
}

func TestSecretsAreSentAndNeverPrinted(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		with += "secret_headers: {authorization: {env: KEY}}\nheaders: {x-scope: plain}\n"
		e := build(t, with, exporters.Env{Version: "9.9.9"})
		export(t, e, exportertest.Records(3, 1))
		b.with(func() {
			h := b.headers[0]
			if h.Get("Authorization")+h.Get("authorization") == "" || !strings.Contains(fmt.Sprint(h), key) || !strings.Contains(fmt.Sprint(h), "plain") {
				t.Errorf("headers %v, want both", h)
			}
			if !strings.Contains(fmt.Sprint(h), "windsock/9.9.9") {
				t.Errorf("headers %v, want our User-Agent", h)
			}
		})
		for _, text := range []string{fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
			if form := checktest.Leak(text, key); form != "" {
				t.Errorf("printing the exporter shows the key (%s)", form)
			}
		}
	})
}

func TestABackendThatRepeatsTheKeyIsNotQuoted(t *testing.T) {
	hermetic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "no entry with %s, token %s", r.Header.Get("Authorization"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	defer server.Close()
	e := build(t, "endpoint: "+server.URL+"\nsecret_headers: {authorization: {env: KEY}}\n", exporters.Env{})
	_, err := e.Export(t.Context(), exportertest.Records(3, 1))
	if err == nil || !strings.Contains(err.Error(), "no entry with [redacted], token [redacted]") {
		t.Errorf("%v, want the text without the key", err)
	}
}

type turning struct{ values []string }

func (s *turning) Read(context.Context) (string, error) {
	if s.values[0] == "" {
		return "", checks.ErrNoSecret
	}
	return s.values[0], nil
}

func (s *turning) Renew(context.Context) (bool, error) {
	if len(s.values) == 1 {
		return false, nil
	}
	s.values = s.values[1:]
	return true, nil
}

func (s *turning) Where() string { return "file /etc/windsock/secrets/otlp" }

func TestARefusedSecretIsReadAgain(t *testing.T) {
	hermetic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	params := otel.Params{
		Endpoint: server.URL, Events: otel.EventsNone,
		SecretHeaders: map[string]checks.Secret{"x-key": checks.NewSecret(&turning{[]string{"old", "new"}})},
	}
	e, err := otel.New(params, exporters.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	batch := exportertest.Records(3, 1)
	if _, err := e.Export(t.Context(), batch); err == nil || exporters.IsHold(err) {
		t.Errorf("%v, want a retry with the new key", err)
	}
	export(t, e, batch)

	params.SecretHeaders = map[string]checks.Secret{"x-key": checks.NewSecret(&turning{[]string{""}})}
	absent, err := otel.New(params, exporters.Env{})
	if err != nil {
		t.Fatalf("an absent secret is no reason not to start: %v", err)
	}
	_, err = absent.Export(t.Context(), batch)
	if !exporters.IsHold(err) || !errors.Is(err, checks.ErrNoSecret) || !strings.Contains(err.Error(), "/etc/windsock/secrets/otlp") {
		t.Errorf("%v, want a Hold that names the source", err)
	}
}

func TestVariablesStandInForParameters(t *testing.T) {
	tests := map[string]struct {
		with      string
		variables map[string]string
		path      string
		header    string
	}{
		"the base endpoint and headers": {
			"", map[string]string{"ENDPOINT": "URL/base", "HEADERS": "x-scope=a%20b,x-other=c"}, "/base/v1/metrics", "a b",
		},
		"the signal's own endpoint is used as it is": {
			"",
			map[string]string{"ENDPOINT": "http://127.0.0.1:1", "METRICS_ENDPOINT": "URL/own/v1/metrics", "LOGS_ENDPOINT": "URL/v1/logs", "METRICS_HEADERS": "x-scope=own", "HEADERS": "x-scope=common"},
			"/own/v1/metrics", "own",
		},
		"parameters stand above": {
			"endpoint: URL\nheaders: {x-scope: file}\n",
			map[string]string{"ENDPOINT": "http://127.0.0.1:1", "METRICS_ENDPOINT": "http://127.0.0.1:1", "HEADERS": "x-scope=common", "PROTOCOL": "http/protobuf", "TIMEOUT": "5000", "COMPRESSION": "gzip"},
			"/v1/metrics", "file",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hermetic(t)
			// What the process has must not matter to the libraries.
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:2/process")
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=process")
			t.Setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-scope=process")
			b, url := startHTTP(t)
			e := build(t, strings.ReplaceAll(tt.with, "URL", url), exporters.Env{Getenv: func(k string) string {
				return strings.ReplaceAll(tt.variables[strings.TrimPrefix(k, "OTEL_EXPORTER_OTLP_")], "URL", url)
			}})
			export(t, e, exportertest.Records(2, 1))
			b.with(func() {
				if len(b.paths) == 0 || b.paths[0] != tt.path || b.headers[0].Get("X-Scope") != tt.header {
					t.Errorf("%v with %v, want %s with %q", b.paths, b.headers, tt.path, tt.header)
				}
			})
		})
	}
}

func TestVariablesThatCannotBeUsed(t *testing.T) {
	hermetic(t)
	for _, variable := range []string{
		"ENDPOINT=http://u:hush@h", "ENDPOINT=::", "PROTOCOL=http/json", "TIMEOUT=hush", "TIMEOUT=-1", "COMPRESSION=hush",
		"HEADERS=hush", "HEADERS=x-a=%zzhush", "HEADERS=content-type=hush", "CLIENT_KEY=/hush",
	} {
		name, value, _ := strings.Cut(variable, "=")
		_, err := otel.New(otel.Params{Events: otel.EventsNone}, exporters.Env{Getenv: func(k string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_" + name: value}[k]
		}})
		if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_"+name) {
			t.Errorf("%s: %v, want an error that names the variable", variable, err)
		}
		if err != nil && strings.HasPrefix(name, "HEADERS") && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v shows the value", variable, err)
		}
	}
}
