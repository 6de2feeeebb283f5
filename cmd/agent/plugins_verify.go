package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost/inspect"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

func newPluginsVerify(p process) *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check on this host that every plugin of the configuration can be started",
		Long: `Look at each plugin's file, owner, mode and digest, start it once without network, parameters and
secrets, and compare what it says of itself with plugins.lock; say what this host does not offer to
hold it. One line for each finding. Exit code 0: all is well; 3: something is not; 2: the configuration
cannot be used.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantOutput(output)
			if err != nil {
				return err
			}
			cfg, err := readConfig(p, path)
			if err != nil {
				return err
			}
			findings := verifyPlugins(cmd.Context(), cfg)
			if asJSON {
				err = printJSON(p.stdout, findings)
			}
			for _, f := range findings {
				if !asJSON {
					printFinding(p.stdout, f)
				}
				if err == nil && !f.OK {
					err = exit(exitBadNews, nil)
				}
			}
			return err
		},
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	return cmd
}

func verifyPlugins(ctx context.Context, cfg *config.Config) []agent.Finding {
	findings := []agent.Finding{}
	for i := range cfg.Plugins {
		findings = append(findings, verifyPlugin(ctx, &cfg.Plugins[i]))
	}
	for _, f := range cfg.PluginFaults {
		if !f.Use {
			continue // told of the plugin
		}
		findings = append(findings, agent.Finding{Subject: fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column), Detail: f.Message, Hint: f.Hint})
	}
	for _, text := range missingHere(sandbox.Look()) {
		findings = append(findings, agent.Finding{Subject: "sandbox", OK: true, Detail: text})
	}
	return findings
}

// missingHere says of the cgroup nothing that holds for this command only: it does not run in the agent's unit.
func missingHere(o sandbox.Offer) []string {
	if o.Cgroup != "" {
		return o.Missing()
	}
	o.Cgroup = "that of the unit"
	return append(o.Missing(), "whether memory and processes of programs can be bounded is seen from the agent's unit only (systemd: Delegate=memory pids); windsock plugins list asks the agent")
}

func verifyPlugin(ctx context.Context, entry *config.Plugin) agent.Finding {
	f := agent.Finding{Subject: "plugin " + entry.Name}
	if entry.Fault != nil {
		at := entry.Fault
		f.Detail, f.Hint = fmt.Sprintf("%s:%d:%d: %s", at.File, at.Line, at.Column, at.Message), at.Hint
		return f
	}
	o := ofEntry(entry)
	sum, err := inspect.Digest(o)
	if err == nil && sum != entry.SHA256 { // what nobody has locked is not started
		f.Detail = fmt.Sprintf("%s: %q has the SHA-256 %s, and %s was locked", entry.At, entry.Path, sum, entry.SHA256)
		f.Hint = "if it was updated on purpose: windsock plugins lock"
		return f
	}
	plugin, err := inspect.Start(ctx, o)
	if err != nil {
		f.Detail = fmt.Sprintf("%s: %v", entry.At, err)
		return f
	}
	if err := plugin.Close(); err != nil {
		f.Detail = err.Error()
		return f
	}
	if plugin.Manifest.Name != entry.Name {
		f.Detail = fmt.Sprintf("%s: the program calls itself %q; give the entry that name", entry.At, plugin.Manifest.Name)
		return f
	}
	if said := manifest.Differences(entry.Manifest, plugin.Manifest); len(said) > 0 {
		f.Detail = fmt.Sprintf("%s: it is not the one that was locked (%s)", entry.At, strings.Join(said, "; "))
		f.Hint = "if it was updated on purpose: windsock plugins lock"
		return f
	}
	f.OK, f.Detail = true, fmt.Sprintf("version %s starts and is what was locked", plugin.Manifest.Version)
	return f
}

// ofEntry is how the plugin of an entry is started to be asked: in its own environment, without network and secrets.
func ofEntry(entry *config.Plugin) inspect.Options {
	o := inspect.Options{
		Path: entry.Path, Name: entry.Name, Plain: !entry.MTLS,
		Policy: sandbox.Policy{Network: sandbox.NetworkNone, Read: entry.Read},
	}
	for name, value := range entry.Env {
		o.Env = append(o.Env, name+"="+value)
	}
	return o
}
