package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/chat"
	"github.com/windsock-monitor/windsock/checks/egress"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/look"
)

//go:embed triage.yaml
var triageDefault string

// builtIn is what stands in the place of a file.
const builtIn = "the built-in default"

// triageSetting is what a triage goes by.
type triageSetting struct {
	cfg       *config.Config
	step      triage.Step // what was found of the configuration
	provider  *config.Provider
	ping      config.Check // the conversation that is paid for
	model     string       // of it
	app       look.Application
	reference string
	network   *outbound.Network
}

// settingOf reads the configuration, and puts the built-in one in the place of what cannot be used. The error is a flag
// that cannot be meant.
func settingOf(p process, f *triageFlags, scrubber *secret.Scrubber) (*triageSetting, error) {
	began := time.Now()
	load := loader{path: f.config, getenv: p.getenv, log: slog.New(slog.DiscardHandler), scrubber: scrubber}
	spare, err := config.Parse(builtIn, []byte(triageDefault), load.options())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", builtIn, err)
	}
	spare.Path = ""
	s := &triageSetting{step: triage.Step{Name: triage.Configuration, Verdict: triage.OK}}
	if err := s.load(load, spare); err != nil {
		return nil, err
	}
	if err := s.choose(f, spare); err != nil {
		return nil, err
	}
	s.step.Took = time.Since(began).Seconds()
	return s, s.wayOut()
}

// wayOut makes the way out. Proxies and authorities that cannot be used are told, and gone on without.
func (s *triageSetting) wayOut() error {
	network, err := look.Network(s.cfg, version)
	for _, without := range []struct{ proxies, authorities bool }{{true, false}, {false, true}, {true, true}} {
		if err == nil {
			break
		}
		cfg, then := *s.cfg, "; going on with the system's authorities"
		if without.proxies {
			cfg.Network.HTTPProxy, cfg.Network.HTTPSProxy, then = "", "", "; going on without a proxy"
		}
		if without.authorities {
			cfg.Network.CAFile = ""
		}
		again, still := look.Network(&cfg, version)
		if still == nil || without.proxies && without.authorities {
			s.wrong(err, then)
			s.cfg, network, err = &cfg, again, still
		}
	}
	s.network = network
	return err
}

// load reads the file.
func (s *triageSetting) load(load loader, spare *config.Config) error {
	cfg, err := config.Load(load.options())
	faults, broken := errors.AsType[*config.Errors](err)
	switch {
	case broken:
		s.cfg = spare
		s.cfg.Path = faults.List()[0].File // where the agent that runs on with what it has read before is known by
		s.wrong(err, "; going on with "+builtIn)
		return nil
	case errors.Is(err, fs.ErrNotExist) && load.path == "":
		s.cfg, s.step.LookedAt = spare, strings.Join(config.Paths(), ", ")
		s.step.Detail = "there is none: " + builtIn + " is used"
		return nil
	case errors.Is(err, fs.ErrPermission):
		s.cfg = spare
		if s.cfg.Path = load.path; load.path == "" {
			s.cfg.Path = unreadable()
		}
		s.step.LookedAt, s.step.Verdict, s.step.Cause = s.cfg.Path, triage.Unknown, checks.CauseConfig
		s.step.Detail = "it is not for this user to read (sudo, or the group of the agent); going on with " + builtIn
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		s.cfg = spare
		s.wrong(err, "; going on with "+builtIn)
		return nil
	}
	s.cfg, s.step.LookedAt = cfg, cfg.Path
	s.step.Detail = fmt.Sprintf("%d checks, usable", len(cfg.Checks))
	err = cfg.RefusePlugins()
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	if err == nil {
		_, err = agent.CheckRules(cfg, registry())
	}
	if err != nil {
		s.wrong(err, "; going on with the rest of it")
	}
	return nil
}

// unreadable is the first of the places of the configuration where something is that is not for this user.
func unreadable() string {
	paths := config.Paths()
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's file
		if err == nil {
			_ = f.Close()
		}
		if errors.Is(err, fs.ErrPermission) {
			return path
		}
	}
	return paths[len(paths)-1]
}

// wrong says what is wrong with the file, the first fault in the detail and the others as notes.
func (s *triageSetting) wrong(err error, then string) {
	s.step.Verdict, s.step.Cause, s.step.Blame = triage.Wrong, checks.CauseConfig, checks.BlameOurs
	faults, placed := errors.AsType[*config.Errors](err)
	if !placed {
		s.step.Detail = err.Error() + then
		return
	}
	for i, fault := range faults.List() {
		fault.Source = "" // one line each
		if s.step.LookedAt = fault.File; i == 0 {
			s.step.Detail = fault.String() + then
			continue
		}
		s.step.Notes = append(s.step.Notes, fault.String())
	}
}

// choose finds the provider, its conversation, the application and the reference host.
func (s *triageSetting) choose(f *triageFlags, spare *config.Config) error {
	if len(s.cfg.Providers) == 0 {
		cfg := *s.cfg
		cfg.Providers, s.cfg = spare.Providers, &cfg
		s.step.Detail += "; it has no provider, so that " + spare.Providers[0].BaseURL + " is looked at"
	}
	ofChat := slices.IndexFunc(s.cfg.Checks, func(c config.Check) bool {
		return c.Kind == "chat" && (f.provider == "" || c.Provider == f.provider)
	})
	name := f.provider
	if name == "" && ofChat >= 0 {
		name = s.cfg.Checks[ofChat].Provider
	}
	at := slices.IndexFunc(s.cfg.Providers, func(q config.Provider) bool { return q.Name == name || name == "" })
	if at < 0 {
		names := make([]string, 0, len(s.cfg.Providers))
		for i := range s.cfg.Providers {
			names = append(names, s.cfg.Providers[i].Name)
		}
		return fmt.Errorf("--provider: no provider is named %q, want one of %s", name, strings.Join(names, ", "))
	}
	s.provider = &s.cfg.Providers[at]
	if ofChat >= 0 {
		s.ping = s.cfg.Checks[ofChat]
	} else {
		s.ping = spare.Checks[0]
		s.ping.Provider = s.provider.Name
	}
	var params chat.Params
	if s.ping.With.Decode(&params) == nil {
		s.model = params.Model
	}
	s.app, _ = look.ApplicationOf(s.cfg, f.app)
	s.reference = referenceOf(s.cfg, spare)
	return nil
}

// referenceOf is the host that has nothing to do with the provider: of the first check of the way out that has one.
func referenceOf(all ...*config.Config) string {
	for _, cfg := range all {
		for i := range cfg.Checks {
			var params egress.Params
			if c := &cfg.Checks[i]; c.Kind == "egress" && c.With != nil && c.With.Decode(&params) == nil && params.Reference != "" {
				return params.Reference
			}
		}
	}
	return ""
}

// address is the provider's, as people know it.
func (s *triageSetting) address() string {
	u, err := url.Parse(s.provider.BaseURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
