package agent

import (
	"fmt"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/status"
)

// PluginsAnswer is what GET /v1/plugins answers.
type PluginsAnswer struct {
	Running bool            `json:"running"` // an agent runs
	Plugins []status.Plugin `json:"plugins"`
	Lacks   []string        `json:"sandbox_lacks,omitempty"` // what this host does not offer to hold them
}

// PluginsOf is what the files say of the plugins, where no agent runs.
func PluginsOf(cfg *config.Config) *PluginsAnswer {
	out := &PluginsAnswer{Plugins: []status.Plugin{}, Lacks: sandbox.Look().Missing()}
	for i := range cfg.Plugins {
		out.Plugins = append(out.Plugins, entryState(&cfg.Plugins[i]))
	}
	return out
}

// entryState is what the files say of a plugin.
func entryState(p *config.Plugin) status.Plugin {
	out := status.Plugin{
		Name: p.Name, Version: p.Manifest.Version, State: "stopped", Path: p.Path, SHA256: p.SHA256, Plain: !p.MTLS,
	}
	for _, k := range p.Manifest.Names() {
		out.Kinds = append(out.Kinds, p.Name+"/"+k)
	}
	if p.Fault != nil {
		out.State, out.Hint = "unusable", p.Fault.Hint
		out.Problem = fmt.Sprintf("%s:%d:%d: %s", p.Fault.File, p.Fault.Line, p.Fault.Column, p.Fault.Message)
	}
	return out
}
