package statuspage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
)

const (
	maxLine  = 300 // bytes of a summary and of a step's detail
	maxTitle = 200 // bytes of an incident's title
	maxShown = 5   // incidents in the facts
)

// indicator is what a page says, in one word.
type indicator string

// The indicators, of all shapes together.
const (
	none        indicator = "none"
	maintenance indicator = "maintenance"
	minor       indicator = "minor"
	major       indicator = "major"
	critical    indicator = "critical"
)

// known are the indicators in the order of their badness, which is the value that is measured.
func known() []indicator { return []indicator{none, maintenance, minor, major, critical} }

// page is what a status page says.
type page struct {
	shape       string // "indicator" or "instatus"
	indicator   indicator
	description string
	incidents   []incident // open ones
}

type incident struct{ title, status, impact string }

// unread is why an answer could not be read.
type unread struct {
	cause checks.Cause
	blame checks.Blame
	text  string
}

func (u *unread) result(a *fetch.Answer) checks.Result {
	return checks.Result{
		Status: checks.Unknown, Cause: u.cause, Blame: u.blame, Summary: oneline.Of("the page cannot be read: "+u.text, maxLine),
		Phases: a.Phases, Evidence: a.Evidence, Measurements: status(a),
	}
}

func status(a *fetch.Answer) []checks.Measurement {
	return []checks.Measurement{{Name: "probe.http.status_code", Value: float64(a.Status)}}
}

// read finds the shape of an answer, and what it says.
func read(a *fetch.Answer) (page, *unread) {
	if a.Status < 200 || a.Status > 299 {
		return page{}, refused(a)
	}
	if !json.Valid(a.Body) {
		return page{}, malformed("%s with %s", a.StatusText(), looks(a.Body))
	}
	if p, ok := ofIndicator(a.Body); ok {
		return recognised(a, p)
	}
	if p, ok := ofInstatus(a.Body); ok {
		return recognised(a, p)
	}
	return page{}, malformed("JSON of a shape that is not known")
}

func recognised(a *fetch.Answer, p page) (page, *unread) {
	if !slices.Contains(known(), p.indicator) {
		return page{}, malformed("an indicator that is not known: %s", oneline.Of(a.Line(string(p.indicator)), 64))
	}
	return p, nil
}

func malformed(format string, args ...any) *unread {
	return &unread{cause: checks.CauseMalformed, text: fmt.Sprintf(format, args...)}
}

// refused judges an HTTP error. It says nothing of what the page would have said, and our account nothing to do with it.
func refused(a *fetch.Answer) *unread {
	html := looks(a.Body)
	challenged := a.Header.Get("Cf-Mitigated") != "" || (html == anHTMLPage && slices.Contains([]int{http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}, a.Status))
	if challenged {
		return malformed("%s with a challenge or an error page", a.StatusText())
	}
	u := &unread{cause: a.Refusal(), text: a.StatusText()}
	if u.cause.Blame() == checks.BlameAccount {
		u.blame = checks.BlameProvider
	}
	return u
}

const anHTMLPage = "an HTML page"

// looks says in our own words what a body is.
func looks(body []byte) string {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return "an empty body"
	case body[0] == '<':
		return anHTMLPage
	}
	return "text that is not JSON"
}

// wireIncident is an incident in all shapes. Statuspage and Rootly write impact in lower case, Instatus in upper case.
type wireIncident struct {
	Name       text `json:"name"`
	Title      text `json:"title"`
	Status     text `json:"status"`
	Impact     text `json:"impact"`
	ResolvedAt text `json:"resolved_at"`
}

// text is a string, or "" where a page has anything else in its place.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = text(s)
	}
	return nil
}

// ofIndicator reads {status: {indicator, description}, incidents}: Statuspage's API, version 2, and those who took over
// its format (metastatuspage.com/api; docs.rootly.com, Status Page Public API; both read November 2026).
func ofIndicator(body []byte) (page, bool) {
	var w struct {
		Status struct {
			Indicator   *string `json:"indicator"`
			Description text    `json:"description"`
		} `json:"status"`
		Incidents []wireIncident `json:"incidents"`
	}
	if json.Unmarshal(body, &w) != nil || w.Status.Indicator == nil {
		return page{}, false
	}
	return page{
		shape: "indicator", indicator: indicator(strings.ToLower(*w.Status.Indicator)), description: string(w.Status.Description),
		incidents: open(w.Incidents),
	}, true
}

// ofInstatus reads {page: {status}, activeIncidents} (instatus.com/help, Public summary, read November 2026). HASISSUES
// has no degree: an incident that is a major outage makes it major.
func ofInstatus(body []byte) (page, bool) {
	var w struct {
		Page struct {
			Status *string `json:"status"`
		} `json:"page"`
		ActiveIncidents []wireIncident `json:"activeIncidents"`
	}
	if json.Unmarshal(body, &w) != nil || w.Page.Status == nil {
		return page{}, false
	}
	p := page{shape: "instatus", description: *w.Page.Status, incidents: open(w.ActiveIncidents)}
	switch word := strings.ToUpper(*w.Page.Status); word {
	case "UP":
		p.indicator = none
	case "UNDERMAINTENANCE":
		p.indicator = maintenance
	case "HASISSUES":
		p.indicator = minor
		if slices.ContainsFunc(p.incidents, func(i incident) bool { return i.impact == "majoroutage" }) {
			p.indicator = major
		}
	default:
		p.indicator = indicator(word)
	}
	return p, true
}

// open are the incidents that are not over.
func open(all []wireIncident) []incident {
	var out []incident
	over := []string{"resolved", "postmortem", "completed", "closed", "cancelled", "canceled"}
	for _, w := range all {
		i := incident{title: string(w.Name), status: strings.ToLower(string(w.Status)), impact: strings.ToLower(string(w.Impact))}
		if i.title == "" {
			i.title = string(w.Title)
		}
		if w.ResolvedAt == "" && !slices.Contains(over, i.status) {
			out = append(out, i)
		}
	}
	return out
}

// result is the verdict: never failed, whatever the page says.
func (p page) result(a *fetch.Answer) checks.Result {
	r := checks.Result{Status: checks.OK, Phases: a.Phases, Measurements: append(status(a),
		checks.Measurement{Name: "probe.status_page.indicator", Value: float64(slices.Index(known(), p.indicator))},
		checks.Measurement{Name: "probe.status_page.incidents", Value: float64(len(p.incidents))})}
	says := fmt.Sprintf("the page says %s", p.indicator)
	if described := a.Line(p.description); described != "" {
		says += ": " + described
	}
	harm := p.harmful()
	if p.indicator != none || harm > 0 {
		r.Status, r.Cause = checks.Degraded, checks.CauseAssertion
	}
	switch {
	case len(p.incidents) == 1:
		says += ", 1 incident is open"
	case len(p.incidents) > 1:
		says += fmt.Sprintf(", %d incidents are open", len(p.incidents))
	}
	r.Summary = oneline.Of(says, maxLine)
	r.Facts = p.facts(a)
	r.Evidence = append(a.Evidence, checks.Step{Name: "shape", OK: true, Detail: p.shape},
		checks.Step{Name: "indicator", OK: p.indicator == none, Detail: string(p.indicator)},
		checks.Step{Name: "incidents", OK: harm == 0, Detail: fmt.Sprintf("%d open", len(p.incidents))})
	return r
}

// harmful counts the open incidents that do not say that they have no impact.
func (p page) harmful() int {
	harm := 0
	for _, i := range p.incidents {
		if !slices.Contains([]string{"none", "maintenance", "operational"}, i.impact) {
			harm++
		}
	}
	return harm
}

func (p page) facts(a *fetch.Answer) map[string]string {
	facts := map[string]string{"status_page_shape": p.shape, "status_page_indicator": string(p.indicator)}
	for n, i := range p.incidents {
		if n == maxShown {
			break
		}
		title := oneline.Of(a.Line(i.title), maxTitle)
		if title == "" {
			title = "without a title"
		}
		if stage := oneline.Of(a.Line(i.status), 40); stage != "" {
			title += " (" + stage + ")"
		}
		facts[fmt.Sprintf("incident_%d", n+1)] = title
	}
	return facts
}
