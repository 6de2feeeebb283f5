package look

import (
	"fmt"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Network is the way out of a configuration. The error is a file of authorities that cannot be used.
func Network(cfg *config.Config, version string) (*outbound.Network, error) {
	network, err := outbound.New(outbound.Options{
		HTTPProxy: cfg.Network.HTTPProxy, HTTPSProxy: cfg.Network.HTTPSProxy, NoProxy: cfg.Network.NoProxy,
		CAFile: cfg.Network.CAFile, AllowAddresses: cfg.Network.AllowAddresses, UserAgent: "windsock/" + version + " (synthetic)",
	})
	if err != nil {
		return nil, fmt.Errorf("building the way out: %w", err)
	}
	return network, nil
}
