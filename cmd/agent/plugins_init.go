package main

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/scaffold"
)

type initFlags struct{ lang, kind, name, sdk string }

func newPluginsInit(p process) *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Write the project of a new plugin, which builds, tests and conforms as it is",
		Long: `Write a small plugin that works, with its test, Makefile, CI example and README, into a new or empty
folder. --sdk is a checkout of windsock to build against in the stead of the published module.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return initPlugin(p, f, args[0]) },
	}
	cmd.Flags().StringVar(&f.lang, "lang", "go", "go or python")
	cmd.Flags().StringVar(&f.kind, "kind", "check", "check or exporter")
	cmd.Flags().StringVar(&f.name, "name", "", "name of the plugin (default: that of the folder)")
	cmd.Flags().StringVar(&f.sdk, "sdk", "", "folder of a checkout of windsock, for Go")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"go", "python"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"check", "exporter"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func initPlugin(p process, f initFlags, dir string) error {
	full, err := filepath.Abs(dir)
	if err != nil {
		return exit(exitCannot, err)
	}
	o := scaffold.Options{Lang: f.lang, Kind: f.kind, Name: f.name, Version: moduleVersion(), Replace: f.sdk}
	if err := scaffold.Write(full, o); err != nil {
		return exit(exitUsage, err)
	}
	fmt.Fprintf(p.stdout, "wrote the %s in %s into %s\nnext: cd %s && make, then what its README.md says\n", f.kind, f.lang, dir, dir)
	if f.lang == scaffold.Go && o.Version == "" && f.sdk == "" {
		fmt.Fprintln(p.stderr, "hint: this windsock is of no published version, and make takes the newest that is; --sdk DIR builds against a checkout")
	}
	return nil
}

// moduleVersion is the version of the module that this program was built of, as a go.mod requires it; "" where that is none
// that is published.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || !strings.HasPrefix(info.Main.Version, "v") || strings.Contains(info.Main.Version, "+dirty") {
		return ""
	}
	return info.Main.Version
}
