package exporters

import (
	"net/url"
	"strings"
)

// Runbooks is where the runbook that ships with the agent can be read, for the name of a page to follow.
const Runbooks = "https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/"

// RunbookURL is where an alert's Runbook can be read: itself, where it is a URL, else the page of that name below base. Where base is
// "" it is the page that ships. It is "" for what is neither a URL nor the name of a page.
func RunbookURL(runbook, base string) string {
	if u, err := url.Parse(runbook); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
		return u.String()
	}
	switch {
	case runbook == "" || strings.ContainsFunc(runbook, notOfName):
		return ""
	case base == "" || base == Runbooks:
		return Runbooks + runbook + ".md"
	}
	return base + runbook
}

func notOfName(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
