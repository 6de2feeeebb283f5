package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/windsock-monitor/windsock/internal/config"
)

// installedIn is where an installed agent's configurations are.
const installedIn = "/etc/windsock"

// Unit is the name under which systemd runs the agent of an installed configuration, "windsock" or "windsock@NAME", and that
// of its directories below /var/lib and /run; "" for any other file.
func Unit(path string) string {
	dir, file := filepath.Split(absolute(path))
	name, yaml := strings.CutSuffix(file, ".yaml")
	switch {
	case filepath.Clean(dir) != installedIn || !yaml || name == "":
		return ""
	case name == "schedules":
		return "windsock"
	}
	return "windsock@" + name
}

// StateDir is where the store lives: `state_dir`, else $STATE_DIRECTORY, else that of the installed agent whose
// configuration it is, where there is one, else $XDG_STATE_HOME/windsock, else ~/.local/state/windsock.
func StateDir(cfg *config.Config, getenv func(string) string) (string, error) {
	return stateDir(cfg, getenv, isDir)
}

func stateDir(cfg *config.Config, getenv func(string) string, exists func(string) bool) (string, error) {
	for _, dir := range []string{cfg.StateDir, getenv("STATE_DIRECTORY")} {
		if dir != "" {
			return filepath.SplitList(dir)[0], nil
		}
	}
	if unit := Unit(cfg.Path); unit != "" {
		if dir := filepath.Join("/var/lib", unit); exists(dir) {
			return dir, nil
		}
	}
	if base := getenv("XDG_STATE_HOME"); base != "" {
		return filepath.Join(base, "windsock"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "windsock"), nil
	}
	return "", errors.New("no place for state: set state_dir in the configuration, or STATE_DIRECTORY, XDG_STATE_HOME or HOME")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// ControlPath is where the running agent listens for verbs that need it: control.sock in $RUNTIME_DIRECTORY, where that is
// there, else in the runtime directory of the installed agent whose configuration it is, which is there while that runs, else in the state
// directory.
func ControlPath(cfg *config.Config, getenv func(string) string) (string, error) {
	return controlPath(cfg, getenv, isDir)
}

func controlPath(cfg *config.Config, getenv func(string) string, exists func(string) bool) (string, error) {
	const name = "control.sock"
	if dir := getenv("RUNTIME_DIRECTORY"); dir != "" && exists(filepath.SplitList(dir)[0]) {
		return filepath.Join(filepath.SplitList(dir)[0], name), nil
	}
	if unit := Unit(cfg.Path); unit != "" {
		if dir := filepath.Join("/run", unit); exists(dir) {
			return filepath.Join(dir, name), nil
		}
	}
	dir, err := stateDir(cfg, getenv, exists)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}
