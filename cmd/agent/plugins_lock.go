package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost/inspect"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

func newPluginsLock(p process) *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use:   "lock [PATH...]",
		Short: "Pin plugins: write their digests and what they offer to plugins.lock",
		Long: `Start each plugin of the configuration once, without network, parameters and secrets, ask it what it
offers, and write that with the digest of its file to plugins.lock, beside the configuration. What
changes is told. With PATH, pin those programs and leave the others as they are.
With --check nothing is written. Exit code 0: done, or nothing to do; 3: with --check, the lock is
not what the plugins are; 1: a plugin cannot be asked.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lockPlugins(cmd.Context(), p, path, check, args)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, only say what would change")
	return cmd
}

// toLock is one program to pin.
type toLock struct {
	path  string
	entry *config.Plugin // nil where no configuration names it
}

func lockPlugins(ctx context.Context, p process, path string, check bool, args []string) error {
	file := lockPath(path)
	lock, err := manifest.ReadLock(file)
	if err != nil {
		fmt.Fprintf(p.stderr, "warning: %v\n", err)
		lock = &manifest.Lock{}
	}
	all, whole, err := programsToLock(p, path, args)
	if err != nil {
		return err
	}
	fresh := &manifest.Lock{Plugins: slices.Clone(lock.Plugins)}
	if whole {
		fresh.Plugins = nil
	}
	for _, one := range all {
		locked, err := lockOne(ctx, one)
		if err != nil {
			return exit(exitCannot, err)
		}
		fresh.Set(locked)
		if one.entry == nil {
			fmt.Fprintf(p.stdout, "# for schedules.yaml:\nplugins:\n  %s:\n    path: %s\n", locked.Manifest.Name, one.path)
		}
	}
	changed := tellChanges(p, lock, fresh)
	switch {
	case !changed:
		fmt.Fprintf(p.stdout, "%s is up to date\n", file)
		return nil
	case check:
		return exit(exitBadNews, nil)
	}
	if err := fresh.Write(file); err != nil {
		return exit(exitCannot, err)
	}
	fmt.Fprintf(p.stdout, "wrote %s\n", file)
	return nil
}

// programsToLock lists them. whole is that they are all that the lock shall hold.
func programsToLock(p process, path string, args []string) (all []toLock, whole bool, err error) {
	cfg, err := readConfig(p, path)
	absent := errors.Is(err, fs.ErrNotExist) && path == ""
	if err != nil && (len(args) == 0 || !absent) {
		return nil, false, err
	}
	entries := pluginsIn(cfg)
	if len(args) > 0 {
		all, err = namedToLock(entries, args)
		return all, false, err
	}
	for i := range entries {
		if entries[i].Path != "" {
			all = append(all, toLock{entries[i].Path, &entries[i]})
		}
	}
	return all, true, nil
}

func namedToLock(entries []config.Plugin, args []string) (all []toLock, err error) {
	for _, arg := range args {
		one := toLock{}
		if one.path, err = filepath.Abs(arg); err != nil {
			return nil, exit(exitCannot, err)
		}
		if _, err := os.Stat(one.path); err != nil {
			return nil, exit(exitUsage, fmt.Errorf("no plugin to lock: %w", err))
		}
		if i := slices.IndexFunc(entries, func(p config.Plugin) bool { return p.Path == one.path }); i >= 0 {
			one.entry = &entries[i]
		}
		all = append(all, one)
	}
	return all, nil
}

func pluginsIn(cfg *config.Config) []config.Plugin {
	if cfg == nil {
		return nil
	}
	return cfg.Plugins
}

func lockOne(ctx context.Context, one toLock) (locked manifest.Locked, err error) {
	o := inspect.Options{Path: one.path, Policy: sandbox.Policy{Network: sandbox.NetworkNone}}
	if one.entry != nil {
		o = ofEntry(one.entry)
	}
	plugin, err := inspect.Start(ctx, o)
	if err != nil {
		if one.entry != nil {
			err = fmt.Errorf("%s: %w", one.entry.At, err)
		}
		return locked, err
	}
	defer func() { err = errors.Join(err, plugin.Close()) }()
	if one.entry != nil && one.entry.Name != plugin.Manifest.Name {
		return locked, fmt.Errorf("%s: the program calls itself %q; give the entry %q that name", one.entry.At, plugin.Manifest.Name, one.entry.Name)
	}
	return manifest.Locked{SHA256: plugin.SHA256, Manifest: plugin.Manifest}, nil
}

// tellChanges says what is other than before.
func tellChanges(p process, before, after *manifest.Lock) (changed bool) {
	for _, old := range before.Plugins {
		if _, kept := after.Find(old.Manifest.Name); !kept {
			fmt.Fprintf(p.stdout, "%s: taken out, no plugin of the configuration has its name\n", old.Manifest.Name)
			changed = true
		}
	}
	for _, now := range after.Plugins {
		name := now.Manifest.Name
		old, known := before.Find(name)
		if !known {
			fmt.Fprintf(p.stdout, "%s: new, version %s, sha256 %s\n", name, now.Manifest.Version, now.SHA256)
			changed = true
			continue
		}
		said := manifest.Differences(old.Manifest, now.Manifest)
		if old.SHA256 != now.SHA256 {
			said = append([]string{fmt.Sprintf("sha256 %s… is now %s…", old.SHA256[:12], now.SHA256[:12])}, said...)
		}
		for _, text := range said {
			fmt.Fprintf(p.stdout, "%s: %s\n", name, text)
			changed = true
		}
	}
	return changed
}
