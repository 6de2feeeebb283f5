package otel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/headers"
)

// Events says which records become log events.
type Events string

// The choices of events.
const (
	EventsFailures Events = "failures" // failed, unknown and error reports, and alert transitions
	EventsAll      Events = "all"      // every record
	EventsNone     Events = "none"
)

// The protocols.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

const (
	compressionGzip = "gzip"
	compressionNone = "none"
	defaultTimeout  = 10 * time.Second
)

// Params is the `with:` section of the kind "otel". An absent parameter is read from its OTEL_EXPORTER_OTLP_* variable.
type Params struct {
	Endpoint      string                   `yaml:"endpoint" jsonschema_description:"URL of the backend without the signal's path, http://127.0.0.1:4318; host:port is read as https, or as http with tls.insecure. Absent: OTEL_EXPORTER_OTLP_ENDPOINT, else the local collector"`
	Protocol      string                   `yaml:"protocol" jsonschema:"enum=http/protobuf,enum=grpc" jsonschema_description:"http/protobuf or grpc. Absent: OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf"`
	Headers       map[string]string        `yaml:"headers" jsonschema_description:"headers (gRPC metadata) that are not secret, by name. With neither headers nor secret_headers: OTEL_EXPORTER_OTLP_HEADERS"`
	SecretHeaders map[string]checks.Secret `yaml:"secret_headers" jsonschema_description:"headers (gRPC metadata) whose values are secrets, by name: {x-api-key: {env: COLLECTOR_KEY}}. The whole value is the secret, a scheme such as Bearer included"`
	TLS           TLS                      `yaml:"tls" jsonschema_description:"how to trust the backend and to be trusted by it"`
	Timeout       time.Duration            `yaml:"timeout" jsonschema_description:"bound on one request. Absent: OTEL_EXPORTER_OTLP_TIMEOUT, else 10s"`
	Compression   string                   `yaml:"compression" jsonschema:"enum=gzip,enum=none" jsonschema_description:"gzip or none. Absent: OTEL_EXPORTER_OTLP_COMPRESSION, else none"`
	Events        Events                   `yaml:"events" jsonschema:"enum=failures,enum=all,enum=none" jsonschema_description:"which records become log events: failures (failed, unknown and error runs, alert transitions), all, none"`
	Traces        bool                     `yaml:"traces" jsonschema_description:"send a span per run, with its phases as children"`
	MaxSeries     int                      `yaml:"max_series" jsonschema_description:"bound on the series of one counter or histogram; what is beyond is added up in one series, other=true"`
}

// TLS is the `tls:` part of Params.
type TLS struct {
	CAFile   string `yaml:"ca_file" jsonschema_description:"PEM file of authorities to trust beside the system's"`
	CertFile string `yaml:"cert_file" jsonschema_description:"PEM file of our certificate, read at each handshake"`
	KeyFile  string `yaml:"key_file" jsonschema_description:"PEM file of our key, read at each handshake"`
	Insecure bool   `yaml:"insecure" jsonschema_description:"plaintext, for an endpoint that is written without a scheme"`
}

// Validate checks what can be checked without the environment.
func (p Params) Validate() error {
	errs := []error{
		oneOf("protocol", p.Protocol, "", protocolHTTP, protocolGRPC),
		oneOf("compression", p.Compression, "", compressionGzip, compressionNone),
		oneOf("events", string(p.Events), string(EventsFailures), string(EventsAll), string(EventsNone)),
		headers.Validate(p.Headers, p.SecretHeaders, reserved),
	}
	if p.Endpoint != "" {
		if _, err := parseEndpoint(p.Endpoint, p.TLS.Insecure); err != nil {
			errs = append(errs, checks.Invalid("endpoint", "%s", err))
		}
		if p.TLS.Insecure && strings.HasPrefix(strings.ToLower(p.Endpoint), "https://") {
			errs = append(errs, checks.Invalid("tls.insecure", "plaintext contradicts the endpoint's https://"))
		}
	}
	if (p.TLS.CertFile == "") != (p.TLS.KeyFile == "") {
		errs = append(errs, checks.Invalid("tls", "cert_file and key_file go together, one is missing"))
	}
	if p.Timeout < 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	if p.MaxSeries < 0 {
		errs = append(errs, checks.Invalid("max_series", "%d is negative", p.MaxSeries))
	}
	return errors.Join(errs...)
}

func oneOf(path, got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
	return checks.Invalid(path, "%q is not one of %s", got, strings.Join(want, ", "))
}

func reserved(header string) bool {
	switch header {
	case "Content-Type", "Content-Encoding", "Content-Length", "Host", "User-Agent", "Te", "Transfer-Encoding", "Connection":
		return true
	}
	return strings.HasPrefix(header, "Grpc-")
}

// signal is a kind of telemetry.
type signal uint8

const (
	signalMetrics signal = iota
	signalLogs
	signalTraces
)

func signals() []signal { return []signal{signalMetrics, signalLogs, signalTraces} }

func (s signal) String() string {
	switch s {
	case signalMetrics:
		return "metrics"
	case signalLogs:
		return "logs"
	case signalTraces:
		return "traces"
	}
	return "signal(" + strconv.Itoa(int(s)) + ")"
}

// target is where and how one signal is sent.
type target struct {
	signal      signal
	url         *url.URL // with the signal's path; only the host and the scheme count for grpc
	grpc        bool
	plain       map[string]string
	secret      map[string]checks.Secret
	tls         TLS
	timeout     time.Duration
	gzip        bool
	userAgent   string
	network     network
	description string // for errors: "http/protobuf to 127.0.0.1:4318"
}

// targets resolves parameters and variables for every signal.
func (p Params) targets(env exporters.Env) (map[signal]target, error) {
	all := map[signal]target{}
	way, _ := env.Network.(network)
	for _, s := range signals() {
		t, err := p.target(s, variables{s, env.Getenv})
		if err != nil {
			return nil, err
		}
		t.network = way
		t.userAgent = "windsock/" + orDefault(env.Version, "dev")
		all[s] = t
	}
	return all, nil
}

func (p Params) target(s signal, vars variables) (target, error) {
	protocol := orDefault(orDefault(p.Protocol, vars.get("PROTOCOL")), protocolHTTP)
	if err := vars.oneOf("PROTOCOL", protocol, protocolHTTP, protocolGRPC); err != nil {
		return target{}, err
	}
	compression := orDefault(orDefault(p.Compression, vars.get("COMPRESSION")), compressionNone)
	if err := vars.oneOf("COMPRESSION", compression, compressionGzip, compressionNone); err != nil {
		return target{}, err
	}
	t := target{
		signal: s, grpc: protocol == protocolGRPC, gzip: compression == compressionGzip,
		plain: p.Headers, secret: p.SecretHeaders, tls: p.TLS, timeout: p.Timeout,
	}
	var err error
	if t.url, err = p.endpoint(s, vars, t.grpc); err != nil {
		return target{}, err
	}
	if len(p.Headers)+len(p.SecretHeaders) == 0 {
		if t.plain, err = vars.headers(); err != nil {
			return target{}, err
		}
	}
	if t.timeout == 0 {
		if t.timeout, err = vars.timeout(); err != nil {
			return target{}, err
		}
	}
	t.tls.CAFile = orDefault(t.tls.CAFile, vars.get("CERTIFICATE"))
	if t.tls.CertFile == "" {
		t.tls.CertFile, t.tls.KeyFile = vars.get("CLIENT_CERTIFICATE"), vars.get("CLIENT_KEY")
	}
	if (t.tls.CertFile == "") != (t.tls.KeyFile == "") {
		return target{}, errors.New("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together, one is missing")
	}
	t.description = fmt.Sprintf("sending %s to %s", s, t.url.Host)
	return t, nil
}

// endpoint is the URL of a signal. The path /v1/<signal> is appended to a base URL, not to a signal's own variable.
func (p Params) endpoint(s signal, vars variables, grpc bool) (*url.URL, error) {
	insecure := p.TLS.Insecure || vars.get("INSECURE") == "true"
	base := p.Endpoint
	if base == "" {
		if own := vars.own("ENDPOINT"); own != "" {
			u, err := parseEndpoint(own, insecure)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", vars.name("ENDPOINT"), err)
			}
			return u, nil
		}
		base = vars.get("ENDPOINT")
	}
	if base == "" && grpc {
		base = "http://127.0.0.1:4317"
	}
	u, err := parseEndpoint(orDefault(base, "http://127.0.0.1:4318"), insecure)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	return u.JoinPath("v1", s.String()), nil
}

// parseEndpoint reads a URL, or host:port. Its errors never hold the text: there may be a password in it.
func parseEndpoint(text string, insecure bool) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		scheme := "https://"
		if insecure {
			scheme = "http://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL, want http://host:port or https://host:port")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %q is not http or https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("no host, want http://host:port or https://host:port")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("user, query and fragment are not allowed, want credentials under secret_headers")
	}
	return u, nil
}

// headers are the headers to send now. The secrets are read here, at the last moment.
func (t *target) headers(ctx context.Context) (map[string]string, error) {
	all := maps.Clone(t.plain)
	if all == nil {
		all = map[string]string{}
	}
	for name, secret := range t.secret {
		value, err := secret.Reveal(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: header %q from %s: %w", t.description, name, secret.Where(), err)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("%s: the secret of header %q from %s holds characters that no header can carry", t.description, name, secret.Used())
		}
		all[name] = value
	}
	return all, nil
}

// variables reads the OTEL_EXPORTER_OTLP_* variables of a signal: its own first, then the common one.
type variables struct {
	signal signal
	getenv func(string) string
}

func (v variables) name(what string) string {
	return "OTEL_EXPORTER_OTLP_" + strings.ToUpper(v.signal.String()) + "_" + what
}

func (v variables) own(what string) string {
	if v.getenv == nil {
		return ""
	}
	return strings.TrimSpace(v.getenv(v.name(what)))
}

func (v variables) get(what string) string {
	if v.getenv == nil {
		return ""
	}
	return orDefault(v.own(what), strings.TrimSpace(v.getenv("OTEL_EXPORTER_OTLP_"+what)))
}

func (v variables) oneOf(what, got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	return fmt.Errorf("OTEL_EXPORTER_OTLP_%s: %q is not one of %s", what, got, strings.Join(want, ", "))
}

func (v variables) timeout() (time.Duration, error) {
	text := v.get("TIMEOUT")
	if text == "" {
		return defaultTimeout, nil
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil || ms <= 0 {
		return 0, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT: %q is not a positive number of milliseconds", text)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// headers reads "name=value,name=value", values percent-encoded. Its errors never hold a value.
func (v variables) headers() (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(v.get("HEADERS"), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !found || !httpguts.ValidHeaderFieldName(name) || reserved(http.CanonicalHeaderKey(name)) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS: not a list of name=value")
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: the value of %q is not percent-encoded header text", name)
		}
		all[name] = value
	}
	return all, nil
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
