package otel

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/windsock-monitor/windsock/exporters"
)

const scopeName = "github.com/windsock-monitor/windsock"

// identity is who speaks: the resource and the instrumentation scope of every signal.
type identity struct {
	resource *resource.Resource
	scope    instrumentation.Scope
	wire     *resourcepb.Resource
	origin   *commonpb.InstrumentationScope
}

// newIdentity maps `labels:` to resource attributes. service, env and version have names of their own in OpenTelemetry;
// the agent's version stands in where no version label says what the service's is.
func newIdentity(env exporters.Env) identity {
	all := map[string]string{
		"service.name":    "windsock",
		"service.version": env.Version,
	}
	addVariables(env.Getenv, all)
	for name, value := range env.Labels {
		all[resourceKey(name)] = value
	}
	all["service.instance.id"] = env.Instance
	all["windsock.location"] = env.Location
	var attrs []attribute.KeyValue
	wire := new(resourcepb.Resource)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if value := exporters.Clean(all[name], maxText); value != "" && name != "" {
			attrs = append(attrs, attribute.String(validUTF8(name), value))
			wire.Attributes = append(wire.Attributes, text(name, value))
		}
	}
	version := validUTF8(env.Version)
	return identity{
		resource: resource.NewSchemaless(attrs...),
		scope:    instrumentation.Scope{Name: scopeName, Version: version},
		wire:     wire,
		origin:   &commonpb.InstrumentationScope{Name: scopeName, Version: version},
	}
}

// addVariables reads OpenTelemetry's own variables for resources; labels of the configuration stand above them.
func addVariables(getenv func(string) string, all map[string]string) {
	if getenv == nil {
		return
	}
	for pair := range strings.SplitSeq(getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		name, value, found := strings.Cut(pair, "=")
		if decoded, err := url.PathUnescape(strings.TrimSpace(value)); found && err == nil {
			all[strings.TrimSpace(name)] = decoded
		}
	}
	if service := strings.TrimSpace(getenv("OTEL_SERVICE_NAME")); service != "" {
		all["service.name"] = service
	}
}

func resourceKey(label string) string {
	switch label {
	case "service":
		return "service.name"
	case "env":
		return "deployment.environment.name"
	case "version":
		return "service.version"
	}
	return label
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{
		Key:   validUTF8(key),
		Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: validUTF8(value)}},
	}
}

func double(key string, value float64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: value}}}
}

func truth(key string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}}
}

// maxText bounds the value of an attribute, in bytes.
const maxText = 1024

// texts drops the attributes that have no value, and cuts those that are too long.
func texts(pairs ...string) []*commonpb.KeyValue {
	all := make([]*commonpb.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := exporters.Clean(pairs[i+1], maxText); value != "" {
			all = append(all, text(pairs[i], value))
		}
	}
	return all
}
