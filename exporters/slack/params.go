package slack

import (
	"errors"
	"regexp"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

const (
	defaultAPI     = "https://slack.com/api"
	defaultTimeout = 10 * time.Second
)

// Params is the `with:` section of the kind "slack".
type Params struct {
	notify.Params `yaml:",inline"`

	WebhookURL checks.Secret              `yaml:"webhook_url" jsonschema_description:"secret: the URL of an incoming webhook. Each change is a message of its own"`
	Token      checks.Secret              `yaml:"token" jsonschema_description:"secret: a bot's token (xoxb-…) with the scope chat:write, in place of a webhook. What follows goes into the thread of the first message, which is kept up to date"`
	Channel    string                     `yaml:"channel" jsonschema_description:"where to post with a token: the id of a channel (C0123456789) or its name; the bot must be in it"`
	Mention    map[checks.Severity]string `yaml:"mention" jsonschema_description:"whom to call when an alert opens or rises, by severity: {P1: here, P2: S0123456789}. here, channel, or the id of a user or of a user group. Absent: nobody"`
	RunbookURL string                     `yaml:"runbook_url" jsonschema_description:"where the runbook can be read; the name of a page is put behind it. Absent: runbook.url of the file, else the pages that ship"`
	APIURL     string                     `yaml:"api_url" jsonschema_description:"Slack's Web API, for a token"`
	Timeout    time.Duration              `yaml:"timeout" jsonschema_description:"bound on one request"`
}

func defaults() Params {
	return Params{Params: notify.Defaults(), APIURL: defaultAPI, Timeout: defaultTimeout}
}

// Validate checks what can be checked without a secret.
func (p Params) Validate() error {
	errs := []error{p.Params.Validate(), wording.ValidBase("runbook_url", p.RunbookURL)}
	if !p.Token.IsZero() && !p.WebhookURL.IsZero() {
		errs = append(errs, checks.Invalid("token", "a webhook_url is given too, want one of both"))
	}
	switch {
	case !p.Token.IsZero() && !channel().MatchString(p.Channel):
		errs = append(errs, checks.Invalid("channel", "%q is not a channel, want its id (C0123456789) or name", p.Channel))
	case p.Token.IsZero() && p.Channel != "":
		errs = append(errs, checks.Invalid("channel", "a webhook has its channel, want a token"))
	}
	for severity, whom := range p.Mention {
		switch severity {
		case checks.P1, checks.P2, checks.P3, checks.P4:
		default:
			errs = append(errs, checks.Invalid("mention."+string(severity), "want one of P1, P2, P3, P4"))
		}
		if mention(whom) == "" {
			errs = append(errs, checks.Invalid("mention."+string(severity), "%q is nobody, want here, channel, or the id of a user or a user group", whom))
		}
	}
	if err := notify.SafeURL(p.APIURL); err != nil {
		errs = append(errs, checks.Invalid("api_url", "%s", err))
	}
	if p.Timeout <= 0 {
		errs = append(errs, checks.Invalid("timeout", "%s is not a bound, want more than 0s", p.Timeout))
	}
	return errors.Join(errs...)
}

func channel() *regexp.Regexp { return regexp.MustCompile(`^#?[\p{L}\p{N}_.-]{1,80}$`) }

// mention is Slack's markup for whom to call, "" for what it does not know.
func mention(whom string) string {
	switch {
	case whom == "here", whom == "channel":
		return "<!" + whom + ">"
	case regexp.MustCompile(`^[UW][A-Z0-9]{6,20}$`).MatchString(whom):
		return "<@" + whom + ">"
	case regexp.MustCompile(`^S[A-Z0-9]{6,20}$`).MatchString(whom):
		return "<!subteam^" + whom + ">"
	}
	return ""
}
