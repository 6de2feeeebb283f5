package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/status"
)

// newPlugins is the root of what concerns plugins.
func newPlugins(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "Write, try, pin and look after third-party checks and exporters",
		Long: `Plugins are programs that serve checks and exporters of their own, in any language with gRPC.
init writes one, run and test try it, lock pins it in plugins.lock; list, verify and restart look
after those of an agent. docs/plugins has the rest.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(exitUsage, errors.Join(errors.New("plugins: name a verb"), cmd.Help()))
		},
	}
	cmd.AddCommand(
		newPluginsInit(p), newPluginsList(p), newPluginsInspect(p), newPluginsLock(p), newPluginsVerify(p), newPluginsRun(p), newPluginsTest(p), newPluginsRestart(p),
	)
	return cmd
}

func newPluginsList(p process) *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the plugins of the running agent, else those of the configuration",
		Long: `Ask the running agent for its plugins. Where none runs, show what the configuration and plugins.lock say.
Exit code 0: every plugin is ready, or no agent runs and nothing in the files keeps one from
being started (verify looks at the programs); 3: one is not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantOutput(output)
			if err != nil {
				return err
			}
			got, err := pluginsNow(cmd, p, path)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(p.stdout, got)
			} else {
				printPlugins(p.stdout, got)
				if !got.Running {
					fmt.Fprintln(p.stderr, "hint: no agent answers; this is what the files say. windsock plugins verify looks at the programs")
				}
			}
			for i := range got.Plugins {
				if err == nil && got.Plugins[i].Problem != "" {
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

// pluginsNow asks the running agent, else the files.
func pluginsNow(cmd *cobra.Command, p process, path string) (*agent.PluginsAnswer, error) {
	cfg, err := readConfig(p, path)
	if err != nil {
		return nil, err
	}
	client, err := clientOf(cmd.Context(), p, path)
	if err != nil {
		return nil, err
	}
	var got agent.PluginsAnswer
	err = client.Call(cmd.Context(), http.MethodGet, "/v1/plugins", nil, &got)
	if refused, ok := errors.AsType[*agent.RefusedError](err); ok {
		return nil, asked(refused)
	}
	if err == nil {
		return &got, nil
	}
	return agent.PluginsOf(cfg), nil
}

func printPlugins(w io.Writer, got *agent.PluginsAnswer) {
	if len(got.Plugins) == 0 {
		fmt.Fprintln(w, "no plugins")
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(got.Plugins) > 0 {
		fmt.Fprintln(table, "NAME\tVERSION\tSTATE\tKINDS\tSHA256\tMEMORY\tRESTARTS\tLAST EXIT")
	}
	for i := range got.Plugins {
		one := &got.Plugins[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", one.Name, dash(one.Version), one.State, dash(strings.Join(one.Kinds, " ")),
			dash(one.SHA256[:min(len(one.SHA256), 12)]), memory(one.Memory), one.Restarts, dash(one.LastExit))
	}
	_ = table.Flush()
	for i := range got.Plugins {
		printPluginTrouble(w, &got.Plugins[i])
	}
	for _, text := range got.Lacks {
		fmt.Fprintf(w, "sandbox: %s\n", text)
	}
}

func printPluginTrouble(w io.Writer, one *status.Plugin) {
	if one.Problem != "" {
		fmt.Fprintf(w, "%s: %s\n", one.Name, one.Problem)
	}
	if one.Hint != "" {
		fmt.Fprintf(w, "  hint: %s\n", one.Hint)
	}
	if !one.NextTry.IsZero() {
		fmt.Fprintf(w, "  next try at %s\n", one.NextTry.Local().Format(time.TimeOnly))
	}
	if one.Problem != "" {
		for _, line := range one.LastLines {
			fmt.Fprintf(w, "  | %s\n", line)
		}
	}
	if one.Note != "" {
		fmt.Fprintf(w, "%s: %s\n", one.Name, one.Note)
	}
	if one.Plain {
		fmt.Fprintf(w, "%s: without AutoMTLS: other programs of the agent's user can call it\n", one.Name)
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func memory(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func newPluginsRestart(p process) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Have the running agent start a plugin anew, also one in quarantine",
		Long:  "Have the running agent end a plugin's process and start it again. It leaves quarantine that way.\nExit code 0: it is ready again; 3: it is not; 1: no agent answers; 2: there is no such plugin.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientOf(cmd.Context(), p, path)
			if err != nil {
				return err
			}
			var got status.Plugin
			if err := client.Call(cmd.Context(), http.MethodPost, "/v1/plugins/"+args[0]+"/restart", nil, &got); err != nil {
				return asked(err)
			}
			if got.Problem != "" {
				printPluginTrouble(p.stderr, &got)
				return exit(exitBadNews, nil)
			}
			fmt.Fprintf(p.stdout, "%s is %s\n", got.Name, got.State)
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// pluginPath is the program that an argument means: a path, or the name of an entry of the configuration. entry is nil for a
// path.
func pluginPath(p process, path, argument string) (program string, entry *config.Plugin, err error) {
	if strings.Contains(argument, "/") {
		program, err = filepath.Abs(argument)
		if err != nil {
			return "", nil, exit(exitCannot, err)
		}
		return program, nil, nil
	}
	cfg, err := readConfig(p, path)
	if err != nil {
		return "", nil, err
	}
	var names []string
	for i := range cfg.Plugins {
		if cfg.Plugins[i].Name == argument {
			return cfg.Plugins[i].Path, &cfg.Plugins[i], nil
		}
		names = append(names, cfg.Plugins[i].Name)
	}
	if _, there := os.Stat(argument); there == nil {
		return "", nil, exit(exitUsage, fmt.Errorf("%q is no plugin of %s; for the file here write ./%s", argument, cfg.Path, argument))
	}
	return "", nil, exit(exitUsage, fmt.Errorf("%q is no plugin of %s, which has %s", argument, cfg.Path, dash(strings.Join(names, ", "))))
}

// lockPath is the plugins.lock beside a configuration; "" is that beside the one that is found, else one in this folder.
func lockPath(path string) string {
	if path == "" {
		for _, known := range config.Paths() {
			if _, err := os.Stat(known); err == nil {
				path = known
				break
			}
		}
	}
	return filepath.Join(filepath.Dir(path), manifest.LockName)
}
