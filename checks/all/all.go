// Package all lists the kinds of check that are built in. A new kind is one line in Kinds and one in Examples.
package all

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/checks/chat"
	"github.com/windsock-monitor/windsock/checks/credentials"
	"github.com/windsock-monitor/windsock/checks/egress"
	"github.com/windsock-monitor/windsock/checks/embeddings"
	"github.com/windsock-monitor/windsock/checks/exec"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/checks/spend"
	"github.com/windsock-monitor/windsock/checks/statuspage"
	"github.com/windsock-monitor/windsock/checks/usable"
)

//go:generate go run github.com/windsock-monitor/windsock/internal/docgen -out ../../docs

// Kinds are the built-in kinds, in the order of the documentation.
func Kinds() []checks.Kind {
	return []checks.Kind{
		app.Kind(),
		chat.Kind(),
		credentials.Kind(),
		egress.Kind(),
		embeddings.Kind(),
		exec.Kind(),
		models.Kind(),
		prometheus.Kind(),
		spend.Kind(),
		statuspage.Kind(),
		usable.Kind(),
	}
}

// Examples are `with:` sections as people write them, by the name of the kind.
func Examples() map[string]string {
	return map[string]string{
		"app":         app.Example(),
		"chat":        chat.Example(),
		"credentials": credentials.Example(),
		"egress":      egress.Example(),
		"embeddings":  embeddings.Example(),
		"exec":        exec.Example(),
		"models":      models.Example(),
		"prometheus":  prometheus.Example(),
		"spend":       spend.Example(),
		"status_page": statuspage.Example(),
		"usable":      usable.Example(),
	}
}
