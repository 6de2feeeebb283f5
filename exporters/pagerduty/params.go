package pagerduty

import (
	"errors"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

const (
	defaultURL     = "https://events.pagerduty.com/v2/enqueue"
	defaultTimeout = 10 * time.Second
)

// Params is the `with:` section of the kind "pagerduty".
type Params struct {
	notify.Params `yaml:",inline"`

	RoutingKey checks.Secret              `yaml:"routing_key" jsonschema:"required" jsonschema_description:"secret: the integration key of a service's, or an event orchestration's, Events API v2"`
	URL        string                     `yaml:"url" jsonschema_description:"the Events API; of the EU service region https://events.eu.pagerduty.com/v2/enqueue"`
	Severity   map[checks.Severity]string `yaml:"severity" jsonschema_description:"PagerDuty's word for a severity where it is not critical for P1, error for P2, warning for P3, info for P4"`
	Component  string                     `yaml:"component" jsonschema_description:"the label whose value is the component. Absent: check, else provider"`
	RunbookURL string                     `yaml:"runbook_url" jsonschema_description:"where the runbook can be read; the name of a page is put behind it. Absent: runbook.url of the file, else the pages that ship"`
	Timeout    time.Duration              `yaml:"timeout" jsonschema_description:"bound on one request"`
}

func defaults() Params {
	return Params{Params: notify.Defaults(), URL: defaultURL, Timeout: defaultTimeout}
}

// Validate checks what can be checked without a secret.
func (p Params) Validate() error {
	errs := []error{p.Params.Validate(), wording.ValidBase("runbook_url", p.RunbookURL)}
	if err := notify.SafeURL(p.URL); err != nil {
		errs = append(errs, checks.Invalid("url", "%s", err))
	}
	for severity, word := range p.Severity {
		switch severity {
		case checks.P1, checks.P2, checks.P3, checks.P4:
		default:
			errs = append(errs, checks.Invalid("severity."+string(severity), "want one of P1, P2, P3, P4"))
		}
		switch word {
		case "critical", "error", "warning", "info":
		default:
			errs = append(errs, checks.Invalid("severity."+string(severity), "%q is not one of critical, error, warning, info", word))
		}
	}
	if p.Timeout <= 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	return errors.Join(errs...)
}
