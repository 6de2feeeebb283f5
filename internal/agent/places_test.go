package agent_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

func TestWhereTheStateIs(t *testing.T) {
	t.Parallel()
	installed := []string{"/var/lib/windsock", "/var/lib/windsock@staging"}
	tests := map[string]struct {
		cfg  config.Config
		env  map[string]string
		dirs []string
		want string
	}{
		"the file says it": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml", StateDir: "/srv/state"}, env: map[string]string{"STATE_DIRECTORY": "/a"}, dirs: installed, want: "/srv/state",
		},
		"systemd says it": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"STATE_DIRECTORY": "/a:/b"}, dirs: installed, want: "/a",
		},
		"an operator beside an installed agent": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"HOME": "/root"}, dirs: installed, want: "/var/lib/windsock",
		},
		"an operator with a state home of its own": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"XDG_STATE_HOME": "/x"}, dirs: installed, want: "/var/lib/windsock",
		},
		"beside an instance": {
			cfg: config.Config{Path: "/etc/windsock/../windsock/staging.yaml"}, env: map[string]string{"HOME": "/root"}, dirs: installed, want: "/var/lib/windsock@staging",
		},
		"an instance that never ran": {
			cfg: config.Config{Path: "/etc/windsock/prod.yaml"}, env: map[string]string{"HOME": "/root"}, dirs: installed, want: "/root/.local/state/windsock",
		},
		"an agent that never ran": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"HOME": "/root"}, want: "/root/.local/state/windsock",
		},
		"a file of the same name elsewhere": {
			cfg: config.Config{Path: "/home/a/schedules.yaml"}, env: map[string]string{"XDG_STATE_HOME": "/x"}, dirs: installed, want: "/x/windsock",
		},
		"a file below the folder": {
			cfg: config.Config{Path: "/etc/windsock/d/schedules.yaml"}, env: map[string]string{"XDG_STATE_HOME": "/x"}, dirs: installed, want: "/x/windsock",
		},
		"a file that is no configuration": {
			cfg: config.Config{Path: "/etc/windsock/plugins.lock"}, env: map[string]string{"XDG_STATE_HOME": "/x"}, dirs: append(installed, "/var/lib/windsock@plugins.lock"), want: "/x/windsock",
		},
		"nothing says it": {cfg: config.Config{Path: "/home/a/schedules.yaml"}, dirs: installed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := agent.StateDirAmong(&test.cfg, func(key string) string { return test.env[key] }, test.dirs...)
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("state directory %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestWhereTheControlSocketIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  config.Config
		env  map[string]string
		dirs []string
		want string
	}{
		"systemd says it": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"RUNTIME_DIRECTORY": "/run/a:/run/b"}, dirs: []string{"/run/a", "/run/windsock"},
			want: "/run/a/control.sock",
		},
		"systemd says it, and it is not there": {
			cfg: config.Config{Path: "/home/a/schedules.yaml"}, env: map[string]string{"RUNTIME_DIRECTORY": "/run/a", "STATE_DIRECTORY": "/s"}, want: "/s/control.sock",
		},
		"an operator beside an installed agent, wherever its state is": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml", StateDir: "/srv/state"}, env: map[string]string{"HOME": "/root"},
			dirs: []string{"/run/windsock", "/var/lib/windsock"}, want: "/run/windsock/control.sock",
		},
		"beside an instance": {
			cfg: config.Config{Path: "/etc/windsock/eu.yaml"}, env: map[string]string{"HOME": "/root"}, dirs: []string{"/run/windsock", "/run/windsock@eu"},
			want: "/run/windsock@eu/control.sock",
		},
		"an installed agent without a runtime directory": {
			cfg: config.Config{Path: "/etc/windsock/schedules.yaml"}, env: map[string]string{"HOME": "/root"}, dirs: []string{"/var/lib/windsock"},
			want: "/var/lib/windsock/control.sock",
		},
		"a file elsewhere": {
			cfg: config.Config{Path: "/home/a/schedules.yaml"}, env: map[string]string{"HOME": "/home/a"}, dirs: []string{"/run/windsock", "/var/lib/windsock"},
			want: "/home/a/.local/state/windsock/control.sock",
		},
	} {
		got, err := agent.ControlPathAmong(&test.cfg, func(key string) string { return test.env[key] }, test.dirs...)
		if got != test.want || err != nil {
			t.Errorf("%s: %q (%v), want %q", name, got, err, test.want)
		}
	}
}
