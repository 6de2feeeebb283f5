package config_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
)

// The kinds of these tests: the shapes that parameters of real kinds have.

type chatParams struct {
	Model            string        `yaml:"model" jsonschema:"required" jsonschema_description:"The model."`
	Prompt           string        `yaml:"prompt" jsonschema_description:"The prompt."`
	MaxTokens        int           `yaml:"max_tokens" jsonschema_description:"The most tokens."`
	Temperature      *float64      `yaml:"temperature" jsonschema_description:"The temperature."`
	Stream           bool          `yaml:"stream" jsonschema_description:"Whether to stream."`
	Expect           expectParams  `yaml:"expect" jsonschema_description:"What the answer must be."`
	TimeToFirstToken time.Duration `yaml:"time_to_first_token" jsonschema_description:"An objective."`
	Gaps             []time.Duration
	Limits           map[string]time.Duration
}

type expectParams struct {
	Contains   string         `yaml:"contains" jsonschema_description:"Text."`
	Matches    string         `yaml:"matches" jsonschema_description:"A pattern."`
	JSONSchema map[string]any `yaml:"json_schema" jsonschema_description:"A schema."`
}

func (p chatParams) Validate() error {
	var errs []error
	if p.Model == "" {
		errs = append(errs, checks.Invalid("model", "it is empty, want a model's id"))
	}
	if p.MaxTokens < 1 {
		errs = append(errs, checks.Invalid("max_tokens", "%d, want 1 or more", p.MaxTokens))
	}
	if _, err := regexp.Compile(p.Expect.Matches); err != nil {
		errs = append(errs, checks.Invalid("expect.matches", "%v", err))
	}
	return errors.Join(errs...)
}

type modelsParams struct {
	Expect   []string            `yaml:"expect" jsonschema_description:"Ids."`
	Usable   map[string][]string `yaml:"usable" jsonschema_description:"Capabilities by id."`
	MinCount int                 `yaml:"min_count" jsonschema_description:"The least number."`
}

type hostParams struct {
	Host string `yaml:"host" jsonschema:"required" jsonschema_description:"The host."`
	Port int    `yaml:"port" jsonschema_description:"The port."`
	TLS  *bool  `yaml:"tls" jsonschema_description:"Whether to make a handshake."`
}

type egressParams struct {
	Hosts     []hostParams `yaml:"hosts" jsonschema_description:"Hosts."`
	Forbid    []string     `yaml:"forbid" jsonschema_description:"What must not be reachable."`
	Reference string       `yaml:"reference" jsonschema_description:"A host that has nothing to do with it."`
}

func (p egressParams) Validate() error {
	var errs []error
	if len(p.Hosts)+len(p.Forbid) == 0 {
		errs = append(errs, checks.Invalid("", "nothing to do, want hosts, forbid or both"))
	}
	for i, h := range p.Hosts {
		if strings.Contains(h.Host, "/") {
			errs = append(errs, checks.Invalid(fmt.Sprintf("hosts.%d.host", i), "%q, want a name without scheme", h.Host))
		}
		if h.Port < 0 || h.Port > 65535 {
			errs = append(errs, checks.Invalid(fmt.Sprintf("hosts.%d.port", i), "%d, want 1 to 65535", h.Port))
		}
	}
	return errors.Join(errs...)
}

type format string

type stdoutParams struct {
	Format format `yaml:"format" jsonschema:"enum=json,enum=pretty" jsonschema_description:"How a record looks."`
}

type otelParams struct {
	Endpoint      string                   `yaml:"endpoint" jsonschema_description:"The backend."`
	Headers       map[string]string        `yaml:"headers" jsonschema_description:"Headers."`
	SecretHeaders map[string]checks.Secret `yaml:"secret_headers" jsonschema_description:"Headers that are secret."`
	Timeout       time.Duration            `yaml:"timeout" jsonschema_description:"A bound."`
}

func noCheck[P any](P, checks.Env) (checks.Check, error) { return nil, errors.New("not in this test") }

func noExporter[P any](P, exporters.Env) (exporters.Exporter, error) {
	return nil, errors.New("not in this test")
}

func registry() config.Registry {
	chat := chatParams{
		Prompt: "ping", MaxTokens: 16, Stream: true, TimeToFirstToken: 2 * time.Second,
		Gaps: []time.Duration{time.Second}, Limits: map[string]time.Duration{"a": time.Minute},
	}
	return config.Registry{
		Checks: []checks.Kind{
			checks.NewKind("chat", "A conversation.", chat, noCheck[chatParams]),
			checks.NewKind("egress", "The way out.", egressParams{}, noCheck[egressParams]),
			checks.NewKind("models", "The list.", modelsParams{MinCount: 1}, noCheck[modelsParams]),
		},
		Exporters: []exporters.Kind{
			exporters.NewKind("otel", "A collector.", otelParams{Timeout: 10 * time.Second}, noExporter[otelParams]),
			exporters.NewKind("stdout", "Lines.", stdoutParams{Format: "json"}, noExporter[stdoutParams]),
		},
	}
}

func options(env map[string]string) config.Options {
	return config.Options{Registry: registry(), Getenv: func(name string) string { return env[name] }}
}
