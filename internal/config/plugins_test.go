package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
)

// lock holds a plugin shop with a check and an exporter, and one whose kind has the name of a built-in.
func lock() *manifest.Lock {
	schema := []byte(`{"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
		"url": {"type": "string"}, "retries": {"type": "integer", "default": 1}, "items": {"type": "array", "items": {"type": "string"}},
		"password": {"type": "object", "properties": {"secret": {"type": "string"}}, "required": ["secret"], "additionalProperties": false}}}`)
	l := &manifest.Lock{Version: 1}
	l.Set(manifest.Locked{SHA256: strings.Repeat("a", 64), Manifest: manifest.Manifest{
		Name: "shop", Version: "1.0.0", Protocol: 1, Kinds: []manifest.Kind{
			{Name: "lake", Type: manifest.Exporter, Schema: []byte(`{"type": "object"}`), MaxBatch: 50},
			{Name: "login", Type: manifest.Check, Schema: schema, MinInterval: manifest.Duration(30 * time.Second), DefaultTimeout: manifest.Duration(7 * time.Second)},
		},
	}})
	l.Set(manifest.Locked{SHA256: strings.Repeat("b", 64), Manifest: manifest.Manifest{
		Name: "shade", Version: "1.0.0", Protocol: 1, Kinds: []manifest.Kind{{Name: "chat", Type: manifest.Check, Schema: []byte(`{"type": "object"}`)}},
	}})
	return l
}

func parsePlugins(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	o := options(nil)
	o.Lock = lock()
	return config.Parse("schedules.yaml", []byte(text), o)
}

func TestAPluginsEntryWithItsLock(t *testing.T) {
	t.Parallel()
	cfg, err := parsePlugins(t, `secrets: {pw: {file: pw}}
plugins:
  shop:
    path: /usr/lib/windsock/plugins/shop
    secrets: [pw]
    env: {HTTPS_PROXY: "http://proxy:3128"}
    read: [/etc/shop]
    network: none
    ports: [443]
    limits: {memory: 64MiB, pids: 8}
checks:
  - {name: a, kind: shop/login, schedule: "@every 60s", with: {url: "https://shop.example.com", retries: 3, items: [x, "2"], password: {secret: pw}}}
  - {name: b, kind: shop/login, schedule: "@every 60s", timeout: 2s, with: {url: x}}
exporters:
  - {name: e, kind: shop/lake, with: {a: 1.5}}
  - {name: f, kind: shop/lake}
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.RefusePlugins(); err != nil {
		t.Errorf("got %v", err)
	}
	p := cfg.Plugins[0]
	want := config.PluginLimits{Memory: 64 << 20, Pids: 8, Files: 256, Calls: 16}
	if p.SHA256 != strings.Repeat("a", 64) || p.Manifest.Version != "1.0.0" || p.At != "schedules.yaml:3:3" || !p.MTLS || p.Limits != want || p.Network != "none" {
		t.Errorf("got %+v", p)
	}
	if cfg.Checks[0].Timeout != 7*time.Second || cfg.Checks[1].Timeout != 2*time.Second {
		t.Errorf("got the timeouts %s and %s, want the plugin's and the file's", cfg.Checks[0].Timeout, cfg.Checks[1].Timeout)
	}
	if cfg.Exporters[0].BatchSize != 50 {
		t.Errorf("got batches of %d, want as many as the plugin takes", cfg.Exporters[0].BatchSize)
	}
	var params manifest.Params
	if err := cfg.Checks[0].With.Decode(&params); err != nil {
		t.Fatal(err)
	}
	if got := string(params.Config()); got != `{"items":["x","2"],"password":{"secret":"pw"},"retries":3,"url":"https://shop.example.com"}` {
		t.Errorf("got %s", got)
	}
	if len(params.Secrets) != 1 || !strings.HasSuffix(params.Secrets["pw"].Where(), "/pw") {
		t.Errorf("got the secrets %v", params.Secrets)
	}
	params = manifest.Params{}
	if err := cfg.Exporters[1].With.Decode(&params); err != nil || string(params.Config()) != "{}" {
		t.Errorf("got %s, %v for no parameters", params.Config(), err)
	}
}

// What is wrong with a plugin does not refuse the file: the agent runs without it, and whoever wants all of the file to work is
// told the place and the way out.
func TestWhatIsWrongWithAPluginIsItsOwn(t *testing.T) {
	t.Parallel()
	const good = "  shop: {path: /usr/lib/shop}\n"
	check := func(rest string) string {
		return "checks:\n  - {name: ok, kind: models, schedule: \"@every 60s\"}\n  - {name: a, kind: shop/login, schedule: \"@every 60s\", " + rest + "}\n"
	}
	usual := check("with: {url: x}")
	for name, tc := range map[string]struct {
		text  string
		want  []string
		fault bool // of the check a
	}{
		"a relative path":     {"plugins:\n  shop: {path: bin/shop}\n" + usual, []string{`:2:16: found the path "bin/shop", want an absolute one in its shortest form, such as /usr/lib/windsock/plugins/shop`}, true},
		"a wrong digest":      {"plugins:\n  shop: {path: /usr/lib/shop, sha256: " + strings.Repeat("c", 64) + "}\n" + usual, []string{":2:39: the digest is not the one in plugins.lock, aaaaaaaaaaaa…; take it out, or run `windsock plugins lock` if the new program is meant"}, true},
		"not in the lock":     {"plugins:\n  mall: {path: /usr/lib/mall}\n" + good + usual, []string{":2:3: the plugin \"mall\" is not in plugins.lock, so nobody knows its kinds; run `windsock plugins lock`"}, false},
		"two of one name":     {"plugins:\n" + good + good + usual, []string{`:3:3: two plugins are called "shop", the first in line 2; keep one of them, or give the other the name that its program has`}, true},
		"a built-in's name":   {"plugins:\n  shade: {path: /usr/lib/shade}\n" + good + usual, []string{`:2:3: its kind "chat" has the name of a built-in check; its author has to give it another name`}, false},
		"an unknown secret":   {"secrets: {password: {file: x}}\nplugins:\n  shop: {path: /usr/lib/shop, secrets: [passwort]}\n" + usual, []string{":3:41: no entry \"passwort\" in `secrets`; did you mean \"password\"?"}, true},
		"an unknown kind":     {"plugins:\n" + good + strings.Replace(usual, "shop/login", "shop/logn", 1), []string{`:5:21: the plugin "shop" has no kind "logn", want one of lake, login; did you mean "login"?`}, true},
		"an exporter's kind":  {"plugins:\n" + good + strings.Replace(usual, "shop/login", "shop/lake", 1), []string{`:5:21: the kind "shop/lake" is of type exporter, want a kind of type check`}, true},
		"a missing parameter": {"plugins:\n" + good + check("with: {retries: 2}"), []string{`:5:63: the parameter "url" is missing (shop/login)`}, true},
		"no parameters":       {"plugins:\n" + good + check("labels: {}"), []string{`the parameter "url" is missing (shop/login)`}, true},
		"an unknown one":      {"plugins:\n" + good + check("with: {url: x, retris: 2}"), []string{`:5:72: no parameter is called "retris" (shop/login); did you mean "retries"?`}, true},
		"a wrong type":        {"plugins:\n" + good + check("with: {url: x, items: [a, 2]}"), []string{`:5:83: got number, want string (shop/login)`}, true},
		"a secret not listed": {"secrets: {pw: {file: x}}\nplugins:\n" + good + check("with: {url: x, password: {secret: pw}}"), []string{`the plugin "shop" may not be sent the secret "pw"; add it to plugins.shop.secrets if that is meant`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := parsePlugins(t, tc.text)
			if err != nil {
				t.Fatalf("the file is refused: %v", err)
			}
			var got []string
			for _, f := range cfg.PluginFaults {
				line, _, _ := strings.Cut(f.String(), "\n")
				got = append(got, line)
			}
			if len(got) != len(tc.want) || !strings.Contains(got[0], tc.want[0]) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if fault := cfg.Checks[1].Foreign.Fault != nil; fault != tc.fault || cfg.Checks[0].Foreign.Fault != nil {
				t.Errorf("got faults %v and %v, want one of the second check: %v", cfg.Checks[0].Foreign.Fault, cfg.Checks[1].Foreign.Fault, tc.fault)
			}
			var all *config.Errors
			if !errors.As(cfg.RefusePlugins(), &all) || len(all.List()) != len(tc.want) {
				t.Errorf("got %v from RefusePlugins", cfg.RefusePlugins())
			}
		})
	}
}

// A credential that stands in the file where a plugin wants a reference refuses the file, and is not shown.
func TestACredentialInAPluginsParameters(t *testing.T) {
	t.Parallel()
	_, err := parsePlugins(t, "plugins:\n  shop: {path: /usr/lib/shop}\nchecks: [{name: a, kind: shop/login, schedule: \"@every 60s\", with: {url: x, password: canary}}]\n")
	if err == nil || !strings.Contains(err.Error(), "found the credential itself") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestAShortIntervalOfAPluginsCheckIsWarnedOf(t *testing.T) {
	t.Parallel()
	cfg, err := parsePlugins(t, "plugins:\n  shop: {path: /usr/lib/shop}\nchecks: [{name: a, kind: shop/login, schedule: \"@every 10s\", with: {url: x}}]\n")
	if err != nil || len(cfg.PluginFaults) > 0 {
		t.Fatal(err, cfg.PluginFaults)
	}
	var said []string
	for _, w := range cfg.Warnings {
		said = append(said, w.Message)
	}
	if diff := cmp.Diff(said, []string{`the plugin wants at least 30s between two runs of "shop/login"`}); diff != "" {
		t.Error(diff)
	}
}

func TestAPluginBesideTheConfigurationIsWarnedOf(t *testing.T) {
	t.Parallel()
	o := options(nil)
	o.Lock = lock()
	const text = "state_dir: /srv/windsock/state\nplugins:\n  shop: {path: %s}\nchecks: [{name: a, kind: shop/login, schedule: \"@every 60s\", with: {url: x}}]\n"
	for path, want := range map[string]int{"/srv/windsock/shop": 2, "/srv/shop": 2, "/srv/windsock/plugins/shop": 0, "/shop": 2} {
		cfg, err := config.Parse("/srv/windsock/schedules.yaml", fmt.Appendf(nil, text, path), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.Warnings) != want {
			t.Errorf("%s: got the warnings %v, want %d", path, cfg.Warnings, want)
		}
	}
}
