// Package all lists the kinds of exporter that are built in. A new kind is one line in Kinds.
package all

import (
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/alertmanager"
	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/exporters/otel"
	"github.com/windsock-monitor/windsock/exporters/pagerduty"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/exporters/slack"
	"github.com/windsock-monitor/windsock/exporters/stdout"
	"github.com/windsock-monitor/windsock/exporters/webhook"
)

// Kinds are the built-in kinds, in the order of the documentation.
func Kinds() []exporters.Kind {
	return []exporters.Kind{
		alertmanager.Kind(),
		datadog.Kind(),
		otel.Kind(),
		pagerduty.Kind(),
		prometheus.Kind(),
		slack.Kind(),
		stdout.Kind(),
		webhook.Kind(),
	}
}
