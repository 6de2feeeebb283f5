// Package shop is a plugin for the tests of the SDK: kinds that do what their parameters say. It touches nothing outside.
package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/plugins/sdk"
)

// Plugin offers everything below.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "shop", Version: "1.2.3", Summary: "A shop to try things in", Homepage: "https://shop.example",
		Checks:    []checks.Kind{Login(), Paying(), Fickle()},
		Exporters: []exporters.Kind{Lake(), Picky(), Page()},
		Declare: map[string]sdk.Declaration{
			"login": {
				Measurements: []sdk.Measurement{{Name: "shop.login.duration", Unit: "s", Description: "How long a login takes"}, {Name: "shop.runs"}},
				MinInterval:  time.Minute, DefaultTimeout: 5 * time.Second,
			},
			"paying": {MaxCost: checks.Dollar, Measurements: []sdk.Measurement{{Name: "shop.paid", Unit: "{usd}"}}},
			"lake":   {MaxBatch: 500, Refresh: true},
			"picky":  {Records: []checks.RecordType{checks.TypeAlert}},
		},
	}
}

// Texts are one text or several.
type Texts []string

// UnmarshalYAML reads a text as a list of one.
func (t *Texts) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*t = Texts{one}
		return nil
	}
	var all []string
	err := decode(&all)
	*t = all
	return err
}

// Host is where something listens.
type Host struct {
	Name string `yaml:"name" jsonschema:"required" jsonschema_description:"Its name."`
	Port uint16 `yaml:"port" jsonschema_description:"Its port."`
}

// LoginParams say what a run of login does.
type LoginParams struct {
	URL      string                   `yaml:"url" jsonschema:"required" jsonschema_description:"Where."`
	Says     string                   `yaml:"says" jsonschema:"enum=ok,enum=slow,enum=failed,enum=skipped,enum=error,enum=panic,enum=secret,enum=hang" jsonschema_description:"What comes of it."`
	Wait     time.Duration            `yaml:"wait" jsonschema_description:"How long it takes."`
	Budget   checks.PicoUSD           `yaml:"budget" jsonschema_description:"Money."`
	Password checks.Secret            `yaml:"password" jsonschema_description:"A secret."`
	Headers  map[string]checks.Secret `yaml:"headers" jsonschema_description:"More of them."`
	Hosts    []Host                   `yaml:"hosts" jsonschema_description:"A list."`
	To       Texts                    `yaml:"to" jsonschema_description:"One or several."`
	Want     checks.Status            `yaml:"want" jsonschema_description:"A status by its name."`
	Ratio    *float64                 `yaml:"ratio" jsonschema_description:"A number that may be absent."`
	Retries  int8                     `yaml:"retries" jsonschema_description:"A small number."`
	Any      any                      `yaml:"any" jsonschema_description:"Anything."`
	Flood    int                      `yaml:"flood" jsonschema_description:"So many bytes are printed."`
	Count    bool                     `yaml:"count" jsonschema_description:"Count the runs in the memory."`
}

// Validate refuses what the schema cannot.
func (p LoginParams) Validate() error {
	var errs []error
	if !strings.HasPrefix(p.URL, "http") {
		errs = append(errs, checks.Invalid("url", "%q, want an http address", p.URL))
	}
	for i, h := range p.Hosts {
		if h.Port == 0 {
			errs = append(errs, checks.Invalid(fmt.Sprintf("hosts.%d.port", i), "0, want a port"))
		}
	}
	return errors.Join(errs...)
}

// Login is a check that does what it is told.
func Login() checks.Kind {
	return checks.NewKind("login", "Logs in to the shop, as its customers do it all day long.", LoginParams{Says: "ok", Retries: 3}, func(p LoginParams, env checks.Env) (checks.Check, error) {
		if p.URL == "http://refused" {
			return nil, errors.New("this address is refused")
		}
		return &login{p, env}, nil
	})
}

type login struct {
	p   LoginParams
	env checks.Env
}

func (l *login) Measures() []string { return []string{"shop.login.duration", "shop.runs"} }

func (l *login) Run(ctx context.Context) (checks.Result, error) {
	l.env.Log.Info("a run", slog.String("url", l.p.URL), slog.Group("more", slog.Int("retries", int(l.p.Retries))))
	if l.p.Flood > 0 {
		text := strings.Repeat("x", 79) + "\n"
		for range l.p.Flood / len(text) {
			fmt.Fprint(os.Stdout, text) //nolint:forbidigo // it is what the test is about
			fmt.Fprint(os.Stderr, text) //nolint:forbidigo // it is what the test is about
		}
	}
	select {
	case <-time.After(l.p.Wait):
	case <-ctx.Done():
	}
	if l.p.Count {
		return l.counted(ctx)
	}
	return l.says(ctx)
}

func (l *login) says(ctx context.Context) (checks.Result, error) {
	switch l.p.Says {
	case "slow":
		return checks.Degrade(checks.CauseSlow, "it took its time"), nil
	case "failed":
		r := checks.Fail(checks.CauseServer, "status 503, want 200\n"+strings.Repeat("and more of it ", 30))
		r.Blame, r.Facts = checks.BlameApplication, map[string]string{"request_id": "abc"}
		r.Evidence = []checks.Step{{Name: "dns", OK: true, Detail: "10.0.0.1"}, {Name: "status", Detail: "503"}}
		return r, nil
	case "skipped":
		return checks.Skip(checks.CauseMaintenance, "the shop is closed"), nil
	case "error":
		return checks.Result{Cause: checks.CauseConfig, Phases: []checks.Phase{{Name: checks.PhaseTLS, Took: time.Second}}}, errors.New("no key to log in with")
	case "panic":
		panic("the shop burns")
	case "secret":
		value, err := l.p.Password.Reveal(ctx)
		if err != nil {
			return checks.Result{Cause: checks.CauseConfig}, fmt.Errorf("reading the password: %w", err)
		}
		return checks.Pass(fmt.Sprintf("%d bytes from %s", len(value), l.p.Password.Where())), nil
	case "hang":
		<-ctx.Done()
		return checks.Fail(checks.CauseTimeout, "no answer in time"), nil
	}
	r := checks.Pass("200 from " + l.p.URL)
	r.Measurements = []checks.Measurement{{Name: "shop.login.duration", Value: 0.25, Unit: "s", Attrs: map[string]string{"step": "form"}}}
	r.Phases = []checks.Phase{{Name: checks.PhaseConnect, Took: 12 * time.Millisecond}}
	if parent := sdk.Traceparent(ctx); parent != "" {
		r.Facts = map[string]string{"traceparent": parent}
	}
	return r, nil
}

// counted counts the runs in the check's memory.
func (l *login) counted(ctx context.Context) (checks.Result, error) {
	data, err := l.env.Memory.Load(ctx)
	if err != nil {
		return checks.Result{}, err
	}
	n := 0
	if len(data) > 0 {
		if err := json.Unmarshal(data, &n); err != nil {
			return checks.Result{}, fmt.Errorf("reading the count: %w", err)
		}
	}
	n++
	if err := l.env.Memory.Save(ctx, fmt.Append(nil, n)); err != nil {
		return checks.Result{}, err
	}
	r := checks.Pass(fmt.Sprintf("run %d", n))
	r.Measurements = []checks.Measurement{{Name: "shop.runs", Value: float64(n)}}
	return r, nil
}

// PayingParams set the price.
type PayingParams struct {
	Cost checks.PicoUSD `yaml:"cost" jsonschema_description:"Of one run."`
}

type paying struct{ cost checks.PicoUSD }

// Paying is a check that costs money.
func Paying() checks.Kind {
	return checks.NewKind("paying", "Buys something in the shop, and pays for it.", PayingParams{Cost: checks.Dollar / 2}, func(p PayingParams, _ checks.Env) (checks.Check, error) {
		return paying{p.Cost}, nil
	})
}

func (p paying) MaxCost(time.Time) (checks.PicoUSD, bool) { return p.cost, true }

func (paying) Measures() []string { return []string{"shop.paid", "shop.undeclared"} }

func (p paying) Run(context.Context) (checks.Result, error) {
	r := checks.Pass("bought")
	r.Usage = &checks.Usage{Model: "m", PromptTokens: 10, CompletionTokens: 1, Cost: p.cost, PriceKnown: true, PriceDate: "2026-11-01"}
	return r, nil
}

// FickleParams are for a kind that panics early.
type FickleParams struct {
	When string `yaml:"when" jsonschema:"enum=validate,enum=new,enum=never,enum=nil" jsonschema_description:"When it panics."`
}

// Validate panics where it shall.
func (p FickleParams) Validate() error {
	if p.When == "validate" {
		panic("while validating")
	}
	return nil
}

// Fickle is a check that cannot be built.
func Fickle() checks.Kind {
	return checks.NewKind("fickle", "Panics where nobody expects it, while it is built.", FickleParams{When: "new"}, func(p FickleParams, _ checks.Env) (checks.Check, error) {
		switch p.When {
		case "new":
			panic("while building")
		case "nil":
			return nil, nil //nolint:nilnil // a kind that breaks its promise
		}
		return checks.Func(func(context.Context) (checks.Result, error) { return checks.Pass("well"), nil }), nil
	})
}
