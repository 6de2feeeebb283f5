package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/headers"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const mostBody = 4 << 20 // of what a template makes

// Params is the `with:` section of the kind "webhook".
type Params struct {
	notify.Params `yaml:",inline"`

	URL           checks.Secret            `yaml:"url" jsonschema:"required" jsonschema_description:"where to post to, by reference, because such a URL often is the credential: {env: WEBHOOK_URL}"`
	Headers       map[string]string        `yaml:"headers" jsonschema_description:"headers that are not secret, by name"`
	SecretHeaders map[string]checks.Secret `yaml:"secret_headers" jsonschema_description:"headers whose values are secrets, by name: {Authorization: {env: HOOK_AUTH}}. The whole value is the secret, a scheme such as Bearer included"`
	SigningSecret checks.Secret            `yaml:"signing_secret" jsonschema_description:"signs each request: X-Windsock-Signature is v1= and the HMAC-SHA256, in hex, of X-Windsock-Timestamp (Unix seconds), a full stop and the body"`
	Template      string                   `yaml:"template" jsonschema_description:"the body as a Go text/template over Kind, Status, Group, Key, Alerts, Before, Open and Standard (the JSON below), with the functions json, labels, annotations, join, lower and upper. Absent: the JSON of Alertmanager's webhook"`
	ContentType   string                   `yaml:"content_type" jsonschema_description:"of a body made by the template"`
	ExternalURL   string                   `yaml:"external_url" jsonschema_description:"externalURL and generatorURL of the JSON: where people read more"`
	MaxAlerts     int                      `yaml:"max_alerts" jsonschema_description:"most alerts in one body, the rest is counted in truncatedAlerts; 0 is all"`
	CAFile        string                   `yaml:"ca_file" jsonschema_description:"PEM file of authorities to trust beside the system's"`
	CertFile      string                   `yaml:"cert_file" jsonschema_description:"PEM file of our certificate, read for each message; key_file goes with it"`
	KeyFile       string                   `yaml:"key_file" jsonschema_description:"PEM file of our key"`
	Timeout       time.Duration            `yaml:"timeout" jsonschema_description:"bound on one request"`
}

// Validate checks what can be checked without the environment.
func (p Params) Validate() error {
	errs := []error{p.Params.Validate(), headers.Validate(p.Headers, p.SecretHeaders, own)}
	if p.URL.IsZero() {
		errs = append(errs, checks.Invalid("url", "no source, want {env: …}, {file: …} or {credential: …}"))
	}
	if _, err := p.parse(""); err != nil {
		errs = append(errs, err)
	}
	if p.ContentType == "" || strings.ContainsAny(p.ContentType, "\r\n") {
		errs = append(errs, checks.Invalid("content_type", "%q is none, want application/json", p.ContentType))
	}
	if p.MaxAlerts < 0 {
		errs = append(errs, checks.Invalid("max_alerts", "%d is negative", p.MaxAlerts))
	}
	if (p.CertFile == "") != (p.KeyFile == "") {
		errs = append(errs, checks.Invalid("cert_file", "cert_file and key_file go together, one is missing"))
	}
	if p.Timeout <= 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	return errors.Join(errs...)
}

func own(header string) bool {
	switch header {
	case "Content-Type", "Content-Length", "Host", "Transfer-Encoding", "Connection", headerKey, headerKind, headerTimestamp, headerSignature:
		return true
	}
	return false
}

func (p Params) tls() *outbound.TLS {
	if p.CAFile == "" && p.CertFile == "" {
		return nil
	}
	return &outbound.TLS{CAFile: p.CAFile, CertFile: p.CertFile, KeyFile: p.KeyFile}
}

// parse reads the template and tries it on a message, so that a field that does not exist is found before the first alert.
// Pages of the runbook are below runbooks.
func (p Params) parse(runbooks string) (*template.Template, error) {
	if p.Template == "" {
		return nil, nil //nolint:nilnil // there is none, and that is no fault
	}
	parsed, err := template.New("template").Option("missingkey=zero").Funcs(template.FuncMap{
		"json":        toJSON,
		"labels":      func(a checks.Alert) map[string]string { return notify.Labels(&a) },
		"annotations": func(a checks.Alert) map[string]string { return notify.Annotations(&a, runbooks) },
		"join":        func(sep string, words []string) string { return strings.Join(words, sep) },
		"lower":       strings.ToLower,
		"upper":       strings.ToUpper,
	}).Parse(p.Template)
	if err == nil {
		_, err = execute(parsed, dataOf(sample(), (&hook{}).payload(sample())))
	}
	if err != nil {
		return nil, checks.Invalid("template", "%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return parsed, nil
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func sample() notify.Message {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a := checks.Alert{
		Rule: "api-down", Fingerprint: "f00d", State: checks.AlertFiring, Severity: checks.P1, Since: now, At: now,
		Labels: map[string]string{"check": "chat"}, Summary: "chat failed 3 times in a row",
	}
	all := []checks.Alert{a}
	return notify.Message{Kind: notify.Opened, Group: "rule=api-down", Key: "0", Alerts: all, Before: []checks.Alert{{}}, Open: all}
}

// data is what a template sees.
type data struct {
	Kind, Status, Group, Key string
	Alerts, Before, Open     []checks.Alert
	Standard                 payload
}

func dataOf(m notify.Message, standard payload) data {
	return data{
		Kind: string(m.Kind), Status: standard.Status, Group: m.Group, Key: m.Key, Alerts: m.Alerts, Before: m.Before, Open: m.Open,
		Standard: standard,
	}
}

// execute makes a body within a bound.
func execute(t *template.Template, d data) ([]byte, error) {
	out := &bounded{left: mostBody}
	if err := t.Execute(out, d); err != nil {
		return nil, err
	}
	return out.buf.Bytes(), nil
}

type bounded struct {
	buf  bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("the body is larger than %d MiB", mostBody>>20)
	}
	return b.buf.Write(p)
}
