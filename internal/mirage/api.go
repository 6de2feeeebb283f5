package mirage

import (
	"fmt"

	"github.com/goccy/go-yaml"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

// API is what the provider's API does, in JSON under the same names as in a scenario file: {"error": "capacity"}.
type API struct{ simulator.Fault }

// MarshalJSON implements json.Marshaler.
func (a API) MarshalJSON() ([]byte, error) {
	text, err := yaml.Marshal(a.Fault)
	if err != nil {
		return nil, fmt.Errorf("writing a fault: %w", err)
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("writing a fault: %w", err)
	}
	return data, nil
}

// UnmarshalJSON implements json.Unmarshaler: JSON is YAML.
func (a *API) UnmarshalJSON(data []byte) error {
	if err := yaml.UnmarshalWithOptions(data, &a.Fault, yaml.Strict()); err != nil {
		return fmt.Errorf("reading a fault: %w", err)
	}
	return nil
}
