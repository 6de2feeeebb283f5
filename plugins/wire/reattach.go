package wire

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"

	"github.com/hashicorp/go-plugin"
)

// ReattachVariable is the variable of the environment by which an agent finds plugins that a person started, for a debugger.
const ReattachVariable = "WINDSOCK_REATTACH_PLUGINS"

// running is a plugin that a person started.
type running struct {
	Version int    `json:"version"` // of the protocol
	PID     int    `json:"pid"`
	Socket  string `json:"socket"`
}

// Reattach is the value of ReattachVariable for one plugin.
func Reattach(name string, c *plugin.ReattachConfig) (string, error) {
	text, err := json.Marshal(map[string]running{name: {c.ProtocolVersion, c.Pid, c.Addr.String()}})
	if err != nil {
		return "", fmt.Errorf("writing where %q is: %w", name, err)
	}
	return string(text), nil
}

// ParseReattach reads a value of ReattachVariable, by the name of each plugin.
func ParseReattach(text string) (map[string]*plugin.ReattachConfig, error) {
	var all map[string]running
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("reading %s, want what a plugin's --debug prints: %w", ReattachVariable, err)
	}
	out := make(map[string]*plugin.ReattachConfig, len(all))
	for name, r := range all {
		if r.Version != Protocol {
			return nil, fmt.Errorf("reading %s: plugin %q speaks protocol %d, want %d", ReattachVariable, name, r.Version, Protocol)
		}
		if r.PID <= 0 || !filepath.IsAbs(r.Socket) {
			return nil, fmt.Errorf("reading %s: plugin %q has pid %d and socket %q, want a process and an absolute path", ReattachVariable, name, r.PID, r.Socket)
		}
		out[name] = &plugin.ReattachConfig{
			Protocol: plugin.ProtocolGRPC, ProtocolVersion: r.Version, Pid: r.PID, Test: true,
			Addr: &net.UnixAddr{Name: r.Socket, Net: "unix"},
		}
	}
	return out, nil
}
