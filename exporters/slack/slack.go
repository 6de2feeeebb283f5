// Package slack tells people of alerts in Slack, by an incoming webhook or as a bot. It makes one attempt per message and
// never retries; nothing that a label or an answer says can call a person or a channel.
package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const doc = "Tells people of alerts in Slack, by an incoming webhook or as a bot: severity, status, impact, action, next " +
	"update, incident commander, value and runbook. A bot keeps the first message up to date and puts what follows into its thread."

// Kind is the exporter kind "slack".
func Kind() exporters.Kind {
	return exporters.NewKind("slack", doc, defaults(), func(p Params, env exporters.Env) (exporters.Exporter, error) {
		n, err := New(p, env)
		if err != nil {
			return nil, err
		}
		return n, nil
	})
}

// New makes an exporter. It connects to nothing.
func New(p Params, env exporters.Env) (*notify.Notifier, error) {
	if p.Token.IsZero() && p.WebhookURL.IsZero() {
		return nil, checks.Invalid("webhook_url", "no value, want a webhook_url, or a token and a channel")
	}
	way, err := notify.NewWay(env, p.Timeout)
	if err != nil {
		return nil, err
	}
	p.RunbookURL = cmp.Or(p.RunbookURL, env.Runbooks)
	post := poster{way: way, params: p}
	if p.Token.IsZero() {
		return notify.New(p.Params, env, &webhook{post})
	}
	return notify.New(p.Params, env, &bot{post})
}

// poster is what both ways have in common.
type poster struct {
	way    *notify.Way
	params Params
}

// Close closes the way.
func (p *poster) Close() error { return p.way.Close() }

// webhook posts each message by itself.
type webhook struct{ poster }

// Send implements notify.Sender.
func (w *webhook) Send(ctx context.Context, m notify.Message) ([]byte, error) {
	const doing = "posting to the Slack webhook"
	target, err := credential.Token(ctx, w.params.WebhookURL)
	if err != nil {
		return nil, exporters.Hold(fmt.Errorf("%s: webhook_url: %w", doing, err))
	}
	if err := notify.SafeURL(target); err != nil {
		return nil, exporters.Hold(fmt.Errorf("%s: the URL of %s is %w", doing, w.params.WebhookURL.Used(), err))
	}
	body, err := json.Marshal(w.params.change(&m))
	if err != nil {
		return nil, exporters.Poison(fmt.Errorf("%s: %w", doing, err))
	}
	answer, err := w.way.Post(ctx, notify.Request{
		Doing: doing, URL: target, Secret: true, Header: jsonHeader(), Body: body, Secrets: []string{target}, Renew: w.params.WebhookURL,
	})
	if err != nil {
		return nil, refusedWebhook(&answer, err)
	}
	return nil, taken(doing, answer.Body, target)
}

// Knock implements notify.Knocker.
func (w *webhook) Knock(ctx context.Context) error {
	const doing = "knocking at the Slack webhook"
	target, err := credential.Token(ctx, w.params.WebhookURL)
	if err == nil {
		err = notify.SafeURL(target)
	}
	if err != nil {
		return exporters.Hold(fmt.Errorf("%s: webhook_url: %w", doing, err))
	}
	return w.way.Knock(ctx, notify.Request{Doing: doing, URL: target, Secret: true, Secrets: []string{target}})
}

// Knock implements notify.Knocker.
func (b *bot) Knock(ctx context.Context) error {
	const doing = "knocking at Slack"
	if _, err := credential.Token(ctx, b.params.Token); err != nil {
		return exporters.Hold(fmt.Errorf("%s: token: %w", doing, err))
	}
	return b.way.Knock(ctx, notify.Request{Doing: doing, URL: b.params.APIURL})
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json; charset=utf-8"}}
}

// thread is what a bot keeps of a group.
type thread struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// bot posts with a token: the first message of a group, then into its thread.
type bot struct{ poster }

// Send implements notify.Sender. The first message is brought up to date before the thread is written to: a retry may do
// the one again without harm, the other not.
func (b *bot) Send(ctx context.Context, m notify.Message) ([]byte, error) {
	var first thread
	if json.Unmarshal(m.Ref, &first) != nil || first.Channel == "" || first.TS == "" {
		return b.begin(ctx, &m)
	}
	p := &b.params
	update := p.status(&m)
	update.Channel, update.TS = first.Channel, first.TS
	_, err := b.call(ctx, "chat.update", update)
	if code := codeOf(err); code == "message_not_found" || code == "thread_not_found" {
		return b.begin(ctx, &m) // somebody deleted it
	} else if err != nil && !unchangeable(code) {
		return nil, err
	}
	reply := p.change(&m)
	reply.Channel, reply.ThreadTS = first.Channel, first.TS
	reply.Broadcast = m.Kind == notify.Changed || m.Kind == notify.Reminder || len(m.Open) == 0
	_, err = b.call(ctx, "chat.postMessage", reply)
	return nil, err
}

func (b *bot) begin(ctx context.Context, m *notify.Message) ([]byte, error) {
	message := b.params.first(m)
	message.Channel = b.params.Channel
	answer, err := b.call(ctx, "chat.postMessage", message)
	if err != nil {
		return nil, err
	}
	if answer.Channel == "" || answer.TS == "" {
		return nil, nil // told, but where is not known: what follows begins anew
	}
	ref, err := json.Marshal(thread{answer.Channel, answer.TS})
	if err != nil {
		return nil, nil //nolint:nilerr // two texts; and what was told must not be told again
	}
	return ref, nil
}
