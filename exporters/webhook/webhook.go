// Package webhook tells of alerts by an HTTP request with the JSON of Alertmanager's webhook, or a body of the user's own,
// signed where a secret is given. It makes one attempt per message and never retries.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"text/template"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const doc = "Tells of alerts that open, become more severe, are still open or are over, in a POST with the JSON of Alertmanager's " +
	"webhook or a body made by a template, signed with HMAC-SHA256 where a secret is given."

// The headers of a message.
const (
	headerKey       = "Idempotency-Key"
	headerKind      = "X-Windsock-Kind"
	headerTimestamp = "X-Windsock-Timestamp"
	headerSignature = "X-Windsock-Signature"
)

const doing = "posting to the webhook"

// Kind is the exporter kind "webhook".
func Kind() exporters.Kind {
	defaults := Params{Params: notify.Defaults(), ContentType: "application/json", Timeout: 5 * time.Second}
	return exporters.NewKind("webhook", doc, defaults, func(p Params, env exporters.Env) (exporters.Exporter, error) {
		e, err := New(p, env)
		if err != nil {
			return nil, err
		}
		return e, nil
	})
}

// New makes a notifier that posts to the webhook. It connects to nothing.
func New(p Params, env exporters.Env) (*notify.Notifier, error) {
	body, err := p.parse(env.Runbooks)
	if err != nil {
		return nil, err
	}
	way, err := notify.NewWay(env, p.Timeout)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return notify.New(p.Params, env, &hook{Way: way, params: p, receiver: env.Name, runbooks: env.Runbooks, template: body, log: log})
}

// hook is the notify.Sender.
type hook struct {
	*notify.Way

	params   Params
	receiver string
	runbooks string             // where the pages of the runbook are
	template *template.Template // nil: the standard JSON
	log      *slog.Logger
}

// Send implements notify.Sender.
func (h *hook) Send(ctx context.Context, m notify.Message) ([]byte, error) {
	body, contentType, err := h.body(m)
	if err != nil {
		return nil, exporters.Poison(err)
	}
	request, err := h.request(ctx, body)
	if err != nil {
		return nil, exporters.Hold(fmt.Errorf("%s: %w", doing, err))
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set(headerKey, m.Key)
	request.Header.Set(headerKind, string(m.Kind))
	_, err = h.Post(ctx, request)
	return nil, err
}

// Knock implements notify.Knocker.
func (h *hook) Knock(ctx context.Context) error {
	request, err := h.request(ctx, nil)
	if err != nil {
		return exporters.Hold(fmt.Errorf("%s: %w", doing, err))
	}
	return h.Way.Knock(ctx, request)
}

// request resolves the secrets and signs the body.
func (h *hook) request(ctx context.Context, body []byte) (notify.Request, error) {
	url, err := credential.Text(ctx, h.params.URL)
	if err != nil {
		return notify.Request{}, fmt.Errorf("the url: %w", err)
	}
	r := notify.Request{
		Doing: doing, URL: url, Secret: true, Header: http.Header{}, Body: body, Renew: h.params.URL, TLS: h.params.tls(),
	}
	for name, value := range h.params.Headers {
		r.Header.Set(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(h.params.SecretHeaders)) {
		value, err := credential.Text(ctx, h.params.SecretHeaders[name])
		if err != nil {
			return notify.Request{}, fmt.Errorf("the header %q: %w", name, err)
		}
		r.Header.Set(name, value)
		r.Secrets = append(r.Secrets, value)
		r.Renew = h.params.SecretHeaders[name]
	}
	if !h.params.SigningSecret.IsZero() {
		secret, err := credential.Text(ctx, h.params.SigningSecret)
		if err != nil {
			return notify.Request{}, fmt.Errorf("the signing_secret: %w", err)
		}
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		r.Header.Set(headerTimestamp, timestamp)
		r.Header.Set(headerSignature, Sign(secret, timestamp, body))
		r.Secrets = append(r.Secrets, secret)
	}
	return r, nil
}

// Sign is the value of X-Windsock-Signature: "v1=" and the HMAC-SHA256 of timestamp, a full stop and the body, in hex. The
// receiver compares it in constant time, and refuses timestamps (Unix seconds) that are minutes away from its own clock.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// body is what is posted, and its type. Where the template fails, people are told in the standard form.
func (h *hook) body(m notify.Message) (body []byte, contentType string, err error) {
	standard := h.payload(m)
	if h.template != nil {
		made, err := execute(h.template, dataOf(m, standard))
		if err == nil && isDrill(m) && !marked(made, m) {
			made, err = h.asDrill(m)
			if err == nil && !marked(made, m) {
				return nil, "", errUnmarked
			}
		}
		if err == nil {
			return made, h.params.ContentType, nil
		}
		h.log.Error("the template failed and the standard JSON is sent", "error", outbound.Sanitize(err.Error(), 240))
	}
	made, err := json.Marshal(standard)
	if err != nil {
		return nil, "", fmt.Errorf("making the body: %w", err)
	}
	return made, "application/json", nil
}
