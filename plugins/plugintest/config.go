package plugintest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// maxConfig bounds the file, in bytes.
const maxConfig = 1 << 20

// Config says what the kinds of a plugin need to be run. Parameters may hold {{unreachable}}, {{blackhole}}, {{http}} and
// {{dir}}, and secrets {{secret}}: the suite fills them.
type Config struct {
	// Kinds are the parameters, by the names of the kinds without the plugin's.
	Kinds map[string]KindConfig `json:"kinds"`
	// Secrets are the values of the secrets that parameters refer to, by name. One that is not here is a canary.
	Secrets map[string]string `json:"secrets"`
	// Env is added to the environment of the plugin, as `env:` of its entry does.
	Env map[string]string `json:"env"`
	// Read and Write are added to what the plugin may read and write under confinement, as in its entry.
	Read  []string `json:"read"`
	Write []string `json:"write"`
}

// KindConfig is what one kind needs. Each set of parameters is a `with:` section.
type KindConfig struct {
	// Good makes a run ok, or an export done.
	Good json.RawMessage `json:"good"`
	// Unreachable has a target that refuses: {{unreachable}}.
	Unreachable json.RawMessage `json:"unreachable"`
	// BlackHole has a target that takes connections and never answers: {{blackhole}}.
	BlackHole json.RawMessage `json:"black_hole"`
	// NoTarget says that the kind has no target that could be away: it asks nobody.
	NoTarget bool `json:"no_target"`
	// Timeout bounds a good run; absent: 5s.
	Timeout Duration `json:"timeout"`
}

// Duration is written as people do: "2s".
type Duration time.Duration

// UnmarshalText reads one.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err //nolint:wrapcheck // the decoder says where
}

// ReadConfig reads the file. Words that it does not know are an error.
func ReadConfig(path string) (Config, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return Config{}, fmt.Errorf("reading the parameters: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("the file is larger than %d bytes", maxConfig)
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading the parameters: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var c Config
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("reading the parameters %q: %w", path, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("reading the parameters %q: something stands after the object", path)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("reading the parameters %q: %w", path, err)
	}
	return c, nil
}

func (c *Config) check() error {
	for _, name := range slices.Sorted(maps.Keys(c.Kinds)) {
		k := c.Kinds[name]
		if err := k.check(); err != nil {
			return fmt.Errorf("kinds.%s%w", name, err)
		}
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env has the name %q", name)
		}
	}
	return nil
}

func (k *KindConfig) check() error {
	sets := map[string]json.RawMessage{"good": k.Good, "unreachable": k.Unreachable, "black_hole": k.BlackHole}
	for _, word := range slices.Sorted(maps.Keys(sets)) {
		var object map[string]any
		if sets[word] != nil && (json.Unmarshal(sets[word], &object) != nil || object == nil) {
			return fmt.Errorf(".%s is not an object of parameters", word)
		}
	}
	if k.Timeout < 0 || time.Duration(k.Timeout) > time.Minute {
		return fmt.Errorf(".timeout is %s, want at most 1m", time.Duration(k.Timeout))
	}
	if k.NoTarget && (k.Unreachable != nil || k.BlackHole != nil) {
		return errors.New(" has no_target and a target that is away")
	}
	return nil
}

// secretNames are the secrets that parameters refer to: {"secret": NAME}, at any depth.
func secretNames(params []byte) []string {
	var value any
	if json.Unmarshal(params, &value) != nil {
		return nil
	}
	names := map[string]bool{}
	findSecrets(value, names)
	return slices.Sorted(maps.Keys(names))
}

func findSecrets(value any, into map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		if name, ok := v["secret"].(string); ok && len(v) == 1 {
			into[name] = true
			return
		}
		for _, one := range v {
			findSecrets(one, into)
		}
	case []any:
		for _, one := range v {
			findSecrets(one, into)
		}
	}
}
