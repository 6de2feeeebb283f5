package agent

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
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
