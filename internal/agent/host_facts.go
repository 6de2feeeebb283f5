package agent

import (
	"cmp"
	"context"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// HostFacts looks at the host for the service that runs this configuration, as Probe does, and asks nothing of the network.
func HostFacts(ctx context.Context, cfg *config.Config, o ProbeOptions) (*host.Service, []host.Finding) {
	p := &prober{cfg: cfg, o: o}
	p.lookFor(ctx)
	p.host.Names = nil
	return p.service, host.Look(ctx, p.service, p.host)
}

// SecretsOf are the secrets of a configuration, by what they are of.
func SecretsOf(cfg *config.Config) []NamedSecret {
	var all []NamedSecret
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		all = append(all, NamedSecret{"the key of provider " + p.Name, p.APIKey}, NamedSecret{"the fallback key of provider " + p.Name, p.FallbackAPIKey})
	}
	for name, s := range cfg.Secrets {
		all = append(all, NamedSecret{"the secret " + name, s})
	}
	all = append(all, NamedSecret{"the address of the heartbeat", cfg.Heartbeat.URL})
	all = slices.DeleteFunc(all, func(s NamedSecret) bool { return s.Secret.IsZero() })
	slices.SortStableFunc(all, func(a, b NamedSecret) int { return cmp.Compare(a.Of, b.Of) })
	return all
}

// NamedSecret is a secret with what it is of.
type NamedSecret struct {
	Of     string
	Secret checks.Secret
}

// NetworkOf is the way out that a configuration gives, for a verb that asks something else than a provider. It is closed by
// who asked for it.
func NetworkOf(cfg *config.Config, version string) (*outbound.Network, error) {
	return networkOf(cfg, version, nil)
}
