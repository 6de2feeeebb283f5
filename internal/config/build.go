package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
)

// builder turns the file as it is written into the Config, and reports what the types alone cannot tell.
type builder struct {
	decoder
	root    *ast.MappingNode
	options Options
	file    file
	cfg     *Config
	schemas map[string]*manifest.Schema // of plugins' kinds, compiled
	faults  []PluginFault               // told beside the problems: they refuse nothing but the plugin
}

// at is the place of a dotted path in the file.
func (b *builder) at(path string) place { return locate(b.root, path, placeOf(b.root)) }

// keyAt is the place of a key itself, in the mapping at a path.
func (b *builder) keyAt(path, key string) place {
	if m, ok := asMapping(b.nodeAt(path)); ok {
		for _, v := range m.Values {
			if text, _ := keyText(v.Key); text == key {
				return placeOfToken(v.Key.GetToken())
			}
		}
	}
	return b.at(path)
}

// secrets reads `secrets` before everything else, because references name its entries.
func (b *builder) secrets() {
	for _, p := range b.pairsOf("secrets") {
		b.name(p.key, p.at)
		items := []ast.Node{p.value}
		if list, ok := p.value.(*ast.SequenceNode); ok {
			items = list.Values
		}
		for _, item := range items {
			if _, named := keyIn(item, "secret"); named {
				b.add(placeOf(item), "", "an entry of `secrets` says where the credential is, and names no other entry")
			}
		}
	}
	sub := b.decoder
	sub.report = b.fork() // told when the whole file is decoded
	for _, p := range b.pairsOf("secrets") {
		var s checks.Secret
		sub.secret(p.value, &s)
		b.named[p.key] = s
	}
}

// pairsOf lists the keys of one top section, without reporting anything.
func (b *builder) pairsOf(section string) []pair {
	quiet := decoder{report: b.fork()}
	for _, top := range quiet.pairs(b.root) {
		if m, ok := asMapping(top.value); ok && top.key == section {
			return quiet.pairs(m)
		}
	}
	return nil
}

func (b *builder) build() {
	f, c := &b.file, b.cfg
	c.Location, c.Labels, c.Grace, c.Secrets, c.Snapshot = f.Location, f.Labels, f.Grace, b.named, time.Minute
	if f.StateDir != "" {
		c.StateDir = b.absolute(f.StateDir)
	}
	b.locationAndLabels()
	b.listen()
	b.budget()
	b.prices()
	b.network()
	c.Concurrency = Concurrency{f.Concurrency.Global, f.Concurrency.PerHost}
	b.upTo("concurrency.global", c.Concurrency.Global, 10_000)
	b.upTo("concurrency.per_host", c.Concurrency.PerHost, 10_000)
	c.Store = StoreConfig{f.Store.MaxAge, int64(f.Store.MaxSize)}
	b.atLeast("store.max_age", c.Store.MaxAge, time.Minute)
	if c.Store.MaxSize < 1<<20 {
		b.add(b.at("store.max_size"), "", "the store needs at least 1MiB")
	}
	b.log()
	b.providers()
	b.plugins()
	b.incidents()
	b.checks()
	b.exporters()
	b.alerts()
	b.maintenance()
	b.heartbeat()
	b.runbookSetting()
	b.preflight()
	b.programs() // last: it must know every credential
}

func (b *builder) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(b.dir, path)
}

func (b *builder) upTo(path string, got, most int) {
	if got < 1 || got > most {
		b.add(b.at(path), "", "found %d, want 1 to %d", got, most)
	}
}

func (b *builder) atLeast(path string, got, least time.Duration) {
	if got < least {
		b.add(b.at(path), "", "found %s, want at least %s", short(got), short(least))
	}
}

// short writes a duration as people do: "1m", not "1m0s".
func short(d time.Duration) string { return params.FormatDuration(d) }

// name checks a name of something; "" is reported by the rule that it is required.
func (b *builder) name(name string, at place) bool {
	if isName(name) {
		return true
	}
	if name != "" {
		b.add(at, "", "found the name %s, want at most 64 letters, digits, - and _, beginning with a letter or digit", quote(name))
	} else {
		b.add(at, "", "the name is empty")
	}
	return false
}

// isName is namePattern.
func isName(name string) bool {
	other := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	return name != "" && len(name) <= 64 && strings.IndexFunc(name, other) < 0 && name[0] != '-' && name[0] != '_'
}

func (b *builder) locationAndLabels() {
	if !isLabel(b.file.Location, 100) {
		b.add(b.at("location"), "", "want at most 100 printable characters")
	}
	b.labels("labels", b.file.Labels)
}

func (b *builder) labels(path string, labels map[string]string) {
	const most = 32
	if len(labels) > most {
		b.add(b.at(path), "", "%d labels, want at most %d", len(labels), most)
	}
	own := map[string]bool{"check": true, "kind": true, "provider": true, "location": true, "instance": true, "job": true}
	if strings.HasPrefix(path, "alerts.") {
		for _, key := range []string{"rule", "severity", "state", "layer", "alertname"} {
			own[key] = true
		}
	}
	for _, key := range sortedKeys(labels) {
		at := b.keyAt(path, key)
		switch {
		case !regexp.MustCompile(attributePattern).MatchString(key):
			b.add(at, "", "found the label %s, want letters, digits, _, . and -, beginning with a letter", quote(key))
		case own[key]:
			b.add(at, "", "the label %q is the agent's own", key)
		case !isLabel(labels[key], 200):
			b.add(at, "", "want at most 200 printable characters as a label's value")
		}
	}
}

func isLabel(text string, most int) bool {
	return len(text) <= most && strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
}

func (b *builder) listen() {
	if b.file.Listen == nil {
		b.cfg.Listen = DefaultListen
		return
	}
	b.cfg.Listen = *b.file.Listen
	if b.cfg.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(b.cfg.Listen)
	number, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || number < 0 || number > 65535 || strings.ContainsAny(host, "/ ") {
		b.add(b.at("listen"), `want host:port, such as 127.0.0.1:9188, or "" for off`, "found %s, which is no address", quote(b.cfg.Listen))
		return
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		b.warn(b.at("listen"), "%s can be reached from other hosts, and the pages ask for no password; prefer 127.0.0.1", b.cfg.Listen)
	}
}

func (b *builder) budget() {
	given := b.file.Budget
	if given == nil || given.PerHour == nil && given.PerDay == nil && given.PerMonth == nil {
		if _, there := b.keyOf("budget"); there && given != nil {
			b.add(b.at("budget"), "", "want per_hour, per_day, per_month or several of them")
		}
		return
	}
	for path, amount := range map[string]*checks.PicoUSD{
		"budget.per_hour": given.PerHour, "budget.per_day": given.PerDay, "budget.per_month": given.PerMonth,
	} {
		if amount != nil && *amount == 0 {
			b.add(b.at(path), "take paid checks out of the file instead", "a budget of 0 would skip every paid check, want more")
		}
	}
	b.cfg.Budget = given.whole()
	b.cfg.PlaceBudget = func(key string, err error) error {
		if !b.given("budget", key) { // it follows from another
			return b.placing("budget")(err)
		}
		return b.placing("budget." + key)(err)
	}
	if out := b.cfg.Budget; out.PerHour > out.PerDay {
		b.warn(b.at("budget.per_hour"), "per_hour is more than per_day, which stops first")
	} else if given.PerDay != nil && out.PerMonth > 0 && out.PerDay > out.PerMonth {
		b.warn(b.at("budget.per_day"), "per_day is more than per_month, which stops first")
	}
}

// whole fills in what is absent: a day is 24 hours, and an hour or a day may take all of what is longer. A month has a bound
// of its own only where it is given.
func (g *budget) whole() Budget {
	out := Budget{Set: true}
	if g.PerMonth != nil {
		out.PerMonth = *g.PerMonth
	}
	switch {
	case g.PerDay != nil:
		out.PerDay = *g.PerDay
	case g.PerHour != nil:
		out.PerDay = 24 * *g.PerHour
	default:
		out.PerDay = out.PerMonth
	}
	if out.PerHour = out.PerDay; g.PerHour != nil {
		out.PerHour = *g.PerHour
	}
	return out
}

func (b *builder) keyOf(path string) (ast.Node, bool) {
	for _, v := range b.root.Values {
		if key, _ := keyText(v.Key); key == path {
			return v.Value, true
		}
	}
	return nil, false
}

func (b *builder) network() {
	n, out := b.file.Network, &b.cfg.Network
	for _, row := range []struct {
		key  string
		own  *string
		into *string
	}{
		{"http_proxy", n.HTTPProxy, &out.HTTPProxy},
		{"https_proxy", n.HTTPSProxy, &out.HTTPSProxy},
		{"no_proxy", n.NoProxy, &out.NoProxy},
	} {
		if row.own != nil {
			*row.into = *row.own
			b.proxy(row.key, *row.own)
			continue
		}
		if *row.into = b.options.Getenv(strings.ToUpper(row.key)); *row.into == "" {
			*row.into = b.options.Getenv(row.key)
		}
		b.proxyPassword(*row.into)
	}
	if n.CAFile != "" {
		out.CAFile = b.absolute(n.CAFile)
		out.PlaceCAFile = b.placing("network.ca_file")
	}
	for i, text := range n.AllowAddresses {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			b.add(b.at(fmt.Sprintf("network.allow_addresses.%d", i)), "", "found %s, want an address or a network such as 192.0.2.0/24", quote(text))
			continue
		}
		out.AllowAddresses = append(out.AllowAddresses, prefix.Masked())
	}
}

// placing gives what others say of a value its place.
func (b *builder) placing(path string) func(err error) error {
	r, at := b.report, b.at(path)
	return func(err error) error {
		placed := r.fork()
		placed.add(at, "", "%s", err.Error())
		placed.causes = []error{err}
		return placed.err()
	}
}

func (b *builder) proxy(key, text string) {
	if key == "no_proxy" || text == "" {
		return
	}
	at := b.at("network." + key)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		b.add(at, "", "found %s, want an address such as http://proxy.example:3128", quote(maskLine(text)))
	case u.User != nil:
		b.add(at, "leave the key out and set $"+strings.ToUpper(key), "the address holds a user or a password, which have no place in this file")
	}
}

// proxyPassword keeps the password of a proxy out of the log.
func (b *builder) proxyPassword(text string) {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		password, _ := u.User.Password()
		b.options.Secrets.Scrubber().Add(password)
	}
}

func (b *builder) log() {
	b.cfg.Log.Format = b.file.Log.Format
	if err := b.cfg.Log.Level.UnmarshalText([]byte(b.file.Log.Level)); err != nil {
		b.cfg.Log.Level = slog.LevelInfo // reported by the decoder
	}
}

func (b *builder) providers() {
	m, ok := asMapping(b.file.Providers.node)
	if !ok {
		if n := b.file.Providers.node; n != nil && n.Type() != ast.NullType {
			b.wrong(n, "a mapping of names, such as `mistral:`")
		}
		return
	}
	for _, p := range b.pairs(m) {
		b.name(p.key, p.at)
		written := element(reflect.TypeFor[provider]())
		b.field(p.value, written, field{name: p.key, at: p.at})
		b.settle()
		v, _ := reflect.TypeAssert[*provider](written.Addr())
		path := "providers." + p.key
		b.upTo(path+".breaker.failures", v.Breaker.Failures, 1000)
		b.atLeast(path+".breaker.reset", v.Breaker.Reset, time.Second)
		b.atLeast(path+".stall_after", v.StallAfter, 100*time.Millisecond)
		if share := v.Headroom.PauseBelow; share < 0 || share > 100 {
			b.add(b.at(path+".headroom.pause_below"), "", "found %v, want 0 to 100 per cent", share)
		}
		if v.Failover && v.FallbackAPIKey.IsZero() {
			b.add(b.at(path+".failover"), "give fallback_api_key", "there is no other key to fail over to")
		}
		if _, given := keyIn(p.value, "api_key"); !given {
			b.warn(p.at, "the provider %q has no api_key: its requests carry none", p.key)
		}
		b.cfg.Providers = append(b.cfg.Providers, Provider{
			Name: p.key, BaseURL: b.baseURL(path+".base_url", v.BaseURL), APIKey: v.APIKey, ReuseConnections: v.ReuseConnections,
			StallAfter: v.StallAfter, Breaker: Breaker(v.Breaker), FallbackAPIKey: v.FallbackAPIKey, Failover: v.Failover,
			PauseBelow: v.Headroom.PauseBelow / 100,
		})
	}
}

func keyIn(n ast.Node, key string) (ast.Node, bool) {
	if m, ok := asMapping(n); ok {
		for _, v := range m.Values {
			if text, _ := keyText(v.Key); text == key {
				return v.Value, true
			}
		}
	}
	return nil, false
}

func (b *builder) baseURL(path, text string) string {
	at := b.at(path)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		b.add(at, "", "found %s, want an address such as https://api.mistral.ai", quote(maskLine(text)))
		return ""
	case u.User != nil:
		b.add(at, "use api_key", "the address holds a user or a password; %s", onlyByReference)
		return ""
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		b.add(at, "", "the address holds a query or a fragment, want it without ? and #")
		return ""
	case portOf(u) < 0:
		b.add(at, "", "the address holds the port %s, want 1 to 65535", quote(u.Port()))
		return ""
	}
	if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1") {
		b.add(at, "", "the address ends with /v1, which the agent adds itself; want it without")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
		b.warn(at, "http:// to another host sends the key in the clear")
	}
	return strings.TrimRight(u.String(), "/")
}

// portOf is the port of the address, 0 where it gives none, and -1 where there is no such port.
func portOf(u *url.URL) int {
	if u.Port() == "" {
		return 0
	}
	if n, err := strconv.Atoi(u.Port()); err == nil && n >= 1 && n <= 65535 {
		return n
	}
	return -1
}
