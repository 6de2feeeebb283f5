package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/pluginhost/inspect"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

type inspectFlags struct{ config, output, schema, markdown string }

func newPluginsInspect(p process) *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect PATH|NAME",
		Short: "Show what a plugin is and offers",
		Long: `Start the plugin once, without network, parameters and secrets, and show what it says of itself.
--schema and --markdown print the schema or the page of one kind. A path holds a slash (./shop); a
name is that of an entry of the configuration.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return inspectPlugin(cmd.Context(), p, f, args[0]) },
	}
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	cmd.Flags().StringVar(&f.schema, "schema", "", "print the JSON Schema of this kind's parameters")
	cmd.Flags().StringVar(&f.markdown, "markdown", "", "print the documentation of this kind")
	return cmd
}

func inspectPlugin(ctx context.Context, p process, f inspectFlags, argument string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	path, entry, err := pluginPath(p, f.config, argument)
	if err != nil {
		return err
	}
	o := inspect.Options{Path: path, Trust: entry == nil, Policy: sandbox.Policy{Network: sandbox.NetworkNone}}
	if entry != nil {
		o.Name, o.Plain = entry.Name, !entry.MTLS
	}
	plugin, err := inspect.Start(ctx, o)
	if err != nil {
		return exit(exitCannot, err)
	}
	if err := plugin.Close(); err != nil {
		return exit(exitCannot, err)
	}
	m := plugin.Manifest
	for _, one := range []string{f.schema, f.markdown} {
		if _, known := m.Kind(one); one != "" && !known {
			return exit(exitUsage, fmt.Errorf("the plugin has no kind %q, but %s", one, strings.Join(m.Names(), ", ")))
		}
	}
	switch {
	case f.schema != "":
		k, _ := m.Kind(f.schema)
		return printSchema(p.stdout, k)
	case f.markdown != "":
		k, _ := m.Kind(f.markdown)
		fmt.Fprintf(p.stdout, "# %s/%s\n\n%s\n", m.Name, k.Name, strings.TrimSpace(k.Doc))
	case asJSON:
		return printJSON(p.stdout, manifest.Locked{SHA256: plugin.SHA256, Manifest: m})
	default:
		printManifest(p.stdout, m, plugin.SHA256)
	}
	return nil
}

func printSchema(w io.Writer, k manifest.Kind) error {
	var b bytes.Buffer
	if err := json.Indent(&b, k.Schema, "", "  "); err != nil {
		return exit(exitCannot, err)
	}
	fmt.Fprintln(w, b.String())
	return nil
}

func printManifest(w io.Writer, m manifest.Manifest, sum string) {
	fmt.Fprintf(w, "%s %s  %s\n", m.Name, m.Version, m.Summary)
	if m.Homepage != "" {
		fmt.Fprintf(w, "homepage   %s\n", m.Homepage)
	}
	fmt.Fprintf(w, "sha256     %s\nprotocol   %d, by %s\n", sum, m.Protocol, dash(m.SDK))
	for _, k := range m.Kinds {
		first, _, _ := strings.Cut(strings.TrimSpace(k.Doc), "\n")
		fmt.Fprintf(w, "%-10s %s/%s  %s\n", k.Type, m.Name, k.Name, first)
		if k.MaxCost > 0 {
			fmt.Fprintf(w, "           a run costs at most %s\n", k.MaxCost)
		}
		for _, one := range k.Measurements {
			fmt.Fprintf(w, "           measures %s", one.Name)
			if one.Unit != "" {
				fmt.Fprintf(w, " (%s)", one.Unit)
			}
			fmt.Fprintf(w, "  %s\n", one.Description)
		}
	}
}
