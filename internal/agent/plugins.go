package agent

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// pluginsEnd is how long plugins may take to end when nothing calls them any more.
const pluginsEnd = 5 * time.Second

// plugins is what the agent has of plugins: their host, made when a configuration names one, and what the files say of
// those that cannot be used.
type plugins struct {
	agent *Agent

	mu      sync.Mutex // guards the rest
	host    *pluginhost.Host
	entries []config.Plugin
	wrong   []config.PluginFault
	missing []string // of the sandbox
	remove  string   // the folder of sockets, where it is ours alone
}

// foresee makes what a new configuration needs beside what the old one does; settle leaves what one of them needs.
func (p *plugins) foresee(ctx context.Context, old, fresh *config.Config) error {
	entries := entriesOf(fresh)
	if old != nil {
		for _, before := range entriesOf(old) {
			if !slices.ContainsFunc(entries, func(e pluginhost.Plugin) bool { return e.Name == before.Name }) {
				entries = append(entries, before)
			}
		}
	}
	host, err := p.told(fresh, len(entries) > 0)
	if host != nil {
		host.Replace(ctx, entries)
	}
	return err
}

// told keeps what a configuration says of plugins, and makes the host where it is needed.
func (p *plugins) told(cfg *config.Config, needed bool) (*pluginhost.Host, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries, p.wrong = cfg.Plugins, cfg.PluginFaults
	if needed {
		if err := p.open(cfg); err != nil {
			return nil, err
		}
	}
	return p.host, nil
}

// settle makes the plugins those of the configuration that counts now.
func (p *plugins) settle(ctx context.Context, cfg *config.Config) {
	if host, _ := p.told(cfg, false); host != nil {
		ctx, cancel := context.WithTimeout(ctx, handOver)
		defer cancel()
		host.Replace(ctx, entriesOf(cfg))
	}
}

// open makes the host. The caller holds the lock.
func (p *plugins) open(cfg *config.Config) error {
	if p.host != nil {
		return nil
	}
	log := p.agent.o.Log.With("part", "plugins")
	sockets, err := p.sockets(cfg)
	if err != nil {
		return err
	}
	offer := sandbox.Look()
	groups, err := sandbox.OpenCgroups("")
	if err != nil {
		offer.Cgroup, offer.Why = "", err.Error()
	}
	if p.missing = offer.Missing(); len(p.missing) > 0 {
		log.Warn("plugins are not held to everything", "missing", p.missing)
	}
	guests, err := guestsOf(p.agent.o.Getenv(wire.ReattachVariable))
	if err != nil {
		return err
	}
	p.host, err = pluginhost.New(pluginhost.Options{
		Guests: guests,
		Log:    log, Sockets: sockets, Cgroups: groups, Scrubber: cfg.Scrubber, Version: p.agent.o.Version, Zone: p.agent.o.Getenv("TZ"), Dev: p.agent.o.DevPlugins,
	})
	return err
}

// guestsOf are the plugins that a person started in a debugger.
func guestsOf(text string) (map[string]pluginhost.Guest, error) {
	if text == "" {
		return nil, nil
	}
	all, err := wire.ParseReattach(text)
	if err != nil {
		return nil, err
	}
	out := map[string]pluginhost.Guest{}
	for name, c := range all {
		out[name] = pluginhost.Guest{PID: c.Pid, Socket: c.Addr.String()}
	}
	return out, nil
}

// sockets is a short path that nobody else uses: below the runtime directory, else the state directory, which one agent
// holds, else one that is of that alone.
func (p *plugins) sockets(cfg *config.Config) (string, error) {
	state, err := StateDir(cfg, p.agent.o.Getenv)
	if err != nil {
		return "", err
	}
	dirs := []string{filepath.Join(state, "p")}
	if dir := p.agent.o.Getenv("RUNTIME_DIRECTORY"); dir != "" && isDir(filepath.SplitList(dir)[0]) {
		dirs = []string{filepath.Join(filepath.SplitList(dir)[0], "p"), dirs[0]}
	}
	for _, dir := range dirs {
		if filepath.IsAbs(dir) && len(dir) <= launch.LongestSockets {
			return dir, nil
		}
	}
	p.remove, err = launch.SocketsOf(absolute(state))
	return p.remove, err
}

// entriesOf are the entries that can be started, as far as the files tell.
func entriesOf(cfg *config.Config) []pluginhost.Plugin {
	var out []pluginhost.Plugin
	for i := range cfg.Plugins {
		e := &cfg.Plugins[i]
		if e.Fault != nil {
			continue
		}
		entry := pluginhost.Plugin{
			Name: e.Name, Path: e.Path, SHA256: e.SHA256, Manifest: e.Manifest, Env: e.Env, Secrets: e.Secrets, MTLS: e.MTLS,
			Pids: e.Limits.Pids, Runs: e.Limits.Calls,
			Policy: sandbox.Policy{Read: e.Read, Write: e.Write, Network: e.Network, Memory: e.Limits.Memory, Files: e.Limits.Files},
		}
		for _, port := range e.Ports {
			entry.Policy.Ports = append(entry.Policy.Ports, uint16(port))
		}
		out = append(out, entry)
	}
	return out
}

// check is a check that a plugin serves.
func (p *plugins) check(c *config.Check, env checks.Env) (checks.Check, error) {
	if c.Foreign.Fault != nil {
		return faulty{fault: c.Foreign.Fault}, nil
	}
	var params manifest.Params
	if err := c.With.Decode(&params); err != nil {
		return nil, c.Place(err)
	}
	built := p.host.Check(c.Foreign.Plugin, c.Foreign.Kind.Name, pluginhost.Instance{
		Name: c.Name, Location: env.Location, Timeout: c.Timeout, JSON: params.Config(), Secrets: params.Secrets, Memory: env.Memory,
	})
	return built, nil
}

// exporter is how an exporter that a plugin serves is opened.
func (p *plugins) exporter(e *config.Exporter) (func(exporters.Env) (exporters.Exporter, error), error) {
	if e.Foreign.Fault != nil {
		fault := placed(e.Foreign.Fault)
		return func(exporters.Env) (exporters.Exporter, error) { return nil, fault }, nil
	}
	var params manifest.Params
	if err := e.With.Decode(&params); err != nil {
		return nil, e.Place(err)
	}
	return func(env exporters.Env) (exporters.Exporter, error) {
		return p.host.Exporter(e.Foreign.Plugin, e.Foreign.Kind.Name, pluginhost.Instance{
			Name: e.Name, Location: env.Location, Labels: env.Labels, Timeout: e.Timeout, JSON: params.Config(), Secrets: params.Secrets,
			State: env.State, AgentInstance: env.Instance, Unclean: env.Unclean,
		})
	}, nil
}

// close ends every plugin.
func (p *plugins) close(ctx context.Context) {
	p.mu.Lock()
	host, remove := p.host, p.remove
	p.mu.Unlock()
	if host != nil {
		host.Close(ctx)
	}
	if remove != "" {
		_ = os.RemoveAll(remove)
	}
}

// remind says what nobody should forget.
func (p *plugins) remind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.host != nil && p.agent.o.DevPlugins {
		p.agent.o.Log.Warn("plugins are run though they are not what was locked (--dev-plugins)", "part", "plugins")
	}
}

func (p *plugins) faults() []config.PluginFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong
}

func (p *plugins) lacks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missing
}

// live are the plugins as their host sees them, by name.
func (p *plugins) live() (entries []config.Plugin, states map[string]pluginhost.State) {
	p.mu.Lock()
	host, entries := p.host, p.entries
	p.mu.Unlock()
	states = map[string]pluginhost.State{}
	if host != nil {
		for _, s := range host.States() {
			states[s.Name] = s
		}
	}
	return entries, states
}

// states tells of every entry, in the order of the file.
func (p *plugins) states() []status.Plugin {
	entries, live := p.live()
	var out []status.Plugin
	for i := range entries {
		told := entryState(&entries[i])
		if s, runs := live[told.Name]; runs && entries[i].Fault == nil {
			fillState(&told, s, entries[i].At)
			p.note(&told, s)
		}
		out = append(out, told)
	}
	return out
}

func fillState(out *status.Plugin, s pluginhost.State, at string) {
	out.State, out.PID, out.Since, out.Memory, out.Instances = s.State, s.PID, s.Since, s.RSS, s.Instances
	out.Abandoned, out.LogDropped, out.NextTry = s.Abandoned, s.LogDropped, s.NextTry
	for reason, n := range s.Restarts {
		if reason != pluginhost.ReasonStart { // those that did not become ready are no restarts
			out.Restarts += n
		}
	}
	if !s.LastExit.At.IsZero() {
		out.LastExit, out.LastLines = s.LastExit.String(), s.LastExit.Stderr
	}
	if s.Problem != "" {
		out.Problem = at + ": " + s.Problem
	}
	if s.State == pluginhost.Quarantined && s.NextTry.IsZero() {
		out.Hint = "it is not tried again by itself; when its file or the lock is right: windsock plugins restart " + s.Name
	} else if s.State == pluginhost.Quarantined {
		out.Hint = "windsock plugins restart " + s.Name + " tries it at once"
	}
}

// note says where what runs is not what the entry and the lock say.
func (p *plugins) note(out *status.Plugin, s pluginhost.State) {
	switch {
	case s.Guest:
		out.Path, out.SHA256 = "", ""
		out.Note = "a process that was started for a debugger: neither checked nor confined"
	case p.agent.o.DevPlugins:
		out.SHA256 = ""
		out.Note = "run with --dev-plugins: nobody looks whether it is what was locked"
	}
}

// observe adds the metrics of plugins to a snapshot.
func (p *plugins) observe(s *snapshotting) {
	entries, live := p.live()
	for i := range entries {
		name := entries[i].Name
		state := live[name]
		attrs := map[string]string{"plugin": name}
		s.gauge("windsock.plugin.up", zeroOne(state.State == pluginhost.Ready), attrs)
		s.gauge("windsock.plugin.quarantined", zeroOne(state.State == pluginhost.Quarantined), attrs)
		s.gauge("windsock.plugin.abandoned", float64(state.Abandoned), attrs)
		if state.RSS > 0 {
			s.gauge("windsock.plugin.memory.usage", float64(state.RSS), attrs)
		}
		s.total("windsock.plugin.faults", float64(state.Faults), attrs)
		s.total("windsock.plugin.log.dropped", float64(state.LogDropped), attrs)
		for reason, n := range state.Restarts {
			s.total("windsock.plugin.restarts", float64(n), map[string]string{"plugin": name, "reason": reason})
		}
		for call, n := range state.Calls {
			s.total("windsock.plugin.calls", float64(n), map[string]string{"plugin": name, "method": call.Method, "code": call.Code})
		}
	}
}

// PluginsAnswer is what GET /v1/plugins answers.
type PluginsAnswer struct {
	Running bool            `json:"running"` // an agent runs
	Plugins []status.Plugin `json:"plugins"`
	Lacks   []string        `json:"sandbox_lacks,omitempty"` // what this host does not offer to hold them
}

func (p *plugins) serveList(w http.ResponseWriter, _ *http.Request) {
	got := PluginsAnswer{Running: true, Plugins: p.states(), Lacks: p.lacks()}
	if got.Plugins == nil {
		got.Plugins = []status.Plugin{}
	}
	answer(w, http.StatusOK, got)
}

// serveRestart starts a plugin anew and answers with how it stands then.
func (p *plugins) serveRestart(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	all := p.states()
	i := slices.IndexFunc(all, func(s status.Plugin) bool { return s.Name == name })
	if i < 0 {
		http.Error(w, fmt.Sprintf("there is no plugin %q in the configuration", name), http.StatusNotFound)
		return
	}
	p.mu.Lock()
	host := p.host
	p.mu.Unlock()
	if host != nil && all[i].State != stateUnusable {
		p.agent.o.Log.Info("plugin restarted by hand", "plugin", name, "by", r.Context().Value(peerKey{}))
		_ = host.Restart(r.Context(), name) // its state has the reason
	}
	if all = p.states(); i < len(all) && all[i].Name == name {
		answer(w, http.StatusOK, all[i])
		return
	}
	http.Error(w, "the configuration has changed meanwhile", http.StatusConflict)
}

// PluginsOf is what the files say of the plugins, where no agent runs.
func PluginsOf(cfg *config.Config) *PluginsAnswer {
	out := &PluginsAnswer{Plugins: []status.Plugin{}, Lacks: sandbox.Look().Missing()}
	for i := range cfg.Plugins {
		out.Plugins = append(out.Plugins, entryState(&cfg.Plugins[i]))
	}
	return out
}

// stateUnusable is the state of a plugin that the files keep from being started.
const stateUnusable = "unusable"

// entryState is what the files say of a plugin.
func entryState(p *config.Plugin) status.Plugin {
	out := status.Plugin{
		Name: p.Name, Version: p.Manifest.Version, State: pluginhost.Stopped, Path: p.Path, SHA256: p.SHA256, Plain: !p.MTLS,
	}
	for _, k := range p.Manifest.Names() {
		out.Kinds = append(out.Kinds, p.Name+"/"+k)
	}
	if p.Fault != nil {
		out.State, out.Hint = stateUnusable, p.Fault.Hint
		out.Problem = fmt.Sprintf("%s:%d:%d: %s", p.Fault.File, p.Fault.Line, p.Fault.Column, p.Fault.Message)
	}
	return out
}

// pluginTrouble is what is wrong with plugins, and with what uses them.
func pluginTrouble(all []status.Plugin, faults []config.PluginFault) []status.Problem {
	var out []status.Problem
	for i := range all {
		if p := &all[i]; p.Problem != "" {
			out = append(out, status.Problem{Part: "plugin " + p.Name, Status: status.Degraded, What: p.Problem, Hint: p.Hint})
		}
	}
	for _, f := range faults {
		if f.Use {
			out = append(out, status.Problem{
				Part: "plugin " + f.Plugin, Status: status.Degraded, Hint: f.Hint,
				What: fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message),
			})
		}
	}
	return out
}
