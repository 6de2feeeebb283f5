// Package alertmanager sends alerts to Prometheus's Alertmanager, by its v2 API, to every replica. Grouping, silences and
// the way to people are Alertmanager's. It makes one attempt and never retries.
package alertmanager

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const doc = "Sends alerts to every replica of Prometheus's Alertmanager, repeats them while they are open, and resolves them; " +
	"grouping and the way to people are Alertmanager's."

const (
	path     = "/api/v2/alerts"
	mostPost = 200 // alerts in one request
)

// Kind is the exporter kind "alertmanager".
func Kind() exporters.Kind {
	defaults := Params{EndsAfter: 4 * time.Minute, Timeout: 5 * time.Second}
	return exporters.NewKind("alertmanager", doc, defaults, func(p Params, env exporters.Env) (exporters.Exporter, error) {
		e, err := New(p, env)
		if err != nil {
			return nil, err
		}
		return e, nil
	})
}

// New makes a notifier that posts to Alertmanager. It connects to nothing.
func New(p Params, env exporters.Env) (*notify.Notifier, error) {
	way, err := notify.NewWay(env, p.Timeout)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &sender{Way: way, params: p, runbooks: env.Runbooks, log: log, down: map[string]bool{}}
	return notify.New(p.shared(), env, s)
}

// sender is the notify.Sender and notify.Keeper.
type sender struct {
	*notify.Way

	params   Params
	runbooks string // where the pages of the runbook are
	log      *slog.Logger
	down     map[string]bool // replicas that did not take the request before
}

// alert is one of the API's postable alerts.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Send implements notify.Sender. To Alertmanager an alert is its labels, severity among them: one that becomes more severe
// is a new one, and the old one ends.
func (s *sender) Send(ctx context.Context, m notify.Message) ([]byte, error) {
	now := time.Now()
	posted := make([]alert, 0, 2*len(m.Alerts))
	for i := range m.Alerts {
		a := m.Alerts[i]
		switch m.Kind {
		case notify.Resolved:
			if told := m.Before[i].Severity; told != "" {
				a.Severity = told
			}
			posted = append(posted, s.alert(&a, earlier(a.At, now)))
		case notify.Changed:
			posted = append(posted, s.alert(&m.Before[i], now), s.alert(&a, now.Add(s.params.EndsAfter)))
		case notify.Opened, notify.Reminder:
			posted = append(posted, s.alert(&a, now.Add(s.params.EndsAfter)))
		}
	}
	return nil, s.post(ctx, posted)
}

// Keep implements notify.Keeper. A replica that was away when an alert was told hears of it now.
func (s *sender) Keep(ctx context.Context, open []checks.Alert) error {
	ends := time.Now().Add(s.params.EndsAfter)
	for len(open) > 0 {
		some := min(len(open), mostPost)
		posted := make([]alert, 0, some)
		for i := range open[:some] {
			posted = append(posted, s.alert(&open[i], ends))
		}
		if err := s.post(ctx, posted); err != nil {
			return err
		}
		open = open[some:]
	}
	return nil
}

// Knock implements notify.Knocker: one replica is enough.
func (s *sender) Knock(ctx context.Context) error {
	if _, _, err := s.header(ctx); err != nil {
		return exporters.Hold(err)
	}
	var faults []error
	for _, address := range s.params.URLs {
		err := s.Way.Knock(ctx, notify.Request{Doing: "knocking at Alertmanager", URL: address, TLS: s.params.tls()})
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (s *sender) alert(a *checks.Alert, ends time.Time) alert {
	starts := a.Since
	if starts.IsZero() || starts.After(ends) {
		starts = earlier(a.At, ends)
	}
	return alert{notify.Labels(a), notify.Annotations(a, s.runbooks), starts.UTC(), ends.UTC(), s.params.ExternalURL}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// post sends the alerts to all replicas at once. They are accepted when one replica took them: replicas tell each other
// of what they sent, not of what they got, so the others are sent everything again with the next Keep, and an alert whose end
// they did not hear of ends by itself.
func (s *sender) post(ctx context.Context, alerts []alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return exporters.Poison(fmt.Errorf("making the request: %w", err))
	}
	header, secrets, err := s.header(ctx)
	if err != nil {
		return exporters.Hold(err)
	}
	faults := make([]error, len(s.params.URLs))
	var all sync.WaitGroup
	for i, url := range s.params.URLs {
		all.Go(func() {
			_, faults[i] = s.Post(ctx, notify.Request{
				Doing: "posting alerts to " + url, URL: strings.TrimSuffix(url, "/") + path, Header: header.Clone(), Body: body, Secrets: secrets,
				Renew: s.secret(), TLS: s.params.tls(),
			})
		})
	}
	all.Wait()
	return s.judge(faults)
}

// judge makes one outcome of those of the replicas.
func (s *sender) judge(faults []error) error {
	took := 0
	for _, fault := range faults {
		if fault == nil {
			took++
		}
	}
	for i, url := range s.params.URLs {
		switch fault := faults[i]; {
		case fault == nil && s.down[url]:
			s.log.Info("a replica takes alerts again", "url", url)
		case fault != nil && !s.down[url] && took > 0:
			s.log.Warn("a replica did not take the alerts", "url", url, "reason", fault.Error())
		}
		s.down[url] = faults[i] != nil
	}
	if took > 0 {
		return nil
	}
	return worst(faults)
}

// worst is the error that keeps most: what may work later is not refused because another replica refused it.
func worst(faults []error) error {
	var held, refused error
	for _, fault := range faults {
		switch {
		case exporters.IsHold(fault):
			held = fault
		case exporters.IsPoison(fault), exporters.IsSplit(fault):
			refused = fault
		default:
			return fault
		}
	}
	if held != nil {
		return held
	}
	return refused
}

func (s *sender) secret() checks.Secret {
	if !s.params.Token.IsZero() {
		return s.params.Token
	}
	return s.params.Password
}

// header resolves the secret. It returns the values that must stand in no error.
func (s *sender) header(ctx context.Context) (header http.Header, secrets []string, err error) {
	header = http.Header{"Content-Type": {"application/json"}}
	switch {
	case !s.params.Token.IsZero():
		token, err := credential.Token(ctx, s.params.Token)
		if err != nil {
			return nil, nil, fmt.Errorf("the token: %w", err)
		}
		header.Set("Authorization", "Bearer "+token)
		secrets = []string{token}
	case !s.params.Password.IsZero():
		password, err := credential.Text(ctx, s.params.Password)
		if err != nil {
			return nil, nil, fmt.Errorf("the password: %w", err)
		}
		pair := base64.StdEncoding.EncodeToString([]byte(s.params.Username + ":" + password))
		header.Set("Authorization", "Basic "+pair)
		secrets = []string{password, pair}
	}
	return header, secrets, nil
}
