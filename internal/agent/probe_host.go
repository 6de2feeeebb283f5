package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// lookFor finds the service, and tells the host's room what this configuration needs of the host.
func (p *prober) lookFor(ctx context.Context) {
	cfg := p.cfg
	p.host = host.Options{
		Root: p.o.Host.Root, Shell: p.o.Host.Shell, Getenv: p.o.Getenv, Config: absolute(cfg.Path),
		Programs: len(cfg.Plugins) > 0 || len(cfg.Programs.Directories) > 0, Listen: cfg.Listen, MaxStore: cfg.Store.MaxSize,
		Names: hostNames(cfg, p.o.Registry), Released: p.o.Built,
		Network: host.Network{
			Proxies: map[string]string{"HTTP_PROXY": cfg.Network.HTTPProxy, "HTTPS_PROXY": cfg.Network.HTTPSProxy, "NO_PROXY": cfg.Network.NoProxy},
			CAFile:  cfg.Network.CAFile,
		},
	}
	p.service = host.FindService(ctx, p.host)
	p.host.Files = filesOf(cfg, p.service.Unit != "")
	state, runtime := p.service.Directories()
	if cfg.StateDir != "" || state == "" {
		state, _ = StateDir(cfg, p.o.Getenv) // "" is a finding
	}
	if runtime == "" {
		if socket, err := ControlPath(cfg, p.o.Getenv); err == nil {
			runtime = filepath.Dir(socket)
		}
	}
	if state != "" {
		p.host.StateDir = absolute(state)
	}
	if runtime != "" {
		p.host.RuntimeDir = absolute(runtime)
	}
}

// filesOf is what the configuration names, but for the secrets that are tried each for itself.
func filesOf(cfg *config.Config, inUnit bool) []host.File {
	mentions, err := config.Mentions(cfg.Path)
	if err != nil {
		return nil // it was read a moment ago, or came from elsewhere: nothing to judge
	}
	var out []host.File
	for _, m := range mentions {
		if m.In == "preflight" {
			continue // for who asks, not for the service
		}
		use := host.Read
		switch m.Key {
		case "file":
			if m.In == "providers" || m.In == "secrets" {
				continue
			}
			if m.In != "prices" {
				use = host.Secret
			}
		case "key_file":
			use = host.Secret
		case "command", "argv", "path":
			use = host.Run
		case "unix":
			continue // the exporter that connects to it is tried
		}
		path := m.Path
		switch {
		case filepath.IsAbs(path):
		case inUnit:
			path = "/" + path // the working directory that systemd gives
		default:
			path = absolute(path)
		}
		out = append(out, host.File{What: fmt.Sprintf("%s of line %d", m.Key, m.Line), Path: path, Use: use})
	}
	return out
}

func findingOf(f host.Finding) Finding {
	out := Finding{Subject: f.Subject, OK: f.Level != host.Wrong, Detail: f.Detail, Hint: f.Fix}
	if f.Level == host.Warning {
		out.Level = levelWarning
	}
	return out
}

func (p *prober) look(ctx context.Context) []Finding {
	var out []Finding
	for _, f := range host.Look(ctx, p.service, p.host) {
		out = append(out, findingOf(f))
	}
	return out
}

// askOfPlugins asks the agent that runs what it cannot hold plugins to: its unit may keep from it what this host has.
func (p *prober) askOfPlugins(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var answer PluginsAnswer
	if err := NewClient(filepath.Join(p.host.RuntimeDir, "control.sock")).Call(ctx, http.MethodGet, "/v1/plugins", nil, &answer); err != nil {
		return nil // none runs, or it is not to be asked by this user: the host was judged
	}
	var out []Finding
	for _, lacks := range answer.Lacks {
		out = append(out, Finding{
			Subject: "plugins", OK: true, Level: levelWarning, Detail: "the agent that runs: " + lacks,
			Hint: "systemctl cat " + p.unit() + "   # beside /usr/share/windsock/drop-ins/plugins.conf",
		})
	}
	if len(out) == 0 {
		out = append(out, Finding{Subject: "plugins", OK: true, Detail: "the agent that runs holds them to all that it asks for"})
	}
	return out
}

func (p *prober) unit() string {
	if p.service.Unit != "" {
		return p.service.Unit
	}
	return "windsock.service"
}

// secret tries a secret as the service will find it: in the order of its places, each judged for the service's user. Who asks
// sees neither the unit's credentials nor its variables.
func (p *prober) secret(ctx context.Context, subject string, s checks.Secret) Finding {
	_, err := s.Reveal(ctx)
	other := p.service.Unit != "" && p.service.Account.UID != os.Geteuid()
	for place := range strings.SplitSeq(s.Where(), ", ") {
		if by, given := p.service.Gives(p.host, place); given {
			return Finding{Subject: subject, OK: true, Detail: place + " is given by " + by}
		}
		path, isFile := strings.CutPrefix(place, "file ")
		if !isFile {
			continue
		}
		if _, absent := os.Stat(path); errors.Is(absent, fs.ErrNotExist) {
			continue
		}
		judged := host.Judge(p.service, p.host, host.File{What: subject, Path: path, Use: host.Secret})
		switch {
		case judged.Level != host.OK:
			return findingOf(judged)
		case err == nil || other:
			return Finding{Subject: subject, OK: true, Detail: "present, from " + place}
		}
	}
	used := s.Used()
	switch {
	case err != nil:
		return Finding{Subject: subject, Detail: p.without(s.Where(), err), Hint: p.wayToSecret(s.Where())}
	case p.service.Unit != "" && strings.HasPrefix(used, "env "):
		return Finding{
			Subject: subject, Detail: used + " is set for who asks, not for " + p.service.Unit, Hint: p.wayToSecret(s.Where()),
		}
	}
	return Finding{Subject: subject, OK: true, Detail: "present, from " + used}
}

// without says why there is no value. Of what only the unit sees, who asks has no word of its own.
func (p *prober) without(where string, err error) string {
	if p.service.Unit == "" || !errors.Is(err, checks.ErrNoSecret) {
		return err.Error()
	}
	text := err.Error()
	for place := range strings.SplitSeq(where, ", ") {
		if kind, _, _ := strings.Cut(place, " "); kind == "credential" || kind == "env" {
			text = strings.Replace(text, place+": absent: $CREDENTIALS_DIRECTORY is not set", place+": "+p.service.Unit+" is given none", 1)
			text = strings.Replace(text, place+": absent: not set, or empty", place+": not set for "+p.service.Unit, 1)
		}
	}
	return text
}

// wayToSecret is how the value comes to the first place that is a file, else to where it is looked for.
func (p *prober) wayToSecret(where string) string {
	for place := range strings.SplitSeq(where, ", ") {
		if name, is := strings.CutPrefix(place, "credential "); is {
			if command := p.service.Bring(p.host, name); command != "" {
				return command
			}
		}
	}
	for place := range strings.SplitSeq(where, ", ") {
		if path, isFile := strings.CutPrefix(place, "file "); isFile {
			if p.service.Unit == "" {
				return fmt.Sprintf("install -m 0600 /dev/stdin %s   # then type the value and Ctrl-D", path)
			}
			return fmt.Sprintf("install -m 0640 -o root -g %s /dev/stdin %s   # then type the value and Ctrl-D", p.service.Account.Group, path)
		}
	}
	return "put the value where one of the sources looks; the agent starts without it and its checks say error config"
}

// reach asks a provider for nothing, with no key, and takes whatever it answers: that it does is the way out, and the Date of
// it is a clock to compare with.
func (p *prober) reach(ctx context.Context, provider *config.Provider) []Finding {
	subject := "provider " + provider.Name
	target, err := url.Parse(provider.BaseURL)
	if err != nil {
		return []Finding{{Subject: subject, Detail: "its address cannot be read"}}
	}
	asked := time.Now()
	response, err := p.network.Open(ctx, outbound.Request{Method: http.MethodHead, URL: provider.BaseURL})
	came := time.Now()
	if err != nil {
		return []Finding{{Subject: subject, Detail: outbound.Clean(err).Error(), Hint: p.wayOut(target)}}
	}
	_ = response.Body.Close()
	out := []Finding{{Subject: subject, OK: true, Detail: fmt.Sprintf("answered in %s (HTTP %d, asked without a key)", came.Sub(asked).Round(time.Millisecond), response.Status)}}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && provider == &p.cfg.Providers[0] {
		out = append(out, findingOf(host.Offset(target.Hostname(), date, asked, came)))
	}
	return out
}

// wayOut is what to try where nothing comes back.
func (p *prober) wayOut(target *url.URL) string {
	if proxy, err := p.network.ProxyFor(target.String()); err == nil && proxy != nil {
		return fmt.Sprintf("curl -sv -o /dev/null -x %s %s", proxy.Redacted(), target.Redacted())
	}
	return "curl -sv -o /dev/null " + target.Redacted()
}

// references lists every host once by which checks tell a target's fault from the network's.
func (p *prober) references() []string {
	var out []string
	for i := range p.cfg.Checks {
		built, err := buildOnly(&p.cfg.Checks[i], p.o.Registry, checks.Env{})
		if referring, ok := built.(checks.Referring); ok && err == nil {
			out = append(out, referring.References()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// connect tries a reference. Without one the checks go on, and cannot tell whose fault a failure is.
func (p *prober) connect(ctx context.Context, address string) Finding {
	began := time.Now()
	conn, err := p.network.DialContext(ctx, "tcp", address)
	if err != nil {
		return Finding{
			Subject: "reference " + address, OK: true, Level: levelWarning,
			Detail: "not reached, so that every failure of its check is blamed on the local network: " + outbound.Clean(err).Error(), Hint: "curl -sv -m 5 telnet://" + address + " </dev/null   # else give the check another reference",
		}
	}
	_ = conn.Close()
	return Finding{Subject: "reference " + address, OK: true, Detail: fmt.Sprintf("connected in %s", time.Since(began).Round(time.Millisecond))}
}
