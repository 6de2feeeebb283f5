package alertmanager

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Params is the `with:` section of the kind "alertmanager".
type Params struct {
	URLs        []string                 `yaml:"urls" jsonschema:"required" jsonschema_description:"every replica of the Alertmanager, without /api/v2: [\"http://alertmanager-0:9093\", \"http://alertmanager-1:9093\"]. All of them get every alert"`
	Match       map[string]notify.Values `yaml:"match" jsonschema_description:"which alerts are sent, by severity, rule, state, blame and labels, all of which must match, as for the other notifiers. Absent: all. Grouping and routing to people are Alertmanager's"`
	Username    string                   `yaml:"username" jsonschema_description:"user of basic authentication; password goes with it"`
	Password    checks.Secret            `yaml:"password" jsonschema_description:"password of basic authentication: {env: ALERTMANAGER_PASSWORD}"`
	Token       checks.Secret            `yaml:"token" jsonschema_description:"bearer token, instead of username and password"`
	ExternalURL string                   `yaml:"external_url" jsonschema_description:"generatorURL of the alerts: where people read more"`
	EndsAfter   time.Duration            `yaml:"ends_after" jsonschema_description:"Alertmanager takes an alert for resolved that it has not heard of for so long; it is told every minute"`
	CAFile      string                   `yaml:"ca_file" jsonschema_description:"PEM file of authorities to trust beside the system's"`
	CertFile    string                   `yaml:"cert_file" jsonschema_description:"PEM file of our certificate, read for each request; key_file goes with it"`
	KeyFile     string                   `yaml:"key_file" jsonschema_description:"PEM file of our key"`
	Timeout     time.Duration            `yaml:"timeout" jsonschema_description:"bound on one request"`
}

// leastEndsAfter leaves room for one refresh that is late and one that fails.
const leastEndsAfter = 3 * time.Minute

// Validate checks what can be checked without the environment.
func (p Params) Validate() error {
	errs := []error{p.shared().Validate()}
	if len(p.URLs) == 0 {
		errs = append(errs, checks.Invalid("urls", "no replica, want [\"http://host:9093\"]"))
	}
	for i, text := range p.URLs {
		if err := replica(text); err != nil {
			errs = append(errs, checks.Invalid("urls."+strconv.Itoa(i), "%s", err))
		}
	}
	if (p.Username == "") != p.Password.IsZero() {
		errs = append(errs, checks.Invalid("username", "username and password go together, one is missing"))
	}
	if !p.Token.IsZero() && !p.Password.IsZero() {
		errs = append(errs, checks.Invalid("token", "a token and a password, want one of them"))
	}
	if p.EndsAfter < leastEndsAfter {
		errs = append(errs, checks.Invalid("ends_after", "%s is too short, want %s or more: alerts are told every minute", p.EndsAfter, leastEndsAfter))
	}
	if (p.CertFile == "") != (p.KeyFile == "") {
		errs = append(errs, checks.Invalid("cert_file", "cert_file and key_file go together, one is missing"))
	}
	if p.Timeout <= 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	return errors.Join(errs...)
}

func replica(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return errors.New("not an http or https URL")
	case u.User != nil:
		return errors.New("a URL that holds a user or password, want username and password")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("a URL with a query or a fragment")
	}
	return nil
}

// shared are the params of all notifiers: one message holds whatever there is, reminders are Alertmanager's.
func (p Params) shared() notify.Params {
	return notify.Params{Match: p.Match, GroupBy: []string{"all"}, SendResolved: true}
}

func (p Params) tls() *outbound.TLS {
	if p.CAFile == "" && p.CertFile == "" {
		return nil
	}
	return &outbound.TLS{CAFile: p.CAFile, CertFile: p.CertFile, KeyFile: p.KeyFile}
}
