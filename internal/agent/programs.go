package agent

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/spawn"
)

// spawnerOf is what runs programs for checks; nil where the file allows none.
func spawnerOf(cfg *config.Config, getenv func(string) string) (checks.Spawner, error) {
	if len(cfg.Programs.Directories) == 0 {
		return nil, nil // a check that needs it says so, in its place in the file
	}
	return spawn.New(spawn.Options{
		Directories: cfg.Programs.Directories, Read: cfg.Programs.Read, Write: cfg.Programs.Write, Env: cfg.Programs.Env, Getenv: getenv, Scrubber: cfg.Scrubber,
	})
}

// warnOfPrograms says once what this host lacks to hold the programs of checks. Where there are plugins too, that is said of
// both.
func (a *Agent) warnOfPrograms(cfg *config.Config) {
	if len(cfg.Programs.Directories) == 0 || len(cfg.Plugins) > 0 {
		return
	}
	offer := sandbox.Look()
	offer.Cgroup = "the unit's" // programs of checks have none of their own
	if missing := offer.Missing(); len(missing) > 0 {
		a.o.Log.Warn("programs of checks are not held to everything", "missing", missing)
	}
}
