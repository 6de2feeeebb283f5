package app

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
)

// The bounds of a run.
const (
	maxHealth  = 256 << 10 // bytes of the health's body
	maxAnswer  = 1 << 20   // bytes of the chat's
	maxRequest = 64 << 10  // bytes of the chat's request
	maxSecrets = 16
	maxCost    = 100 // USD of one run
	maxLine    = 300 // bytes of a summary and of a step's detail
)

var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Params is the `with:` section.
type Params struct {
	URL     string          `jsonschema:"required" jsonschema_description:"The health route: http://127.0.0.1:3000/health." yaml:"url"`
	Service string          `jsonschema_description:"Name of the entry of services that is looked at." yaml:"service"`
	Auth    fetch.Auth      `jsonschema_description:"How the health route is asked, by reference. Default: without credentials." yaml:"auth"`
	TLS     fetch.TLS       `jsonschema_description:"How the application is trusted, on both routes. Default: as the agent trusts everybody." yaml:"tls"`
	MaxAge  time.Duration   `jsonschema_description:"Degraded when the answer's timestamp is older, or there is none. 0 is any age." yaml:"max_age"`
	Secrets []checks.Secret `jsonschema_description:"Credentials that must not be seen in an answer, by reference, beside those that are sent." yaml:"secrets"`
	Chat    *Chat           `jsonschema_description:"The chat route. Default: it is not asked." yaml:"chat"`
}

// Chat is one request to the application's chat route.
type Chat struct {
	URL        string            `jsonschema:"required" jsonschema_description:"The chat route, which gets a POST." yaml:"url"`
	Headers    map[string]string `jsonschema_description:"Headers that are not secret, by name." yaml:"headers"`
	Auth       fetch.Auth        `jsonschema_description:"How the chat route is asked, by reference. Default: without credentials." yaml:"auth"`
	Body       map[string]any    `jsonschema_description:"What is sent, as JSON." yaml:"body"`
	Status     []int             `jsonschema_description:"HTTP statuses that are good. Default: 200." yaml:"status"`
	Expect     expect.Params     `jsonschema_description:"What the answer must be; all that is given must hold. Default: anything but nothing, an error or HTML." yaml:"expect"`
	MaxCostUSD float64           `jsonschema_description:"The most that one request can cost, in US dollars, for the budget. 0 is free." yaml:"max_cost_usd"`
}

func defaults() Params { return Params{Service: "mistral"} }

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	errs := []error{fetch.ValidURL("url", p.URL), p.Auth.Validate("auth"), p.TLS.Validate("tls")}
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if !serviceName.MatchString(p.Service) {
		bad("service", "%q, want a name such as mistral", p.Service)
	}
	if p.MaxAge < 0 {
		bad("max_age", "%s, want 0 or more", p.MaxAge)
	}
	if len(p.Secrets) > maxSecrets {
		bad("secrets", "%d entries, want at most %d", len(p.Secrets), maxSecrets)
	}
	for i, s := range p.Secrets {
		if s.IsZero() {
			bad("secrets."+strconv.Itoa(i), "it has no source, want {env: …}, {file: …} or {credential: …}")
		}
	}
	if p.Chat != nil {
		errs = append(errs, p.Chat.validate())
	}
	return errors.Join(errs...)
}

func (c *Chat) validate() error {
	errs := []error{fetch.ValidURL("chat.url", c.URL), c.Auth.Validate("chat.auth"), fetch.ValidHeaders("chat.headers", c.Headers)}
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	switch text, err := json.Marshal(c.Body); {
	case err != nil:
		bad("chat.body", "it cannot be written as JSON")
	case len(text) > maxRequest:
		bad("chat.body", "%d bytes, want at most %d", len(text), maxRequest)
	case len(c.Body) == 0:
		bad("chat.body", "it is empty, want what the application is to be asked")
	}
	for i, status := range c.Status {
		if status < 200 || status > 599 {
			bad("chat.status."+strconv.Itoa(i), "%d, want 200 to 599", status)
		}
	}
	if !(c.MaxCostUSD >= 0 && c.MaxCostUSD <= maxCost) {
		bad("chat.max_cost_usd", "%v, want 0 to %d", c.MaxCostUSD, maxCost)
	}
	_, err := expect.New("chat.expect", c.Expect)
	return errors.Join(errors.Join(errs...), err)
}

// cost is what one request is declared to cost at most, rounded up.
func (c *Chat) cost() checks.PicoUSD {
	return checks.PicoUSD(math.Ceil(c.MaxCostUSD * float64(checks.Dollar)))
}
