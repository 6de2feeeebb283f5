// Package pagerduty pages people by PagerDuty's Events API v2: one PagerDuty alert per group, triggered, acknowledged and
// resolved under one key. It makes one attempt per message and never retries.
package pagerduty

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const doc = "Pages people by PagerDuty's Events API v2: one PagerDuty alert for each incident, which is triggered, raised, " +
	"acknowledged and resolved under one key."

// Kind is the exporter kind "pagerduty".
func Kind() exporters.Kind {
	return exporters.NewKind("pagerduty", doc, defaults(), func(p Params, env exporters.Env) (exporters.Exporter, error) {
		n, err := New(p, env)
		if err != nil {
			return nil, err
		}
		return n, nil
	})
}

// New makes an exporter. It connects to nothing.
func New(p Params, env exporters.Env) (*notify.Notifier, error) {
	if p.RoutingKey.IsZero() {
		return nil, checks.Invalid("routing_key", "no value, want {env: NAME} or another source")
	}
	way, err := notify.NewWay(env, p.Timeout)
	if err != nil {
		return nil, err
	}
	p.RunbookURL = cmp.Or(p.RunbookURL, env.Runbooks)
	return notify.New(p.Params, env, &pager{way: way, params: p, env: env})
}

// pager implements notify.Sender.
type pager struct {
	way    *notify.Way
	params Params
	env    exporters.Env
}

// Close closes the way.
func (p *pager) Close() error { return p.way.Close() }

const (
	doing    = "sending an event to PagerDuty"
	mostSaid = 160 // of an answer in an error
)

// Send makes one event of a message, or none: the end of one alert of several changes nothing for who was paged.
func (p *pager) Send(ctx context.Context, m notify.Message) ([]byte, error) {
	if m.Kind == notify.Resolved && len(m.Open) > 0 {
		return nil, nil
	}
	key, err := credential.Token(ctx, p.params.RoutingKey)
	if err != nil {
		return nil, exporters.Hold(fmt.Errorf("%s: routing_key: %w", doing, err))
	}
	event := p.event(&m)
	event.RoutingKey = key
	body, err := json.Marshal(event)
	if err != nil {
		return nil, exporters.Poison(fmt.Errorf("%s: %w", doing, err))
	}
	answer, err := p.way.Post(ctx, notify.Request{
		Doing: doing, URL: p.params.URL, Header: http.Header{"Content-Type": {"application/json"}}, Body: body,
		Secrets: []string{key}, Renew: p.params.RoutingKey,
	})
	if err != nil {
		return nil, p.refused(ctx, key, &answer, err)
	}
	return nil, taken(&answer, key)
}

// Knock implements notify.Knocker.
func (p *pager) Knock(ctx context.Context) error {
	const doing = "knocking at PagerDuty"
	if _, err := credential.Token(ctx, p.params.RoutingKey); err != nil {
		return exporters.Hold(fmt.Errorf("%s: routing_key: %w", doing, err))
	}
	return p.way.Knock(ctx, notify.Request{Doing: doing, URL: p.params.URL})
}

// refused is the error for an answer that is no 2xx. A routing key that nobody knows is answered with 400 like a bad event,
// and is the operator's to change: nothing may be dropped for it. (developer.pagerduty.com/docs/events-api-v2, read
// November 2026)
func (p *pager) refused(ctx context.Context, key string, answer *notify.Answer, err error) error {
	if !exporters.IsPoison(err) || !bytes.Contains(bytes.ToLower(answer.Body), []byte("routing")) {
		return err
	}
	changed, said := credential.Renewed(ctx, p.params.RoutingKey, key)
	if changed {
		return exporters.Retry(fmt.Errorf("%w (%s)", plain{err}, said), 0)
	}
	return exporters.Hold(fmt.Errorf("%w (%s)", plain{err}, said))
}

// plain is the text of an error, without its class.
type plain struct{ err error }

func (p plain) Error() string { return p.err.Error() }

// taken checks that it was PagerDuty who said 2xx: a page of a proxy in between is no sign that anybody is paged.
func taken(answer *notify.Answer, key string) error {
	body := bytes.TrimSpace(answer.Body)
	var said struct {
		Status string `json:"status"`
	}
	if answer.Status == http.StatusAccepted && len(body) == 0 {
		return nil
	}
	if json.Unmarshal(body, &said) == nil && strings.EqualFold(said.Status, "success") {
		return nil
	}
	text := credential.NewScrubber([]string{key}, nil).Line(string(body), mostSaid)
	return exporters.Retry(fmt.Errorf("%s: status %d without PagerDuty's answer: %s", doing, answer.Status, text), 0)
}
